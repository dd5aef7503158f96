//! The kit and suites that test Relay through its public surface, and the benchmark.
//!
//! A test starts the real program as a process of its own ([`instance::Relay`]), a receiver
//! that answers or misbehaves as told ([`receiver::Receiver`]), posts to the one and looks at
//! what came to the other. Nothing sleeps for a fixed time: [`wait`] looks until it is so.

pub mod bench;
pub mod binary;
pub mod catalogue;
pub mod client;
pub mod fuzz;
pub mod disk;
pub mod egress_proxy;
pub mod host_kit;
pub mod instance;
pub mod interface;
pub mod languages;
pub mod mail_server;
pub mod model_server;
pub mod output;
pub mod processes;
pub mod receiver;
pub mod recipes;
pub mod secrets;
pub mod sign;
pub mod simulate;
pub mod stock;
pub mod strange;
pub mod torture;
pub mod tls;
pub mod wait;
pub mod wire;

/// The components that the build made of `tests/guests`, each under its name.
pub mod guests {
    include!(concat!(env!("OUT_DIR"), "/guests.rs"));
}
