//! `http`: requests to hosts that the owner granted, and to no other.
//!
//! Here is checked what a plugin may ask for; whether an address may be reached is for whoever sends
//! the request, after the name was looked up.

use std::time::{Duration, Instant};

use ::http::Method;
use ::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use url::Url;

use crate::model::event::Header;
use crate::model::hops;
use crate::model::plugin::Power;
use crate::plugins::changes::check_header;
use crate::plugins::edits::Bounds;
use crate::plugins::json::tree::WORK_MAX;
use crate::plugins::services::{FetchError, FetchRequest, Fetched};
use crate::plugins::subject::Subject;
use crate::plugins::v0_1::answer;
use crate::plugins::v0_1::bindings::relay::plugin::http::{Host, HttpError, Request, Response};
use crate::plugins::v0_1::bindings::relay::plugin::types::Data;
use crate::plugins::visit::{Grants, Visit};

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 4 << 10;
/// Longest method, in bytes.
const METHOD_BYTES_MAX: usize = 32;
/// Headers of one request.
const HEADERS_MAX: usize = 64;
/// Bytes of all their names and values.
const HEAD_BYTES_MAX: usize = 16 << 10;

impl Host for Visit {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, HttpError>> {
        self.count_host_call()?;
        let request = match read(self, request) {
            Ok(request) => request,
            Err(refused) => return Ok(Err(refused)),
        };
        Ok(send(self, request).await)
    }
}

/// Checks a request and makes it ready; what may not be is refused before anything is looked up.
fn read(visit: &mut Visit, request: Request) -> Result<FetchRequest, HttpError> {
    if let Some(why) = visit.grants.denied(Power::Http) {
        return Err(HttpError::Denied(why));
    }
    let grants = &visit.grants;
    let head = (request.method.as_str(), request.url.as_str());
    let (method, url, mut headers) = check_request(grants, &visit.subject, head, &request.headers)?;
    let mut bearer_secret = request.bearer_secret;
    // Where there are no secrets, whoever has them puts it in.
    if grants.keys.is_none()
        && let Some(name) = bearer_secret.take()
    {
        put_bearer(grants, &mut headers, &name)?;
    }
    // Says how far the event has come, so that one that goes in circles comes to an end.
    let subject = &visit.subject;
    let hops = hops::of(subject.extensions(), subject.headers()).saturating_add(1);
    headers.insert(hops::HEADER, HeaderValue::from(u16::from(hops)));
    let body = body(visit, request.body)?;
    let timeout = spend(visit, request.timeout_ms)?;
    let limits = visit.grants.limits;
    let wanted = request.max_bytes.map_or(usize::MAX, |bytes| bytes as usize);
    Ok(FetchRequest {
        method,
        url,
        headers,
        bearer_secret,
        body,
        timeout,
        body_bytes_max: wanted.min(limits.http_bytes).min(visit.room_to_fetch()),
    })
}

/// Takes one of the requests of this call, and says how long it may take.
fn spend(visit: &mut Visit, timeout_ms: Option<u32>) -> Result<Duration, HttpError> {
    let limits = visit.grants.limits;
    if visit.requests >= limits.http_calls {
        return Err(HttpError::Denied(format!(
            "one call may send {} requests; raise http_calls of the plugin {} for more",
            limits.http_calls, visit.grants.plugin
        )));
    }
    let patience = visit.patience();
    if patience.is_zero() {
        return Err(HttpError::Timeout);
    }
    visit.requests += 1;
    let wanted = timeout_ms.map_or(limits.http_timeout, |ms| Duration::from_millis(ms.into()));
    Ok(wanted.min(limits.http_timeout).min(patience))
}

async fn send(visit: &mut Visit, request: FetchRequest) -> Result<Response, HttpError> {
    let grants = visit.grants.clone();
    let Some(service) = &grants.services.http else {
        return Err(HttpError::Denied("no requests are sent from here".to_owned()));
    };
    let shown = shown(&request);
    let since = Instant::now();
    let fetched = visit.wait_for(service.fetch(grants.owner.tenant, request)).await;
    let took = since.elapsed().as_millis();
    match &fetched {
        Ok(answer) => visit.remark(&format!("{shown}: {} in {took} ms", answer.status)),
        Err(error) => visit.remark(&format!("{shown}: {error}, after {took} ms")),
    }
    let Fetched {
        status,
        headers,
        body,
    } = fetched?;
    match visit.keep(body) {
        Some(body) => Ok(Response {
            status,
            headers,
            body,
        }),
        None => Err(HttpError::Denied("this call holds too many answers".to_owned())),
    }
}

/// Where a request goes, with nothing in it that may be secret.
fn shown(request: &FetchRequest) -> String {
    let host = request.url.host_str().unwrap_or_default();
    let port = request
        .url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("{} {host}{port}", request.method)
}

/// Checks a method, a URL and headers that are a plugin's own.
pub(in crate::plugins) fn check_request(
    grants: &Grants,
    subject: &Subject,
    (method, url): (&str, &str),
    headers: &[Header],
) -> Result<(Method, Url, HeaderMap), FetchError> {
    let method = check_method(method)?;
    let url = check_url(grants, subject, url)?;
    Ok((method, url, check_headers(headers)?))
}

fn check_method(text: &str) -> Result<Method, FetchError> {
    let is_word =
        text.len() <= METHOD_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    match Method::from_bytes(text.as_bytes()) {
        // One asks for a tunnel, the other for what was sent, secrets included.
        Ok(Method::CONNECT | Method::TRACE) => Err(invalid("the method cannot be CONNECT or TRACE")),
        Ok(method) if is_word => Ok(method),
        _ => Err(invalid(
            "the method is none: write GET, POST and so on, in capitals",
        )),
    }
}

fn check_url(grants: &Grants, subject: &Subject, text: &str) -> Result<Url, FetchError> {
    if text.len() > URL_BYTES_MAX {
        return Err(FetchError::Invalid(format!(
            "the URL is longer than {URL_BYTES_MAX} bytes"
        )));
    }
    // Readers of URLs leave these out, each in its own way.
    if text.contains(|c: char| c.is_ascii_control() || c.is_ascii_whitespace() || c == '\\') {
        return Err(invalid("the URL has a character that has to be percent-encoded"));
    }
    let url = Url::parse(text).map_err(|error| FetchError::Invalid(format!("the URL is none: {error}")))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(invalid("the scheme of the URL has to be https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "the URL has a user or a password; send an authorization header instead",
        ));
    }
    if matches!(subject, Subject::None) {
        let why = "no requests are sent while a configuration is checked";
        return Err(FetchError::Denied(why.to_owned()));
    }
    if grants.granted.http.iter().any(|host| host.fits(&url)) {
        return Ok(url);
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Err(FetchError::Denied(format!(
        "the host {}{port} is not granted: add it to http in the grants of the plugin {}",
        url.host_str().unwrap_or_default(),
        grants.plugin
    )))
}

fn check_headers(given: &[Header]) -> Result<HeaderMap, FetchError> {
    let weight: usize = given.iter().map(|(name, value)| name.len() + value.len()).sum();
    if given.len() > HEADERS_MAX || weight > HEAD_BYTES_MAX {
        return Err(FetchError::Invalid(format!(
            "a request has at most {HEADERS_MAX} headers of {HEAD_BYTES_MAX} bytes altogether"
        )));
    }
    let mut headers = HeaderMap::with_capacity(given.len() + 2);
    for (name, value) in given {
        let (name, value) =
            check_header(name, value.clone()).map_err(|error| FetchError::Invalid(error.to_string()))?;
        let parsed = HeaderName::try_from(name)
            .ok()
            .zip(HeaderValue::try_from(value).ok());
        let (name, value) = parsed.ok_or_else(|| invalid("a header is none"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Puts a secret into a request as bearer token.
pub(in crate::plugins) fn put_bearer(
    grants: &Grants,
    headers: &mut HeaderMap,
    name: &str,
) -> Result<(), FetchError> {
    if headers.insert(AUTHORIZATION, bearer(grants, name)?).is_some() {
        return Err(invalid(
            "there is an authorization header beside the bearer secret",
        ));
    }
    Ok(())
}

fn bearer(grants: &Grants, name: &str) -> Result<HeaderValue, FetchError> {
    let Some(secret) = grants.secret(name) else {
        return Err(FetchError::Denied(format!("the secret {name} is not granted")));
    };
    let mut value = HeaderValue::try_from(format!("Bearer {secret}"))
        .map_err(|_| FetchError::Invalid(format!("the secret {name} cannot stand in a header")))?;
    value.set_sensitive(true);
    Ok(value)
}

fn body(visit: &Visit, data: Option<Data>) -> Result<Bytes, HttpError> {
    let Some(data) = data else { return Ok(Bytes::new()) };
    let output_bytes = visit.grants.limits.output_bytes;
    let payload = answer::payload(data, visit).map_err(|fault| HttpError::Invalid(fault.message))?;
    if payload.weight() > output_bytes {
        return Err(HttpError::Invalid(format!(
            "the body has more than the {output_bytes} bytes of output that are allowed"
        )));
    }
    let given = visit.subject.data().cloned().unwrap_or_default();
    let bounds = Bounds {
        growth: output_bytes,
        work: WORK_MAX,
    };
    let made = payload
        .apply(&given, bounds)
        .map_err(|fault| HttpError::Invalid(fault.message))?;
    Ok(made.unwrap_or(given))
}

fn invalid(why: &str) -> FetchError {
    FetchError::Invalid(why.to_owned())
}

impl From<FetchError> for HttpError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Denied(why) => Self::Denied(why),
            FetchError::Timeout => Self::Timeout,
            FetchError::TooLarge(bytes) => Self::TooLarge(u32::try_from(bytes).unwrap_or(u32::MAX)),
            FetchError::Invalid(why) => Self::Invalid(why),
            FetchError::Failed(why) => Self::Failed(why),
        }
    }
}
