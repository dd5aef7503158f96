//! The management API: asks the log, retries, keys. Posting events is `ingest`'s.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use axum::routing::{delete, get, post};
use http::header;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::directory::Directories;
use crate::flow::Flow;
use crate::http::problem::Problem;
use crate::manage::Manager;
use crate::metrics::Metrics;
use crate::model::id::IdMaker;
use crate::queue::Queue;
use crate::store::Store;

pub mod auth;
mod conditions;
mod deliveries;
mod endpoints;
mod errors;
mod events;
mod keys;
mod managed;
mod page;
mod params;
mod sources;

use errors::Failure;

/// Everything that the handlers use.
#[derive(Clone)]
pub struct Api {
    pub store: Arc<dyn Store>,
    pub queue: Arc<Queue>,
    pub flow: Arc<Flow>,
    pub manager: Arc<Manager>,
    pub directories: Arc<Directories>,
    pub keys: Arc<auth::Keys>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub ids: Arc<IdMaker>,
    /// Set when the relay is about to stop.
    pub stop: CancellationToken,
}

/// Every route of the management API.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}", get(events::one))
        .route("/v1/events/{id}/payload", get(events::payload))
        .route("/v1/deliveries", get(deliveries::list))
        .route("/v1/deliveries/{id}", get(deliveries::one))
        .route("/v1/deliveries/{id}/attempts", get(deliveries::attempts))
        .route("/v1/deliveries/{id}/retry", post(deliveries::retry))
        .route("/v1/endpoints", get(endpoints::list).post(endpoints::create))
        .route(
            "/v1/endpoints/{id}",
            get(endpoints::one)
                .put(endpoints::replace)
                .patch(endpoints::patch)
                .delete(endpoints::delete),
        )
        .route("/v1/endpoints/{id}/restore", post(endpoints::restore))
        .route("/v1/endpoints/{id}/secret", get(endpoints::secret))
        .route("/v1/sources", get(sources::list).post(sources::create))
        .route(
            "/v1/sources/{id}",
            get(sources::one)
                .put(sources::replace)
                .patch(sources::patch)
                .delete(sources::delete),
        )
        .route("/v1/sources/{id}/restore", post(sources::restore))
        .route("/v1/keys", get(keys::list).post(keys::create))
        .route("/v1/keys/{id}", delete(keys::revoke))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(api)
}

/// Ready as long as the store takes events and answers, and the relay is not about to stop.
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

async fn metrics(_: auth::Reader, State(api): State<Api>) -> impl axum::response::IntoResponse {
    let text = api.metrics.text();
    ([(header::CONTENT_TYPE, OPENMETRICS)], text)
}

async fn unknown(request: Request) -> axum::response::Response {
    Failure(Problem::not_found(format!(
        "there is nothing at {}",
        request.uri().path()
    )))
    .into_response()
}

async fn method_not_allowed(request: Request) -> axum::response::Response {
    let detail = format!("{} is not answered at {}", request.method(), request.uri().path());
    Failure(Problem::new(
        405,
        "method_not_allowed",
        "Method not allowed",
        detail,
    ))
    .into_response()
}
