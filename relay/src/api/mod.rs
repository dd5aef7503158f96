//! The management API: asks the log, retries, keys. Posting events is `ingest`'s.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use axum::{Router, middleware};
use bytes::Bytes;
use http::{HeaderValue, header};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::alerts::Alerts;
use crate::clock::Clock;
use crate::directory::Directories;
use crate::flow::Flow;
use crate::http::problem::Problem;
use crate::inspect::Inspectors;
use crate::manage::Manager;
use crate::media::Keeper;
use crate::metrics::Metrics;
use crate::model::id::{IdMaker, TenantId};
use crate::queue::Queue;
use crate::quota::Quotas;
use crate::recovery::Recovery;
use crate::store::{Role, Store};

mod audit;
pub mod auth;
mod alerts;
mod body;
pub(crate) mod calls;
mod conditions;
mod definitions;
mod deliveries;
mod digests;
pub mod egress;
mod endpoints;
mod errors;
mod erasures;
mod event_types;
mod events;
mod export;
mod foreign;
mod health;
mod jobs;
mod idempotency;
mod keys;
mod managed;
mod media;
pub mod openapi;
mod page;
mod params;
pub(crate) mod plugins;
mod poll;
mod recovery;
mod resource;
mod rotate;
mod rules;
mod schemas;
mod select;
mod sources;
mod stream;
mod tenants;
pub mod testing;
mod usage;

use egress::Told as EgressTold;
use errors::Failure;
pub use idempotency::InProgress;

/// Everything that the handlers use.
#[derive(Clone)]
pub struct Api {
    pub store: Arc<dyn Store>,
    pub queue: Arc<Queue>,
    pub flow: Arc<Flow>,
    pub manager: Arc<Manager>,
    pub alerts: Arc<Alerts>,
    pub recovery: Arc<Recovery>,
    pub directories: Arc<Directories>,
    pub keys: Arc<auth::Keys>,
    pub quotas: Arc<Quotas>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub ids: Arc<IdMaker>,
    /// Requests with an idempotency key that are being done.
    pub in_progress: Arc<InProgress>,
    /// Makes what `/openapi.json` answers.
    pub document: fn() -> Bytes,
    /// What `/v1/egress` answers.
    pub egress: Arc<EgressTold>,
    pub testing: Arc<testing::Bench>,
    pub inspectors: Arc<Inspectors>,
    pub media: Arc<Keeper>,
    /// Whether a caller is told that an id is another tenant's.
    pub tells_foreign_ids: bool,
    /// Set when the relay is about to stop.
    pub stop: CancellationToken,
}

/// Every route of the management API.
pub fn router(api: Api) -> Router {
    let (router, _) = routes().split_for_parts();
    let router = router
        .fallback(unknown)
        .method_not_allowed_fallback(method_not_allowed);
    let router = if api.tells_foreign_ids {
        router.layer(middleware::from_fn_with_state(api.clone(), foreign::forbid))
    } else {
        router
    };
    let named = middleware::from_fn_with_state(api.clone(), idempotency::layer);
    router.layer(named).with_state(api)
}

/// Every route of the management API, as it is described.
pub fn described() -> OpenApi {
    routes().into_openapi()
}

/// Each file has its routes with what the document says of them.
fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(events::routes())
        .merge(deliveries::routes())
        .merge(endpoints::routes())
        .merge(sources::routes())
        .merge(rules::routes())
        .merge(calls::routes())
        .merge(event_types::routes())
        .merge(definitions::routes())
        .merge(plugins::routes())
        .merge(tenants::routes())
        .merge(keys::routes())
        .merge(usage::routes())
        .merge(rotate::routes())
        .merge(recovery::routes())
        .merge(jobs::routes())
        .merge(erasures::routes())
        .merge(export::routes())
        .merge(testing::routes())
        .merge(health::routes())
        .merge(alerts::routes())
        .merge(stream::routes())
        .merge(digests::routes())
        .merge(poll::routes())
        .merge(egress::routes())
        .merge(media::routes())
        .merge(audit::routes())
        .routes(routes!(alive))
        .routes(routes!(ready))
        .routes(routes!(metrics))
        .routes(routes!(document))
}

/// Says whether the relay runs
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "relay",
    security(()),
    responses((status = 200, body = String, content_type = "text/plain; charset=utf-8"))
)]
async fn alive() -> &'static str {
    "ok\n"
}

/// Says whether the relay takes events
///
/// Ready as long as the store takes events and answers, and the relay is not about to stop.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "relay",
    security(()),
    responses(
        (status = 200, body = String, content_type = "text/plain; charset=utf-8"),
        (status = 503, description = "`stopping`, `store_full` or `store_unavailable`"),
    )
)]
async fn ready(State(api): State<Api>) -> Result<&'static str, Failure> {
    if api.stop.is_cancelled() {
        return Err(Problem::new(503, "stopping", "Stopping", "the relay is about to stop").into());
    }
    // What is wrong with the store is in the log already; this is asked every few seconds.
    api.store.health().map_err(|error| errors::problem(&error))?;
    api.store.checkpoint().await?;
    Ok("ready\n")
}

/// The media type of OpenMetrics, which Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Gives every metric, for Prometheus
///
/// They are of the whole relay, so they are the operator's.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "relay",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"))
)]
async fn metrics(
    auth::Reader(caller): auth::Reader,
    State(api): State<Api>,
) -> Result<impl axum::response::IntoResponse, Failure> {
    if caller.role != Role::Admin && caller.tenant != TenantId::DEFAULT {
        let detail = "metrics are of all tenants: use a key of the default tenant";
        return Err(Problem::new(403, "forbidden", "Forbidden", detail).into());
    }
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], api.metrics.text()))
}

/// Gives this document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "relay",
    security(()),
    responses((status = 200, body = serde_json::Value, content_type = "application/json"))
)]
async fn document(State(api): State<Api>) -> impl axum::response::IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], (api.document)())
}

async fn unknown(request: Request) -> axum::response::Response {
    Failure(Problem::not_found(format!(
        "there is nothing at {}",
        request.uri().path()
    )))
    .into_response()
}

async fn method_not_allowed(request: Request) -> axum::response::Response {
    let path = request.uri().path();
    let detail = format!("{} is not answered at {path}", request.method());
    let problem = Problem::new(405, "method_not_allowed", "Method not allowed", detail);
    let mut response = Failure(problem).into_response();
    // The router knows what it answers itself; posting events is not its own.
    if path == "/v1/events" {
        let methods = HeaderValue::from_static("GET,HEAD,POST");
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}
