//! `/v1/endpoints`: where consumers receive, how it stands with them, what they verify with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, Manager, Reader};
use super::errors::{self, Failure};
use super::managed::{self, Keys, Shown};
use super::params::{Params, PathId};
use super::resource::{self, Request, Served};
use super::schemas::{self, EndpointDefinition, EndpointPatch, NewEndpoint};
use super::{Api, audit, conditions, testing};
use crate::diagnose::lint::Finding;
use crate::directory::{Target, public_key, shared_secret};
use crate::flow::BY_HAND;
use crate::http::problem::Problem;
use crate::manage::{Entry, Origin, Refused, Write};
use crate::model::endpoint::Endpoint;
use crate::model::id::EndpointId;
use crate::model::resource::Kind;
use crate::model::time::Timestamp;
use crate::queue::Condition;
use crate::store::Disabled;

const KIND: Kind = Kind::Endpoint;
/// Characters of a host that an endpoint is named after: room for a number is left.
const HOST_CHARS_MAX: usize = 50;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    let usual = [Request::List, Request::Delete, Request::Restore];
    resource::routes::<Endpoints>(&usual)
        .routes(routes!(create))
        .routes(routes!(one, replace, patch))
        .routes(routes!(secret))
}

/// What an endpoint shows besides its definition and what every resource shows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EndpointStanding)]
pub(super) struct Standing {
    /// Whether anything is sent.
    enabled: bool,
    /// Why the relay sends nothing, if it stopped by itself or somebody switched a declared one
    /// off; left out of those deleted.
    #[schema(required = false)]
    disabled: Option<ShownDisabled>,
    #[schema(required = false)]
    condition: ShownCondition,
    /// What is likely to go wrong with it, where it is shown by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    lints: Option<Vec<Finding>>,
}

/// What an endpoint shows where it is shown by itself.
#[derive(Debug, Serialize)]
struct Lints {
    lints: Vec<Finding>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Disabled)]
pub(super) struct ShownDisabled {
    at: Timestamp,
    reason: String,
}

/// How it stands with a receiver.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Condition)]
pub(super) struct ShownCondition {
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

impl From<Disabled> for ShownDisabled {
    fn from(Disabled { at, reason }: Disabled) -> Self {
        Self { at, reason }
    }
}

/// Endpoints, each with how it stands with its receiver, and why the relay sends nothing to it if
/// it stopped by itself.
pub(super) struct Endpoints;

impl Served for Endpoints {
    const KIND: Kind = KIND;
    const CANCELS: bool = true;
    type Reader = Reader;
    type Manager = Manager;

    fn show(api: &Api, entry: &Entry) -> Shown {
        let id = EndpointId::from_raw(entry.resource.id);
        let why = api.queue.disabled(id);
        let mut shown = Shown::of(entry);
        let wanted = shown.is_set("enabled");
        shown.add(&Standing {
            enabled: wanted && why.is_none(),
            disabled: why.map(ShownDisabled::from),
            condition: api.queue.condition(id).into(),
            lints: None,
        });
        shown
    }
}

/// Whether a test has to succeed first.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Verifying {
    /// An event type: this is done only if the receiver takes a sample of it.
    verify: Option<String>,
}

/// Makes an endpoint
#[utoipa::path(
    post,
    path = "/v1/endpoints",
    params(Verifying),
    request_body = NewEndpoint,
    responses(
        (status = 201, body = schemas::Endpoint, headers(("ETag" = String))),
        (status = 403, description = "`forbidden`, or `quota_reached`: the tenant has as many as it may have"),
        (status = 409, description = "`name_taken` or `too_many`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition`, `unusable`, `invalid_test` or `not_verified`"),
        (status = 429, description = "`too_many_tests`: as many are under way as may"),
    )
)]
async fn create(
    Manager(caller): Manager,
    State(api): State<Api>,
    Params(asked): Params<Verifying>,
    Keys(mut keys): Keys,
) -> Result<Response, Failure> {
    if !keys.contains_key("name")
        && let Some(name) = name_after_host(&api, &caller, &keys)
    {
        keys.insert("name".to_owned(), Value::String(name));
    }
    match asked.verify {
        Some(event_type) => testing::verified::make(&api, &caller, keys, &event_type).await,
        None => resource::make::<Endpoints>(&api, &caller, keys).await,
    }
}

/// A name for an endpoint that was given none: its receiver's host, with a number behind it where
/// that is taken. `None` if it has no host.
fn name_after_host(api: &Api, caller: &Caller, keys: &Map<String, Value>) -> Option<String> {
    let url = Url::parse(keys.get("url")?.as_str()?).ok()?;
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let host: String = url
        .host_str()?
        .chars()
        .filter(is_plain)
        .take(HOST_CHARS_MAX)
        .collect();
    let is_free = |name: &String| api.manager.find(caller.tenant, KIND, None, name).is_none();
    let numbered = (2..).map(|number: u32| format!("{host}-{number}"));
    std::iter::once(host.clone()).chain(numbered).find(is_free)
}

/// Shows an endpoint
#[utoipa::path(
    get,
    path = "/v1/endpoints/{id}",
    params(("id" = String, Path, description = "name or id")),
    responses((status = 200, body = schemas::Endpoint, headers(("ETag" = String))))
)]
async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    let lints = Lints {
        lints: testing::lints_of(&api, &caller, &entry).await?,
    };
    Ok(managed::one(&entry, |entry| {
        let mut shown = Endpoints::show(&api, entry);
        shown.add(&lints);
        shown
    }))
}

/// Replaces the definition of an endpoint
///
/// What only the relay says is passed over, so that what was read can be sent back.
#[utoipa::path(
    put,
    path = "/v1/endpoints/{id}",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
        Verifying,
    ),
    request_body = EndpointDefinition,
    responses(
        (status = 200, body = schemas::Endpoint, headers(("ETag" = String))),
        (status = 403, description = "`forbidden`, or `quota_reached`: the tenant has as many as it may have"),
        (status = 409, description = "`name_taken`, `declared_in_file` or `too_many`; with `verify` `unusable`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition`, `unusable`, `invalid_test` or `not_verified`"),
        (status = 429, description = "`too_many_tests`: as many are under way as may"),
    )
)]
async fn replace(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(asked): Params<Verifying>,
    mut headers: HeaderMap,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    let write = Write::Replace(keys);
    if let Some(event_type) = asked.verify {
        let entry = managed::find(&api, &caller, KIND, &id)?;
        let meant = (&headers, write.clone());
        headers = testing::verified::before_change(&api, &caller, &entry, meant, &event_type).await?;
    }
    resource::write::<Endpoints>(&api, &caller, &id, &headers, write).await
}

/// Changes an endpoint, by a JSON Merge Patch (RFC 7396)
///
/// `enabled` also decides whether anything is sent: `true` takes back that the relay, or someone
/// before, disabled the endpoint.
#[utoipa::path(
    patch,
    path = "/v1/endpoints/{id}",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
        Verifying,
    ),
    request_body(content((EndpointPatch = "application/merge-patch+json"), (EndpointPatch = "application/json"))),
    responses(
        (status = 200, body = schemas::Endpoint, headers(("ETag" = String))),
        (status = 403, description = "`forbidden`, or `quota_reached`: the tenant has as many as it may have"),
        (status = 409, description = "`name_taken`, `declared_in_file` or `too_many`; with `verify` `unusable`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition`, `unusable`, `invalid_test` or `not_verified`"),
        (status = 429, description = "`too_many_tests`: as many are under way as may"),
    )
)]
async fn patch(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(asked): Params<Verifying>,
    mut headers: HeaderMap,
    Keys(patch): Keys,
) -> Result<Response, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    let enabled = enabled(&patch)?;
    if let Some(event_type) = asked.verify {
        let meant = (&headers, Write::Patch(patch.clone()));
        headers = testing::verified::before_change(&api, &caller, &entry, meant, &event_type).await?;
    }
    if entry.origin == Origin::File {
        return switch(&api, &caller, &entry, &headers, (&patch, enabled)).await;
    }
    // By its id: the name may be another one afterwards.
    let id = KIND.id(entry.resource.id);
    let (bench, by, changed) = (api.clone(), caller, id.clone());
    // Both or neither, whether the caller waits for it or not.
    let both = async move {
        resource::write::<Endpoints>(&bench, &by, &changed, &headers, Write::Patch(patch)).await?;
        match enabled {
            Some(true) => set_disabled(&bench, &by, &entry, None).await,
            _ => Ok(()),
        }
    };
    managed::undisturbed(&api, both).await??;
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
    caller: &Caller,
    entry: &Entry,
    headers: &HeaderMap,
    (patch, enabled): (&Map<String, Value>, Option<bool>),
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
        reason: BY_HAND.to_owned(),
    });
    set_disabled(api, caller, entry, why).await?;
    Ok(managed::one(entry, |entry| Endpoints::show(api, entry)))
}

async fn set_disabled(
    api: &Api,
    caller: &Caller,
    entry: &Entry,
    why: Option<Disabled>,
) -> Result<(), Failure> {
    let id = EndpointId::from_raw(entry.resource.id);
    if why.is_some() != api.queue.disabled(id).is_some() {
        let action = if why.is_some() {
            "endpoint.disabled"
        } else {
            "endpoint.enabled"
        };
        audit::note(api, caller, action, (id, Some(&entry.resource.name)), None).await?;
    }
    let flow = Arc::clone(&api.flow);
    managed::undisturbed(api, async move { flow.set_disabled(id, why).await }).await??;
    Ok(())
}

/// What a receiver verifies with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = VerificationSecrets)]
pub(super) struct Secrets {
    /// `whsec_…`, for `v1` signatures.
    secret: Option<String>,
    /// `whpk_…`, for `v1a` signatures.
    public_key: Option<String>,
    /// Until when what was replaced last signs, too; `null` if nothing does.
    overlap_until: Option<Timestamp>,
}

impl Secrets {
    /// What the receiver of an endpoint verifies with.
    pub(super) fn of(api: &Api, entry: &Entry) -> Result<Self, Failure> {
        let target = usable(entry)?;
        let now = api.clock.now();
        Ok(Self {
            secret: target.shared_secret(),
            public_key: target.public_key(),
            overlap_until: target.overlap_until().filter(|until| now < *until),
        })
    }
}

impl Secrets {
    /// What whoever fetches verifies with.
    async fn of_polled(api: &Api, endpoint: &Endpoint) -> Result<Self, Failure> {
        let (secrets, retiring) = api.manager.secrets_of(endpoint).await?;
        let now = api.clock.now();
        let until = retiring.iter().map(|retiring| retiring.until).max();
        Ok(Self {
            secret: shared_secret(&secrets),
            public_key: public_key(&secrets),
            overlap_until: until.filter(|until| now < *until),
        })
    }
}

/// Reveals what the receiver of an endpoint verifies with
#[utoipa::path(
    get,
    path = "/v1/endpoints/{id}/secret",
    params(("id" = String, Path, description = "name or id")),
    responses(
        (status = 200, body = Secrets),
        (status = 409, description = "`unusable`: its definition cannot be used"),
    )
)]
async fn secret(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Secrets>, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    let secrets = match entry.endpoint().filter(|endpoint| endpoint.is_polled) {
        Some(polled) => Secrets::of_polled(&api, polled).await?,
        None => Secrets::of(&api, &entry)?,
    };
    let (id, name) = (KIND.id(entry.resource.id), &entry.resource.name);
    audit::note(&api, &caller, "endpoint.secret_revealed", (id, Some(name)), None).await?;
    tracing::info!(by = %caller.key, endpoint = name, "signing secret revealed");
    Ok(Json(secrets))
}

/// An endpoint that can be used, by its id or name.
pub(super) fn target(api: &Api, caller: &Caller, asked: &str) -> Result<Arc<Target>, Failure> {
    let entry = managed::find(api, caller, KIND, asked)?;
    usable(&entry).cloned()
}

pub(super) fn usable(entry: &Entry) -> Result<&Arc<Target>, Failure> {
    entry.target().ok_or_else(|| errors::unusable(entry.why_unsent()))
}
