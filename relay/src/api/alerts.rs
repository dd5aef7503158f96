//! `/v1/alerts`: rules that tell when something is wrong.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Manager, Reader};
use super::errors::Failure;
use super::managed::{self, Asked, Keys, Patch, Shown};
use super::page::List;
use super::params::{Params, PathId};
use super::schemas::{self, AlertDefinition, AlertPatch};
use crate::manage::{Entry, Write};
use crate::model::id::{AlertId, EndpointId};
use crate::model::resource::Kind;
use crate::model::time::Timestamp;

const KIND: Kind = Kind::Alert;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, replace, patch, delete))
        .routes(routes!(restore))
}

/// Whom an alert fires for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Firing)]
pub(super) struct ShownFiring {
    /// `null`: it is not of one endpoint.
    endpoint: Option<EndpointId>,
    since: Timestamp,
    /// When it was told last.
    told_at: Timestamp,
    /// What was measured then.
    value: f64,
}

/// What an alert shows besides its definition and what every resource shows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AlertStanding)]
pub(super) struct Standing {
    /// `ok` or `firing`; left out of those deleted.
    #[schema(value_type = String, required = false)]
    state: &'static str,
    #[schema(required = false)]
    firing: Vec<ShownFiring>,
}

/// An alert with whether it fires.
fn show(api: &Api) -> impl Fn(&Entry) -> Shown {
    move |entry| {
        let mut shown = Shown::of(entry);
        let firing: Vec<ShownFiring> = api
            .alerts
            .firing(AlertId::from_raw(entry.resource.id))
            .into_iter()
            .map(|(endpoint, firing)| ShownFiring {
                endpoint,
                since: firing.since,
                told_at: firing.told_at,
                value: firing.value,
            })
            .collect();
        shown.add(&Standing {
            state: if firing.is_empty() { "ok" } else { "firing" },
            firing,
        });
        shown
    }
}

/// Lists alerts
#[utoipa::path(get, path = "/v1/alerts", params(Asked), responses((status = 200, body = List<schemas::Alert>)))]
async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    managed::list(&api, &caller, KIND, asked, show(&api)).await
}

/// Makes an alert
#[utoipa::path(post, path = "/v1/alerts", request_body = AlertDefinition, responses((status = 201, body = schemas::Alert, headers(("ETag" = String))), (status = 409, description = "`name_taken` or `too_many`"), (status = 413, description = "`body_too_large` or `definition_too_large`"), (status = 422, description = "`invalid_definition`")))]
async fn create(
    Manager(caller): Manager,
    State(api): State<Api>,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    managed::create(&api, &caller, KIND, keys, show(&api)).await
}

/// Shows an alert and whether it fires
#[utoipa::path(get, path = "/v1/alerts/{id}", params(("id" = String, Path, description = "name or id")), responses((status = 200, body = schemas::Alert, headers(("ETag" = String)))))]
async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    Ok(managed::one(&entry, show(&api)))
}

/// Replaces the definition of an alert
#[utoipa::path(put, path = "/v1/alerts/{id}", params(("id" = String, Path, description = "name or id"), ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read")), request_body = AlertDefinition, responses((status = 200, body = schemas::Alert, headers(("ETag" = String))), (status = 409, description = "`name_taken`, `declared_in_file` or `too_many`"), (status = 412, description = "`changed_meanwhile`"), (status = 413, description = "`body_too_large` or `definition_too_large`"), (status = 422, description = "`invalid_definition`")))]
async fn replace(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    let write = Write::Replace(keys);
    managed::change(&api, &caller, (KIND, &id), &headers, write, show(&api)).await
}

/// Changes an alert, by a JSON Merge Patch (RFC 7396)
#[utoipa::path(patch, path = "/v1/alerts/{id}", params(("id" = String, Path, description = "name or id"), ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read")), request_body(content((AlertPatch = "application/merge-patch+json"), (AlertPatch = "application/json"))), responses((status = 200, body = schemas::Alert, headers(("ETag" = String))), (status = 409, description = "`name_taken`, `declared_in_file` or `too_many`"), (status = 412, description = "`changed_meanwhile`"), (status = 413, description = "`body_too_large` or `definition_too_large`"), (status = 422, description = "`invalid_definition`")))]
async fn patch(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Patch(keys): Patch,
) -> Result<Response, Failure> {
    let write = Write::Patch(keys);
    managed::change(&api, &caller, (KIND, &id), &headers, write, show(&api)).await
}

/// Deletes an alert
#[utoipa::path(delete, path = "/v1/alerts/{id}", params(("id" = String, Path, description = "name or id"), ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read")), responses((status = 204, description = "deleted"), (status = 409, description = "`declared_in_file`"), (status = 412, description = "`changed_meanwhile`")))]
async fn delete(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    managed::delete(&api, &caller, (KIND, &id), &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a deleted alert in force again
#[utoipa::path(post, path = "/v1/alerts/{id}/restore", params(("id" = String, Path, description = "its id")), responses((status = 200, body = schemas::Alert, headers(("ETag" = String))), (status = 409, description = "`name_taken`"), (status = 422, description = "`invalid_definition`")))]
async fn restore(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    managed::restore(&api, &caller, (KIND, &id), show(&api)).await
}
