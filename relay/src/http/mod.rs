//! HTTP as such: listeners, the shape of answers and of problems. Nothing here knows events.

pub mod server;
pub mod address_cap;
pub mod connection;
mod usage;
pub mod head;
pub mod answer;
pub mod problem;
mod spare;
pub mod tls;
