//! Answers the challenges that platforms send before they send events.

use bytes::Bytes;
use http::Method;

use crate::model::json::Lookup;
use crate::model::secret::Secret;
use crate::model::source::Handshake;

use super::super::Request;
use super::token::parameter;
use super::{Answer, Forgery, Verified};

/// Longest challenge that is echoed, in bytes.
const CHALLENGE_LEN_MAX: usize = 512;

/// A handshake by `GET`, which carries no signature; `None` if this request is none.
pub(super) fn by_get(handshake: &Handshake, request: &Request<'_>) -> Option<Verified> {
    let Handshake::Meta { verify_token } = handshake else {
        return None;
    };
    if request.method != Method::GET {
        return None;
    }
    Some(subscribe(verify_token, request.query).unwrap_or_else(Verified::Forged))
}

fn subscribe(verify_token: &Secret, query: &str) -> Result<Verified, Forgery> {
    if parameter(query, "hub.mode")? != "subscribe" {
        return Err(Forgery::Handshake);
    }
    if verify_token.is_empty() {
        return Err(Forgery::NoSecret);
    }
    if !verify_token.matches(parameter(query, "hub.verify_token")?.as_bytes()) {
        return Err(Forgery::WrongToken);
    }
    echo(&parameter(query, "hub.challenge")?)
}

/// A handshake in a body that has been found genuine; `None` if this body is none.
pub(super) fn in_body(handshake: &Handshake, request: &Request<'_>) -> Option<Verified> {
    if *handshake != Handshake::Slack {
        return None;
    }
    let body = Lookup::of(request.body)?;
    if body.scalar("/type")? != "url_verification" {
        return None;
    }
    let challenge = body.scalar("/challenge").unwrap_or_default();
    Some(echo(&challenge).unwrap_or_else(Verified::Forged))
}

/// As plain text that no browser takes for anything else: the challenge is the caller's.
fn echo(challenge: &str) -> Result<Verified, Forgery> {
    let is_plain = challenge.bytes().all(|byte| byte.is_ascii_graphic());
    if challenge.is_empty() || challenge.len() > CHALLENGE_LEN_MAX || !is_plain {
        return Err(Forgery::Handshake);
    }
    Ok(Verified::Answer(Answer {
        status: 200,
        headers: vec![
            ("content-type", "text/plain; charset=utf-8".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
        ],
        body: Bytes::copy_from_slice(challenge.as_bytes()),
    }))
}
