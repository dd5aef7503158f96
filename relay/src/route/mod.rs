//! Decides which endpoints want an event.
//!
//! A [`table::Table`] of all endpoints is swapped whole when one of them changes; it shares with the
//! one before what has not. It asks, in order:
//! the tenant, the source, the event type, and last the filter, so that the cost of an event
//! follows the endpoints that want it, not those that exist.

pub mod filter;
mod sample;
pub mod table;
pub mod type_index;
pub mod view;
