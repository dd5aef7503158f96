//! `POST /v1/plugins/{name}/run`: what a plugin makes of an event, without an endpoint for it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::refused;
use crate::api::Api;
use crate::api::auth::Manager;
use crate::api::body::Body;
use crate::api::errors::Failure;
use crate::api::params::PathId;
use crate::http::problem::{Flaw, Problem};
use crate::model::plugin::{NoPin, Pin, Version};
use crate::plugins::fixtures::Fixture;

/// What a plugin is given: a fixture, as `relay plugin test` takes it.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PluginRun)]
pub(super) struct Asked {
    /// `sha256:` and at least twelve digits of it; without one, what is current.
    #[serde(skip_serializing)]
    #[schema(pattern = "^sha256:[0-9a-f]{12,64}$")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<Hook>,
    /// With `type` and `data`, as in `POST /v1/events`, and `headers` and `content_type` beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    event: Option<Box<RawValue>>,
    /// What `authenticate` looks at: `method`, `path`, `query`, `headers`, `body`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    request: Option<Box<RawValue>>,
    /// What `respond` looks at beside the event: `status`, `headers`, `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    answer: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    config: Option<Box<RawValue>>,
    /// By the names that the plugin knows them by. They are not kept.
    #[serde(default)]
    secrets: BTreeMap<String, String>,
}

/// `transform` if none is named.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PluginHook)]
pub(super) enum Hook {
    Transform,
    Filter,
    Authenticate,
    Respond,
    Check,
}

/// What came of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PluginRan)]
pub(super) struct Ran {
    version: Version,
    /// In the words of a fixture's `expect`.
    result: Value,
    /// What the plugin wrote to its log.
    log: Vec<String>,
    took_us: u64,
}

/// Runs a plugin on one event
///
/// On the relay's own host, with the limits that plugins have there; its state is empty and forgotten.
/// Nothing is sent or kept. A fault of the plugin is a result like any other.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/run",
    params(("name" = String, Path)),
    request_body = Asked,
    responses(
        (status = 200, body = Ran),
        (status = 409, description = "`ambiguous_version`"),
        (status = 422, description = "`invalid_run`, `unknown_version`, or `unusable_component`: it cannot be used"),
        (status = 429, description = "`too_many_tests`: as many are under way as may"),
    )
)]
pub(super) async fn run(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(name): PathId,
    Body(asked): Body<Asked>,
) -> Result<Json<Ran>, Failure> {
    let flawed = |pointer: &str, code: &'static str, why: String| {
        let problem = Problem::new(422, code, "It cannot be run so", "see each error");
        Failure(problem.with_errors([Flaw::new(pointer, "invalid", why)]))
    };
    let _place = api.testing.place()?;
    let pin = asked.version.as_deref().map(str::parse::<Pin>).transpose();
    let pin = pin.map_err(|why: NoPin| flawed("/version", "unknown_version", why.to_string()))?;
    let text = serde_json::to_string(&asked).unwrap_or_default();
    let fixture = Fixture::sent(&text).map_err(|why| flawed("", "invalid_run", why))?;
    let ran = api
        .manager
        .try_plugin(caller.tenant, &name, pin.as_ref(), &fixture);
    let (version, found) = ran.await.map_err(|why| refused(why, &name))?;
    Ok(Json(Ran {
        version,
        result: found.shown,
        log: found.log,
        took_us: u64::try_from(found.took.as_micros()).unwrap_or(u64::MAX),
    }))
}
