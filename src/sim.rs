//! A market that does not exist, at venues that do: simulated servers that speak the venues' real wire formats.
//!
//! One seeded [`Market`] lies behind all venues. Each venue sees it through its own spread, noise, tick and
//! latency, and puts what it sees into its own wire format, on a WebSocket on the loopback interface. Now and
//! then a venue is in [`Trouble`], never the majority of a pair's. A client cannot tell such a venue from the
//! real one, but the simulation knows the true price ([`Truth`]).
//!
//! The wire formats are written here a second time, apart from `feed`, which reads them: a mistake in one is not
//! repeated in the other. Modules in reading order: `market` moves; `catalogue` says who lists what; `stand`,
//! `ticker` and `floor` are a venue's view of it; `trouble` is what goes wrong; `driver` moves all that; `wire` and
//! `venues` are the formats; `session` and `server` are the sockets. `chance` is the randomness that a seed repeats.

mod catalogue;
mod chance;
mod driver;
mod floor;
mod market;
#[cfg(test)]
mod sample;
mod server;
mod session;
mod stand;
#[cfg(test)]
mod tests;
mod ticker;
mod trouble;
mod venues;
mod wire;

pub use catalogue::catalogue;
pub use market::Market;
pub use server::{Now, SimOptions, SimulatedVenue, Simulation, Truth};
pub use trouble::Trouble;
