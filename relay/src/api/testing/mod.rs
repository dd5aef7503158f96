//! Trying out and finding out: tests, diagnosis, and why an event did not arrive.

use axum::routing::{any, get, post};
use utoipa_axum::router::OpenApiRouter;

use super::Api;

mod bench;
mod copy;
mod diagnose;
mod explain;
mod filters;
mod gather;
mod inspectors;
mod lints;
mod redact;
mod trial;
mod url;

pub use bench::Bench;
pub(super) use lints::of_endpoint as lints_of;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .route("/v1/endpoints/{id}/test", post(trial::test))
        .route("/v1/endpoints/{id}/diagnose", post(diagnose::endpoint))
        .route("/v1/diagnose", post(diagnose::url))
        .route("/v1/events/{id}/explain", get(explain::explain))
        .route("/v1/filters/test", post(filters::test))
        .route("/v1/lints", get(lints::list))
        .route("/v1/endpoints/{id}/url", post(url::change))
        .route("/v1/endpoints/{id}/url/rollback", post(url::roll_back))
        .route("/v1/endpoints/{id}/clone", post(copy::endpoint))
        .route("/v1/sources/{id}/clone", post(copy::source))
        .route("/v1/inspectors", get(inspectors::list).post(inspectors::create))
        .route(
            "/v1/inspectors/{id}",
            get(inspectors::one).delete(inspectors::delete),
        )
        .route("/v1/inspectors/{id}/requests", get(inspectors::requests))
        .route("/bin/{token}", any(inspectors::catch))
}
