//! What the service knows about prices, as pure code.
//!
//! Nothing here waits, reads a clock or touches the network: functions take what they need, `now` included,
//! and cannot fail but to parse or to leave the range of a decimal. Modules in reading order:
//!
//! - [`decimal`]: text to number and back, rounding; [`exact`]: products and quotients rounded once;
//! - [`pair`]: assets, pairs and their many spellings; [`venue`]: venues, their owners, market kinds;
//! - [`quote`] and [`trade`]: what a venue says; [`seen`]: which trades it has said already;
//! - [`aggregate`]: many quotes to one consensus, and why each counted or not;
//! - [`peg`]: what a stablecoin is worth; [`jump`]: when a sudden move is believed;
//! - [`candle`]: what the trades of an interval make;
//! - [`cross`]: prices derived through other pairs; [`price`]: the result, its status and its cursor.

pub mod aggregate;
pub mod candle;
pub mod cross;
pub mod decimal;
pub mod exact;
pub mod jump;
pub mod pair;
pub mod peg;
pub mod price;
pub mod quote;
pub mod seen;
pub mod trade;
pub mod venue;
