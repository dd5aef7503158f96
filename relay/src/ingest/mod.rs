//! Reads one request: its body, whether it is genuine, and what it says, into posts that can
//! become events, or a refusal.
//!
//! There are two doors. `POST /v1/events` is strict: [`read_api`] refuses whatever is not
//! well-formed and names each fault. `/in/{source}` takes a platform's own format: once
//! [`verify::verify`] has found a request genuine, [`read_source`] keeps its bytes and
//! headers whatever is in them, so that nothing a platform really sent is lost.

pub mod body;
pub mod coding;
pub mod decode;
pub mod dedupe;
pub mod headers;
pub mod map;
pub mod refuse;
pub mod verify;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::model::draft::Draft;
use crate::model::event::{Envelope, Event, Header};
use crate::model::hops::{self, HOPS_MAX};
use crate::model::id::{EventId, SourceId, TenantId};
use crate::model::source::Source;
use crate::model::time::Timestamp;
use crate::model::trace::{self, TraceParent};
use crate::store::DedupeKey;

use self::refuse::Refusal;

/// CloudEvents `source` of an event posted to the API without one.
pub const API_SOURCE: &str = "api";

/// A request as it came, its body read.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    /// What follows the question mark, still percent-encoded; empty without one.
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
}

/// What a sender posted, understood: an event but for its id and when it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    pub envelope: Envelope,
    pub headers: Vec<Header>,
    pub data: Bytes,
    /// What makes a second post the same event, if the sender said.
    pub dedupe: Option<DedupeKey>,
}

impl Post {
    /// One of the posts that plugins made of one. They are told apart by their place in it.
    pub fn of_draft(draft: Draft, dedupe: Option<DedupeKey>, index: usize) -> Self {
        let dedupe = dedupe.map(|DedupeKey(mut key)| {
            for (byte, part) in key.iter_mut().zip((index as u64).to_le_bytes()) {
                *byte ^= part;
            }
            DedupeKey(key)
        });
        Self {
            envelope: draft.envelope,
            headers: draft.headers,
            data: draft.data,
            dedupe,
        }
    }

    /// The event that this post becomes.
    pub fn into_event(
        self,
        id: EventId,
        tenant: TenantId,
        source: Option<SourceId>,
        received_at: Timestamp,
    ) -> Arc<Event> {
        let Self {
            envelope,
            headers,
            data,
            dedupe: _,
        } = self;
        Arc::new(Event {
            id,
            tenant,
            source,
            received_at,
            envelope,
            headers,
            data,
        })
    }
}

/// Reads the body of `POST /v1/events`: one event or a batch, in order.
///
/// # Errors
/// Every fault of the body and its headers, at once.
pub fn read_api(tenant: TenantId, headers: &HeaderMap, body: &Bytes) -> Result<Vec<Post>, Refusal> {
    let key = dedupe::idempotency_key(headers)?;
    let decoded = decode::decode(headers, body)?;
    let trace = trace(headers);
    let hops = hops_of(headers);
    let posts = decoded
        .into_iter()
        .enumerate()
        .map(|(index, decode::Decoded { mut envelope, data })| {
            join(&mut envelope, &trace);
            count_hops(&mut envelope, hops);
            let dedupe = dedupe::of_api_post(tenant, &envelope, key, index);
            Post {
                envelope,
                headers: Vec::new(),
                data,
                dedupe,
            }
        });
    let posts: Vec<Post> = posts.collect();
    posts.iter().try_for_each(|post| check_hops(&post.envelope))?;
    Ok(posts)
}

/// What a request says of the relays that it has gone through.
fn hops_of(headers: &HeaderMap) -> Option<u8> {
    hops::read(headers.get(hops::HEADER)?.to_str().ok()?)
}

/// Keeps with an event what its request says of that, so that what is made of the event knows it.
fn count_hops(envelope: &mut Envelope, said: Option<u8>) {
    let Some(said) = said else { return };
    let said = said.max(hops::of(&envelope.extensions, &[]));
    envelope.extensions.retain(|(name, _)| name != hops::EXTENSION);
    let extension = (hops::EXTENSION.to_owned(), said.to_string());
    envelope.extensions.push(extension);
}

/// Refuses what goes in circles.
///
/// # Errors
/// If it has gone through as many relays as it may.
pub fn check_hops(envelope: &Envelope) -> Result<(), Refusal> {
    match hops::of(&envelope.extensions, &[]) {
        hops if hops >= HOPS_MAX => Err(Refusal::Loop { hops }),
        _ => Ok(()),
    }
}

/// The trace that the request belongs to, as headers say it; nothing if they do not say it well.
fn trace(headers: &HeaderMap) -> Vec<Header> {
    let mut parents = headers.get_all(trace::TRACEPARENT).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return Vec::new();
    };
    let Some(parent) = parent.to_str().ok().and_then(TraceParent::parse) else {
        return Vec::new();
    };
    let mut trace = vec![(trace::TRACEPARENT.to_owned(), parent.to_string())];
    let states = headers.get_all(trace::TRACESTATE).iter();
    let states: Option<Vec<&str>> = states.map(|state| state.to_str().ok()).collect();
    let state = states.map(|states| states.join(","));
    trace.extend(
        state
            .filter(|state| trace::is_state(state))
            .map(|state| (trace::TRACESTATE.to_owned(), state)),
    );
    trace
}

/// An event that says well which trace it belongs to keeps to that; any other belongs to that of
/// its request. What it said badly goes: it would stand beside, or in the way.
fn join(envelope: &mut Envelope, trace: &[Header]) {
    if trace.is_empty() || trace::of(&envelope.extensions, &[]).is_some() {
        return;
    }
    let is_kept = |name: &str| name != trace::TRACEPARENT && name != trace::TRACESTATE;
    envelope.extensions.retain(|(name, _)| is_kept(name));
    envelope.extensions.extend_from_slice(trace);
}

/// Reads a genuine request to a source. What the mapping does not find falls back; nothing
/// in the body can make this fail.
pub fn read_source(source: &Source, request: &Request<'_>) -> Post {
    let read = map::Reader::new(request);
    let mut envelope = read.envelope(source);
    count_hops(&mut envelope, hops_of(request.headers));
    Post {
        envelope,
        headers: headers::kept(request.headers, &source.verify),
        data: request.body.clone(),
        dedupe: dedupe::of_source_post(source, &read),
    }
}

/// The methods by which a source takes events; a handshake may come by another one.
pub const METHODS: [Method; 3] = [Method::POST, Method::PUT, Method::PATCH];

/// Refuses a method that brings no event. Ask after [`verify::verify`], which answers
/// handshakes.
///
/// # Errors
/// [`Refusal::Method`] names the methods that are taken.
pub fn check_method(method: &Method) -> Result<(), Refusal> {
    if METHODS.contains(method) {
        Ok(())
    } else {
        Err(Refusal::Method {
            allow: "POST, PUT, PATCH",
        })
    }
}

#[cfg(test)]
mod tests;
