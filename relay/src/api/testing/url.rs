//! `POST /v1/endpoints/{id}/url` and `…/url/rollback`: another URL, tried before it counts, and
//! the one before it back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::diagnose::parse;
use super::trial::{self, Tested};
use crate::api::Api;
use crate::api::auth::{Caller, Manager};
use crate::api::body::Body;
use crate::api::endpoints::Endpoints;
use crate::api::errors::Failure;
use crate::api::managed::{self, Shown, undisturbed};
use crate::api::params::PathId;
use crate::api::resource::Served;
use crate::api::{conditions, endpoints, schemas};
use crate::http::problem::{Flaw, Problem};
use crate::manage::{Entry, Handle, Origin, Refused, Write};
use crate::model::policy::PLAIN_HTTP;
use crate::model::resource::Kind;

const KIND: Kind = Kind::Endpoint;
/// Where a definition keeps the URL before.
const PREVIOUS: &str = "previous_url";

/// Where to go from now on.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = UrlChange)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    url: String,
    /// Whether a test has to succeed there first.
    #[serde(default = "yes")]
    verify: bool,
    /// The type of the test's sample.
    #[serde(default = "test_type")]
    r#type: String,
    /// The sample's data; a sample of the type if it is not there.
    #[schema(value_type = Option<Value>)]
    data: Option<Box<RawValue>>,
}

const fn yes() -> bool {
    true
}

fn test_type() -> String {
    "relay.test".to_owned()
}

/// What came of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = UrlChanged)]
pub(super) struct Changed {
    #[schema(value_type = schemas::Endpoint)]
    endpoint: Shown,
    /// The test that the new URL had to pass, if any.
    test: Option<Tested>,
}

/// Leads an endpoint to another URL, once a test has succeeded there
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/url",
    operation_id = "change_url",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    request_body = Asked,
    responses(
        (status = 200, body = Changed),
        (status = 409, description = "`declared_in_file` or `unusable`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 422, description = "`invalid_url`, `invalid_test`, `not_verified` or `invalid_definition`"),
        (status = 429, description = "`too_many_tests`: as many are under way as may"),
    )
)]
pub(super) async fn change(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Body(asked): Body<Asked>,
) -> Result<Json<Changed>, Failure> {
    let entry = changeable(&api, &caller, &id)?;
    let target = endpoints::target(&api, &caller, &id)?;
    let url = parse("/url", &asked.url)?;
    if api.directories.current().policy(caller.tenant).forbids(&url) {
        return Err(invalid(PLAIN_HTTP.to_owned()));
    }
    let outlet = target.outlet_to(url, &api.flow.sender);
    let outlet = outlet.map_err(|error| invalid(error.to_string()))?;
    let test = match asked.verify {
        true => {
            let sample = trial::sample(&api, &caller, &asked.r#type, asked.data)?;
            Some(trial::try_out(&api, target, Some(outlet), sample).await?)
        }
        false => None,
    };
    if let Some(test) = test.as_ref().filter(|test| !test.outcome().is_success()) {
        let detail = format!(
            "nothing was changed, as the test {} did not succeed: {}",
            test.delivery(),
            test.outcome().summary()
        );
        return Err(Problem::new(422, "not_verified", "Not verified", detail).into());
    }
    let endpoint = swap(&api, &caller, &entry, &headers, asked.url).await?;
    Ok(Json(Changed { endpoint, test }))
}

fn invalid(problem: String) -> Failure {
    let flaw = Flaw::new("/url", "invalid", problem);
    Problem::new(422, "invalid_url", "Invalid URL", "see each error")
        .with_errors([flaw])
        .into()
}

/// Leads an endpoint back to the URL before
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/url/rollback",
    operation_id = "roll_back_url",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    responses(
        (status = 200, body = Changed),
        (status = 409, description = "`no_previous_url` or `declared_in_file`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
pub(super) async fn roll_back(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Json<Changed>, Failure> {
    let entry = changeable(&api, &caller, &id)?;
    let previous = entry
        .resource
        .definition
        .keys
        .get(PREVIOUS)
        .and_then(Value::as_str);
    let previous = previous.ok_or_else(|| {
        let detail = "its URL was not changed by POST /v1/endpoints/{id}/url";
        Problem::new(409, "no_previous_url", "No previous URL", detail)
    })?;
    let endpoint = swap(&api, &caller, &entry, &headers, previous.to_owned()).await?;
    Ok(Json(Changed { endpoint, test: None }))
}

fn changeable(api: &Api, caller: &Caller, id: &str) -> Result<Arc<Entry>, Failure> {
    let entry = managed::find(api, caller, KIND, id)?;
    match entry.origin {
        Origin::Api => Ok(entry),
        Origin::File => {
            let declared = Refused::Declared(entry.resource.name.clone());
            Err(managed::problem(KIND, declared))
        }
    }
}

/// Puts another URL in force and keeps the one before, in one change; not if somebody else has
/// changed the endpoint since it was looked at.
async fn swap(
    api: &Api,
    caller: &Caller,
    entry: &Entry,
    headers: &HeaderMap,
    url: String,
) -> Result<Shown, Failure> {
    let before = entry
        .resource
        .definition
        .keys
        .get("url")
        .cloned()
        .unwrap_or_default();
    let patch = Map::from_iter([
        ("url".to_owned(), Value::String(url)),
        (PREVIOUS.to_owned(), before),
    ]);
    let handle = Handle {
        tenant: entry.resource.tenant,
        kind: KIND,
        id: entry.resource.id,
        revision: conditions::if_match(headers)?.or(Some(entry.resource.revision)),
    };
    let (manager, by) = (Arc::clone(&api.manager), caller.by());
    let write = Write::Patch(patch);
    let changed = undisturbed(api, async move { manager.change(handle, write, by).await }).await?;
    let entry = changed.map_err(|refused| managed::problem(KIND, refused))?;
    tracing::info!(by = %caller.key, name = entry.resource.name, "URL changed");
    Ok(Endpoints::show(api, &entry))
}
