//! What a plugin may ask of the relay: one power a file.

mod call;
mod config;
pub(super) mod crypto;
pub(super) mod http;
mod judge;
mod log;
mod media;
pub(super) mod payload;
mod secrets;
pub(super) mod state;

use super::bindings::relay::plugin::types;
use crate::plugins::visit::Visit;

impl types::Host for Visit {}
