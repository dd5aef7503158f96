//! `POST /v1/endpoints/{id}/call`: an event for one endpoint, answered with what its receiver says.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use http::{HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Sender;
use super::errors::Failure;
use super::params::{Params, PathId};
use super::{Api, body, endpoints};
use crate::flow::Receipt;
use crate::flow::call::{Asked, Called, Given, Missed, Origin, Reach};
use crate::http::answer::{self, Body};
use crate::http::problem::Problem;
use crate::ingest::decode::{CloudEvent, NewEvent};
use crate::ingest::{self, Post};
use crate::model::id::{DeliveryId, EventId, TenantId};
use crate::model::reply::{Answer, CALL_TIMEOUT_MAX, CALL_TIMEOUT_MIN};
use crate::model::time::parse_duration;
use crate::queue::Denied;
use crate::reply::map::readable;

const DELIVERY: HeaderName = HeaderName::from_static("relay-delivery");
const EVENT: HeaderName = HeaderName::from_static("relay-event");
const FALLBACK: HeaderName = HeaderName::from_static("relay-fallback");
const CACHE: HeaderName = HeaderName::from_static("relay-cache");

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(call))
}

/// Whether a request to that path is a call.
pub(super) fn is_call(path: &str) -> bool {
    path.starts_with("/v1/endpoints/") && path.ends_with("/call")
}

/// How long a request to that path may wait for more than its body and the store.
pub(crate) fn waits(path: &str) -> Duration {
    if is_call(path) {
        CALL_TIMEOUT_MAX
    } else {
        Duration::ZERO
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// 50 ms to 30 s, such as `5s`; without it, that of the endpoint.
    #[param(pattern = "^([0-9]{1,5}(ms|s))+$")]
    timeout: Option<String>,
}

/// The receiver's answer, where the endpoint does not say what becomes of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ReceiversAnswer)]
struct Shown {
    event: EventId,
    /// Absent for an event that was posted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryId>,
    /// What the receiver answered, whether it is a success or not.
    status: u16,
    headers: BTreeMap<String, String>,
    /// JSON, or text, or null if it is neither.
    body: Value,
}

/// Brings an event to an endpoint and answers with what its receiver says
///
/// Where the endpoint has a `reply`, the answer is that reply, with its own status and headers;
/// else it shows what the receiver answered. The headers `Relay-Event` and `Relay-Delivery` name
/// the event and its delivery; `Relay-Fallback` and `Relay-Cache` say so if the receiver was not
/// heard.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/call",
    params(
        ("id" = String, Path, description = "name or id"),
        Parameters,
        ("Idempotency-Key" = Option<String>, Header, description = "tells the event from others"),
    ),
    request_body(content(
        (NewEvent = "application/json"),
        (CloudEvent = "application/cloudevents+json"),
    )),
    responses(
        (status = 200, description = "what the receiver answered", body = Shown),
        (status = 409, description = "`call_dropped`, `endpoint_disabled`, `duplicate_event` or `unusable`"),
        (status = 415, description = "`unsupported_media_type` or `unsupported_content_encoding`"),
        (status = 422, description = "`schema_mismatch`: an event is not as its type says"),
        (status = 429, description = "`call_rate_limited`, `rate_limited` or `quota_reached`"),
        (status = 502, description = "`call_failed`"),
        (status = 503, description = "`call_busy`, `receiver_unavailable`, `stopping`, `store_unavailable` or `store_full`"),
        (status = 504, description = "`call_timeout`"),
        (status = 507, description = "`quota_reached`: the tenant has stored as much as it may"),
    )
)]
async fn call(
    Sender(caller): Sender,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(parameters): Params<Parameters>,
    headers: HeaderMap,
    Event(body): Event,
) -> Result<Response, Failure> {
    let target = endpoints::target(&api, &caller, &id)?;
    let usual = Asked::usual(&api.directories.current(), &target);
    let timeout = match parameters.timeout {
        Some(text) => timeout(&text)?,
        None => usual,
    };
    let post = one_event(caller.tenant, &headers, &body)?;
    let asked = Asked {
        target,
        reach: Reach::Alone,
        timeout,
        usual,
    };
    let size = std::iter::once(post.data.len());
    let ticket = match api.quotas.admit(caller.tenant, size).await {
        Ok(ticket) => ticket,
        Err(over) => return Ok(over.response().map(axum::body::Body::new)),
    };
    let told = api.flow.ask(caller.tenant, None, vec![post], asked).await;
    if let Some(ticket) = ticket {
        let receipts = told.iter().flat_map(|told| &told.receipts);
        ticket.settle(receipts.map(Receipt::is_new));
    }
    let told = told?;
    let Some(called) = told.called else {
        return Err(super::errors::broken("a call was not made"));
    };
    let response = match (&called.answer, called.is_mapped) {
        (Ok(given), true) => response(&called, given),
        (Ok(Given { answer, .. }) | Err(Missed::Declined(answer)), false) => shown(&called, answer),
        (Err(missed), _) => refusal(&called, missed, &reason(missed)),
    };
    Ok(response.map(axum::body::Body::new))
}

/// The bytes of an event.
struct Event(Bytes);

impl FromRequest<Api> for Event {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        body::bytes(request, api).await.map(Self)
    }
}

fn timeout(text: &str) -> Result<Duration, Failure> {
    let span = parse_duration(text).filter(|span| (CALL_TIMEOUT_MIN..=CALL_TIMEOUT_MAX).contains(span));
    span.ok_or_else(|| {
        let detail = format!("the parameter timeout is {text:?}; use \"50ms\" to \"30s\"");
        Failure(Problem::new(400, "bad_parameter", "Bad parameter", detail))
    })
}

fn one_event(tenant: TenantId, headers: &HeaderMap, body: &Bytes) -> Result<Post, Failure> {
    let refused = |refusal: ingest::refuse::Refusal| Failure(refusal.problem());
    ingest::coding::check(headers).map_err(refused)?;
    let mut posts = ingest::read_api(tenant, headers, body).map_err(refused)?;
    match (posts.pop(), posts.is_empty()) {
        (Some(post), true) => Ok(post),
        _ => Err(Failure(Problem::new(
            400,
            "one_event",
            "One event",
            "a call is made with one event; this is a batch",
        ))),
    }
}

/// The receiver's answer with what there is to know of it.
fn shown(called: &Called, answer: &Answer) -> Response<Body> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &answer.headers {
        headers
            .entry(name.clone())
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(value);
            })
            .or_insert_with(|| value.clone());
    }
    let shown = Shown {
        event: called.event,
        delivery: called.delivery,
        status: answer.status,
        headers,
        body: readable(&answer.body),
    };
    let body = serde_json::to_vec(&shown).unwrap_or_default();
    let mut response = answer::json(StatusCode::OK, body);
    mark(called, response.headers_mut());
    response
}

/// The answer as the caller gets it.
pub(crate) fn response(called: &Called, given: &Given) -> Response<Body> {
    let status = StatusCode::from_u16(given.answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = answer::with_body(status, "application/octet-stream", given.answer.body.clone());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in &given.answer.headers {
        if (called.is_mapped || is_passed_on(name))
            && let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
        {
            headers.insert(name, value);
        }
    }
    // What a receiver says comes from outside: no browser may take it for a page of the relay's.
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    mark(called, headers);
    response
}

/// Of a receiver's own headers: those that describe a body, say how long it is good, or are the
/// two sides' own; all others are about the connection, or make a browser do something.
fn is_passed_on(name: &str) -> bool {
    const DESCRIBING: [&str; 8] = [
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "etag",
        "last-modified",
        "retry-after",
    ];
    DESCRIBING.contains(&name) || name.starts_with("x-")
}

/// Why there is no answer, for whoever may know.
fn reason(missed: &Missed) -> String {
    match missed {
        Missed::Timeout => "the time of the call was over before there was an answer".to_owned(),
        Missed::Declined(answer) => format!("the receiver answered {}", answer.status),
        Missed::Failed(why) => why.clone(),
        Missed::Dropped { by, reason } => format!("dropped by {by}: {reason}"),
        Missed::Denied(denied) => denial(*denied).to_owned(),
        Missed::Duplicate => {
            "this event was posted before, and what was answered then is not remembered".to_owned()
        }
    }
}

const fn denial(denied: Denied) -> &'static str {
    match denied {
        Denied::Disabled => "the endpoint is disabled",
        Denied::CutOff { .. } => "the receiver has not answered for a while; it is tried again soon",
        Denied::Paced { .. } => "the endpoint's rate limit has no room in time",
        Denied::Busy => "as many attempts are under way as may be",
        Denied::Closed => "the relay is about to stop",
    }
}

/// The problem of a call without an answer; `why` goes before the ids by which it is found.
pub(crate) fn refusal(called: &Called, missed: &Missed, why: &str) -> Response<Body> {
    let (status, code, title) = match missed {
        Missed::Timeout => (504, "call_timeout", "Call timed out"),
        Missed::Declined(_) | Missed::Failed(_) => (502, "call_failed", "Call failed"),
        Missed::Dropped { .. } => (409, "call_dropped", "Call dropped"),
        Missed::Denied(Denied::Disabled) => (409, "endpoint_disabled", "Endpoint disabled"),
        Missed::Denied(Denied::CutOff { .. }) => (503, "receiver_unavailable", "Receiver unavailable"),
        Missed::Denied(Denied::Paced { .. }) => (429, "call_rate_limited", "Call rate limited"),
        Missed::Denied(Denied::Busy) => (503, "call_busy", "Too many calls"),
        Missed::Denied(Denied::Closed) => (503, "stopping", "Stopping"),
        Missed::Duplicate => (409, "duplicate_event", "Duplicate event"),
    };
    let found = match called.delivery {
        Some(delivery) => format!("{why}; event {}, delivery {delivery}", called.event),
        None => format!("{why}; event {}", called.event),
    };
    let mut response = answer::problem(&Problem::new(status, code, title, found));
    if let Missed::Denied(Denied::Paced { wait } | Denied::CutOff { wait }) = missed {
        let seconds = HeaderValue::from(wait.as_secs() + 1);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    mark(called, response.headers_mut());
    response
}

/// Says by headers of the relay's own where the answer comes from.
fn mark(called: &Called, headers: &mut HeaderMap) {
    let text = |text: String| HeaderValue::try_from(text).ok();
    headers.extend(text(called.event.to_string()).map(|id| (EVENT, id)));
    let delivery = called.delivery.and_then(|id| text(id.to_string()));
    headers.extend(delivery.map(|id| (DELIVERY, id)));
    match called.answer.as_ref().map(|given| given.origin) {
        Ok(Origin::Fallback(why)) => headers.extend([(FALLBACK, HeaderValue::from_static(why))]),
        Ok(Origin::Cache) => headers.extend([(CACHE, HeaderValue::from_static("hit"))]),
        _ => {}
    }
}
