//! `/v1/endpoints`: what is configured, what is disabled and why, what receivers verify with.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::{Manager, Reader};
use super::errors::{self, Failure};
use super::params::PathId;
use crate::directory::Target;
use crate::http::problem::Problem;
use crate::model::id::EndpointId;
use crate::model::time::Timestamp;
use crate::queue::Condition;
use crate::store::Disabled;

/// An endpoint as the list shows it: nothing secret.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: EndpointId,
    name: String,
    url: String,
    event_types: Vec<String>,
    sources: Vec<String>,
    plugins: Vec<String>,
    enabled: bool,
    /// Why the relay sends nothing to it, if it stopped by itself.
    disabled: Option<ShownDisabled>,
    condition: ShownCondition,
}

/// How it stands with its receiver.
#[derive(Debug, Serialize)]
struct ShownCondition {
    /// Since when it has done nothing but fail.
    failing_since: Option<Timestamp>,
    /// How often it has failed since then.
    failures: u32,
    /// Whether it does not answer, so that deliveries wait for a probe.
    breaker_open: bool,
    /// Attempts per second, while its receiver bears no more.
    rate: Option<f64>,
    /// Until when its receiver asked to be left alone.
    held_until: Option<Timestamp>,
}

impl From<Condition> for ShownCondition {
    fn from(condition: Condition) -> Self {
        Self {
            failing_since: condition.failing.map(|failing| failing.since),
            failures: condition.failing.map_or(0, |failing| failing.failures),
            breaker_open: condition.is_cut_off,
            rate: condition.rate,
            held_until: condition.held_until,
        }
    }
}

#[derive(Debug, Serialize)]
struct ShownDisabled {
    at: Timestamp,
    reason: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Endpoints {
    data: Vec<Shown>,
}

pub(super) async fn list(Reader(_): Reader, State(api): State<Api>) -> Result<Json<Endpoints>, Failure> {
    let disabled = api.store.disabled().await?;
    let directory = api.directories.current();
    let data = directory
        .targets()
        .map(|target| {
            let why = disabled
                .iter()
                .find(|(id, _)| *id == target.endpoint.id)
                .map(|(_, why)| why.clone());
            show(&api, target, why)
        })
        .collect();
    Ok(Json(Endpoints { data }))
}

fn show(api: &Api, target: &Target, disabled: Option<Disabled>) -> Shown {
    let endpoint = &target.endpoint;
    Shown {
        id: endpoint.id,
        name: endpoint.name.clone(),
        url: endpoint.url.to_string(),
        event_types: endpoint.event_types.iter().map(ToString::to_string).collect(),
        sources: endpoint.sources.clone(),
        plugins: endpoint.plugins.iter().map(|used| used.name.clone()).collect(),
        enabled: endpoint.enabled && disabled.is_none(),
        disabled: disabled.map(|why| ShownDisabled {
            at: why.at,
            reason: why.reason,
        }),
        condition: api.queue.condition(endpoint.id).into(),
    }
}

/// What can be changed while the relay runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    enabled: bool,
}

pub(super) async fn change(
    Manager(_): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    change: Result<Json<Change>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Shown>, Failure> {
    let Json(change) = change.map_err(|error| errors::of_body(&error))?;
    let target = find(&api, &id)?;
    let why = (!change.enabled).then(|| Disabled {
        at: api.clock.now(),
        reason: "disabled by hand".to_owned(),
    });
    api.store.set_disabled(target.endpoint.id, why.clone()).await?;
    api.queue
        .set_enabled(target.endpoint.id, change.enabled && target.endpoint.enabled);
    Ok(Json(show(&api, &target, why)))
}

/// What a receiver verifies with.
#[derive(Debug, Serialize)]
pub(super) struct Secrets {
    /// `whsec_…`, for `v1` signatures.
    secret: Option<String>,
    /// `whpk_…`, for `v1a` signatures.
    public_key: Option<String>,
}

pub(super) async fn secret(
    Manager(_): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Secrets>, Failure> {
    let target = find(&api, &id)?;
    Ok(Json(Secrets {
        secret: target.shared_secret(),
        public_key: target.public_key(),
    }))
}

fn find(api: &Api, asked: &str) -> Result<std::sync::Arc<Target>, Failure> {
    let directory = api.directories.current();
    let found = match asked.parse() {
        Ok(id) => directory.target(id),
        Err(_) => directory.endpoint_named(asked),
    };
    found
        .cloned()
        .ok_or_else(|| Failure(Problem::not_found(format!("there is no endpoint {asked:?}"))))
}
