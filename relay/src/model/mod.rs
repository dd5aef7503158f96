//! The nouns of the relay: plain data and its invariants.
//!
//! Nothing here is async, does I/O, reads a clock or draws a random number.

pub mod alert;
pub mod attempt;
pub mod audit;
pub mod catalogue;
pub mod counts;
pub mod delivery;
pub mod draft;
pub mod endpoint;
pub mod event;
pub mod event_type;
pub mod hops;
pub mod id;
pub mod inspector;
pub mod json;
pub mod key;
pub mod message;
pub mod page;
pub mod path;
pub mod plugin;
pub mod policy;
pub mod publisher;
pub mod quota;
pub mod reply;
pub mod resource;
pub mod rollout;
pub mod rule;
pub mod schema;
pub mod secret;
pub mod source;
pub mod tenant;
pub mod time;
pub mod trace;
pub mod verify;
pub mod words;
