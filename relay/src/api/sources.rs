//! `/v1/sources`: the doors where senders post.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Caller, Manager, Reader};
use super::errors::Failure;
use super::managed::{self, Asked, Keys, Patch, Shown};
use super::page::List;
use super::params::{Params, PathId};
use super::schemas::{Source, SourceDefinition, SourcePatch};
use crate::manage::{Entry, Write};
use crate::model::resource::Kind;

const KIND: Kind = Kind::Source;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, replace, patch, delete))
        .routes(routes!(restore))
}

/// What a source shows besides its definition and what every resource shows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = SourceAddress)]
pub(super) struct Address {
    /// Where senders post; left out of those deleted.
    #[schema(required = false)]
    path: String,
}

/// With the path that nobody guesses beside the one that everybody may know.
fn show(entry: &Entry) -> Shown {
    let mut shown = Shown::of(entry);
    let id = crate::model::id::SourceId::from_raw(entry.resource.id);
    shown.add(&Address {
        path: format!("/in/{id}"),
    });
    shown
}

/// Lists sources
#[utoipa::path(get, path = "/v1/sources", params(Asked), responses((status = 200, body = List<Source>)))]
pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    managed::list(&api, &caller, KIND, asked, show).await
}

/// Makes a source
#[utoipa::path(
    post,
    path = "/v1/sources",
    request_body = SourceDefinition,
    responses(
        (status = 201, body = Source, headers(("ETag" = String))),
        (status = 409, description = "`name_taken` or `too_many`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
pub(super) async fn create(
    Manager(caller): Manager,
    State(api): State<Api>,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    make(&api, &caller, keys).await
}

/// Makes a new one.
pub(super) async fn make(api: &Api, caller: &Caller, keys: Map<String, Value>) -> Result<Response, Failure> {
    managed::create(api, caller, KIND, keys, show).await
}

/// Shows a source
#[utoipa::path(
    get,
    path = "/v1/sources/{id}",
    params(("id" = String, Path, description = "name or id")),
    responses((status = 200, body = Source, headers(("ETag" = String))))
)]
pub(super) async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    Ok(managed::one(&*managed::find(&api, &caller, KIND, &id)?, show))
}

/// Replaces the definition of a source
///
/// What only the relay says is passed over, so that what was read can be sent back.
#[utoipa::path(
    put,
    path = "/v1/sources/{id}",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    request_body = SourceDefinition,
    responses(
        (status = 200, body = Source, headers(("ETag" = String))),
        (status = 409, description = "`name_taken`, `declared_in_file` or `too_many`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
pub(super) async fn replace(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    let write = Write::Replace(keys);
    managed::change(&api, &caller, (KIND, &id), &headers, write, show).await
}

/// Changes a source, by a JSON Merge Patch (RFC 7396)
#[utoipa::path(
    patch,
    path = "/v1/sources/{id}",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    request_body(content((SourcePatch = "application/merge-patch+json"), (SourcePatch = "application/json"))),
    responses(
        (status = 200, body = Source, headers(("ETag" = String))),
        (status = 409, description = "`name_taken`, `declared_in_file` or `too_many`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
pub(super) async fn patch(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Patch(keys): Patch,
) -> Result<Response, Failure> {
    let write = Write::Patch(keys);
    managed::change(&api, &caller, (KIND, &id), &headers, write, show).await
}

/// Deletes a source
///
/// It can be restored for 30 days.
#[utoipa::path(
    delete,
    path = "/v1/sources/{id}",
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
pub(super) async fn delete(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    managed::delete(&api, &caller, (KIND, &id), &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a deleted source in force again
#[utoipa::path(
    post,
    path = "/v1/sources/{id}/restore",
    params(("id" = String, Path, description = "its id")),
    responses(
        (status = 200, body = Source, headers(("ETag" = String))),
        (status = 409, description = "`name_taken` or `too_many`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
pub(super) async fn restore(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    managed::restore(&api, &caller, (KIND, &id), show).await
}
