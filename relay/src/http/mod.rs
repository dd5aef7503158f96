//! HTTP as such: listeners, the shape of answers and of problems. Nothing here knows events.

pub mod answer;
pub mod problem;
pub mod server;
