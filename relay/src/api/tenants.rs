//! `/v1/tenants`: whose things there are, for the admin alone.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Admin, Caller};
use super::errors::Failure;
use super::managed::{self, Asked, Keys, Patch, Shown};
use super::page::List;
use super::params::{Params, PathId};
use super::schemas::{self, TenantDefinition, TenantPatch};
use crate::manage::Write;
use crate::model::id::TenantId;
use crate::model::resource::Kind;

const KIND: Kind = Kind::Tenant;

/// Every route of tenants.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, replace, patch, delete))
        .routes(routes!(restore))
}

/// All tenants are the operator's, whichever one the admin names.
const fn operator(caller: Caller) -> Caller {
    Caller {
        tenant: TenantId::DEFAULT,
        ..caller
    }
}

/// Lists tenants
#[utoipa::path(
    get,
    path = "/v1/tenants",
    params(Asked),
    responses((status = 200, body = List<schemas::Tenant>))
)]
async fn list(
    Admin(caller): Admin,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    managed::list(&api, &operator(caller), KIND, asked, Shown::of).await
}

/// Makes a tenant
#[utoipa::path(
    post,
    path = "/v1/tenants",
    request_body = TenantDefinition,
    responses(
        (status = 201, body = schemas::Tenant, headers(("ETag" = String))),
        (status = 409, description = "`name_taken` or `too_many`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition`"),
    )
)]
async fn create(Admin(caller): Admin, State(api): State<Api>, Keys(keys): Keys) -> Result<Response, Failure> {
    managed::create(&api, &operator(caller), KIND, keys, Shown::of).await
}

/// Shows a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{id}",
    params(("id" = String, Path, description = "name or id")),
    responses((status = 200, body = schemas::Tenant, headers(("ETag" = String))))
)]
async fn one(Admin(caller): Admin, State(api): State<Api>, PathId(id): PathId) -> Result<Response, Failure> {
    let entry = managed::find(&api, &operator(caller), KIND, &id)?;
    Ok(managed::one(&entry, Shown::of))
}

/// Replaces the definition of a tenant
///
/// What only the relay says is passed over, so that what was read can be sent back.
#[utoipa::path(
    put,
    path = "/v1/tenants/{id}",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    request_body = TenantDefinition,
    responses(
        (status = 200, body = schemas::Tenant, headers(("ETag" = String))),
        (status = 409, description = "`name_taken`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
async fn replace(
    Admin(caller): Admin,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    let write = Write::Replace(keys);
    managed::change(&api, &operator(caller), (KIND, &id), &headers, write, Shown::of).await
}

/// Changes a tenant, by a JSON Merge Patch (RFC 7396)
#[utoipa::path(
    patch,
    path = "/v1/tenants/{id}",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    request_body(content(
        (TenantPatch = "application/merge-patch+json"),
        (TenantPatch = "application/json"),
    )),
    responses(
        (status = 200, body = schemas::Tenant, headers(("ETag" = String))),
        (status = 409, description = "`name_taken`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 413, description = "`body_too_large` or `definition_too_large`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
async fn patch(
    Admin(caller): Admin,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Patch(keys): Patch,
) -> Result<Response, Failure> {
    let write = Write::Patch(keys);
    managed::change(&api, &operator(caller), (KIND, &id), &headers, write, Shown::of).await
}

/// What became of a deleted tenant's deliveries.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DeletedTenant)]
struct Deleted {
    id: TenantId,
    /// Deliveries that waited and will not be made.
    cancelled: usize,
}

/// Deletes a tenant with all that it has
///
/// It can be restored for 30 days.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{id}",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    responses(
        (status = 200, body = Deleted),
        (status = 409, description = "`default_tenant`: that one is always there"),
        (status = 412, description = "`changed_meanwhile`"),
    )
)]
async fn delete(
    Admin(caller): Admin,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (id, cancelled) = managed::delete(&api, &operator(caller), (KIND, &id), &headers).await?;
    let id = TenantId::from_raw(id);
    Ok((StatusCode::OK, Json(Deleted { id, cancelled })).into_response())
}

/// Puts a deleted tenant in force again, with all that it had
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/restore",
    params(("id" = String, Path, description = "its id")),
    responses(
        (status = 200, body = schemas::Tenant, headers(("ETag" = String))),
        (status = 409, description = "`name_taken`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
async fn restore(
    Admin(caller): Admin,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    managed::restore(&api, &operator(caller), (KIND, &id), Shown::of).await
}
