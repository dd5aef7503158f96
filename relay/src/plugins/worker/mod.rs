//! Runs plugins in a process of their own, which has neither the relay's keys nor its store.
//!
//! The relay starts its own program with [`COMMAND`] and speaks with it over one pair of sockets.
//! The worker has the engine and runs what it is sent: compiled code, places, calls. What only
//! the relay has (secrets, state) it asks back over the same sockets. Whoever takes the worker
//! over by an error in the sandbox finds what its plugins were shown, and can ask for what they may.
//!
//! - `frame`, `message`, `calls`: what is said.
//! - `link` starts the worker, again if it ends; `session` is one life of it; `seat` is one plugin
//!   at its place, as the relay sees it; `answers` are what the relay says to what it is asked,
//!   `beyond` is what reaches beyond the event.
//! - `serve` is the worker; `places` are its plugins, `asker` asks the relay, `limit` takes from
//!   it what it does not need.

mod answers;
mod asker;
mod beyond;
mod bytes_as_such;
mod calls;
mod frame;
mod limit;
mod link;
mod message;
mod places;
mod seat;
mod serve;
mod session;
#[cfg(test)]
mod trial;

pub use link::Status;
pub use serve::{Error, serve};

pub(super) use link::Worker;
pub(super) use seat::Away;

/// The command by which the program is a worker.
pub const COMMAND: &str = "run-plugins";
