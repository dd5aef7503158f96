//! A plugin at its place, for tests of what the relay says to it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::SystemClock;
use crate::model::id::TenantId;
use crate::model::plugin::{Granted, Limits};
use crate::model::secret::Secret;
use crate::plugins::Owner;
use crate::plugins::services::Services;
use crate::plugins::subject::{Asked, Subject};
use crate::plugins::turns::Turns;
use crate::plugins::visit::Grants;
use crate::store::memory::MemoryStore;
use crate::store::{Named, Scope};

/// A secret, and no power yet.
pub(super) fn grants() -> Grants {
    let owner = Owner {
        tenant: TenantId::DEFAULT,
        tenant_name: "acme".to_owned(),
        kind: Named::Endpoint,
        id: 7,
        name: "billing".to_owned(),
    };
    Grants {
        plugin: "curious".to_owned(),
        scope: Scope {
            tenant: owner.tenant,
            owner: owner.id,
            plugin: "curious".to_owned(),
        },
        owner,
        config: "{}".to_owned(),
        secrets: vec![("key".to_owned(), Secret::new("s3cret".to_owned()))],
        keys: None,
        granted: Granted::default(),
        services: Services::default(),
        limits: Limits {
            http_timeout: Duration::from_secs(2),
            http_bytes: 100,
            ..Limits::default()
        },
        turns: Turns::new(),
        room: None,
        store: Arc::new(MemoryStore::default()),
        clock: Arc::new(SystemClock),
    }
}

/// A request that is looked at.
pub(super) fn subject() -> Subject {
    Subject::Request(Arc::new(Asked {
        headers: Vec::new(),
        body: Bytes::new(),
    }))
}
