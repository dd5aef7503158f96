//! `/v1/endpoints/{id}/secret/rotate`, `/v1/sources/{id}/rotate-path`: another signing secret, beside
//! which the old one signs for a while; another path, beside which the old one leads there.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Manager;
use super::body::Body;
use super::errors::Failure;
use super::managed;
use super::params::PathId;
use super::{Api, audit, endpoints, sources};
use crate::crypto::standard_webhooks::SigningKey;
use crate::http::problem::{Flaw, Problem};
use crate::manage;
use crate::model::resource::Kind;
use crate::model::secret::Secret;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(rotate))
        .routes(routes!(rotate_path))
}

/// How a secret rotates.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation)]
struct Asked {
    /// A span of time from `0s` to `30d`.
    overlap: Option<String>,
    /// What to sign with from now on; without it the relay makes one.
    secret: Option<String>,
}

/// Replaces what an endpoint signs with
///
/// What was replaced goes on signing beside the new secret until the overlap is over. Answers what
/// the receiver verifies with from now on.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/secret/rotate",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    request_body = Option<Asked>,
    responses(
        (status = 200, body = endpoints::Secrets),
        (status = 409, description = "`declared_in_file` or `still_rotating`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 422, description = "`invalid_rotation`, or `unusable`: it signs with no such secret"),
    )
)]
async fn rotate(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Body(asked): Body<Asked>,
) -> Result<Json<endpoints::Secrets>, Failure> {
    let entry = managed::find(&api, &caller, Kind::Endpoint, &id)?;
    let (given, overlap) = read(asked)?;
    let handle = managed::handle(&entry.resource, &headers)?;
    let (id, name) = (entry.resource.kind.id(entry.resource.id), &entry.resource.name);
    audit::note(&api, &caller, "endpoint.secret_rotated", (id, Some(name)), None).await?;
    let manager = Arc::clone(&api.manager);
    let by = caller.by();
    let rotated = managed::undisturbed(
        &api,
        async move { manager.rotate(handle, given, overlap, by).await },
    );
    let entry = rotated
        .await?
        .map_err(|refused| managed::problem(Kind::Endpoint, refused))?;
    tracing::info!(by = %caller.key, endpoint = entry.resource.name, ?overlap, "signing secret rotated");
    Ok(Json(endpoints::Secrets::of(&api, &entry)?))
}

fn read(asked: Asked) -> Result<(Option<Secret>, Duration), Failure> {
    let mut flaws = Vec::new();
    let overlap = manage::overlap(asked.overlap.as_deref());
    if overlap.is_none() {
        flaws.push(Flaw::new("/overlap", "invalid", "use 0s to 30d, as in \"24h\""));
    }
    let given = asked.secret.map(Secret::new);
    if let Some(Err(error)) = given.as_ref().map(SigningKey::parse) {
        flaws.push(Flaw::new("/secret", "invalid", error.to_string()));
    }
    match overlap {
        Some(overlap) if flaws.is_empty() => Ok((given, overlap)),
        _ => {
            let detail = "it cannot rotate so: see each error";
            let problem = Problem::new(422, "invalid_rotation", "Invalid rotation", detail);
            Err(problem.with_errors(flaws).into())
        }
    }
}

/// How a path rotates.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PathRotation)]
struct AskedOfPath {
    /// A span of time from `0s` to `30d`; `24h` if not given.
    overlap: Option<String>,
}

/// Replaces the path that a source is reached by
///
/// What it was reached by before, its name and its id included, leads there until the overlap is
/// over. Answers the path to post to from now on.
#[utoipa::path(
    post,
    path = "/v1/sources/{id}/rotate-path",
    operation_id = "rotate_path",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    request_body = Option<AskedOfPath>,
    responses(
        (status = 200, body = sources::Address),
        (status = 409, description = "`still_rotating`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 422, description = "`invalid_rotation`, or `unusable`: its definition cannot be used"),
    )
)]
async fn rotate_path(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Body(AskedOfPath { overlap }): Body<AskedOfPath>,
) -> Result<Json<sources::Address>, Failure> {
    let entry = managed::find(&api, &caller, Kind::Source, &id)?;
    let (_, overlap) = read(Asked {
        overlap,
        secret: None,
    })?;
    let handle = managed::handle(&entry.resource, &headers)?;
    let (manager, by) = (Arc::clone(&api.manager), caller.by());
    let rotated = managed::undisturbed(
        &api,
        async move { manager.rotate_path(handle, overlap, by).await },
    );
    let entry = rotated
        .await?
        .map_err(|refused| managed::problem(Kind::Source, refused))?;
    tracing::info!(by = %caller.key, source = entry.resource.name, ?overlap, "path rotated");
    Ok(Json(sources::Address::of(&api, &entry)))
}
