//! What resources are defined by, as JSON Schemas: what the reader of definitions takes.

use serde_json::Value;

use crate::config::{definition as definitions, sketch};
use crate::model::resource::Kind;

/// A whole definition of a kind.
pub fn definition(kind: Kind) -> Value {
    match kind {
        Kind::Source => definitions::source_schema(),
        Kind::Endpoint => definitions::endpoint_schema(),
        Kind::Rule => definitions::rule_schema(),
        Kind::EventType => definitions::event_type_schema(),
        Kind::Alert => definitions::alert_schema(),
        Kind::Tenant => definitions::tenant_schema(),
    }
}

/// A JSON Merge Patch (RFC 7396) of a definition of a kind.
pub fn patch(kind: Kind) -> Value {
    sketch::patch(&definition(kind))
}
