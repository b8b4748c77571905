//! Assets and pairs, and the spellings that callers and venues use for them.
//!
//! A pair is written `BTC-USD`. On input `btc/usd`, `BTC_USD`, `BTCUSD` and `XBTUSD` mean the same. Joined
//! spellings are split at a known quote asset at their end, so `BTCUSDT` is `BTC-USDT`.

use std::{fmt, str::FromStr};

/// Letters of an asset's name at most.
const MAX_ASSET: usize = 15;

/// Quote assets at which a joined spelling may be split.
const QUOTES: &[&str] = &[
    "USD", "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "DAI", "HUSD", "PYUSD", "UST", "EURT", "EURC",
    "TESTUSD", "EUR", "GBP", "CHF", "JPY", "KRW", "AUD", "CAD", "BRL", "TRY", "IDR", "VND", "SGD", "PLN",
    "BTC", "XBT", "ETH", "BNB", "CRO", "KCS", "TRX", "HT", "OKB",
];

/// Names that mean another asset wherever they are written. Names that differ at one venue only belong to
/// that venue.
const ALIASES: [(Asset, Asset); 2] =
    [(Asset::literal("XBT"), Asset::literal("BTC")), (Asset::literal("XDG"), Asset::literal("DOGE"))];

/// An asset's name: 1 to 15 capital ASCII letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asset {
    name: [u8; MAX_ASSET],
    length: u8,
}

/// How much of one asset (quote) one unit of another (base) costs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The asset that is priced.
    pub base: Asset,
    /// The asset in which it is priced.
    pub quote: Asset,
}

/// Why a text names no pair or no asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The text is not an asset's name.
    #[error("`{0}` is not an asset: expected 1 to 15 letters and digits")]
    Asset(String),
    /// The text has neither a separator nor a known quote asset at its end.
    #[error("`{0}` is not a pair: expected BASE-QUOTE, such as BTC-USD")]
    Pair(String),
    /// Base and quote are the same asset.
    #[error("`{0}` prices an asset in itself")]
    Same(String),
}

impl Asset {
    /// The United States dollar.
    pub const USD: Self = Self::literal("USD");

    /// Makes an asset of a literal that is known to be right; other text goes through [`FromStr`].
    ///
    /// # Panics
    /// If it is not 1 to 15 capitals and digits.
    pub const fn literal(name: &str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= MAX_ASSET, "1 to 15 letters");
        let mut copy = [0; MAX_ASSET];
        let mut at = 0;
        while at < bytes.len() {
            #[expect(
                clippy::indexing_slicing,
                reason = "`at` is below both lengths; evaluated by the compiler"
            )]
            {
                assert!(bytes[at].is_ascii_uppercase() || bytes[at].is_ascii_digit(), "capitals and digits");
                copy[at] = bytes[at];
            }
            at += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 15")]
        Self { name: copy, length: bytes.len() as u8 }
    }

    /// Reads an asset in any case, without resolving aliases: a venue's own name for it.
    pub fn raw(text: &str) -> Result<Self, PairError> {
        let mut name = [0; MAX_ASSET];
        let letters = name.get_mut(..text.len()).filter(|letters| !letters.is_empty());
        if let (Some(letters), Ok(length)) = (letters, u8::try_from(text.len())) {
            letters.copy_from_slice(text.as_bytes());
            if letters.iter().all(u8::is_ascii_alphanumeric) {
                letters.make_ascii_uppercase();
                return Ok(Self { name, length });
            }
        }
        Err(PairError::Asset(shorten(text)))
    }

    /// Gets the name.
    pub fn as_str(&self) -> &str {
        let name = self.name.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// Resolves names that mean another asset everywhere (`XBT` is `BTC`).
    #[must_use]
    pub fn canonical(self) -> Self {
        ALIASES.iter().find(|(alias, _)| *alias == self).map_or(self, |(_, asset)| *asset)
    }
}

impl Pair {
    /// Joins two assets.
    pub const fn new(base: Asset, quote: Asset) -> Self {
        Self { base, quote }
    }

    /// Makes a pair of two literals that are known to be right.
    pub const fn literal(base: &str, quote: &str) -> Self {
        Self::new(Asset::literal(base), Asset::literal(quote))
    }

    /// Gets the pair that prices the quote in the base.
    #[must_use]
    pub const fn inverse(self) -> Self {
        Self::new(self.quote, self.base)
    }

    /// Gets the side that is not this one.
    #[must_use]
    pub fn other(self, side: Asset) -> Asset {
        if self.base == side { self.quote } else { self.base }
    }

    /// Resolves global aliases on both sides.
    #[must_use]
    pub fn canonical(self) -> Self {
        Self::new(self.base.canonical(), self.quote.canonical())
    }

    /// Splits a joined spelling (`btcusdt`) at a known quote asset at its end, without resolving aliases.
    ///
    /// Of several readings, one with a well-known base wins (`XBTUSD` is not `XB-TUSD`), then the longest quote.
    pub fn split_joined(text: &str) -> Result<Self, PairError> {
        Self::joined_readings(text)
            .max_by_key(|pair| {
                let base = pair.base;
                let known =
                    QUOTES.contains(&base.as_str()) || ALIASES.iter().any(|(alias, _)| *alias == base);
                // `USDTUSD` reads either way; the market that exists is tether in dollars.
                let quote = pair.quote.as_str();
                (known, known && quote != "TUSD", quote.len())
            })
            .ok_or_else(|| PairError::Pair(shorten(text)))
    }

    /// Lists all pairs that a joined spelling could mean (`SHIBUSD`: `SHIB-USD`, `SHI-BUSD`), without resolving
    /// aliases.
    pub fn joined_readings(text: &str) -> impl Iterator<Item = Self> {
        let upper = if text.is_ascii() { text.to_ascii_uppercase() } else { String::new() };
        QUOTES.iter().filter_map(move |quote| {
            let base = upper.strip_suffix(quote).filter(|base| !base.is_empty())?;
            Some(Self::new(Asset::raw(base).ok()?, Asset::literal(quote)))
        })
    }

    /// Splits a spelling with a separator (`BTC-USD`), without resolving aliases.
    pub fn split_at(text: &str, separator: char) -> Result<Self, PairError> {
        let (base, quote) = text.split_once(separator).ok_or_else(|| PairError::Pair(shorten(text)))?;
        Ok(Self::new(Asset::raw(base)?, Asset::raw(quote)?))
    }
}

impl FromStr for Asset {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Self, PairError> {
        Ok(Self::raw(text)?.canonical())
    }
}

impl FromStr for Pair {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Self, PairError> {
        let pair = match text.bytes().position(|byte| matches!(byte, b'-' | b'/' | b'_')) {
            Some(at) => {
                let (base, quote) = text.split_at(at);
                let quote = quote.get(1..).unwrap_or_default();
                match (Asset::raw(base), Asset::raw(quote)) {
                    (Ok(base), Ok(quote)) => Self::new(base, quote),
                    _ => return Err(PairError::Pair(shorten(text))),
                }
            }
            None => Self::split_joined(text)?,
        }
        .canonical();
        if pair.base == pair.quote { Err(PairError::Same(shorten(text))) } else { Ok(pair) }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.base, self.quote)
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(48).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_means_one_pair() {
        for (given, expected) in [
            ("BTC-USD", "BTC-USD"),
            ("btc/usd", "BTC-USD"),
            ("btc_usd", "BTC-USD"),
            ("BTCUSD", "BTC-USD"),
            ("XBTUSD", "BTC-USD"),
            ("xbt/usd", "BTC-USD"),
            ("XDG-USD", "DOGE-USD"),
            ("btcusdt", "BTC-USDT"),
            ("ethbtc", "ETH-BTC"),
            ("1000PEPEUSDT", "1000PEPE-USDT"),
            ("usdtusd", "USDT-USD"),
            ("usdt/usdc", "USDT-USDC"),
        ] {
            assert_eq!(given.parse::<Pair>().unwrap().to_string(), expected, "{given}");
        }
    }

    #[test]
    fn what_names_no_pair_is_refused() {
        for given in [
            "",
            "BTC",
            "USD",
            "BTC-",
            "-USD",
            "BTC-USD-PERP",
            "BTC--USD",
            "BTC USD",
            "BTC-US$",
            "AVERYLONGASSETNAME-USD",
            "比特币-USD",
            "btc-xbt",
        ] {
            assert!(given.parse::<Pair>().is_err(), "{given}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(given in ".*") {
            let _ = given.parse::<Pair>();
            let _ = given.parse::<Asset>();
        }

        #[test]
        fn a_pair_reads_back(base in "[A-Z0-9]{1,15}", quote in "[A-Z0-9]{1,15}") {
            let pair = Pair::new(Asset::raw(&base).unwrap(), Asset::raw(&quote).unwrap()).canonical();
            prop_assume!(pair.base != pair.quote);
            prop_assert_eq!(pair.to_string().parse::<Pair>().unwrap(), pair);
        }
    }
}
