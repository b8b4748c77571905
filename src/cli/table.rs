//! Plain tables: aligned columns, two spaces between them, nothing around them.

use std::fmt;

use crossterm::style::{Color, Stylize};

use super::words;

const GAP: &str = "  ";

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// How a cell stands out, on a terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Up,
    Down,
}

/// One cell.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: words::one_line(&text.into()), tone: Tone::Plain }
    }
}

impl Cell {
    /// Gives the cell a tone.
    pub(super) const fn toned(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

/// Rows under a line of titles. A column with nothing in it is left out.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// Makes a table of these columns.
    pub(super) const fn new(columns: [(&'static str, Align); N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// Whether the table has no rows.
    pub(super) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lays the table out for a terminal: lines cut at `width`, tones as colours.
    pub(super) fn coloured_lines(&self, width: usize) -> Vec<String> {
        self.lines(Some(width))
    }

    fn lines(&self, terminal_width: Option<usize>) -> Vec<String> {
        let titles = self.columns.map(|(title, _)| Cell::from(title));
        let widths = self.widths(&titles);
        std::iter::once(&titles)
            .chain(&self.rows)
            .map(|cells| self.line(cells, &widths, terminal_width))
            .collect()
    }

    /// The width of each column; none for a column with nothing in it.
    fn widths(&self, titles: &[Cell; N]) -> [Option<usize>; N] {
        let mut widths = [None; N];
        for cells in &self.rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                let length = cell.text.chars().count();
                if length > 0 {
                    *width = (*width).max(Some(length));
                }
            }
        }
        for (width, title) in widths.iter_mut().zip(titles) {
            *width = width.map(|width| width.max(title.text.chars().count()));
        }
        widths
    }

    fn line(&self, cells: &[Cell; N], widths: &[Option<usize>; N], terminal_width: Option<usize>) -> String {
        let mut line = String::new();
        let mut room = terminal_width.unwrap_or(usize::MAX);
        let shown = cells.iter().zip(&self.columns).zip(widths);
        let shown = shown.filter_map(|((cell, (_, align)), width)| Some((cell, *align, (*width)?)));
        for (position, (cell, align, width)) in shown.enumerate() {
            let gap = if position == 0 { "" } else { GAP };
            let text = &cell.text;
            let padded = match align {
                Align::Left => format!("{gap}{text:<width$}"),
                Align::Right => format!("{gap}{text:>width$}"),
            };
            let cut: String = padded.chars().take(room).collect();
            room = room.saturating_sub(cut.chars().count());
            match (cell.tone, terminal_width) {
                (Tone::Up, Some(_)) => line += &cut.with(Color::Green).to_string(),
                (Tone::Down, Some(_)) => line += &cut.with(Color::Red).to_string(),
                _ => line += &cut,
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines(None).iter().try_for_each(|line| writeln!(formatter, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<4> {
        let mut table = Table::new([
            ("pair", Align::Left),
            ("price", Align::Right),
            ("route", Align::Left),
            ("status", Align::Left),
        ]);
        table.row(["BTC-USD".into(), Cell::from("64000.5").toned(Tone::Up), "".into(), "LIVE".into()]);
        table.row(["SHIB-USD".into(), "0.00001234".into(), "".into(), "STALE\n".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        insta::assert_snapshot!(table(), @r"
        pair           price  status
        BTC-USD      64000.5  LIVE
        SHIB-USD  0.00001234  STALE
        ");
    }

    #[test]
    fn a_terminal_gets_no_line_that_wraps() {
        crossterm::style::force_color_output(true);
        let lines = table().coloured_lines(21);
        assert_eq!(
            lines,
            ["pair           price", "BTC-USD \u{1b}[38;5;10m     64000.5\u{1b}[39m", "SHIB-USD  0.00001234",]
        );
    }
}
