//! Event types that are described: what they mean, and what their events look like.

use std::sync::Arc;

use serde_json::Value;

use super::id::{EventTypeId, TenantId};
use super::schema::Schema;

/// What becomes of an event that does not satisfy its type's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validate {
    /// Nobody looks.
    #[default]
    Off,
    /// It is taken, counted and told in the log.
    Warn,
    /// It is refused.
    Reject,
}

/// One described event type, checked.
#[derive(Debug, Clone)]
pub struct EventType {
    pub id: EventTypeId,
    pub tenant: TenantId,
    /// Such as `message.received`.
    pub name: String,
    pub validate: Validate,
    pub schema: Option<Arc<Schema>>,
    pub sample: Option<Value>,
}

impl EventType {
    /// The schema that events of this type are held against when they come in.
    pub fn enforced(&self) -> Option<&Schema> {
        self.schema.as_deref().filter(|_| self.validate != Validate::Off)
    }
}
