//! The words of the venues, one file each, all of one shape: what is heard and said over WebSocket, and over REST.

mod binance;
mod bitfinex;
mod bitget;
mod bitstamp;
mod bybit;
mod coinbase;
mod cryptocom;
mod gate;
mod gemini;
mod htx;
mod kraken;
mod kucoin;
mod okx;
mod upbit;

use cryptoprice::feed::venues as protocols;
use serde_json::Value;

use super::words::Words;

/// All of them, in the order of [`Tongue::ALL`](super::tongue::Tongue::ALL).
pub(super) const WORDS: [&dyn Words; 15] = [
    &protocols::binance::Binance,
    &protocols::coinbase::Coinbase,
    &protocols::kraken::Kraken,
    &protocols::okx::Okx,
    &protocols::bitfinex::Bitfinex,
    &protocols::kucoin::KuCoin,
    &protocols::gate::Gate,
    &protocols::cryptocom::CryptoCom,
    &protocols::htx::Htx,
    &protocols::upbit::Upbit,
    &protocols::bybit::Bybit,
    &protocols::bitstamp::Bitstamp,
    &protocols::gemini::Gemini,
    &protocols::bitget::Bitget,
    &protocols::binanceus::BinanceUs,
];

/// Reads one channel and a list of symbols.
fn each(channel: &Value, symbols: &Value) -> Option<Vec<(String, String)>> {
    let channel = channel.as_str()?;
    let symbols = symbols.as_array()?.iter();
    symbols.map(|symbol| Some((channel.to_owned(), symbol.as_str()?.to_owned()))).collect()
}

/// Reads a list of names, each of a channel and a symbol.
fn split_each(
    names: &Value,
    split: impl Fn(&str) -> Option<(String, String)>,
) -> Option<Vec<(String, String)>> {
    names.as_array()?.iter().map(|name| split(name.as_str()?)).collect()
}

/// Reads a list of objects, each with a channel and a symbol.
fn named_each(list: &Value, channel: &str, symbol: &str) -> Option<Vec<(String, String)>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    list.as_array()?.iter().map(|one| Some((text(&one[channel])?, text(&one[symbol])?))).collect()
}
