//! The contract, implemented: one file per noun, each a thin turn from messages to the service and back.

mod candles;
pub mod direct;
pub mod health;
mod prices;
mod requests;
mod sources;
mod stream;

pub use candles::CandleDoor;
pub use prices::PriceDoor;
pub use sources::SourceDoor;
