//! From what venues say to the board that everybody reads.
//!
//! [`board`] holds the latest price of each pair and the log of updates; [`fanout`] tells readers what changes, in
//! [`message`]s that are made once for all of them.
//! [`aggregator`] keeps the venues' quotes, of which `lag` tells how late they come, and turns them into prices, [`crosses`] says which derived pairs are kept.
//! [`candles`] makes candles of the venues' trades, [`backfill`] fills in those that were missed; [`chronicle`] has them and the
//! prices kept by the [`historian`].
//! Among several replicas, [`lead`] says which part this one plays: `mirror` shows to all what it finds out, `follow`
//! takes over what another one does.
//! [`ingest`] drives it from live sockets, [`replay`] from recordings; [`record`] makes recordings instead. [`health`]
//! counts what each source does, `scorecard` holds it against the others, [`metrics`] tells it to whoever runs the
//! service. [`standards`] are what the past and the silent are judged by.

pub mod aggregator;
pub mod backfill;
pub mod board;
pub mod candles;
pub mod chronicle;
pub mod crosses;
pub mod fanout;
mod follow;
pub mod health;
pub mod historian;
pub mod ingest;
mod lag;
pub mod lead;
pub mod message;
pub mod metrics;
mod mirror;
mod quotes;
pub mod record;
pub mod replay;
mod scorecard;
pub mod standards;
