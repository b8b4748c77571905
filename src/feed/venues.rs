//! The venues, one file each, all of one shape: endpoint, symbols, subscription, messages, tests.

pub mod binance;
pub mod binanceus;
pub mod bitfinex;
pub mod bitget;
pub mod bitstamp;
pub mod bybit;
pub mod coinbase;
pub mod cryptocom;
#[cfg(test)]
mod expect;
pub mod gate;
pub mod gemini;
pub mod htx;
pub mod kraken;
pub mod kucoin;
pub mod okx;
pub mod upbit;

use super::venue::Protocol;

/// All venues, in the order in which they are listed.
pub const ALL: &[&dyn Protocol] = &[
    &binance::Binance,
    &coinbase::Coinbase,
    &kraken::Kraken,
    &okx::Okx,
    &bitfinex::Bitfinex,
    &kucoin::KuCoin,
    &gate::Gate,
    &cryptocom::CryptoCom,
    &htx::Htx,
    &upbit::Upbit,
    &bybit::Bybit,
    &bitstamp::Bitstamp,
    &gemini::Gemini,
    &bitget::Bitget,
    &binanceus::BinanceUs,
];

/// Finds a venue by its name.
pub fn by_name(name: &str) -> Option<&'static dyn Protocol> {
    ALL.iter().copied().find(|protocol| protocol.venue().as_str() == name)
}
