//! `/v1/endpoints`: where consumers receive, how it stands with them, what they verify with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::auth::{Caller, Manager, Reader};
use super::errors::{self, Failure};
use super::managed::{self, Asked, Keys, Patch, Shown};
use super::page::List;
use super::params::{Params, PathId};
use super::{Api, conditions};
use crate::directory::Target;
use crate::http::problem::Problem;
use crate::manage::{Entry, Origin, Refused, Write};
use crate::model::id::EndpointId;
use crate::model::resource::Kind;
use crate::model::time::Timestamp;
use crate::queue::Condition;
use crate::store::Disabled;

const KIND: Kind = Kind::Endpoint;

/// How it stands with a receiver.
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

/// An endpoint with how it stands with its receiver, and why the relay sends nothing to it if it
/// stopped by itself.
fn show(api: &Api) -> impl Fn(&Entry) -> Shown {
    move |entry| {
        let id = EndpointId::from_raw(entry.resource.id);
        let why = api.queue.disabled(id);
        let mut shown = Shown::of(entry);
        if why.is_some() {
            shown.set("enabled", Value::Bool(false));
        }
        let why = why.map(|why| json!({"at": why.at, "reason": why.reason}));
        shown.set("disabled", why.unwrap_or(Value::Null));
        let condition = ShownCondition::from(api.queue.condition(id));
        shown.set("condition", serde_json::to_value(condition).unwrap_or_default());
        shown
    }
}

pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    managed::list(&api, &caller, KIND, asked, show(&api)).await
}

pub(super) async fn create(
    Manager(caller): Manager,
    State(api): State<Api>,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    managed::create(&api, &caller, KIND, keys, show(&api)).await
}

pub(super) async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    Ok(managed::one(&entry, show(&api)))
}

pub(super) async fn replace(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    let write = Write::Replace(keys);
    managed::change(&api, &caller, (KIND, &id), &headers, write, show(&api)).await
}

/// Besides what the definition says, `enabled` decides whether anything is sent: `true` also
/// takes back that the relay, or someone before, disabled the endpoint.
pub(super) async fn patch(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Patch(patch): Patch,
) -> Result<Response, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    let enabled = enabled(&patch)?;
    if entry.origin == Origin::File {
        return switch(&api, &entry, &headers, &patch, enabled).await;
    }
    let write = Write::Patch(patch);
    let shown = show(&api);
    managed::change(&api, &caller, (KIND, &id), &headers, write, shown).await?;
    if enabled == Some(true) {
        set_disabled(&api, &entry, None).await?;
    }
    one(Reader(caller), State(api), PathId(id)).await
}

fn enabled(patch: &Map<String, Value>) -> Result<Option<bool>, Failure> {
    match patch.get("enabled") {
        None => Ok(None),
        Some(Value::Bool(enabled)) => Ok(Some(*enabled)),
        Some(_) => {
            let problem = Problem::new(
                422,
                "invalid_definition",
                "Invalid definition",
                "enabled is true or false",
            );
            Err(problem.into())
        }
    }
}

/// All that can be changed here of what the configuration file declares.
async fn switch(
    api: &Api,
    entry: &Entry,
    headers: &HeaderMap,
    patch: &Map<String, Value>,
    enabled: Option<bool>,
) -> Result<Response, Failure> {
    let (Some(enabled), 1) = (enabled, patch.len()) else {
        let declared = Refused::Declared(entry.resource.name.clone());
        return Err(managed::problem(KIND, declared));
    };
    let revision = entry.resource.revision;
    if conditions::if_match(headers)?.is_some_and(|expected| expected != revision) {
        return Err(managed::problem(KIND, Refused::Changed { revision }));
    }
    let why = (!enabled).then(|| Disabled {
        at: api.clock.now(),
        reason: "disabled by hand".to_owned(),
    });
    set_disabled(api, entry, why).await?;
    Ok(managed::one(entry, show(api)))
}

async fn set_disabled(api: &Api, entry: &Entry, why: Option<Disabled>) -> Result<(), Failure> {
    let id = EndpointId::from_raw(entry.resource.id);
    let flow = Arc::clone(&api.flow);
    managed::undisturbed(api, async move { flow.set_disabled(id, why).await }).await??;
    Ok(())
}

/// What became of a deleted endpoint's deliveries.
#[derive(Debug, Serialize)]
struct Deleted {
    id: EndpointId,
    /// Deliveries that waited and will not be made.
    cancelled: usize,
}

pub(super) async fn delete(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (id, cancelled) = managed::delete(&api, &caller, (KIND, &id), &headers).await?;
    let id = EndpointId::from_raw(id);
    Ok((StatusCode::OK, Json(Deleted { id, cancelled })).into_response())
}

pub(super) async fn restore(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    managed::restore(&api, &caller, (KIND, &id), show(&api)).await
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
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Secrets>, Failure> {
    let target = target(&api, &caller, &id)?;
    tracing::info!(by = %caller.key, endpoint = target.endpoint.name, "signing secret revealed");
    Ok(Json(Secrets {
        secret: target.shared_secret(),
        public_key: target.public_key(),
    }))
}

fn target(api: &Api, caller: &Caller, asked: &str) -> Result<Arc<Target>, Failure> {
    let entry = managed::find(api, caller, KIND, asked)?;
    entry.target().cloned().ok_or_else(|| {
        let why = entry.unusable.clone().unwrap_or_default();
        errors::unusable(&why)
    })
}
