//! The live table: drawn in place on a terminal that is given back as it was.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, SystemTime},
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{Event as Input, EventStream, KeyCode, KeyEvent, KeyModifiers},
    execute, queue,
    style::Print,
    terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen},
};
use futures::{Stream, StreamExt};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use super::{follow::Event, latest::Latest};
use crate::cli::{Outcome, console::Console, failure::Failure, words};

const REDRAW_INTERVAL: Duration = Duration::from_millis(200);
const HINT: &str = "q leaves";

/// Draws what `events` bring until the user leaves, and leaves the last table behind.
pub(super) async fn watch(
    events: impl Stream<Item = Result<Event, Failure>> + Unpin,
    console: &mut Console<'_>,
) -> Result<Outcome, Failure> {
    let mut latest = Latest::default();
    let (out, clock) = console.canvas();
    let mut screen = Screen::open(out)?;
    let result = draw_until_left(events, &mut screen, &mut latest, clock).await;
    drop(screen);
    let table = latest.table(console.now()).to_string();
    console.print(&table)?;
    result
}

async fn draw_until_left(
    mut events: impl Stream<Item = Result<Event, Failure>> + Unpin,
    screen: &mut Screen<'_>,
    latest: &mut Latest,
    clock: fn() -> SystemTime,
) -> Result<Outcome, Failure> {
    let mut inputs = EventStream::new();
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut ticks = interval(REDRAW_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut note = HINT.to_owned();
    loop {
        tokio::select! {
            event = events.next() => match event.transpose()? {
                Some(Event::Message(message)) => {
                    HINT.clone_into(&mut note);
                    latest.take(message.prices, clock());
                }
                Some(Event::Cut(cut)) => note = cut.to_string(),
                None => return Ok(Outcome::Complete),
            },
            input = inputs.next() => match input.transpose()? {
                Some(Input::Key(key)) if leaves(key) => return Ok(Outcome::Complete),
                Some(_) => {}
                None => return Ok(Outcome::Complete),
            },
            _ = interrupts.recv() => return Ok(Outcome::Complete),
            _ = terminations.recv() => return Ok(Outcome::Complete),
            _ = ticks.tick() => screen.draw(latest, &note, clock())?,
        }
    }
}

/// A terminal in raw mode on its second screen, until dropped.
pub(super) struct Screen<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Screen<'a> {
    /// Whether there is a keyboard to leave with.
    pub(super) fn is_possible() -> bool {
        io::stdin().is_terminal()
    }

    fn open(out: &'a mut dyn Write) -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let mut screen = Self { out };
        execute!(&mut screen.out, EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    fn draw(&mut self, latest: &Latest, note: &str, now: SystemTime) -> io::Result<()> {
        let (width, height) = terminal::size()?;
        let table = latest.table(now).coloured_lines(width.into());
        let mut frame = Vec::new();
        queue!(frame, MoveTo(0, 0))?;
        for line in fit(table, note, width.into(), height.into()) {
            queue!(frame, Clear(ClearType::CurrentLine), Print(line), Print("\r\n"))?;
        }
        queue!(frame, Clear(ClearType::FromCursorDown))?;
        self.out.write_all(&frame)?;
        self.out.flush()
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to give back.
        let _ = execute!(&mut self.out, Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// Puts a note under the table, and says how much of it does not fit. The last line stays free for the cursor.
fn fit(mut table: Vec<String>, note: &str, width: usize, height: usize) -> Vec<String> {
    let room = height.saturating_sub(3);
    let mut notes = vec![String::new(), words::one_line(note)];
    if table.len() > room {
        let hidden = table.len() - room;
        table.truncate(room);
        notes = vec![format!("and {hidden} more; {note}")];
    }
    table.extend(notes.into_iter().map(|note| note.chars().take(width).collect()));
    table
}

fn leaves(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') => control,
        KeyCode::Char('q') | KeyCode::Esc => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<String> {
        (0..count).map(|row| format!("row {row}")).collect()
    }

    #[test]
    fn the_note_stands_under_the_table() {
        assert_eq!(fit(rows(2), "q leaves", 5, 10), ["row 0", "row 1", "", "q lea"]);
    }

    #[test]
    fn a_table_that_is_too_long_is_cut() {
        assert_eq!(fit(rows(9), "q leaves", 80, 5), ["row 0", "row 1", "and 7 more; q leaves"]);
        for height in 0..6 {
            assert!(fit(rows(9), "q leaves", 80, height).len() < height.max(2));
        }
    }
}
