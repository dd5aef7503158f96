//! `/v1/endpoints/{id}/capture`: whole exchanges with a receiver, for a while.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::inspectors::{Asked, cut};
use super::redact::Redactor;
use super::trial::Request;
use crate::api::auth::{Manager, Reader};
use crate::api::body::Body;
use crate::api::errors::Failure;
use crate::api::page::List;
use crate::api::params::{Params, PathId};
use crate::api::{Api, endpoints};
use crate::flow::capture::{CAPTURES_MAX, Exchange};
use crate::http::problem::{Flaw, Problem};
use crate::model::attempt::Outcome;
use crate::model::id::DeliveryId;
use crate::model::time::{Timestamp, parse_duration};

/// The longest capture.
const CAPTURE_MAX: std::time::Duration = std::time::Duration::from_secs(3600);

/// For how long.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = CaptureAsked)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    /// A span of time up to an hour, such as `15m`.
    r#for: String,
}

/// A capture that has begun.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Capture)]
pub(super) struct Begun {
    until: Timestamp,
}

/// One attempt with all that went out.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CapturedExchange)]
pub(super) struct Shown {
    at: Timestamp,
    delivery: DeliveryId,
    /// The number of the attempt.
    attempt: u32,
    duration_us: u64,
    /// One for each message, the first eight.
    requests: Vec<Request>,
    outcome: Outcome,
    error_class: Option<&'static str>,
    summary: String,
}

/// Begins to keep whole exchanges with the receiver of an endpoint
///
/// The newest 50, in memory; they can be looked at until an hour after.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/capture",
    operation_id = "capture",
    params(("id" = String, Path, description = "name or id")),
    request_body = Span,
    responses(
        (status = 200, body = Begun),
        (status = 409, description = "`too_many` or `unusable`"),
        (status = 422, description = "`invalid_capture`"),
    )
)]
pub(super) async fn begin(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    Body(span): Body<Span>,
) -> Result<Json<Begun>, Failure> {
    let target = endpoints::target(&api, &caller, &id)?;
    let wanted = parse_duration(&span.r#for).filter(|span| !span.is_zero() && *span <= CAPTURE_MAX);
    let span = wanted.ok_or_else(|| {
        let flaw = Flaw::new("/for", "invalid", "is no span of time up to an hour, such as 15m");
        Problem::new(422, "invalid_capture", "Invalid capture", "see each error").with_errors([flaw])
    })?;
    let now = api.clock.now();
    let until = now + span;
    if !api.flow.captures.begin(target.endpoint.id, now, until) {
        let detail = format!("{CAPTURES_MAX} endpoints are captured already; end one");
        return Err(Problem::new(409, "too_many", "Too many", detail).into());
    }
    tracing::info!(by = %caller.key, endpoint = target.endpoint.name, %until, "captured");
    Ok(Json(Begun { until }))
}

/// Lists the exchanges that were kept, newest first
#[utoipa::path(
    get,
    path = "/v1/endpoints/{id}/capture",
    operation_id = "captured",
    params(("id" = String, Path, description = "name or id"), Asked),
    responses(
        (status = 200, body = List<Shown>),
        (status = 409, description = "`unusable`: nothing is sent to it"),
    )
)]
pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    let target = endpoints::target(&api, &caller, &id)?;
    let kept = api.flow.captures.of(target.endpoint.id, api.clock.now());
    let (_, exchanges) = kept.ok_or_else(nothing)?;
    let redactor = Redactor::of(&target);
    let shown = exchanges.into_iter().map(|exchange| {
        let number = exchange.number;
        (number, show(&target, &redactor, exchange))
    });
    Ok(Json(cut(shown, &asked)?))
}

/// Ends a capture and forgets what was kept
#[utoipa::path(
    delete,
    path = "/v1/endpoints/{id}/capture",
    operation_id = "end_capture",
    params(("id" = String, Path, description = "name or id")),
    responses(
        (status = 204, description = "ended"),
        (status = 409, description = "`unusable`: nothing is sent to it"),
    )
)]
pub(super) async fn end(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<StatusCode, Failure> {
    let target = endpoints::target(&api, &caller, &id)?;
    match api.flow.captures.end(target.endpoint.id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(nothing()),
    }
}

fn nothing() -> Failure {
    Failure(Problem::not_found("nothing is kept of this endpoint"))
}

fn show(target: &crate::directory::Target, redactor: &Redactor, exchange: Exchange) -> Shown {
    let requests = exchange.requests.iter();
    let requests =
        requests.map(|sent| Request::of(&target.outlet, redactor, &sent.headers, &sent.body, sent.bytes));
    Shown {
        at: exchange.at,
        delivery: exchange.delivery,
        attempt: exchange.attempt,
        duration_us: u64::try_from(exchange.duration.as_micros()).unwrap_or(u64::MAX),
        requests: requests.collect(),
        error_class: exchange.outcome.class(),
        summary: exchange.outcome.summary(),
        outcome: exchange.outcome,
    }
}
