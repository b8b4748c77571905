//! Candles drawn with letters: one column each, the price going up.

use std::fmt::Write as _;

use crossterm::style::Stylize as _;
use rust_decimal::{Decimal, prelude::ToPrimitive as _};

use super::rows;
use crate::{cli::words, client::v1 as api};

/// Lines of a chart.
const HEIGHT: usize = 16;

/// A candle as it is drawn: which lines its wick and its body cover, from the top, and whether it rises.
struct Drawn {
    wick: (usize, usize),
    body: (usize, usize),
    rises: Option<bool>,
}

/// Draws candles; those without prices leave their column empty.
pub(super) fn draw(candles: &[api::Candle], coloured: bool) -> String {
    let prices: Vec<Option<[Decimal; 4]>> = candles.iter().map(prices).collect();
    let highest = prices.iter().flatten().map(|[_, high, _, _]| *high).max();
    let lowest = prices.iter().flatten().map(|[_, _, low, _]| *low).min();
    let Some((highest, lowest)) = highest.zip(lowest) else { return "no prices to draw\n".to_owned() };
    let span = highest - lowest;
    let line = |price: Decimal| -> usize {
        let share = (highest - price).checked_div(span).unwrap_or_default();
        (share * Decimal::from(HEIGHT - 1)).round().to_usize().unwrap_or_default().min(HEIGHT - 1)
    };
    let drawn: Vec<Option<Drawn>> = candles
        .iter()
        .zip(&prices)
        .map(|(candle, prices)| {
            let [open, high, low, close] = (*prices)?;
            let (first, last) = (line(open), line(close));
            Some(Drawn {
                wick: (line(high), line(low)),
                body: (first.min(last), first.max(last)),
                rises: rows::rises(candle),
            })
        })
        .collect();
    let labels: Vec<String> = (0..HEIGHT).map(|at| label(highest, span, at)).collect();
    let width = labels.iter().map(String::len).max().unwrap_or_default();
    let mut text = String::new();
    for (at, label) in labels.iter().enumerate() {
        // Writing to a text does not fail.
        let _ = write!(text, "{label:>width$} ┤");
        for candle in &drawn {
            text.push_str(&mark(candle.as_ref(), at, coloured));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    let [first, last] =
        [candles.first(), candles.last()].map(|candle| rows::time(candle.and_then(|c| c.open_time.as_ref())));
    let _ = writeln!(text, "{:width$} └ {first} … {last}", "");
    text
}

/// Gets what stands in one place of a candle's column: a full block where it rises, a shaded one where it falls.
fn mark(candle: Option<&Drawn>, at: usize, coloured: bool) -> String {
    let Some(Drawn { wick, body, rises }) = candle else { return " ".to_owned() };
    let within = |(top, bottom): &(usize, usize)| (*top..=*bottom).contains(&at);
    let mark = match rises {
        _ if !within(wick) => return " ".to_owned(),
        _ if !within(body) => "│",
        Some(true) => "█",
        Some(false) => "▒",
        None => "─",
    };
    match rises {
        Some(true) if coloured => mark.green().to_string(),
        Some(false) if coloured => mark.red().to_string(),
        _ => mark.to_owned(),
    }
}

/// Shows the price that a line stands for; every other line has none.
fn label(highest: Decimal, span: Decimal, at: usize) -> String {
    if !at.is_multiple_of(3) {
        return String::new();
    }
    let below = (span * Decimal::from(at)).checked_div(Decimal::from(HEIGHT - 1)).unwrap_or_default();
    let price = (highest - below).round_sf(7).unwrap_or_default();
    words::one_line(&price.normalize().to_string())
}

fn prices(candle: &api::Candle) -> Option<[Decimal; 4]> {
    let number = |price: &Option<String>| price.as_deref()?.parse().ok();
    Some([number(&candle.open)?, number(&candle.high)?, number(&candle.low)?, number(&candle.close)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::candles::rows::tests::candle;

    #[test]
    fn candles_are_drawn_from_the_lowest_to_the_highest_price() {
        let candles = [
            candle(0, Some(["100", "110", "95", "105"])),
            candle(1, None),
            candle(2, Some(["105", "106", "90", "92"])),
            candle(3, Some(["92", "92", "92", "92"])),
            candle(4, Some(["92", "120", "92", "120"])),
        ];
        insta::assert_snapshot!(draw(&candles, false), @r"
        120 ┤    █
            ┤    █
            ┤    █
        114 ┤    █
            ┤    █
            ┤│   █
        108 ┤│   █
            ┤│ │ █
            ┤█ ▒ █
        102 ┤█ ▒ █
            ┤█ ▒ █
            ┤│ ▒ █
         96 ┤│ ▒ █
            ┤  ▒ █
            ┤  ▒─█
         90 ┤  │
            └ 2023-11-14T22:14:00Z … 2023-11-14T22:18:00Z
        ");
        assert_eq!(draw(&[candle(0, None)], false), "no prices to draw\n");
        assert!(draw(&candles, true).contains("\u{1b}["));
        // All at one price.
        assert!(draw(&candles[3..4], false).contains('─'));
    }
}
