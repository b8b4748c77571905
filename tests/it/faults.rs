//! What happens when venues misbehave: loopback venues that speak real ones' protocols fail in every way that venues fail
//! in, and what the service makes of it is looked at through its public doors.
//!
//! After each fault the same is looked at ([`stage::Stage::well`]): what the other venues sent was counted, each trade once,
//! the price had no status that it should not have had, and all came back without help.

mod all;
mod answers;
mod connecting;
mod counter;
mod course;
mod frames;
mod gaps;
mod handover;
mod holes;
mod late;
mod line;
mod listed;
mod mass;
mod polled;
mod polled_many;
mod quotes;
mod recorded;
mod reload;
mod shards;
mod silence;
mod stage;
mod subscriptions;
mod tls;
mod tongue;
mod tongues;
mod venue;
mod volumes;
mod words;
