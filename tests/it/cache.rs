//! What replicas share through Redis: with real ones, which are killed, emptied, paused, slow and cut off.

mod fetch;
mod lease;
mod mirror;
mod other_process;
mod pool;
pub(crate) mod proxy;
mod redis_cli;
pub(crate) mod server;
