//! The path of an event, from the outside: the real program, real connections, real failures.

mod accept;
mod sources;
mod tls;
mod trace;
mod secrets;
mod senders;
mod platforms;
mod deliver;
mod consent;
mod retry;
mod failures;
mod misbehaving;
mod health;
mod isolation;
mod guard;
mod reload;
mod restart;
mod faults;
mod bad_input;
mod hostile;
mod config;
mod plugins;
mod log;
mod resources;
mod metrics;
mod cli;
