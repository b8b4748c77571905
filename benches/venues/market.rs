//! Markets whose prices wander, and what a venue has to say of them next.

use chrono::{DateTime, Utc};
use cryptoprice::{domain::pair::Pair, feed::venue::Protocol};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::language::Language;

/// Assets, what one is worth in the smallest unit of its price, and the digits of that after the point.
const ASSETS: [(&str, i64, usize); 40] = [
    ("BTC", 6_012_345, 2),
    ("ETH", 301_234, 2),
    ("SOL", 15_432, 2),
    ("XRP", 51_234, 5),
    ("ADA", 45_678, 5),
    ("LTC", 8_412, 2),
    ("BCH", 41_234, 2),
    ("DOT", 62_345, 4),
    ("UNI", 93_456, 4),
    ("XLM", 112_345, 6),
    ("TRX", 134_567, 6),
    ("ETC", 243_210, 4),
    ("FIL", 51_234, 4),
    ("APT", 93_210, 4),
    ("ARB", 87_654, 5),
    ("NEO", 113_210, 4),
    ("XTZ", 91_234, 5),
    ("EOS", 61_234, 5),
    ("ZEC", 27_654, 3),
    ("XMR", 15_321, 2),
    ("SUI", 123_456, 5),
    ("TIA", 65_432, 4),
    ("SEI", 43_210, 5),
    ("INJ", 234_567, 4),
    ("ICP", 98_765, 4),
    ("HBAR", 78_901, 6),
    ("AAVE", 10_123, 2),
    ("LINK", 143_210, 4),
    ("AVAX", 312_345, 4),
    ("DOGE", 123_456, 6),
    ("ATOM", 83_210, 4),
    ("NEAR", 56_789, 4),
    ("ALGO", 178_901, 6),
    ("MANA", 45_678, 5),
    ("SAND", 43_210, 5),
    ("GRT", 23_456, 5),
    ("CRV", 45_678, 5),
    ("MKR", 265_432, 2),
    ("SNX", 26_789, 4),
    ("BAT", 23_456, 5),
];

/// Won for a dollar.
const WON: i64 = 1_380;

/// All markets of one venue.
pub(crate) struct Markets {
    language: &'static dyn Language,
    all: Vec<Market>,
    random: SmallRng,
    trades: u64,
}

/// One market: prices in its smallest unit.
struct Market {
    pair: Pair,
    symbol: String,
    center: i64,
    digits: usize,
    price: i64,
    spread: i64,
    updates: u64,
}

/// What there is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Trades have happened.
    Trades,
    /// Best bid and ask are others.
    Best,
    /// The last 24 hours.
    Day,
    /// Nothing: the connection lives.
    Beat,
}

/// What a venue says of a market, in words of no venue. Prices and amounts are plain decimals.
pub(crate) struct Said<'m> {
    pub(crate) what: What,
    /// As the venue spells it.
    pub(crate) symbol: &'m str,
    /// The market's place among those of the venue.
    pub(crate) place: usize,
    /// Counts the changes of best bid and ask.
    pub(crate) update: u64,
    pub(crate) time: DateTime<Utc>,
    pub(crate) price: String,
    pub(crate) bid: String,
    pub(crate) ask: String,
    /// The best bid and ask before.
    pub(crate) old_bid: String,
    pub(crate) old_ask: String,
    /// What one unit of the last digit of a price is, for venues that tell whole books.
    pub(crate) levels: (i64, i64, usize),
    pub(crate) bid_amount: String,
    pub(crate) ask_amount: String,
    pub(crate) base_volume: String,
    pub(crate) quote_volume: String,
    pub(crate) trades: Vec<Fill>,
}

/// A trade.
pub(crate) struct Fill {
    pub(crate) id: u64,
    pub(crate) price: String,
    pub(crate) amount: String,
    pub(crate) sold: bool,
}

impl Markets {
    /// Opens the markets of a venue.
    pub(crate) fn open(language: &'static dyn Language) -> Self {
        let protocol = language.protocol();
        let quote = language.quote();
        let mut markets: Vec<Market> = ASSETS
            .iter()
            .map(|(base, center, digits)| match quote {
                "KRW" => Market::new(protocol, base, quote, center * WON / 10, digits - 1),
                _ => Market::new(protocol, base, quote, *center, *digits),
            })
            .collect();
        if quote == "USD" {
            markets.push(Market::new(protocol, "USDT", quote, 99_980, 5));
        }
        // Each venue draws numbers of its own.
        let seed = protocol.venue().as_str().bytes().fold(7, |seed: u64, byte| seed * 31 + u64::from(byte));
        Self { language, all: markets, random: SmallRng::seed_from_u64(seed), trades: 0 }
    }

    /// Lists the pairs, with canonical names.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = Pair> {
        self.all.iter().map(|market| market.pair)
    }

    /// Lists the symbols.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|market| market.symbol.as_str())
    }

    /// Writes what the venue says to a new subscriber of all, market by market: the past, and how things stand.
    pub(crate) fn greet(&mut self, time: DateTime<Utc>) -> Vec<String> {
        (0..self.all.len()).flat_map(|place| self.greet_of(place, time)).collect()
    }

    /// Does the same for one market.
    pub(crate) fn greet_of(&mut self, place: usize, time: DateTime<Utc>) -> Vec<String> {
        let language = self.language;
        language.greet(&self.say(place, What::Trades, time))
    }

    /// Chooses the market of which something is said next.
    pub(crate) fn choose(&mut self) -> usize {
        self.random.random_range(0..self.all.len())
    }

    /// Writes what the venue says of it, and tells how many trades that is.
    pub(crate) fn next_of(&mut self, place: usize, time: DateTime<Utc>) -> (String, usize) {
        let what = match self.random.random_range(0..100) {
            0..30 => What::Trades,
            30..80 => What::Best,
            80..98 => What::Day,
            _ => What::Beat,
        };
        let language = self.language;
        let said = self.say(place, what, time);
        (language.write(&said), said.trades.len())
    }

    /// Moves a market on.
    fn say(&mut self, place: usize, what: What, time: DateTime<Utc>) -> Said<'_> {
        let random = &mut self.random;
        let market = &mut self.all[place];
        let digits = market.digits;
        let (old_bid, old_ask) = (market.bid(), market.ask());
        if what == What::Best {
            let (step, far) = ((market.center / 100_000).max(1), (market.center / 2_000).max(3));
            market.price += random.random_range(-3..=3) * step;
            market.price = market.price.clamp(market.center - far, market.center + far);
            market.spread = random.random_range(1..=3) * step;
            market.updates += 1;
        }
        let mut amount = || plain(random.random_range(1_000..9_000_000), 4);
        let (bid_amount, ask_amount) = (amount(), amount());
        let mut trades = Vec::new();
        if what == What::Trades {
            let count = if self.language.gathers() { self.random.random_range(0..8) / 6 + 1 } else { 1 };
            for _ in 0..count {
                self.trades += 1;
                let sold = self.random.random();
                let price = plain(if sold { market.bid() } else { market.ask() }, digits);
                let amount = plain(self.random.random_range(10_000..50_000_000), 6);
                trades.push(Fill { id: self.trades, price, amount, sold });
            }
        }
        let volume = 1_000_000 + i64::try_from(market.updates % 100_000).unwrap_or_default();
        let worth = volume * market.price / 10_i64.pow(u32::try_from(digits).unwrap_or_default());
        Said {
            what,
            symbol: &market.symbol,
            place,
            update: market.updates,
            time,
            price: plain(market.price, digits),
            bid: plain(market.bid(), digits),
            ask: plain(market.ask(), digits),
            old_bid: plain(old_bid, digits),
            old_ask: plain(old_ask, digits),
            levels: (market.bid(), market.ask(), digits),
            bid_amount,
            ask_amount,
            base_volume: plain(volume, 3),
            quote_volume: plain(worth, 3),
            trades,
        }
    }
}

impl Market {
    fn new(protocol: &dyn Protocol, base: &str, quote: &str, center: i64, digits: usize) -> Self {
        let pair: Pair = format!("{base}-{quote}").parse().expect("a pair");
        Self { pair, symbol: protocol.symbol(pair), center, digits, price: center, spread: 1, updates: 1 }
    }

    fn bid(&self) -> i64 {
        self.price - self.spread
    }

    fn ask(&self) -> i64 {
        self.price + self.spread
    }
}

impl Said<'_> {
    /// Lists the first levels of the book, the best first: bid and ask, at one step from each other.
    pub(crate) fn book(&self, levels: i64) -> impl Iterator<Item = (String, String)> {
        let (bid, ask, digits) = self.levels;
        (0..levels).map(move |level| (plain(bid - level, digits), plain(ask + level, digits)))
    }

    pub(crate) fn millis(&self) -> i64 {
        self.time.timestamp_millis()
    }

    pub(crate) fn micros(&self) -> i64 {
        self.time.timestamp_micros()
    }

    /// Writes the time as RFC 3339 does, to the microsecond.
    pub(crate) fn date(&self) -> String {
        self.time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
    }

    /// Writes each trade, with commas between.
    pub(crate) fn each_trade(&self, write: impl FnMut(&Fill) -> String) -> String {
        self.trades.iter().map(write).collect::<Vec<_>>().join(",")
    }
}

impl Fill {
    /// Chooses the word for the taker's side.
    pub(crate) fn side<'w>(&self, bought: &'w str, sold: &'w str) -> &'w str {
        if self.sold { sold } else { bought }
    }
}

/// Writes a number of smallest units.
fn plain(number: i64, digits: usize) -> String {
    let unit = 10_i64.pow(u32::try_from(digits).unwrap_or_default());
    if digits == 0 { number.to_string() } else { format!("{}.{:0digits$}", number / unit, number % unit) }
}
