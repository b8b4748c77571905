//! The latest price of each pair, and which way it went.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use rust_decimal::Decimal;

use crate::{
    cli::{
        table::{Align, Cell, Table, Tone},
        words,
    },
    client::v1 as api,
};

/// How long a change stands out.
const FLASH: Duration = Duration::from_secs(1);

/// The latest prices, by pair.
#[derive(Debug, Default)]
pub(super) struct Latest {
    rows: BTreeMap<String, Row>,
}

#[derive(Debug)]
struct Row {
    price: api::Price,
    change: Tone,
    change_time: SystemTime,
}

impl Latest {
    /// Takes the prices of a message.
    pub(super) fn take(&mut self, prices: Vec<api::Price>, now: SystemTime) {
        for price in prices {
            let change = self.rows.get(&price.pair).map_or(Tone::Plain, |row| tone(&row.price, &price));
            match self.rows.get_mut(&price.pair) {
                // An update that leaves the number alone leaves its colour alone.
                Some(row) if change == Tone::Plain => row.price = price,
                _ => {
                    let pair = price.pair.clone();
                    let row = Row { price, change, change_time: now };
                    self.rows.insert(pair, row);
                }
            }
        }
    }

    /// Lays the prices out.
    pub(super) fn table(&self, now: SystemTime) -> Table<6> {
        let mut table = Table::new([
            ("pair", Align::Left),
            ("price", Align::Right),
            ("status", Align::Left),
            ("sources", Align::Right),
            ("dispersion bps", Align::Right),
            ("age", Align::Right),
        ]);
        for row in self.rows.values() {
            let price = &row.price;
            let flashes = now.duration_since(row.change_time).is_ok_and(|since| since < FLASH);
            let tone = if flashes { row.change } else { Tone::Plain };
            table.row([
                price.pair.clone().into(),
                Cell::from(words::known(price.price.as_deref())).toned(tone),
                words::status(price).into(),
                price.source_count.to_string().into(),
                words::bps(price.dispersion_bps.as_deref()).into(),
                words::age(price.observe_time.as_ref(), now).into(),
            ]);
        }
        table
    }
}

/// Tells which way the number went.
fn tone(before: &api::Price, after: &api::Price) -> Tone {
    let number = |price: &api::Price| price.price.as_deref().and_then(|text| text.parse::<Decimal>().ok());
    match (number(before), number(after)) {
        (Some(before), Some(after)) if after > before => Tone::Up,
        (Some(before), Some(after)) if after < before => Tone::Down,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(number: Option<&str>) -> api::Price {
        api::Price { pair: "BTC-USD".to_owned(), price: number.map(str::to_owned), ..api::Price::default() }
    }

    #[test]
    fn a_number_knows_which_way_it_went() {
        for (before, after, expected) in [
            (Some("9.5"), Some("10"), Tone::Up),
            (Some("10"), Some("9.5"), Tone::Down),
            (Some("10"), Some("10"), Tone::Plain),
            (None, Some("10"), Tone::Plain),
            (Some("10"), None, Tone::Plain),
        ] {
            assert_eq!(tone(&price(before), &price(after)), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_colour_lasts_a_second_and_outlives_updates_that_change_nothing() {
        let at = |milliseconds| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
        let change = |latest: &Latest| latest.rows["BTC-USD"].change;
        crossterm::style::force_color_output(true);
        let coloured =
            |latest: &Latest, now| latest.table(now).coloured_lines(80).concat().contains('\u{1b}');
        let mut latest = Latest::default();
        latest.take(vec![price(Some("10"))], at(0));
        latest.take(vec![price(Some("11"))], at(100));
        latest.take(vec![price(Some("11"))], at(200));
        assert_eq!(change(&latest), Tone::Up);
        assert!(coloured(&latest, at(1_099)));
        assert!(!coloured(&latest, at(1_100)));
    }
}
