//! What happens when venues misbehave: loopback venues that speak real ones' protocols fail in every way that venues fail
//! in, and what the service makes of it is looked at through its public doors.
//!
//! After each fault the same is looked at ([`stage::Stage::well`]): what the other venues sent was counted, each trade once,
//! the price had no status that it should not have had, and all came back without help.

mod connecting;
mod counter;
mod frames;
mod gaps;
mod handover;
mod line;
mod mass;
mod polled;
mod quotes;
mod reload;
mod shards;
mod silence;
mod stage;
mod subscriptions;
mod tongue;
mod venue;
