//! `/v1/inspectors` and `/bin/{token}`: receivers within the relay.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::auth::{Manager, Reader};
use crate::api::body::Body;
use crate::api::errors::{self, Failure};
use crate::api::managed::undisturbed;
use crate::api::page::{List, page};
use crate::api::params::{Params, PathId};
use crate::api::{Api, audit};
use crate::http::problem::{Flaw, Problem};
use crate::inspect::{Caught, Coming, Refused, Way};
use crate::model::id::{InspectorId, TenantId};
use crate::model::inspector::Inspector;
use crate::model::time::Timestamp;

/// Longest name of an inspector, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// What an inspector is to be like.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = NewInspector)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    #[serde(default)]
    name: String,
    /// What it answers with: 200 unless another is wanted, to see what the relay makes of it.
    status: Option<u16>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{1,15}|[0-7][0-9a-f]{15})$")]
    cursor: Option<String>,
}

/// An inspector.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Inspector)]
pub(super) struct Shown {
    id: InspectorId,
    name: String,
    /// For an endpoint of this relay.
    url: String,
    /// For anybody else, behind an address of this relay.
    path: String,
    /// What it answers with.
    status: u16,
    /// How many requests it keeps.
    requests: usize,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl Shown {
    fn of(inspector: Inspector, requests: usize) -> Self {
        Self {
            id: inspector.id,
            name: inspector.name,
            url: format!("inspector://{}", inspector.token),
            path: format!("/bin/{}", inspector.token),
            status: inspector.status,
            requests,
            created_at: inspector.created_at,
            expires_at: inspector.expires_at,
        }
    }
}

/// A request that an inspector was sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CaughtRequest)]
pub(super) struct Request {
    at: Timestamp,
    /// `endpoint` or `network`.
    from: Way,
    method: String,
    /// What stands behind the token.
    path: String,
    /// In the order they came; `(hidden)` stands where a value may be a secret.
    headers: Vec<(String, String)>,
    /// As text, at most 64 KiB of it.
    body: String,
    /// Of the whole body.
    bytes: usize,
}

impl From<Caught> for Request {
    fn from(caught: Caught) -> Self {
        Self {
            at: caught.at,
            from: caught.way,
            method: caught.method,
            path: caught.path,
            headers: caught.headers,
            body: String::from_utf8_lossy(&caught.body).into_owned(),
            bytes: caught.bytes,
        }
    }
}

/// Makes an inspector
///
/// It is there for 7 days.
#[utoipa::path(
    post,
    path = "/v1/inspectors",
    request_body = Option<New>,
    responses(
        (status = 201, body = Shown),
        (status = 409, description = "`too_many`"),
        (status = 422, description = "`invalid_inspector`"),
    )
)]
pub(super) async fn create(
    Manager(caller): Manager,
    State(api): State<Api>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Shown>), Failure> {
    let status = check(&new)?;
    let id = InspectorId::from_raw(api.ids.next(api.clock.now()));
    let after = json!({"name": new.name, "status": status.as_u16()});
    let named = (id, Some(new.name.as_str()));
    let deed = audit::deed(&api, &caller, "inspector.created", named, Some(after));
    let inspectors = Arc::clone(&api.inspectors);
    let made = undisturbed(
        &api,
        async move { inspectors.make(id, new.name, status, deed).await },
    );
    let made = made.await?.map_err(|refused| match refused {
        Refused::TooMany => Problem::new(409, "too_many", "Too many", refused.to_string()),
        Refused::Store(error) => errors::of_store(&error),
    })?;
    tracing::info!(by = %caller.key, inspector = %made.id, "inspector made");
    Ok((StatusCode::CREATED, Json(Shown::of(made, 0))))
}

fn check(new: &New) -> Result<StatusCode, Failure> {
    let mut flaws = Vec::new();
    if new.name.len() > NAME_BYTES_MAX {
        let message = format!("has more than {NAME_BYTES_MAX} bytes");
        flaws.push(Flaw::new("/name", "too_long", message));
    }
    let status = new.status.unwrap_or(200);
    let known = StatusCode::from_u16(status)
        .ok()
        .filter(|_| (200..600).contains(&status));
    match known.filter(|_| flaws.is_empty()) {
        Some(status) => Ok(status),
        None => {
            if known.is_none() {
                flaws.push(Flaw::new("/status", "invalid", "is no status from 200 to 599"));
            }
            let problem = Problem::new(422, "invalid_inspector", "Invalid inspector", "see each error");
            Err(problem.with_errors(flaws).into())
        }
    }
}

/// Lists inspectors
#[utoipa::path(get, path = "/v1/inspectors", params(Asked), responses((status = 200, body = List<Shown>)))]
pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    let all = api.inspectors.list(caller.tenant).into_iter();
    let all = all.map(|(inspector, requests)| (inspector.id.raw(), Shown::of(inspector, requests)));
    Ok(Json(cut(all, &asked)?))
}

/// Shows an inspector
#[utoipa::path(
    get,
    path = "/v1/inspectors/{id}",
    params(("id" = String, Path)),
    responses((status = 200, body = Shown))
)]
pub(super) async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Shown>, Failure> {
    let (inspector, requests) = find(&api, caller.tenant, &id)?;
    Ok(Json(Shown::of(inspector, requests)))
}

/// Lists the requests that an inspector was sent, newest first
#[utoipa::path(
    get,
    path = "/v1/inspectors/{id}/requests",
    params(("id" = String, Path), Asked),
    responses((status = 200, body = List<Request>))
)]
pub(super) async fn requests(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Request>>, Failure> {
    let (inspector, _) = find(&api, caller.tenant, &id)?;
    let caught = api
        .inspectors
        .caught(caller.tenant, inspector.id)
        .unwrap_or_default();
    let caught = caught
        .into_iter()
        .map(|caught| (caught.number, Request::from(caught)));
    Ok(Json(cut(caught, &asked)?))
}

/// Removes an inspector and what it was sent
#[utoipa::path(
    delete,
    path = "/v1/inspectors/{id}",
    params(("id" = String, Path)),
    responses((status = 204, description = "removed"))
)]
pub(super) async fn delete(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<StatusCode, Failure> {
    let (inspector, _) = find(&api, caller.tenant, &id)?;
    let named = (inspector.id, Some(inspector.name.as_str()));
    audit::note(&api, &caller, "inspector.deleted", named, None).await?;
    let inspectors = Arc::clone(&api.inspectors);
    undisturbed(&api, async move {
        inspectors.remove(caller.tenant, inspector.id).await
    })
    .await??;
    Ok(StatusCode::NO_CONTENT)
}

fn find(api: &Api, tenant: TenantId, asked: &str) -> Result<(Inspector, usize), Failure> {
    let id: Option<InspectorId> = asked.parse().ok();
    let mut all = api.inspectors.list(tenant).into_iter();
    all.find(|(inspector, _)| Some(inspector.id) == id)
        .ok_or_else(|| Problem::not_found(format!("there is no inspector {asked:?}")).into())
}

/// The page that is asked for, of what is given newest first with its number.
pub(super) fn cut<T>(all: impl Iterator<Item = (i64, T)>, asked: &Asked) -> Result<List<T>, Failure> {
    let page = page(asked.limit.as_deref(), asked.cursor.as_deref())?;
    let below = page.before.unwrap_or(i64::MAX);
    let mut wanted = all.filter(|(number, _)| *number < below);
    let items: Vec<_> = wanted.by_ref().take(page.limit).collect();
    let last = items.last().map(|(number, _)| format!("{number:x}"));
    Ok(List {
        next_cursor: wanted.next().and(last),
        data: items.into_iter().map(|(_, item)| item).collect(),
    })
}

/// Takes a request for an inspector, from anybody who knows its token
///
/// By any method.
#[utoipa::path(
    post,
    path = "/bin/{token}",
    tag = "bin",
    security(()),
    params(("token" = String, Path, description = "what the `path` of an inspector ends with")),
    request_body(content = [u8], content_type = "*/*"),
    responses((status = 200, description = "or the status that the inspector answers with"))
)]
pub(super) async fn catch(
    State(api): State<Api>,
    Path(token): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let coming = Coming {
        way: Way::Network,
        method: &method,
        path: path.split_once(&token).map_or("", |(_, rest)| rest),
        headers: &headers,
        body,
    };
    match api.inspectors.catch(&token, &coming) {
        Some(status) => status.into_response(),
        None => Failure(Problem::not_found(
            "there is no such inspector; its time may be over",
        ))
        .into_response(),
    }
}
