//! What is known of an endpoint, and what follows from it: why it gets nothing, why it did not get
//! an event, what is likely to go wrong.
//!
//! Everything here is a pure function over [`Facts`] that somebody else has gathered.

pub mod explain;
mod facts;
pub mod lint;
pub mod policy;

pub use facts::{Facts, Surroundings};
