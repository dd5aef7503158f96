//! Gathers what is known of endpoints, for diagnosis and lints.

use std::sync::Arc;

use crate::api::Api;
use crate::api::errors::Failure;
use crate::diagnose::{Facts, Surroundings};
use crate::directory::Directory;
use crate::manage::Entry;
use crate::model::endpoint::Endpoint;
use crate::model::id::TenantId;
use crate::model::resource::Kind;
use crate::store::{Activity, Recent};

/// What is known of the endpoints of a tenant that are asked for, newest first.
pub(super) async fn gather(
    api: &Api,
    tenant: TenantId,
    is_asked: impl Fn(&Endpoint) -> bool,
) -> Result<(Vec<Facts>, Surroundings), Failure> {
    let recent = Arc::new(api.store.recent(tenant).await?);
    Ok(gather_from(api, tenant, recent, is_asked))
}

/// The same, by what the newest deliveries and events told.
pub(super) fn gather_from(
    api: &Api,
    tenant: TenantId,
    recent: Arc<Recent>,
    is_asked: impl Fn(&Endpoint) -> bool,
) -> (Vec<Facts>, Surroundings) {
    let directory = api.directories.current();
    let entries = api.manager.list(tenant, Kind::Endpoint, None);
    let facts = entries.iter().filter_map(|entry| {
        let endpoint = entry.endpoint().filter(|endpoint| is_asked(endpoint))?;
        let activity = recent.endpoints.get(&endpoint.id).cloned().unwrap_or_default();
        Some(of(api, &directory, entry, endpoint, activity))
    });
    let facts = facts.collect();
    let sources = api.manager.list(tenant, Kind::Source, None);
    let around = Surroundings {
        now: api.clock.now(),
        sources: sources.iter().map(|entry| entry.resource.name.clone()).collect(),
        recent,
        policy: directory.policy(tenant),
    };
    (facts, around)
}

fn of(
    api: &Api,
    directory: &Directory,
    entry: &Entry,
    endpoint: &Arc<Endpoint>,
    activity: Activity,
) -> Facts {
    let outlet = directory.target(endpoint.id).map(|target| &target.outlet);
    let asks = endpoint.consent_origin.is_some();
    Facts {
        unusable: entry.unusable.clone(),
        disabled: api.queue.disabled(endpoint.id),
        condition: api.queue.condition(endpoint.id),
        activity,
        consented: asks.then(|| outlet.is_some_and(|outlet| outlet.granted().is_some())),
        certificate_ends: api.testing.certificate_ends(endpoint),
        refuses_forgeries: api.testing.refuses_forgeries(endpoint),
        endpoint: Arc::clone(endpoint),
    }
}
