//! Answers what platforms ask before they send events, or among them.

use std::num::NonZeroU32;

use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::crypto;
use crate::model::json::Lookup;
use crate::model::secret::Secret;
use crate::model::verify::{Digest, Encoding, Handshake};

use super::super::{Request, headers};
use super::key::Key;
use super::place::{header, parameter};
use super::{Answer, Forgery, Verified};

/// Longest challenge that is echoed, in bytes.
const CHALLENGE_LEN_MAX: usize = 512;
/// Longest number of a webhook of WooCommerce.
const WEBHOOK_ID_DIGITS_MAX: usize = 20;

/// A handshake that carries no proof of the sender's; `None` if this request is none.
pub(super) fn unsigned(handshake: &Handshake, request: &Request<'_>) -> Option<Verified> {
    let answer = match handshake {
        Handshake::Meta { verify_token } if request.method == Method::GET => {
            subscription(verify_token, request.query)
        }
        Handshake::Okta if request.method == Method::GET => verification(request),
        Handshake::CloudEvents { origins, rate } if request.method == Method::OPTIONS => {
            consent(origins, *rate, request)
        }
        Handshake::WooCommerce if is_ping(request) => Ok(empty(Vec::new())),
        _ => return None,
    };
    Some(answer.map_or_else(Verified::Forged, Verified::Answer))
}

/// A handshake in a request that has been found genuine; `None` if this one is none.
pub(super) fn signed(handshake: &Handshake, request: &Request<'_>, key: &Key<'_>) -> Option<Verified> {
    let answer = match handshake {
        Handshake::Slack => url_verification(Lookup::of(request.body)?)?,
        Handshake::Zoom => url_validation(Lookup::of(request.body)?, key)?,
        _ => return None,
    };
    Some(answer.map_or_else(Verified::Forged, Verified::Answer))
}

// ---- Meta ------------------------------------------------------------------------------

fn subscription(verify_token: &Secret, query: &str) -> Result<Answer, Forgery> {
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

// ---- Slack -----------------------------------------------------------------------------

fn url_verification(body: Lookup<'_>) -> Option<Result<Answer, Forgery>> {
    if body.scalar("/type")? != "url_verification" {
        return None;
    }
    Some(echo(&body.scalar("/challenge").unwrap_or_default()))
}

// ---- Zoom ------------------------------------------------------------------------------

fn url_validation(body: Lookup<'_>, key: &Key<'_>) -> Option<Result<Answer, Forgery>> {
    if body.scalar("/event")? != "endpoint.url_validation" {
        return None;
    }
    let token = body.scalar("/payload/plainToken").unwrap_or_default();
    Some(check_token(&token).map(|()| {
        let mac = crypto::hmac(Digest::Sha256, key.bytes(), &[token.as_bytes()]);
        json(&json!({"plainToken": token, "encryptedToken": crypto::encode(Encoding::Hex, &mac)}))
    }))
}

/// The answer is an HMAC under the key that signs Zoom's posts, of a text that comes from
/// outside. What is signed of a post contains a colon, so a token without one is never that.
fn check_token(token: &str) -> Result<(), Forgery> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if token.is_empty() || token.len() > CHALLENGE_LEN_MAX || !token.bytes().all(is_plain) {
        return Err(Forgery::Handshake);
    }
    Ok(())
}

// ---- Okta ------------------------------------------------------------------------------

/// Okta proves nothing here, and learns nothing but what it has sent.
fn verification(request: &Request<'_>) -> Result<Answer, Forgery> {
    let challenge = header(request.headers, "x-okta-verification-challenge")?;
    check_challenge(challenge)?;
    Ok(json(&json!({"verification": challenge})))
}

// ---- WooCommerce -----------------------------------------------------------------------

fn is_ping(request: &Request<'_>) -> bool {
    let number = request.body.strip_prefix(b"webhook_id=").unwrap_or_default();
    request.method == Method::POST
        && headers::is_form(request.headers)
        && (1..=WEBHOOK_ID_DIGITS_MAX).contains(&number.len())
        && number.iter().all(u8::is_ascii_digit)
}

// ---- CloudEvents -----------------------------------------------------------------------

/// Consent is what the headers say, never the status. It is given at once, so the callback
/// that the sender may offer is not needed.
fn consent(origins: &[String], rate: Option<NonZeroU32>, request: &Request<'_>) -> Result<Answer, Forgery> {
    let origin = header(request.headers, "webhook-request-origin")?;
    check_challenge(origin)?;
    let is_allowed = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(origin);
    if !origins.iter().any(is_allowed) {
        return Err(Forgery::Handshake);
    }
    Ok(empty(vec![
        ("allow", "POST".to_owned()),
        ("webhook-allowed-origin", origin.to_owned()),
        (
            "webhook-allowed-rate",
            rate.map_or_else(|| "*".to_owned(), |rate| rate.to_string()),
        ),
    ]))
}

// ---- answers ---------------------------------------------------------------------------

/// As plain text that no browser takes for anything else: the challenge is the caller's.
fn echo(challenge: &str) -> Result<Answer, Forgery> {
    check_challenge(challenge)?;
    Ok(Answer {
        status: 200,
        headers: vec![("content-type", "text/plain; charset=utf-8".to_owned())],
        body: Bytes::copy_from_slice(challenge.as_bytes()),
    })
}

fn check_challenge(challenge: &str) -> Result<(), Forgery> {
    let is_plain = challenge.bytes().all(|byte| byte.is_ascii_graphic());
    if challenge.is_empty() || challenge.len() > CHALLENGE_LEN_MAX || !is_plain {
        return Err(Forgery::Handshake);
    }
    Ok(())
}

fn json(body: &serde_json::Value) -> Answer {
    Answer {
        status: 200,
        headers: vec![("content-type", "application/json".to_owned())],
        body: Bytes::from(body.to_string()),
    }
}

const fn empty(headers: Vec<(&'static str, String)>) -> Answer {
    Answer {
        status: 200,
        headers,
        body: Bytes::new(),
    }
}
