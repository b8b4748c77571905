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
    /// It has been whole before.
    begun: bool,
    /// The number of the last update, at venues that count.
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
    /// Forgets what was known and begins with what is there.
    pub(super) fn begin(&mut self, changes: &[Change]) {
        self.lose();
        (self.state, self.begun) = (State::Whole, true);
        self.follow(changes);
    }

    /// Applies an update to what is known; without a beginning it says nothing.
    pub(super) fn follow(&mut self, changes: &[Change]) {
        if self.state != State::Whole {
            return;
        }
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

    /// Tells whether all was known once, so that what is not known now was missed.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Remembers the number of an update, and tells whether it is the one after the last.
    pub(super) fn is_next(&mut self, number: u64) -> bool {
        let next = self.number.checked_add(1) == Some(number);
        self.number = number;
        next
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
        book.begin(&changes(&["bid 9 1", "bid 10.0 1", "ask 11 2", "ask 12 2"]));
        for (given, expected) in [
            (vec![], "10/11"),
            (vec!["bid 10.00 0"], "9/11"),
            (vec!["bid 10.5 3", "ask 11 0"], "10.5/12"),
            (vec!["ask 12 0.00", "ask 99 0"], "10.5/-"),
            (vec!["ask 10.6 0.1", "ask 10.60 0.2"], "10.5/10.6"),
            (vec!["ask 10.6 0"], "10.5/-"),
        ] {
            book.follow(&changes(&given));
            assert_eq!(top(&book), expected);
        }
        book.begin(&changes(&["ask 20 1"]));
        assert_eq!(top(&book), "-/20");
    }

    #[test]
    fn what_was_lost_is_asked_for_once_and_unknown_until_it_begins_anew() {
        let mut book = Book::default();
        book.begin(&changes(&["bid 10 1", "ask 11 1"]));
        assert!(!book.wants_all());
        book.lose();
        assert_eq!(top(&book), "-/-");
        assert!(book.wants_all() && !book.wants_all());
        book.lose();
        book.follow(&changes(&["bid 10.5 1"]));
        assert!(!book.wants_all(), "what was asked for is on its way");
        assert_eq!(top(&book), "-/-");
        book.begin(&changes(&["bid 9 1"]));
        book.follow(&changes(&["ask 11 1"]));
        assert_eq!(top(&book), "9/11");
        book.lose();
        assert!(book.wants_all());
    }

    #[test]
    fn a_change_before_the_beginning_is_not_believed() {
        let mut book = Book::default();
        book.follow(&changes(&["bid 10 1"]));
        assert_eq!(top(&book), "-/-");
        assert!(book.wants_all());
    }

    #[test]
    fn numbers_follow_one_another() {
        let mut book = Book::default();
        for (number, expected) in [
            (7, false),
            (8, true),
            (9, true),
            (9, false),
            (11, false),
            (12, true),
            (u64::MAX, false),
            (0, false),
        ] {
            assert_eq!(book.is_next(number), expected, "{number}");
        }
    }

    #[test]
    fn a_book_without_end_is_given_up() {
        let prices = |count: usize| -> Vec<Change> {
            (1..=count).map(|price| change(&format!("bid {price} 1"))).collect()
        };
        let mut book = Book::default();
        book.begin(&prices(MAX_PRICES));
        assert_eq!(top(&book), "100000/-");
        book.follow(&changes(&["bid 0.5 1"]));
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
