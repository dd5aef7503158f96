//! Relay takes in the events of platforms, keeps them durably, lets WebAssembly plugins
//! filter and reshape them, and delivers them signed, limited, retried and recorded.
//!
//! The path of an event, each step a module:
//!
//! 1. [`ingest`] reads a post and tells genuine from forged;
//! 2. [`route`] finds the endpoints that want the event;
//! 3. [`store`] makes it durable, and the sender gets its 2xx;
//! 4. [`queue`] decides whose turn it is;
//! 5. [`plugins`] filter and reshape;
//! 6. [`deliver`] freezes, signs, guards and sends;
//! 7. [`reply`] makes the answer for a sender who waits for one;
//! 8. [`record`] writes how it went.
//!
//! [`flow`] drives them, in two functions.

// The path.
pub mod flow;
pub mod ingest;
pub mod route;
pub mod plugins;
pub mod queue;
pub mod deliver;
pub mod reply;
pub mod record;
pub mod rules;

// What it stands on.
pub mod model;
pub mod store;
pub mod directory;
pub mod config;
pub mod clock;
pub mod crypto;
pub mod http;
pub mod manage;
pub mod media;
pub mod diagnose;
pub mod metrics;
pub mod otlp;
pub mod stats;
pub mod feed;
pub mod notices;
pub mod alerts;
pub mod digests;
pub mod quota;
pub mod judge;
pub mod refusals;
pub mod inspect;
pub mod telemetry;

// The doors.
pub mod receive;
pub mod recovery;
pub mod api;
pub mod cli;
pub mod app;
