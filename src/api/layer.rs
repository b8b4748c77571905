//! What all calls pass through, whichever door they come in by.

pub mod explain;
pub mod panic;
