//! The languages of the venues, one file each, all of one shape: written as the server does, read the ordinary way. The
//! benchmark of feeds speaks them, and so do the loopback venues of the tests.

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
pub(crate) mod language;
pub(crate) mod market;
mod okx;
mod upbit;

use cryptoprice::feed::venues as protocols;

use self::language::Language;

/// All of them, in the order of [`protocols::ALL`].
pub(crate) const ALL: [&dyn Language; 15] = [
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
