//! A stand-in for the relay, so that `cargo test` runs a plugin without WebAssembly.
//!
//! ```
//! use relay_sdk::prelude::*;
//! use relay_sdk::testing::{Host, event};
//!
//! struct Tag;
//!
//! #[plugin]
//! impl Tag {
//!     fn transform(event: &Event) -> Result<Outcome, Fault> {
//!         Ok(event.edit().set("/shop", config::get::<String>("/shop")).into())
//!     }
//! }
//!
//! let host = Host::new().config(json!({ "shop": "north" }));
//! let result = host.transform::<Tag>(event("order.paid").data(json!({ "id": 7 }))).unwrap();
//! assert_eq!(result.json(), json!({ "id": 7, "shop": "north" }));
//! ```
//!
//! [`fixtures`] runs the files that `relay plugin test` runs too. What the stand-in leaves out
//! is what a plugin cannot see: limits, the check of a configuration against its schema (the
//! schema's defaults are filled in), and all signature schemes but Ed25519.

mod apply;
mod call;
pub(crate) mod crypto;
mod fixture;
mod host;
mod judge;
mod sample;
mod state;
mod web;

pub(crate) use call::Call;

pub use apply::{Replied, Sent, Transformed};
pub use fixture::{fixture, fixtures};
pub use host::{Host, Line};
pub use judge::Asked;
pub use sample::{SampleAnswer, SampleEvent, SampleRequest, answer, event, request};
pub use web::{Reply, Requested};
