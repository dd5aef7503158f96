//! The door for senders: `POST /v1/events` and `ANY /in/{source}` (`source.rs`). Everything else is
//! the management API's.
//!
//! A request goes through `ingest` into `flow`; whatever is refused becomes a problem
//! document, a counted reason and one log line.

mod source;

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Limited};
use hyper::body::{Body as _, Incoming};
use tower::ServiceExt as _;
use utoipa::OpenApi as _;

use crate::api;
use crate::api::auth::{Keys, Peer, Right};
use crate::api::{calls, plugins};
use crate::clock::Clock;
use crate::directory::Directories;
use crate::flow::{Flow, Receipt};
use crate::http::answer::{self, Body, Code};
use crate::http::connection::Closed;
use crate::http::head;
use crate::http::problem::Problem;
use crate::http::server::Service;
use crate::ingest::decode::{CloudEvent, NewEvent};
use crate::ingest::refuse::Refusal;
use crate::ingest::{self, Post};
use crate::metrics::Owned;
use crate::model::id::TenantId;
use crate::model::schema::Mismatch;
use crate::model::source::Source;
use crate::quota::{Over, Quotas};
use crate::refusals::Refusals;

/// The bounds of a request to the door.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub body_bytes_max: usize,
    pub body_timeout: Duration,
    pub head: head::Limits,
}

/// Answers every request of a listener.
pub struct Gate {
    pub flow: Arc<Flow>,
    pub directories: Arc<Directories>,
    pub keys: Arc<Keys>,
    pub quotas: Arc<Quotas>,
    pub clock: Arc<dyn Clock>,
    pub refusals: Refusals,
    pub api: Router,
    pub limits: Limits,
}

impl Service for Arc<Gate> {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if let Err(fault) = head::check(&request, self.limits.head) {
            return self.refuse("any", peer, Refusal::from(fault).into());
        }
        let path = request.uri().path();
        if path == "/v1/events" && request.method() == Method::POST {
            return create(self, request, peer).await;
        }
        if path.starts_with("/in/") {
            return post(self, request, peer).await;
        }
        self.api(request, peer).await
    }

    fn closed(&self, peer: SocketAddr, why: Closed) {
        self.refusals.closed(peer, why);
    }
}

// ---- as the document has them -----------------------------------------------------------

/// Everything that is answered over HTTP, as an OpenAPI document. Made when it is first asked for: most
/// relays never are.
pub fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        #[derive(utoipa::OpenApi)]
        #[openapi(paths(create, post))]
        struct Doors;
        let mut described = api::described();
        described.merge(Doors::openapi());
        Bytes::from(api::openapi::document(described).to_string())
    });
    DOCUMENT.clone()
}

/// What became of one event, or of several, in their order.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "written by hand, for speed")]
enum Receipts {
    One(Receipt),
    Batch { data: Vec<Receipt> },
}

/// Accepts one event, or a batch of CloudEvents
///
/// CloudEvents in binary mode are accepted too: their attributes in `ce-` headers, and any body.
/// The answer comes when the events are on disk. The same id or `Idempotency-Key` again within the
/// window is answered with the id that the event has, and nothing is sent twice.
#[utoipa::path(
    post,
    path = "/v1/events",
    params(("Idempotency-Key" = Option<String>, Header, description = "tells the event from others")),
    request_body(content(
        (NewEvent = "application/json"),
        (CloudEvent = "application/cloudevents+json"),
        (Vec<CloudEvent> = "application/cloudevents-batch+json"),
    )),
    responses(
        (status = 202, description = "on disk; a list for a batch", body = Receipts),
        (status = 413, description = "`body_too_large` or `batch_too_large`"),
        (status = 415, description = "`unsupported_media_type` or `unsupported_content_encoding`"),
        (status = 429, description = "`rate_limited`, or `quota_reached`: the tenant's events of this day"),
        (status = 507, description = "`quota_reached`: the tenant has stored as much as it may"),
        (status = 422, description = "`schema_mismatch`: an event's data is not as its type says"),
    )
)]
async fn create(gate: &Gate, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    let answered = gate.events(request).await;
    answered.unwrap_or_else(|refused| gate.refuse("/v1/events", peer, refused))
}

/// Accepts what a platform posts, in its own format
///
/// How a post proves that it is genuine is for the source to say, and so is what its sender may
/// ask first: those requests are answered as the platform expects.
#[utoipa::path(
    method(post, put, patch),
    path = "/in/{source}",
    tag = "in",
    security(()),
    params(("source" = String, Path, description = "a source's name or id, or the path that it was given")),
    request_body(content = [u8], content_type = "*/*"),
    responses(
        (status = 200, description = "the answer to what a sender asks first"),
        (status = 202, description = "on disk; a list if the source's plugins made several or none"),
        (status = 401, description = "`unauthenticated`: it is not genuine"),
        (status = 404, description = "`unknown_source`"),
        (status = 405, description = "`method_not_allowed`"),
        (status = 413, description = "`body_too_large` or `batch_too_large`"),
        (status = 415, description = "`unsupported_content_encoding`"),
        (status = 429, description = "`rate_limited`, or `quota_reached`: its tenant's events of this day"),
        (status = 422, description = "`schema_mismatch`: an event's data is not as its type says"),
        (status = 500, description = "`store_broken`"),
        (status = 502, description = "`call_failed`: the sender waits for a receiver"),
        (status = 503, description = "`store_unavailable`, `store_full` or `authentication_unavailable`"),
        (status = 504, description = "`call_timeout`: the sender waits for a receiver"),
        (status = 507, description = "`quota_reached`: its tenant has stored as much as it may"),
    )
)]
async fn post(gate: &Gate, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    let name = request.uri().path().strip_prefix("/in/").unwrap_or_default();
    let name = name.to_owned();
    let answered = gate.source(&name, request, peer).await;
    answered.unwrap_or_else(|refused| {
        let directory = gate.directories.current();
        gate.refuse(directory.door_called(&name), peer, refused)
    })
}

/// Why a request is not answered with a success.
enum Refused {
    Ingest(Refusal),
    Auth(Problem),
    Quota(Over),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Ingest(refusal)
    }
}

impl From<Over> for Refused {
    fn from(over: Over) -> Self {
        Self::Quota(over)
    }
}

// ---- POST /v1/events -------------------------------------------------------------------

impl Gate {
    async fn events(&self, request: Request<Incoming>) -> Result<Response<Body>, Refused> {
        let (head, body) = request.into_parts();
        let caller = self
            .keys
            .caller(&head.headers, Right::Send)
            .map_err(Refused::Auth)?;
        ingest::coding::check(&head.headers)?;
        let body = self.body(body, self.limits.body_bytes_max).await?;
        let posts = ingest::read_api(caller.tenant, &head.headers, &body)?;
        self.conform("/v1/events", caller.tenant, &posts, |index| {
            ingest::decode::place_of_data(&head.headers, index)
        })
        .await?;
        let is_batch = is_batch(&head.headers);
        let receipts = self.accept(caller.tenant, None, posts).await?;
        Ok(accepted(&receipts, is_batch))
    }

    /// Accepts what a tenant may send.
    async fn accept(
        &self,
        tenant: TenantId,
        source: Option<&Source>,
        posts: Vec<Post>,
    ) -> Result<Vec<Receipt>, Refused> {
        let sizes = posts.iter().map(|post| post.data.len());
        let ticket = self.quotas.admit(tenant, sizes).await?;
        let accepted = self.flow.accept(tenant, source, posts).await;
        if let Some(ticket) = ticket {
            ticket.settle(accepted.iter().flatten().map(Receipt::is_new));
        }
        Ok(accepted.map_err(Refusal::from)?)
    }

    /// Refuses posts that do not satisfy the schemas of their types, where the types say so. The
    /// data of each stand at a place of the body.
    async fn conform(
        &self,
        door: &str,
        tenant: TenantId,
        posts: &[Post],
        place: impl Fn(usize) -> String,
    ) -> Result<(), Refusal> {
        for misfit in self.flow.misfits(tenant, posts).await {
            let event_type = misfit.event_type.name.as_str();
            let of = Owned {
                tenant,
                name: event_type,
            };
            self.flow.metrics.misfit(of, misfit.is_refused());
            if !misfit.is_refused() {
                self.refusals
                    .taken_anyway(door, event_type, misfit.mismatches.first());
                continue;
            }
            let place = place(misfit.index);
            let mismatches = misfit.mismatches.iter().map(|mismatch| Mismatch {
                pointer: format!("{place}{}", mismatch.pointer),
                problem: mismatch.problem.clone(),
            });
            return Err(Refusal::Unfit {
                event_type: event_type.to_owned(),
                mismatches: mismatches.collect(),
            });
        }
        Ok(())
    }

    async fn body(&self, body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
        ingest::body::read(body, limit, self.limits.body_timeout).await
    }
}

fn is_batch(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    content_type
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("application/cloudevents-batch")
}

/// Whether somebody with a key asks for something: that it is not there is an answer, and no refusal.
/// So tools ask before they make it.
fn is_question(head: &Parts) -> bool {
    matches!(head.method, Method::GET | Method::HEAD)
        && head.uri.path().starts_with("/v1/")
        && head.headers.contains_key(header::AUTHORIZATION)
}

/// `{"id": …, "duplicate": …}`, or a list of them for a batch.
fn accepted(receipts: &[Receipt], is_batch: bool) -> Response<Body> {
    let mut body = String::with_capacity(64 * receipts.len().max(1));
    if is_batch {
        body.push_str("{\"data\":[");
    }
    for (index, receipt) in receipts.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        // Neither an id nor a flag has anything in it that JSON would escape.
        let Receipt { id, duplicate } = receipt;
        use std::fmt::Write as _;
        if write!(body, "{{\"id\":\"{id}\",\"duplicate\":{duplicate}}}").is_err() {
            break;
        }
    }
    if is_batch {
        body.push_str("]}");
    }
    answer::json(StatusCode::ACCEPTED, body.into_bytes())
}

// ---- the rest --------------------------------------------------------------------------

impl Gate {
    async fn api(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        const DOOR: &str = "api";
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let (larger, later) = plugins::allowance(path);
        let limit = self.limits.body_bytes_max.max(larger);
        if body.size_hint().lower() > limit as u64 {
            return self.refuse(DOOR, peer, Refusal::TooLarge { limit }.into());
        }
        // No handler waits for anything but the body and the store, a call for its receiver, and an
        // upload for the compiler.
        let deadline = self.limits.body_timeout + calls::waits(path) + later;
        let is_question = is_question(&head);
        let mut request = Request::from_parts(head, axum::body::Body::new(Limited::new(body, limit)));
        request.extensions_mut().insert(Peer(peer.ip()));
        let response = match tokio::time::timeout(deadline, self.api.clone().oneshot(request)).await {
            Ok(Ok(response)) => response.map(Either::Right),
            Ok(Err(never)) => match never {},
            Err(_) => return self.refuse(DOOR, peer, Refusal::TooSlow { deadline }.into()),
        };
        if let Some(Code(code)) = response.extensions().get()
            && !(is_question && response.status() == StatusCode::NOT_FOUND)
        {
            self.refusals.refused(DOOR, peer, response.status(), code, code);
        }
        response
    }

    /// The answer to a refused request, counted and told in the log.
    fn refuse(&self, door: &str, peer: SocketAddr, refused: Refused) -> Response<Body> {
        let (problem, refusal) = match refused {
            Refused::Auth(problem) => (problem, None),
            Refused::Quota(over) => {
                let response = over.response();
                self.refusals
                    .refused(door, peer, response.status(), over.code(), &over);
                return response;
            }
            Refused::Ingest(refusal) => (refusal.problem(), Some(refusal)),
        };
        let mut response = answer::problem(&problem);
        let reason: &dyn Display = match &refusal {
            Some(refusal) => refusal,
            None => &problem.title,
        };
        self.refusals
            .refused(door, peer, response.status(), problem.code, reason);
        if let Some(refusal) = refusal {
            refusal.add_headers(response.headers_mut());
        }
        response
    }
}
