//! The relay itself, through the plugin interface.

use std::time::Duration;

use crate::Payload;
use crate::bindings::host::relay::plugin::{
    call, config, crypto, http, judge, log as lines, media, payload, secrets, state,
};
use crate::call::Context;
use crate::crypto::{Digest, Encoding, Key, Part, Scheme};
use crate::http::{HttpError, Request, Response};
use crate::judge::{JudgeError, Ruling};
use crate::log::Level;
use crate::media::{Kept, MediaError};
use crate::secrets::SecretError;
use crate::state::{Page, StateError};

type Field = (String, String);

pub(crate) use call::{answer_header, answer_headers, attribute, extension, extensions, header, headers};
pub(crate) use config::{document as config_document, value as config_value};
pub(crate) use payload::{
    bytes as payload_bytes, json as payload_json, size as payload_size, slice as payload_slice,
    text as payload_text,
};

pub(crate) fn current() -> Context {
    let context = call::current();
    Context {
        tenant: context.tenant,
        source: context.source,
        endpoint: context.endpoint,
        delivery: context.delivery,
        attempt: context.attempt,
        budget: Duration::from_millis(context.budget_ms.into()),
    }
}

pub(crate) fn log_enabled(level: Level) -> bool {
    lines::enabled(level.into())
}

pub(crate) fn log(level: Level, message: &str, fields: Vec<Field>) {
    lines::log(level.into(), message, &fields);
}

pub(crate) fn secret(name: &str) -> Result<String, SecretError> {
    Ok(secrets::get(name)?)
}

pub(crate) fn hmac(
    secret: &str,
    digest: Digest,
    parts: &[Part<'_>],
    encoding: Encoding,
) -> Result<String, SecretError> {
    Ok(crypto::hmac(
        secret,
        digest.into(),
        &owned(parts),
        encoding.into(),
    )?)
}

pub(crate) fn hmac_verify(
    secret: &str,
    digest: Digest,
    parts: &[Part<'_>],
    signature: &str,
    encoding: Encoding,
) -> Result<bool, SecretError> {
    Ok(crypto::hmac_verify(
        secret,
        digest.into(),
        &owned(parts),
        signature,
        encoding.into(),
    )?)
}

pub(crate) fn verify(
    key: Key<'_>,
    scheme: Scheme,
    parts: &[Part<'_>],
    signature: &str,
    encoding: Encoding,
) -> Result<bool, SecretError> {
    Ok(crypto::verify(
        &key.into(),
        scheme.into(),
        &owned(parts),
        signature,
        encoding.into(),
    )?)
}

pub(crate) fn hash(digest: Digest, parts: &[Part<'_>], encoding: Encoding) -> String {
    crypto::hash(digest.into(), &owned(parts), encoding.into())
}

pub(crate) fn equals(secret: &str, given: &str) -> Result<bool, SecretError> {
    Ok(crypto::equals(secret, given)?)
}

fn owned(parts: &[Part<'_>]) -> Vec<crypto::Part> {
    parts.iter().copied().map(Into::into).collect()
}

pub(crate) fn state_get(key: &str) -> Result<Option<Vec<u8>>, StateError> {
    Ok(state::get(key)?)
}

pub(crate) fn state_set(key: &str, value: &[u8], ttl: Option<u32>) -> Result<(), StateError> {
    Ok(state::set(key, value, ttl)?)
}

pub(crate) fn state_delete(key: &str) -> Result<(), StateError> {
    Ok(state::delete(key)?)
}

pub(crate) fn state_claim(key: &str, ttl: u32) -> Result<bool, StateError> {
    Ok(state::claim(key, ttl)?)
}

pub(crate) fn state_add(key: &str, delta: i64, ttl: Option<u32>) -> Result<i64, StateError> {
    Ok(state::add(key, delta, ttl)?)
}

pub(crate) fn state_compare_and_set(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl: Option<u32>,
) -> Result<bool, StateError> {
    Ok(state::compare_and_set(key, expected, value, ttl)?)
}

pub(crate) fn state_keys(prefix: &str, cursor: Option<&str>, limit: u32) -> Result<Page, StateError> {
    let page = state::keys(prefix, cursor, limit)?;
    Ok(Page {
        keys: page.keys,
        cursor: page.cursor,
    })
}

pub(crate) fn http_send(request: Request) -> Result<Response, HttpError> {
    let response = http::send(&http::Request {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.map_err(HttpError::Invalid)?.map(Into::into),
        bearer_secret: request.bearer_secret,
        timeout_ms: request.timeout_ms,
        max_bytes: request.max_bytes,
    })?;
    Ok(Response {
        status: response.status,
        headers: response.headers,
        body: Payload(response.body),
    })
}

impl From<http::HttpError> for HttpError {
    fn from(error: http::HttpError) -> Self {
        match error {
            http::HttpError::Denied(why) => Self::Denied(why),
            http::HttpError::Timeout => Self::Timeout,
            http::HttpError::TooLarge(bytes) => Self::TooLarge(bytes),
            http::HttpError::Invalid(why) => Self::Invalid(why),
            http::HttpError::Failed(why) => Self::Failed(why),
        }
    }
}

pub(crate) fn judge_decide(
    instructions: &str,
    subject: &str,
    choices: Vec<String>,
) -> Result<Ruling, JudgeError> {
    let ruling = judge::decide(&judge::Question {
        instructions: instructions.to_owned(),
        subject: subject.to_owned(),
        choices,
    })?;
    Ok(Ruling {
        choice: ruling.choice,
        confidence: ruling.confidence,
        reason: ruling.reason,
    })
}

pub(crate) fn judge_extract(instructions: &str, subject: &str, schema: &str) -> Result<String, JudgeError> {
    Ok(judge::extract(instructions, subject, schema)?)
}

impl From<judge::JudgeError> for JudgeError {
    fn from(error: judge::JudgeError) -> Self {
        match error {
            judge::JudgeError::Denied(reason) => Self::Denied(reason),
            judge::JudgeError::NotConfigured => Self::NotConfigured,
            judge::JudgeError::BudgetSpent => Self::BudgetSpent,
            judge::JudgeError::Timeout => Self::Timeout,
            judge::JudgeError::Invalid(reason) => Self::Invalid(reason),
            judge::JudgeError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl From<secrets::SecretError> for SecretError {
    fn from(error: secrets::SecretError) -> Self {
        match error {
            secrets::SecretError::NotGranted(name) => Self::NotGranted(name),
            secrets::SecretError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

pub(crate) fn media_keep(of: u32, content_type: &str, ttl: Option<u32>) -> Result<Kept, MediaError> {
    let kept = media::keep(of, content_type, ttl)?;
    Ok(Kept {
        url: kept.url,
        expires: kept.expires,
        size: kept.size,
    })
}

impl From<media::MediaError> for MediaError {
    fn from(error: media::MediaError) -> Self {
        match error {
            media::MediaError::Denied(reason) => Self::Denied(reason),
            media::MediaError::TooLarge(bytes) => Self::TooLarge(bytes),
            media::MediaError::QuotaExceeded => Self::QuotaExceeded,
            media::MediaError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl From<state::StateError> for StateError {
    fn from(error: state::StateError) -> Self {
        match error {
            state::StateError::Denied(reason) => Self::Denied(reason),
            state::StateError::TooLarge(bytes) => Self::TooLarge(bytes),
            state::StateError::QuotaExceeded => Self::QuotaExceeded,
            state::StateError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl From<Level> for lines::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

impl From<Digest> for crypto::Digest {
    fn from(digest: Digest) -> Self {
        match digest {
            Digest::Sha1 => Self::Sha1,
            Digest::Sha256 => Self::Sha256,
            Digest::Sha512 => Self::Sha512,
        }
    }
}

impl From<Encoding> for crypto::Encoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Hex => Self::Hex,
            Encoding::Base64 => Self::Base64,
            Encoding::Base64Url => Self::Base64url,
        }
    }
}

impl From<Scheme> for crypto::Scheme {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Ed25519 => Self::Ed25519,
            Scheme::EcdsaP256Sha256 => Self::EcdsaP256Sha256,
            Scheme::RsaPkcs1Sha256 => Self::RsaPkcs1Sha256,
        }
    }
}

impl From<Key<'_>> for crypto::Key {
    fn from(key: Key<'_>) -> Self {
        match key {
            Key::Secret(name) => Self::Secret(name.to_owned()),
            Key::Pem(pem) => Self::Pem(pem.to_owned()),
            Key::Raw(bytes) => Self::Raw(bytes.to_owned()),
        }
    }
}

impl From<Part<'_>> for crypto::Part {
    fn from(part: Part<'_>) -> Self {
        match part {
            Part::Text(text) => Self::Text(text.to_owned()),
            Part::Bytes(bytes) => Self::Bytes(bytes.to_owned()),
            Part::Payload(payload) => Self::Blob(payload.0),
        }
    }
}
