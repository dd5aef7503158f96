//! The door for senders: `POST /v1/events` and `ANY /in/{source}`. Everything else is the
//! management API's.
//!
//! A request goes through `ingest` into `flow`; whatever is refused becomes a problem
//! document, a counted reason and one log line.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Limited};
use hyper::body::{Body as _, Incoming};
use tower::ServiceExt as _;
use utoipa::OpenApi as _;

use crate::api;
use crate::api::auth::{Keys, Peer, Right};
use crate::api::calls;
use crate::clock::Clock;
use crate::directory::{Directories, Directory, Door};
use crate::flow::call::{Asked, Missed, Reach};
use crate::flow::{Flow, Receipt};
use crate::http::answer::{self, Body, Code};
use crate::http::connection::Closed;
use crate::http::head;
use crate::http::problem::Problem;
use crate::http::server::Service;
use crate::ingest::decode::{CloudEvent, NewEvent};
use crate::ingest::refuse::Refusal;
use crate::ingest::verify::{self, Verified};
use crate::ingest::{self, Post};
use crate::metrics::Metrics;
use crate::model::event::Envelope;
use crate::model::id::{EventId, TenantId, first_raw_at};
use crate::model::reply::CALL_TIMEOUT_MAX;
use crate::model::schema::Mismatch;
use crate::model::source::{Source, Synchronous};
use crate::model::time::Timestamp;
use crate::plugins::{AuthRequest, Authenticated, Call, Chain, Chained, Identity};
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

/// Everything that is answered over HTTP, as an OpenAPI document.
pub fn document() -> Bytes {
    #[derive(utoipa::OpenApi)]
    #[openapi(paths(create, post))]
    struct Doors;
    let mut described = api::described();
    described.merge(Doors::openapi());
    Bytes::from(api::openapi::document(described).to_string())
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
    params(("source" = String, Path, description = "a source's name or id")),
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
    answered.unwrap_or_else(|refused| gate.refuse(&name, peer, refused))
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
            self.flow.metrics.misfit(event_type, misfit.is_refused());
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

// ---- ANY /in/{source} ------------------------------------------------------------------

impl Gate {
    async fn source(
        &self,
        name: &str,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Refused> {
        let directory = self.directories.current();
        let door = directory.door(name).ok_or(Refusal::UnknownSource)?;
        let (head, body) = request.into_parts();
        ingest::coding::check(&head.headers)?;
        let body = self.body(body, door.source.body_bytes_max).await?;
        let request = ingest::Request {
            method: &head.method,
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
            body: &body,
        };
        match verify::verify(&door.source.verify, &request, self.clock.now()) {
            Verified::Genuine => {}
            Verified::Answer(reply) => {
                let headers = reply.headers.into_iter();
                let headers = headers.map(|(name, value)| (name.to_owned(), value)).collect();
                return Ok(handshake(reply.status, headers, reply.body));
            }
            Verified::Forged(forgery) => return Err(Refusal::from(forgery).into()),
        }
        let identity = match self.authenticate(door, &request, peer).await? {
            Either::Left(identity) => identity,
            Either::Right(answer) => return Ok(answer),
        };
        ingest::check_method(&head.method)?;
        let mut post = self.read(door, &request).await?;
        ingest::check_hops(&post.envelope)?;
        for (name, value) in identity {
            set_attribute(&mut post.envelope, name, value);
        }
        let posts = reshape(door, &door.chain, post, self.clock.now(), &self.flow.metrics).await?;
        self.conform(name, door.source.tenant, &posts, |_| String::new())
            .await?;
        if let Some(synchronous) = &door.source.synchronous
            && let Some(asked) = asked(&directory, &door.source, synchronous)
        {
            return self.held(&door.source, posts, asked).await;
        }
        let receipts = self.accept(door.source.tenant, Some(&door.source), posts).await?;
        Ok(accepted(&receipts, receipts.len() != 1))
    }

    /// Holds the sender's request until the receiver of one endpoint has answered. What was
    /// dropped, or posted before, is answered like any other event.
    async fn held(&self, source: &Source, posts: Vec<Post>, asked: Asked) -> Result<Response<Body>, Refused> {
        let sizes = posts.iter().map(|post| post.data.len());
        let ticket = self.quotas.admit(source.tenant, sizes).await?;
        let told = self.flow.ask(source.tenant, Some(source), posts, asked).await;
        if let Some(ticket) = ticket {
            let receipts = told.iter().flat_map(|told| &told.receipts);
            ticket.settle(receipts.map(Receipt::is_new));
        }
        let told = told.map_err(Refusal::from)?;
        let receipts = &told.receipts;
        let Some(called) = told.called else {
            return Ok(accepted(receipts, receipts.len() != 1));
        };
        Ok(match &called.answer {
            Ok(given) => calls::response(&called, given),
            Err(Missed::Dropped { .. } | Missed::Duplicate) => accepted(receipts, receipts.len() != 1),
            // What is wrong with a receiver is none of a sender's business.
            Err(missed) => calls::refusal(
                &called,
                missed,
                "the event was accepted, but there is no answer to it",
            ),
        })
    }

    /// Reads what a genuine request says, once it was taken out what nobody may see. What came is
    /// looked at for one thing alone: whether it came before, of which a digest is kept.
    async fn read(&self, door: &Door, request: &ingest::Request<'_>) -> Result<Post, Refusal> {
        let post = ingest::read_source(&door.source, request);
        if door.redactor.is_empty() {
            return Ok(post);
        }
        let dedupe = post.dedupe;
        let redacted = reshape(door, &door.redactor, post, self.clock.now(), &self.flow.metrics).await?;
        let [redacted] = redacted.as_slice() else {
            return Err(Refusal::Unchecked {
                plugin: "redact".to_owned(),
                reason: "it left not one post".to_owned(),
            });
        };
        let request = ingest::Request {
            body: &redacted.data,
            ..*request
        };
        Ok(Post {
            dedupe,
            ..ingest::read_source(&door.source, &request)
        })
    }

    /// Asks the source's plugins, all of which have to accept. Whatever goes wrong in one,
    /// the request is refused.
    async fn authenticate(
        &self,
        door: &Door,
        request: &ingest::Request<'_>,
        peer: SocketAddr,
    ) -> Result<Either<Vec<(String, String)>, Response<Body>>, Refusal> {
        let mut attributes = Vec::new();
        if door.authenticators.is_empty() {
            return Ok(Either::Left(attributes));
        }
        let headers = ingest::headers::all(request.headers);
        let asked = AuthRequest {
            method: request.method.as_str(),
            path: request.path,
            query: request.query,
            remote: Some(peer.ip()),
            headers: &headers,
            body: request.body.clone(),
        };
        for plugin in &door.authenticators {
            match plugin.authenticate(&asked).await {
                Authenticated::Accept(Identity { attributes: more, .. }) => attributes.extend(more),
                Authenticated::Reject { status, reason } => {
                    return Err(Refusal::Rejected {
                        plugin: plugin.name().to_owned(),
                        status,
                        reason,
                    });
                }
                Authenticated::Answer {
                    status,
                    headers,
                    body,
                } => return Ok(Either::Right(handshake(status, headers, body))),
                Authenticated::Fault(fault) => {
                    self.flow.metrics.plugin_fault(plugin.name(), fault.kind);
                    return Err(Refusal::Unchecked {
                        plugin: plugin.name().to_owned(),
                        reason: fault.message,
                    });
                }
            }
        }
        Ok(Either::Left(attributes))
    }
}

/// Whose answer the sender waits for, if that endpoint is there.
fn asked(directory: &Directory, source: &Source, synchronous: &Synchronous) -> Option<Asked> {
    let Some(target) = directory.endpoint_named(source.tenant, &synchronous.endpoint) else {
        tracing::warn!(
            source = source.name,
            endpoint = synchronous.endpoint,
            "the endpoint that should answer is not there; the event is accepted like any other"
        );
        return None;
    };
    let usual = target.endpoint.timeout.min(CALL_TIMEOUT_MAX);
    Some(Asked {
        target: Arc::clone(target),
        reach: Reach::Routed,
        timeout: synchronous.timeout.unwrap_or(usual),
    })
}

/// What a plugin knows of the event counts more than what the mapping found. The plugin host
/// has checked each value.
fn set_attribute(envelope: &mut Envelope, name: String, value: String) {
    match name.as_str() {
        "id" => envelope.id = Some(value),
        "source" => envelope.source = value,
        "type" => envelope.kind = value,
        "subject" => envelope.subject = Some(value),
        "time" => envelope.time = value.parse().ok(),
        _ => envelope.extensions.push((name, value)),
    }
}

/// Runs a chain of the source before the event is stored: none, one or several posts.
async fn reshape(
    door: &Door,
    chain: &Chain,
    post: Post,
    now: Timestamp,
    metrics: &Metrics,
) -> Result<Vec<Post>, Refusal> {
    if chain.is_empty() {
        return Ok(vec![post]);
    }
    let dedupe = post.dedupe;
    // Not the event that is stored: that one gets its id when it is routed.
    let event = post.into_event(
        EventId::from_raw(first_raw_at(now)),
        door.source.tenant,
        Some(door.source.id),
        now,
    );
    let call = Call {
        source: Some(&door.source.name),
        delivery: None,
        attempt: 1,
    };
    let ran = chain.run(&event, call).await;
    metrics.plugins(&ran.costs);
    match ran.result {
        Chained::Emit(drafts) => {
            let posts = drafts
                .into_iter()
                .enumerate()
                .map(|(index, draft)| Post::of_draft(draft, dedupe, index));
            Ok(posts.collect())
        }
        Chained::Drop { by, reason } => {
            tracing::info!(
                source = door.source.name,
                plugin = by,
                reason,
                "a post was dropped before it was stored"
            );
            Ok(Vec::new())
        }
        Chained::Fault {
            plugin,
            fault,
            message,
            ..
        } => {
            metrics.plugin_fault(&plugin, fault);
            Err(Refusal::Unchecked {
                plugin,
                reason: message,
            })
        }
    }
}

fn handshake(status: u16, headers: Vec<(String, String)>, body: Bytes) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer::with_body(status, "text/plain; charset=utf-8", body);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    // What a challenge says comes from outside: no browser may take it for a page.
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

// ---- the rest --------------------------------------------------------------------------

impl Gate {
    async fn api(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        const DOOR: &str = "api";
        let limit = self.limits.body_bytes_max;
        let (head, body) = request.into_parts();
        if body.size_hint().lower() > limit as u64 {
            return self.refuse(DOOR, peer, Refusal::TooLarge { limit }.into());
        }
        // No handler waits for anything but the body and the store, and a call for its receiver.
        let deadline = self.limits.body_timeout + calls::waits(head.uri.path());
        let mut request = Request::from_parts(head, axum::body::Body::new(Limited::new(body, limit)));
        request.extensions_mut().insert(Peer(peer.ip()));
        let response = match tokio::time::timeout(deadline, self.api.clone().oneshot(request)).await {
            Ok(Ok(response)) => response.map(Either::Right),
            Ok(Err(never)) => match never {},
            Err(_) => return self.refuse(DOOR, peer, Refusal::TooSlow { deadline }.into()),
        };
        if let Some(Code(code)) = response.extensions().get() {
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
