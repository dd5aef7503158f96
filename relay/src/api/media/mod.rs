//! `/media/{id}`: the files that plugins had the relay keep, for whoever has their address;
//! `/v1/media`: for whom they were kept.

mod range;
mod serve;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Manager, Reader};
use super::errors::Failure;
use super::managed::undisturbed;
use super::page::{List, page};
use super::params::{Params, PathId};
use super::{Api, audit};
use crate::http::problem::Problem;
use crate::model::id::{MediaId, TenantId};
use crate::model::time::Timestamp;
use crate::store::MediaFile;

/// Every route of files.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, delete))
        .routes(routes!(serve::serve))
}

/// A file, without its address: that is in the event that it was captured for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Media)]
struct Shown {
    id: MediaId,
    content_type: String,
    bytes: u64,
    /// In hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    created_at: Timestamp,
    /// When it is removed; its address may expire before.
    expires_at: Timestamp,
}

impl From<MediaFile> for Shown {
    fn from(file: MediaFile) -> Self {
        Self {
            id: file.id,
            content_type: file.content_type,
            bytes: file.bytes,
            sha256: hex::encode(file.digest),
            created_at: file.made_at,
            expires_at: file.expires_at,
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{1,15}|[0-7][0-9a-f]{15})$")]
    cursor: Option<String>,
}

/// Lists the files that plugins had the relay keep, newest first
#[utoipa::path(get, path = "/v1/media", params(Asked), responses((status = 200, body = List<Shown>)))]
async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    let page = page(asked.limit.as_deref(), asked.cursor.as_deref())?;
    let listed = api.media.files(caller.tenant, page).await?;
    Ok(Json(List::of(listed, Shown::from)))
}

/// Shows a file, without its bytes
#[utoipa::path(
    get,
    path = "/v1/media/{id}",
    params(("id" = String, Path)),
    responses((status = 200, body = Shown))
)]
async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Shown>, Failure> {
    Ok(Json(find(&api, caller.tenant, &id).await?.into()))
}

/// Removes a file
///
/// Its address answers 404 from then on.
#[utoipa::path(
    delete,
    path = "/v1/media/{id}",
    params(("id" = String, Path)),
    responses((status = 204, description = "removed"))
)]
async fn delete(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<StatusCode, Failure> {
    let file = find(&api, caller.tenant, &id).await?;
    let deed = audit::deed(&api, &caller, "media.deleted", (file.id, None), None);
    let keeper = Arc::clone(&api.media);
    let removed = undisturbed(
        &api,
        async move { keeper.remove(file.tenant, file.id, deed).await },
    );
    if !removed.await?? {
        return Err(unknown(&id));
    }
    tracing::info!(by = %caller.key, file = id, "file deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// A file of a tenant.
async fn find(api: &Api, tenant: TenantId, asked: &str) -> Result<MediaFile, Failure> {
    let id: MediaId = asked.parse().map_err(|_| unknown(asked))?;
    let found = api.media.file(id).await?;
    found
        .filter(|file| file.tenant == tenant)
        .ok_or_else(|| unknown(asked))
}

fn unknown(asked: &str) -> Failure {
    Failure(Problem::not_found(format!("there is no file {asked:?}")))
}
