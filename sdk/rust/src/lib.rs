//! Write plugins for Relay in Rust.
//!
//! A plugin is a struct whose `impl` has functions named after the hooks that it stands on:
//!
//! ```
//! use relay_sdk::prelude::*;
//!
//! struct OnlyPaid;
//!
//! #[plugin]
//! impl OnlyPaid {
//!     fn filter(event: &Event) -> Result<Decision, Fault> {
//!         Ok(Decision::keep_if(event.event_type() == "invoice.paid", "not paid"))
//!     }
//!
//!     fn transform(event: &Event) -> Result<Outcome, Fault> {
//!         Ok(event.edit().set("/checked", true).remove("/internal").into())
//!     }
//! }
//! ```
//!
//! | hook | signature | runs |
//! |---|---|---|
//! | `authenticate` | `(&Request) -> Result<Verdict, Fault>` | on a source, over the request as it came |
//! | `filter` | `(&Event) -> Result<Decision, Fault>` | on an endpoint or source |
//! | `transform` | `(&Event) -> Result<Outcome, Fault>` | on an endpoint or source |
//! | `respond` | `(&Event, &Answer) -> Result<Reply, Fault>` | on an endpoint whose sender waits for the answer |
//! | `check` | `(Config) -> Vec<Problem>` | when the configuration is saved |
//!
//! Every hook but `check` may take one more argument, the plugin's own configuration: a type
//! that implements `Deserialize`, by value or (read once per instance) by reference. What a
//! hook returns is anything that [`IntoAnswer`] accepts, with or without the `Result`.
//!
//! Compiled for `wasm32-wasip2` a plugin is a component that exports exactly its hooks.
//! Compiled natively it runs under [`testing::Host`], so `cargo test` needs no WebAssembly.

#![deny(missing_docs)]

#[cfg(target_arch = "wasm32")]
#[expect(
    missing_docs,
    reason = "generated, and not for authors: the types for them are written by hand"
)]
mod bindings;
mod edit;
mod event;
mod fault;
mod hooks;
mod host;
mod message;
mod payload;
mod request;

pub mod call;
pub mod config;
pub mod crypto;
pub mod fill;
pub mod form;
pub mod http;
pub mod judge;
pub mod log;
pub mod media;
pub mod notify;
pub mod pattern;
pub mod repeated;
pub mod secrets;
pub mod state;
pub mod template;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod time;

pub use edit::{Edit, Edits};
pub use event::Event;
pub use fault::{Fault, OrFault};
pub use hooks::{Decision, Handshake, Identity, IntoAnswer, Outcome, Plugin, Problem, Reply, Verdict};
pub use message::{Change, Data, Envelope, Message};
pub use payload::Payload;
/// Exports the hooks among the functions of an `impl`; see the [crate's page](crate).
///
/// It also reads two files beside the author's `Cargo.toml`, if they are there, and puts them
/// into the component so that the relay can show them without running anything:
///
/// - `plugin.toml`: `name`, `description`, `reuse` (whether one instance may serve several
///   events), `powers` and `secrets` (names of what it wants to be granted, with a `?` behind one
///   that it does without);
/// - `config.schema.json`: the JSON Schema of its configuration.
pub use relay_sdk_macros::plugin;
pub use request::{Answer, Request};
pub use serde_json::json;

/// All that most plugins need.
pub mod prelude {
    pub use crate::{
        Answer, Decision, Edits, Envelope, Event, Fault, Handshake, Identity, Message, OrFault, Outcome,
        Problem, Reply, Request, Verdict, config, crypto, http, json, log, media, plugin, secrets, state,
    };
}

#[doc(hidden)]
pub mod __private {
    #[cfg(target_arch = "wasm32")]
    pub use crate::bindings::{authenticator, checker, filterer, responder, transformer};
    pub use crate::hooks::{IntoProblems, answer, problems, used};
}

// `#[plugin]` writes `::relay_sdk`, in this crate's own tests too.
extern crate self as relay_sdk;
