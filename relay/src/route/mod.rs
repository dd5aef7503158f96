//! Decides which endpoints want an event.
//!
//! A [`table::Table`] is built once from all endpoints and swapped whole. It asks, in order:
//! the tenant, the source, the event type, and last the filter, so that the cost of an event
//! follows the endpoints that want it, not those that exist.

pub mod filter;
pub mod table;
pub mod type_index;
pub mod view;
