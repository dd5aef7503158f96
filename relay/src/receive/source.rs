//! `ANY /in/{source}`: posts of senders, in their own formats.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Either;
use hyper::body::Incoming;

use super::{Gate, Refused, accepted};
use crate::api::calls;
use crate::directory::{Directory, Door};
use crate::flow::Receipt;
use crate::flow::call::{Asked, Missed, Reach};
use crate::http::answer::{self, Body};
use crate::ingest::refuse::Refusal;
use crate::ingest::verify::{self, Verified};
use crate::ingest::{self, Post};
use crate::metrics::Metrics;
use crate::model::event::Envelope;
use crate::model::id::{EventId, first_raw_at};
use crate::model::source::{Source, Synchronous};
use crate::model::time::Timestamp;
use crate::plugins::{AuthRequest, Authenticated, Call, Chain, Chained, Identity};

impl Gate {
    pub(super) async fn source(
        &self,
        name: &str,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Refused> {
        let directory = self.directories.current();
        let door = directory
            .door(name, self.clock.now())
            .ok_or(Refusal::UnknownSource)?;
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
        let called = directory.door_called(name);
        self.conform(called, door.source.tenant, &posts, |_| String::new())
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
    let usual = Asked::usual(directory, target);
    Some(Asked {
        target: Arc::clone(target),
        reach: Reach::Routed,
        timeout: synchronous.timeout.unwrap_or(usual),
        usual,
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
