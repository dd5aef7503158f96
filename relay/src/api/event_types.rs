//! `/v1/event-types`: what events there are, what they mean and what they look like.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Manager, Reader};
use super::errors::Failure;
use super::managed::{self, Asked, Keys, Patch, Shown};
use super::page::List;
use super::params::{Params, PathId};
use super::schemas::{EventType, EventTypeDefinition, EventTypePatch, Sample};
use crate::http::problem::Problem;
use crate::manage::{Entry, Write};
use crate::model::resource::Kind;

const KIND: Kind = Kind::EventType;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, replace, patch, delete))
        .routes(routes!(restore))
        .routes(routes!(sample))
}

fn show(entry: &Entry) -> Shown {
    Shown::of(entry)
}

/// Lists event types
#[utoipa::path(get, path = "/v1/event-types", params(Asked), responses((status = 200, body = List<EventType>)))]
async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    managed::list(&api, &caller, KIND, asked, show).await
}

/// Makes an event type
#[utoipa::path(
    post,
    path = "/v1/event-types",
    request_body = EventTypeDefinition,
    responses(
        (status = 201, body = EventType, headers(("ETag" = String))),
        (status = 409, description = "`name_taken` or `too_many`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
async fn create(
    Manager(caller): Manager,
    State(api): State<Api>,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    managed::create(&api, &caller, KIND, keys, show).await
}

/// Shows an event type
#[utoipa::path(
    get,
    path = "/v1/event-types/{id}",
    params(("id" = String, Path, description = "name or id")),
    responses((status = 200, body = EventType, headers(("ETag" = String))))
)]
async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    Ok(managed::one(&*managed::find(&api, &caller, KIND, &id)?, show))
}

/// Replaces the definition of an event type
///
/// What only the relay says is passed over, so that what was read can be sent back.
#[utoipa::path(
    put,
    path = "/v1/event-types/{id}",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    request_body = EventTypeDefinition,
    responses(
        (status = 200, body = EventType, headers(("ETag" = String))),
        (status = 409, description = "`name_taken`, `declared_in_file` or `too_many`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
async fn replace(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    let write = Write::Replace(keys);
    managed::change(&api, &caller, (KIND, &id), &headers, write, show).await
}

/// Changes an event type, by a JSON Merge Patch (RFC 7396)
#[utoipa::path(
    patch,
    path = "/v1/event-types/{id}",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    request_body(content((EventTypePatch = "application/merge-patch+json"), (EventTypePatch = "application/json"))),
    responses(
        (status = 200, body = EventType, headers(("ETag" = String))),
        (status = 409, description = "`name_taken`, `declared_in_file` or `too_many`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
async fn patch(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Patch(keys): Patch,
) -> Result<Response, Failure> {
    let write = Write::Patch(keys);
    managed::change(&api, &caller, (KIND, &id), &headers, write, show).await
}

/// Deletes an event type
///
/// It can be restored for 30 days.
#[utoipa::path(
    delete,
    path = "/v1/event-types/{id}",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    responses(
        (status = 204, description = "deleted"),
        (status = 409, description = "`declared_in_file`"),
        (status = 412, description = "`changed_meanwhile`"),
    )
)]
async fn delete(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    managed::delete(&api, &caller, (KIND, &id), &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a deleted event type in force again
#[utoipa::path(
    post,
    path = "/v1/event-types/{id}/restore",
    params(("id" = String, Path, description = "its id")),
    responses(
        (status = 200, body = EventType, headers(("ETag" = String))),
        (status = 409, description = "`name_taken` or `too_many`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
async fn restore(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    managed::restore(&api, &caller, (KIND, &id), show).await
}

/// Gives the sample of an event type by itself
///
/// As the data of an event would be.
#[utoipa::path(
    get,
    path = "/v1/event-types/{id}/sample",
    params(("id" = String, Path, description = "name or id")),
    responses((status = 200, body = Sample))
)]
async fn sample(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Value>, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    let sample = entry
        .event_type()
        .and_then(|event_type| event_type.sample.clone());
    sample.map(Json).ok_or_else(|| {
        let name = &entry.resource.name;
        Failure(Problem::not_found(format!(
            "the event type {name:?} has no sample"
        )))
    })
}
