//! Who did what to what is managed: what is noted of every change, and of every secret revealed.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::id::{KeyId, TenantId};
use super::resource::Kind;
use super::time::Timestamp;

/// What is done to a resource of any kind.
const CHANGES: [&str; 4] = ["created", "changed", "deleted", "restored"];
/// What else is done.
const OTHERS: [&str; 28] = [
    "endpoint.enabled",
    "endpoint.disabled",
    "endpoint.purged",
    "endpoint.secret_revealed",
    "endpoint.secret_rotated",
    "source.path_rotated",
    "plugin.uploaded",
    "plugin.promoted",
    "plugin.rolled_back",
    "plugin.deleted",
    "plugin.signed",
    "plugin.tagged",
    "plugin.untagged",
    "plugin.rollout_begun",
    "plugin.rollout_promoted",
    "plugin.rollout_ended",
    "key.made",
    "key.renamed",
    "key.revoked",
    "delivery.retried",
    "delivery.cancelled",
    "event.replayed",
    "job.started",
    "job.cancelled",
    "media.deleted",
    "inspector.created",
    "inspector.deleted",
    "configuration.reloaded",
];

/// Every action that is noted.
pub fn actions() -> Vec<String> {
    let kinds = Kind::ALL.into_iter().chain([Kind::Tenant]);
    let changes = kinds.flat_map(|kind| CHANGES.map(|change| format!("{}.{change}", kind.section())));
    changes.chain(OTHERS.map(str::to_owned)).collect()
}

/// Who does something, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// The key that was shown; `None`: whoever runs the relay, by its configuration file.
    pub key: Option<KeyId>,
    /// The other end of the connection.
    pub address: Option<IpAddr>,
}

impl By {
    /// Whoever runs the relay.
    pub const OPERATOR: Self = Self {
        key: None,
        address: None,
    };
}

/// What something was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AuditedResource)]
pub struct Object {
    pub id: String,
    pub name: Option<String>,
}

/// One thing that is done, to be noted.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    pub tenant: TenantId,
    pub at: Timestamp,
    pub by: By,
    /// What was done, as in `endpoint.changed`.
    pub action: String,
    pub object: Option<Object>,
    /// As it was shown before, without secrets.
    pub before: Option<Map<String, Value>>,
    /// As it is shown afterwards, without secrets.
    pub after: Option<Map<String, Value>>,
}

impl Deed {
    /// Something that was done, without how it was before and afterwards.
    pub fn new(tenant: TenantId, at: Timestamp, by: By, action: &str) -> Self {
        debug_assert!(
            actions().iter().any(|known| known == action),
            "{action} is not listed"
        );
        Self {
            tenant,
            at,
            by,
            action: action.to_owned(),
            object: None,
            before: None,
            after: None,
        }
    }

    /// What it was done to.
    #[must_use]
    pub fn to(self, id: impl ToString, name: Option<&str>) -> Self {
        let object = Object {
            id: id.to_string(),
            name: name.map(str::to_owned),
        };
        Self {
            object: Some(object),
            ..self
        }
    }
}

/// A deed as it is kept: its place in the chain of its tenant, and all that was noted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub struct Entry {
    /// 1 for the first, and one more for each: none is left out.
    pub number: u64,
    pub at: Timestamp,
    pub tenant: TenantId,
    /// The key that was used; `null`: the configuration file.
    pub actor: Option<KeyId>,
    /// From where the request came.
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// What was done, as in `endpoint.changed`.
    pub action: String,
    pub resource: Option<Object>,
    /// As it was before; no secrets.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    pub before: Option<Map<String, Value>>,
    /// As it was afterwards; no secrets.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    pub after: Option<Map<String, Value>>,
}

impl Entry {
    /// A deed at its place.
    pub fn new(number: u64, deed: Deed) -> Self {
        Self {
            number,
            at: deed.at,
            tenant: deed.tenant,
            actor: deed.by.key,
            address: deed.by.address,
            action: deed.action,
            resource: deed.object,
            before: deed.before,
            after: deed.after,
        }
    }
}
