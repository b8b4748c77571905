//! Prices: one, many by name, or all in pages.

use std::sync::Arc;

use super::{bar::Bar, error::ServiceError, page};
use crate::{
    clock::Clock,
    domain::{
        pair::{Asset, Pair},
        price::Status,
    },
    pipeline::{
        board::{Board, Explanation, Update},
        crosses::Crosses,
    },
};

/// Pairs of a batch at most.
pub const MAX_BATCH: usize = 100;

/// Known names that an unknown one is answered with, at most.
const NEAREST: usize = 3;

/// How many known names are compared at most to find these.
const COMPARED: usize = 500;

/// How alike two names must be to be called near, from 0 to 1.
const NEAR: f64 = 0.75;

/// Reads prices from the board, and derives those that are not on it.
#[derive(Debug, Clone)]
pub struct Prices {
    board: Board,
    crosses: Crosses,
    clock: Clock,
}

/// Which prices a list shows.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only pairs with this base; empty for any.
    pub base: String,
    /// Only pairs with this quote; empty for any.
    pub quote: String,
    /// Only prices with this status.
    pub status: Option<Status>,
    /// `pair` or `pair desc`; empty for `pair`.
    pub order_by: String,
    /// Prices of a page; zero for the default.
    pub page_size: i32,
    /// Where the page starts; empty for the start.
    pub page_token: String,
    /// What the caller asks of each price.
    pub bar: Bar,
}

/// A page of prices.
#[derive(Debug)]
pub struct Page {
    /// The prices.
    pub updates: Vec<Arc<Update>>,
    /// The token of the next page; empty at the end.
    pub next_page_token: String,
    /// Prices in the page's range that miss the bar.
    pub omitted: u32,
}

/// A price and what it is made of.
#[derive(Debug)]
pub struct Explained {
    /// The price.
    pub update: Arc<Update>,
    /// The direct prices behind it: its own if it is direct.
    pub legs: Vec<Leg>,
    /// What the caller's bar says of it.
    pub verdict: Result<(), ServiceError>,
}

/// A direct price on the way to another.
#[derive(Debug)]
pub struct Leg {
    /// The price and what each venue said.
    pub explanation: Arc<Explanation>,
    /// Whether its inverse is taken.
    pub inverted: bool,
}

impl Prices {
    /// Reads this board.
    pub fn new(board: Board, crosses: Crosses, clock: Clock) -> Self {
        Self { board, crosses, clock }
    }

    /// Gets the price of a pair, if it meets the bar.
    pub fn get(&self, pair: &str, bar: &Bar) -> Result<Arc<Update>, ServiceError> {
        let parsed = parse("pair", pair)?;
        let update = match self.board.get(parsed) {
            Some(update) => update,
            None => self.find(self.resolve("pair", pair)?)?,
        };
        bar.check_now(&update.price, || self.clock.now())?;
        Ok(update)
    }

    /// Gets the prices of many pairs, each with its own outcome, in the order asked.
    pub fn batch(
        &self,
        pairs: &[String],
        bar: &Bar,
    ) -> Result<Vec<Result<Arc<Update>, ServiceError>>, ServiceError> {
        match pairs.len() {
            0 => Err(ServiceError::field("pairs", "is empty: 1 to 100 pairs are needed")),
            1..=MAX_BATCH => Ok(pairs.iter().map(|pair| self.get(pair, bar)).collect()),
            many => Err(ServiceError::field(
                "pairs",
                format!("has {many} pairs: {MAX_BATCH} at most are allowed"),
            )),
        }
    }

    /// Lists a page of the prices on the board.
    pub fn list(&self, query: &ListQuery) -> Result<Page, ServiceError> {
        let size = page::size(query.page_size)?;
        let base = asset("base", &query.base)?;
        let quote = asset("quote", &query.quote)?;
        let descending = match query.order_by.trim() {
            "" | "pair" | "pair asc" => false,
            "pair desc" => true,
            other => {
                let wrong = format!("`{other}` is not `pair` or `pair desc`");
                return Err(ServiceError::field("order_by", wrong));
            }
        };
        let status = format!("{:?}", query.status);
        let bar = format!("{:?}", query.bar);
        let arguments = [query.base.as_str(), &query.quote, &status, query.order_by.trim(), &bar];
        let after: Option<Pair> = page::after(&query.page_token, &arguments)?
            .map(|last| last.parse().map_err(|_| ServiceError::PageToken))
            .transpose()?;
        let of = base.or(quote);
        let mut candidates: Box<dyn Iterator<Item = Arc<Update>>> = if descending {
            Box::new(self.board.list_reversed(of, after))
        } else {
            Box::new(self.board.list(of, after))
        };
        let now = self.clock.now();
        let mut page = Page { updates: Vec::new(), next_page_token: String::new(), omitted: 0 };
        let mut last = None;
        for update in &mut candidates {
            let price = &update.price;
            let matches = base.is_none_or(|base| base == price.pair.base)
                && quote.is_none_or(|quote| quote == price.pair.quote)
                && query.status.is_none_or(|status| status == price.status);
            if !matches {
                continue;
            }
            if page.updates.len() == size {
                page.next_page_token =
                    last.map_or_else(String::new, |last: Pair| page::token(&arguments, &last.to_string()));
                break;
            }
            last = Some(price.pair);
            // A price that is not there is shown as such, unless more than that is asked for.
            if query.bar == Bar::default() || query.bar.check(price, now).is_ok() {
                page.updates.push(update);
            } else {
                page.omitted += 1;
            }
        }
        Ok(page)
    }

    /// Explains the price of a pair, whether or not it meets the bar.
    pub fn explain(&self, pair: &str, bar: &Bar) -> Result<Explained, ServiceError> {
        let pair = self.resolve("pair", pair)?;
        let verdict = |update: &Arc<Update>| bar.check(&update.price, self.clock.now());
        // A direct price is read once: the number and what it is made of belong together.
        let direct = self.board.explain(pair).filter(|found| found.update.price.route.is_empty());
        if let Some(explanation) = direct {
            let update = Arc::clone(&explanation.update);
            let legs = vec![Leg { explanation, inverted: false }];
            return Ok(Explained { verdict: verdict(&update), update, legs });
        }
        let update = self.find(pair)?;
        let mut at = pair.base;
        let mut legs = Vec::new();
        for leg in &update.price.route {
            let inverted = leg.base != at;
            at = if inverted { leg.base } else { leg.quote };
            legs.extend(self.board.explain(*leg).map(|explanation| Leg { explanation, inverted }));
        }
        Ok(Explained { verdict: verdict(&update), update, legs })
    }

    /// Reads what a caller wrote as a pair. A joined spelling that can be read in two ways means the pair that is
    /// known.
    pub(super) fn resolve(&self, field: &str, text: &str) -> Result<Pair, ServiceError> {
        let parsed = parse(field, text)?;
        if self.board.contains(parsed) || text.contains(['-', '/', '_']) {
            return Ok(parsed);
        }
        let known = Pair::joined_readings(text).map(Pair::canonical).find(|pair| self.board.contains(*pair));
        Ok(known.unwrap_or(parsed))
    }

    /// Finds the price of a pair: on the board, or derived from what is there.
    pub(super) fn find(&self, pair: Pair) -> Result<Arc<Update>, ServiceError> {
        if let Some(update) = self.board.get(pair) {
            return Ok(update);
        }
        let derived = self.crosses.derive(&self.board, pair, self.clock.now());
        let (price, stamp) = derived.ok_or_else(|| self.unknown(pair))?;
        Ok(self.board.encode(price, stamp))
    }

    fn unknown(&self, pair: Pair) -> ServiceError {
        // Those that begin with the same letter, and not too many: whoever asks for nonsense must not keep us busy.
        let letter =
            |pair: &Pair| pair.base.as_str().get(..1).and_then(|letter| letter.parse::<Asset>().ok());
        let alike = |known: &Pair| letter(known) == letter(&pair);
        let known = self
            .board
            .list(None, letter(&pair).map(|letter| Pair::new(letter, letter)))
            .map(|update| update.price.pair)
            .take_while(alike)
            .take(COMPARED)
            .map(|known| known.to_string());
        ServiceError::PairUnknown { pair, nearest: nearest(&pair.to_string(), known) }
    }

    /// Gets the board.
    pub(super) fn board(&self) -> &Board {
        &self.board
    }

    /// Gets the set of derived pairs that are kept.
    pub(super) fn crosses(&self) -> &Crosses {
        &self.crosses
    }

    /// Gets the clock.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }
}

fn parse(field: &str, text: &str) -> Result<Pair, ServiceError> {
    text.parse().map_err(|error| ServiceError::field(field, error))
}

/// Finds the known names that are most like a name, the nearest first.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = String>) -> Vec<String> {
    let mut scored: Vec<(f64, String)> = known
        .map(|known| (strsim::jaro_winkler(name, &known), known))
        .filter(|(score, _)| *score >= NEAR)
        .collect();
    scored.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    scored.into_iter().take(NEAREST).map(|(_, known)| known).collect()
}

/// Reads an asset; empty text means none.
fn asset(field: &str, text: &str) -> Result<Option<Asset>, ServiceError> {
    let parse = |text: &str| text.parse().map_err(|error| ServiceError::field(field, error));
    (!text.is_empty()).then(|| parse(text)).transpose()
}
