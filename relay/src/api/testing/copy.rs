//! `POST /v1/endpoints/{id}/clone` and `POST /v1/sources/{id}/clone`: a copy under another name.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api::auth::{Caller, Manager};
use crate::api::body::Body;
use crate::api::endpoints::Endpoints;
use crate::api::errors::Failure;
use crate::api::managed;
use crate::api::params::PathId;
use crate::api::sources::Sources;
use crate::api::{Api, endpoints, resource, schemas};
use crate::http::problem::Problem;
use crate::model::resource::Kind;

/// How the copy differs.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = EndpointCopy)]
#[serde(deny_unknown_fields)]
pub(super) struct Copy {
    name: String,
    /// Whether anything is sent to it at once.
    #[serde(default)]
    enabled: bool,
    /// Whether it signs as the other does; it has a secret of its own otherwise.
    #[serde(default)]
    copy_secret: bool,
}

/// How the copy of a source differs.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = SourceCopy)]
#[serde(deny_unknown_fields)]
pub(super) struct Renamed {
    name: String,
}

/// Copies an endpoint under another name
///
/// What it wants, sends and runs, with the headers and plugin secrets that this needs; not its
/// deliveries, nor its signing secret unless that is asked for.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/clone",
    operation_id = "clone",
    params(("id" = String, Path, description = "name or id")),
    request_body = Copy,
    responses(
        (status = 201, body = schemas::Endpoint, headers(("ETag" = String))),
        (status = 403, description = "`forbidden`, or `quota_reached`: the tenant has as many as it may have"),
        (status = 409, description = "`name_taken`, `too_many`, `no_secret` or `unusable`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
pub(super) async fn endpoint(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    Body(copy): Body<Copy>,
) -> Result<Response, Failure> {
    let mut keys = keys(&api, &caller, Kind::Endpoint, &id, &copy.name)?;
    keys.insert("enabled".to_owned(), Value::Bool(copy.enabled));
    keys.remove("previous_url");
    match copy.copy_secret {
        false => {
            keys.remove("secret");
        }
        true if keys.contains_key("secret") => {}
        true => {
            let secret = endpoints::target(&api, &caller, &id)?
                .shared_secret()
                .ok_or_else(|| {
                    let detail = "it signs with a key pair of the relay's alone, which is not copied";
                    Problem::new(409, "no_secret", "No secret", detail)
                })?;
            keys.insert("secret".to_owned(), Value::String(secret));
        }
    }
    resource::make::<Endpoints>(&api, &caller, keys).await
}

/// Copies a source under another name
///
/// With the secrets that its sender knows.
#[utoipa::path(
    post,
    path = "/v1/sources/{id}/clone",
    operation_id = "clone",
    params(("id" = String, Path, description = "name or id")),
    request_body = Renamed,
    responses(
        (status = 201, body = schemas::Source, headers(("ETag" = String))),
        (status = 403, description = "`forbidden`, or `quota_reached`: the tenant has as many as it may have"),
        (status = 409, description = "`name_taken` or `too_many`"),
        (status = 422, description = "`invalid_definition` or `unusable`"),
    )
)]
pub(super) async fn source(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    Body(copy): Body<Renamed>,
) -> Result<Response, Failure> {
    let keys = keys(&api, &caller, Kind::Source, &id, &copy.name)?;
    resource::make::<Sources>(&api, &caller, keys).await
}

fn keys(api: &Api, caller: &Caller, kind: Kind, id: &str, name: &str) -> Result<Map<String, Value>, Failure> {
    let entry = managed::find(api, caller, kind, id)?;
    let mut keys = entry.resource.definition.keys.clone();
    keys.insert("name".to_owned(), Value::String(name.to_owned()));
    Ok(keys)
}
