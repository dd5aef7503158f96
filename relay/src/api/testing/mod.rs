//! Trying out and finding out: tests, diagnosis, and why an event did not arrive.

use axum::routing::any;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::Api;

mod bench;
mod capture;
mod copy;
mod diagnose;
mod explain;
mod filters;
mod gather;
mod inspectors;
mod lately;
mod lints;
mod redact;
mod trial;
mod url;
pub(super) mod verified;

pub use bench::Bench;
pub(super) use lints::of_endpoint as lints_of;

/// Every route of this folder.
pub(super) fn routes() -> OpenApiRouter<Api> {
    // An inspector takes every method; the document describes one.
    let (schemas, paths, _): UtoipaMethodRouter<Api> = routes!(inspectors::catch);
    OpenApiRouter::new()
        .routes(routes!(trial::test))
        .routes(routes!(diagnose::endpoint))
        .routes(routes!(diagnose::url))
        .routes(routes!(explain::explain))
        .routes(routes!(filters::test))
        .routes(routes!(lints::list))
        .routes(routes!(url::change))
        .routes(routes!(url::roll_back))
        .routes(routes!(capture::begin, capture::list, capture::end))
        .routes(routes!(copy::endpoint))
        .routes(routes!(copy::source))
        .routes(routes!(inspectors::list, inspectors::create))
        .routes(routes!(inspectors::one, inspectors::delete))
        .routes(routes!(inspectors::requests))
        .routes((schemas, paths, any(inspectors::catch)))
}
