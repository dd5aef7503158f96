//! `Idempotency-Key` on every POST of the management API (the IETF's draft "The Idempotency-Key
//! HTTP Header Field"): what was done once is answered again, and not done again.
//!
//! The name is claimed on disk before anything is done, and the answer is kept after it was. When
//! the relay stops between the two, the name stays claimed without an answer: a repeat is told that
//! nobody knows, instead of being done a second time or refused as if nothing had happened.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;

use super::Api;
use super::auth::{Caller, Right};
use super::calls::is_call;
use super::errors::Failure;
use super::managed::undisturbed;
use crate::crypto;
use crate::http::problem::Problem;
use crate::ingest::dedupe::{IDEMPOTENCY_KEY, idempotency_key};
use crate::model::verify::Digest;
use crate::store::{Claimed, Fingerprint, REPLIES_MAX, Reply, RequestName};

/// Largest body of an answer that is kept.
const REPLY_BYTES_MAX: usize = 256 << 10;
/// What of an answer's head is given again.
const KEPT_HEADERS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::ETAG,
    header::LOCATION,
];
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The requests with a name that are being done.
#[derive(Debug, Default)]
pub struct InProgress(Mutex<HashSet<RequestName>>);

impl InProgress {
    /// Notes one; `None` if it is noted already.
    fn enter(self: &Arc<Self>, name: RequestName) -> Option<Doing> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name).then(|| Doing {
            all: Arc::clone(self),
            name,
        })
    }
}

/// A request that is being done, until this is dropped.
struct Doing {
    all: Arc<InProgress>,
    name: RequestName,
}

impl Drop for Doing {
    fn drop(&mut self) {
        let mut names = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(&self.name);
    }
}

/// Answers a POST with a key once, and again.
pub(super) async fn layer(State(api): State<Api>, request: Request, next: Next) -> Response {
    if !is_named(&request) {
        return next.run(request).await;
    }
    match named(&api, request, next).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

/// Whether this is for the management API to do once. A call is not: its key names the event, as in
/// `POST /v1/events`.
fn is_named(request: &Request) -> bool {
    let path = request.uri().path();
    request.method() == Method::POST
        && request.headers().contains_key(IDEMPOTENCY_KEY)
        && path.starts_with("/v1/")
        && !is_call(path)
}

async fn named(api: &Api, request: Request, next: Next) -> Result<Response, Failure> {
    // Who may change nothing claims no name: the handler refuses, or has no effect.
    let caller = api.keys.caller(request.headers(), Right::Manage);
    let Ok(caller) = caller else {
        return Ok(next.run(request).await);
    };
    let key = idempotency_key(request.headers()).map_err(|refusal| refusal.problem())?;
    let name = name(caller, key.unwrap_or_default());
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| unreadable(&error))?
        .to_bytes();
    let fingerprint = fingerprint(&head, &body);
    let request = Request::from_parts(head, Body::from(body));
    // From the claim on to its end even if the caller hangs up: a claim that nobody goes on with
    // would stand for a day.
    undisturbed(api, once(api.clone(), name, fingerprint, request, next)).await?
}

/// Does what was not done yet, and answers what was.
async fn once(
    api: Api,
    name: RequestName,
    fingerprint: Fingerprint,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let Some(_doing) = api.in_progress.enter(name) else {
        return Err(conflict(
            "idempotency_in_progress",
            "the first request with this key is still being done; ask again",
        ));
    };
    match api.store.claim_name(name, fingerprint, api.clock.now()).await? {
        Claimed::Yours => {}
        Claimed::Answered(reply) => return Ok(replay(reply)),
        other => return Err(not_yours(&other)),
    }
    let (response, outcome) = split(next.run(request).await).await;
    let kept = match outcome {
        Outcome::Keep(reply) => api.store.keep_reply(name, reply).await,
        Outcome::Forget => api.store.free_name(name).await,
        Outcome::TooLarge => Ok(()),
    };
    if let Err(error) = kept {
        tracing::error!(%error, "an answer could not be kept; a repeat of its request will not be done");
    }
    Ok(response)
}

/// Why a name is not to be had.
fn not_yours(claimed: &Claimed) -> Failure {
    match claimed {
        Claimed::Reused => Failure(Problem::new(
            422,
            "idempotency_key_reused",
            "Idempotency key reused",
            "this key named a request that asked for something else; use a fresh one",
        )),
        Claimed::TooMany => Failure(Problem::new(
            429,
            "too_many_idempotency_keys",
            "Too many idempotency keys",
            format!("{REPLIES_MAX} keys were used within a day, which is as many as are kept"),
        )),
        Claimed::Yours | Claimed::Answered(_) | Claimed::Unanswered => conflict(
            "idempotency_outcome_unknown",
            "the relay stopped while it did this, or could not keep the answer: see whether it was done, and \
             use a fresh key for another try",
        ),
    }
}

/// What is kept of an answer.
enum Outcome {
    Keep(Reply),
    /// It was not done, and may be tried again.
    Forget,
    TooLarge,
}

/// An answer, and what is kept of it.
async fn split(response: Response) -> (Response, Outcome) {
    let (head, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        // Answers are made in memory: nothing of them fails.
        Err(_) => Bytes::new(),
    };
    let outcome = if is_passing(head.status) {
        Outcome::Forget
    } else if body.len() > REPLY_BYTES_MAX {
        Outcome::TooLarge
    } else {
        Outcome::Keep(Reply {
            status: head.status.as_u16(),
            headers: kept(&head.headers),
            body: body.to_vec(),
        })
    };
    (Response::from_parts(head, Body::from(body)), outcome)
}

/// Whether the same request may have another answer a moment later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
        )
}

fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let value = |name: &HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
    KEPT_HEADERS
        .iter()
        .filter_map(|name| Some((name.as_str().to_owned(), value(name)?)))
        .collect()
}

fn replay(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// Names are a caller's own: nobody is answered what another one asked.
fn name(caller: Caller, key: &str) -> RequestName {
    let caller_key = caller.key.raw().to_le_bytes();
    RequestName {
        tenant: caller.tenant,
        digest: digest(&[b"name\0", &caller_key, key.as_bytes()]),
    }
}

fn fingerprint(head: &Parts, body: &[u8]) -> Fingerprint {
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    digest(&[
        head.method.as_str().as_bytes(),
        b"\0",
        target.as_bytes(),
        b"\0",
        body,
    ])
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(&crypto::hash(Digest::Sha256, parts));
    digest
}

fn conflict(code: &'static str, detail: &'static str) -> Failure {
    Failure(Problem::new(409, code, "Not answered yet", detail))
}

/// What a caller is told of a body that cannot be read whole.
pub(super) fn unreadable(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut cause = Some(error);
    while let Some(found) = cause {
        if found.is::<http_body_util::LengthLimitError>() {
            let detail = "the body is larger than server.body_limit, or than a component may be";
            return Failure(Problem::new(413, "body_too_large", "Body too large", detail));
        }
        cause = found.source();
    }
    Failure(Problem::new(
        400,
        "body_incomplete",
        "Body incomplete",
        "the body ended before its end",
    ))
}
