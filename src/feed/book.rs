//! Order books that a venue sends once and then changes, kept as far as best bid and ask need them: the prices.
//!
//! A change names a side, a price and the amount that is now there; zero takes the price away. A book of which a
//! change was missed says nothing until the venue has sent it anew.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::{
    number::{Number, positive},
    venue::ParseError,
};
use crate::domain::{quote::TopOfBook, trade::Side};

/// Prices that a side may have: more than any venue shows.
const MAX_PRICES: usize = 100_000;

/// One book of one connection.
#[derive(Debug, Default)]
pub(super) struct Book {
    bids: BTreeSet<Decimal>,
    asks: BTreeSet<Decimal>,
    state: State,
    /// The venue's number of the last update, at venues that count.
    number: u64,
}

/// What is now at a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    side: Side,
    price: Decimal,
    empty: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing is known, or something was missed.
    #[default]
    Lost,
    /// The same, and the venue was asked for all of it.
    Asked,
    /// All is known.
    Whole,
}

impl Book {
    /// Forgets what was known and begins with all that the venue has.
    pub(super) fn begin(&mut self, number: u64, changes: &[Change]) {
        self.lose();
        self.state = State::Whole;
        self.apply(number, changes);
    }

    /// Applies an update whose number must be the next one.
    pub(super) fn follow(&mut self, number: u64, changes: &[Change]) {
        if self.number.checked_add(1) == Some(number) {
            self.apply(number, changes);
        } else {
            self.lose();
        }
    }

    /// Applies an update of a venue that does not count.
    pub(super) fn follow_uncounted(&mut self, changes: &[Change]) {
        self.apply(self.number, changes);
    }

    /// Forgets what was known, because something was missed.
    pub(super) fn lose(&mut self) {
        // What was asked for may still come.
        if self.state == State::Whole {
            self.state = State::Lost;
        }
        self.bids.clear();
        self.asks.clear();
    }

    /// Tells, once for each loss, whether the venue must be asked for all of the book.
    pub(super) fn wants_all(&mut self) -> bool {
        let lost = self.state == State::Lost;
        if lost {
            self.state = State::Asked;
        }
        lost
    }

    /// Gets the best bid and ask; neither while the book is not whole.
    pub(super) fn top(&self) -> TopOfBook {
        TopOfBook { bid: self.bids.last().copied(), ask: self.asks.first().copied() }
    }

    fn apply(&mut self, number: u64, changes: &[Change]) {
        if self.state != State::Whole {
            return;
        }
        self.number = number;
        for change in changes {
            let prices = match change.side {
                Side::Buy => &mut self.bids,
                Side::Sell => &mut self.asks,
            };
            if change.empty {
                prices.remove(&change.price);
            } else {
                prices.insert(change.price);
            }
        }
        if self.bids.len().max(self.asks.len()) > MAX_PRICES {
            self.lose();
        }
    }
}

impl Change {
    /// Reads a change: the price must be above zero, the amount not below.
    pub(super) fn read(side: Side, price: Number, Number(amount): Number) -> Result<Self, ParseError> {
        if amount.is_sign_negative() && !amount.is_zero() {
            return Err(ParseError::value("amount", amount));
        }
        Ok(Self { side, price: positive("price", price)?, empty: amount.is_zero() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decimal;

    fn change(text: &str) -> Change {
        let parts: Vec<&str> = text.split(' ').collect();
        let side = if parts[0] == "bid" { Side::Buy } else { Side::Sell };
        let number = |text| Number(decimal::parse(text).unwrap());
        Change::read(side, number(parts[1]), number(parts[2])).unwrap()
    }

    fn changes(texts: &[&str]) -> Vec<Change> {
        texts.iter().map(|text| change(text)).collect()
    }

    fn top(book: &Book) -> String {
        let text = |side: Option<Decimal>| side.map_or("-".to_owned(), decimal::text);
        format!("{}/{}", text(book.top().bid), text(book.top().ask))
    }

    #[test]
    fn the_best_prices_are_those_that_are_left() {
        let mut book = Book::default();
        book.begin(7, &changes(&["bid 9 1", "bid 10.0 1", "ask 11 2", "ask 12 2"]));
        for (number, given, expected) in [
            (8, vec!["bid 10.00 0"], "9/11"),
            (9, vec!["bid 10.5 3", "ask 11 0"], "10.5/12"),
            (10, vec!["ask 12 0.00", "ask 99 0"], "10.5/-"),
            (11, vec!["ask 10.6 0.1", "ask 10.60 0.2"], "10.5/10.6"),
            (12, vec!["ask 10.6 0"], "10.5/-"),
        ] {
            book.follow(number, &changes(&given));
            assert_eq!(top(&book), expected, "{number}");
        }
    }

    #[test]
    fn what_was_missed_makes_the_book_unknown_until_it_begins_anew() {
        for missed in [6, 7, 9, u64::MAX] {
            let mut book = Book::default();
            book.begin(7, &changes(&["bid 10 1", "ask 11 1"]));
            assert!(!book.wants_all());
            book.follow(missed, &changes(&["bid 10.5 1"]));
            assert_eq!(top(&book), "-/-", "{missed}");
            assert!(book.wants_all() && !book.wants_all(), "asked for once");
            book.follow(8, &changes(&["bid 10.5 1"]));
            assert!(!book.wants_all(), "what was asked for is on its way");
            assert_eq!(top(&book), "-/-");
            book.begin(20, &changes(&["bid 9 1"]));
            book.follow(21, &changes(&["ask 11 1"]));
            assert_eq!(top(&book), "9/11");
        }
    }

    #[test]
    fn a_change_before_the_beginning_is_not_believed() {
        let mut book = Book::default();
        book.follow(1, &changes(&["bid 10 1"]));
        book.follow_uncounted(&changes(&["bid 10 1"]));
        assert_eq!(top(&book), "-/-");
        assert!(book.wants_all());
    }

    #[test]
    fn a_book_without_end_is_given_up() {
        let prices = |count: usize| -> Vec<Change> {
            (1..=count).map(|price| change(&format!("bid {price} 1"))).collect()
        };
        let mut book = Book::default();
        book.begin(0, &prices(MAX_PRICES));
        assert_eq!(top(&book), "100000/-");
        book.follow_uncounted(&changes(&["bid 0.5 1"]));
        assert_eq!(top(&book), "-/-");
        assert!(book.wants_all());
    }

    #[test]
    fn a_price_must_be_above_zero_and_an_amount_not_below() {
        for (price, amount) in [("0", "1"), ("-1", "1"), ("1", "-1")] {
            let number = |text| Number(decimal::parse(text).unwrap());
            assert!(Change::read(Side::Buy, number(price), number(amount)).is_err(), "{price} {amount}");
        }
    }
}
