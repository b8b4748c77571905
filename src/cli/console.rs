//! Where a command writes, and what time it is there.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::SystemTime,
};

/// Standard output, standard error and the clock, as a command sees them.
pub(super) struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    terminal: bool,
    now: fn() -> SystemTime,
}

impl<'a> Console<'a> {
    /// Takes the streams of the process.
    #[expect(
        clippy::disallowed_methods,
        reason = "ages are shown by the clock of the machine that shows them; commands get it from here"
    )]
    pub(super) fn standard(out: &'a mut io::Stdout, err: &'a mut io::Stderr) -> Self {
        Self { terminal: out.is_terminal(), out, err, now: SystemTime::now }
    }

    /// Whether a person looks at the output, rather than a program.
    pub(super) const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Tells the time.
    pub(super) fn now(&self) -> SystemTime {
        (self.now)()
    }

    /// Writes a text that ends its own lines, at once.
    pub(super) fn print(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Writes one line to standard error.
    pub(super) fn complain(&mut self, problem: &dyn Display) {
        // Where standard error is gone there is nobody left to tell.
        let _ = writeln!(self.err, "cryptoprice: {problem}");
    }

    /// Lends standard output to draw on it, and the clock.
    pub(super) fn canvas(&mut self) -> (&mut dyn Write, fn() -> SystemTime) {
        (self.out, self.now)
    }
}

#[cfg(test)]
impl<'a> Console<'a> {
    /// A console of buffers at a given time.
    pub(super) fn of(out: &'a mut Vec<u8>, err: &'a mut Vec<u8>, now: fn() -> SystemTime) -> Self {
        Self { out, err, terminal: false, now }
    }
}
