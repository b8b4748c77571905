//! What venues send, understood: frames in, events out.
//!
//! [`venue`] is the seam: one trait, one file per venue in [`venues`], all of one shape. [`event`] is what comes
//! out of it; `json` reads what venues send in one pass, `number` decimals as they spell them, `gzip` unpacks frames,
//! `book` keeps a book that comes in changes. [`socket`] is the one reconnecting loop that all venues share;
//! [`recording`] writes and reads recorded traffic, frame by frame. [`rest`] is the other half of the seam: what a venue
//! is asked over REST. Either way [`translate`] turns symbols into canonical markets, with [`scale`] for what is traded in
//! multiples, and a [`delivery`] is what is handed on.
//!
//! [`listener`] puts it together for one venue: which markets, over which connections, and by [`pulses`] what is asked for over
//! REST meanwhile. `refusal` and `closed` are what a venue wants that refuses us, and until when.

mod book;
mod causes;
mod closed;
pub mod delivery;
pub mod event;
mod gzip;
mod json;
pub mod listener;
mod number;
mod outlet;
pub mod pulses;
pub mod recording;
mod refusal;
pub mod rest;
pub mod scale;
pub mod socket;
pub mod translate;
pub mod venue;
pub mod venues;
