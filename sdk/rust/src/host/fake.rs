//! The stand-in for the relay when a plugin is tested natively.

use crate::call::Context;
use crate::crypto::{Digest, Encoding, Key, Part, Scheme};
use crate::http::{HttpError, Request, Response};
use crate::judge::{JudgeError, Ruling};
use crate::log::Level;
use crate::media::{Kept, MediaError};
use crate::secrets::SecretError;
use crate::state::{Page, StateError};
use crate::testing::{Call, Line, crypto};
use crate::time::Time;

type Field = (String, String);

pub(crate) fn current() -> Context {
    Call::with(|call| call.context.clone())
}

pub(crate) fn header(name: &str) -> Option<String> {
    Call::with(|call| first(&call.headers, name))
}

pub(crate) fn headers() -> Vec<Field> {
    Call::with(|call| call.headers.clone())
}

/// Samples know theirs.
pub(crate) fn attribute(_: u32, _: &str) -> Option<String> {
    None
}

pub(crate) fn extension(name: &str) -> Option<String> {
    Call::with(|call| first(&call.extensions, name))
}

pub(crate) fn extensions() -> Vec<Field> {
    Call::with(|call| call.extensions.clone())
}

pub(crate) fn answer_header(name: &str) -> Option<String> {
    Call::with(|call| first(&call.answer_headers, name))
}

pub(crate) fn answer_headers() -> Vec<Field> {
    Call::with(|call| call.answer_headers.clone())
}

fn first(fields: &[Field], name: &str) -> Option<String> {
    fields
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.clone())
}

pub(crate) fn payload_size(of: u32) -> u32 {
    payload_bytes(of).len() as u32
}

pub(crate) fn payload_bytes(of: u32) -> Vec<u8> {
    Call::with(|call| call.payload(of))
}

pub(crate) fn payload_text(of: u32) -> Option<String> {
    String::from_utf8(payload_bytes(of)).ok()
}

pub(crate) fn payload_slice(of: u32, offset: u32, length: u32) -> Vec<u8> {
    payload_bytes(of)
        .into_iter()
        .skip(offset as usize)
        .take(length as usize)
        .collect()
}

pub(crate) fn payload_json(of: u32, pointer: &str) -> Option<String> {
    json_at(&payload_bytes(of), pointer)
}

pub(crate) fn config_document() -> String {
    Call::with(|call| call.config.clone())
}

pub(crate) fn config_value(pointer: &str) -> Option<String> {
    json_at(config_document().as_bytes(), pointer)
}

fn json_at(document: &[u8], pointer: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(document).ok()?;
    document.pointer(pointer).map(ToString::to_string)
}

pub(crate) fn log_enabled(_: Level) -> bool {
    true
}

pub(crate) fn log(level: Level, message: &str, fields: Vec<Field>) {
    let line = Line {
        level,
        message: message.to_owned(),
        fields,
    };
    Call::with(|call| call.shared.lines.borrow_mut().push(line));
}

pub(crate) fn secret(name: &str) -> Result<String, SecretError> {
    let secret = Call::with(|call| call.secrets.get(name).cloned());
    secret.ok_or_else(|| SecretError::NotGranted(name.to_owned()))
}

pub(crate) fn hmac(
    name: &str,
    digest: Digest,
    parts: &[Part<'_>],
    encoding: Encoding,
) -> Result<String, SecretError> {
    let mac = crypto::hmac(digest, secret(name)?.as_bytes(), &message(parts));
    Ok(crypto::encode(encoding, &mac))
}

pub(crate) fn hmac_verify(
    name: &str,
    digest: Digest,
    parts: &[Part<'_>],
    signature: &str,
    encoding: Encoding,
) -> Result<bool, SecretError> {
    let mac = crypto::hmac(digest, secret(name)?.as_bytes(), &message(parts));
    Ok(crypto::decode(encoding, signature).is_some_and(|given| given == mac))
}

pub(crate) fn verify(
    key: Key<'_>,
    scheme: Scheme,
    parts: &[Part<'_>],
    signature: &str,
    encoding: Encoding,
) -> Result<bool, SecretError> {
    let pem;
    let key = match key {
        Key::Secret(name) => {
            pem = secret(name)?;
            Key::Pem(&pem)
        }
        other => other,
    };
    let Some(signature) = crypto::decode(encoding, signature) else {
        return Ok(false);
    };
    crypto::verify(key, scheme, &message(parts), &signature)
}

pub(crate) fn hash(digest: Digest, parts: &[Part<'_>], encoding: Encoding) -> String {
    crypto::encode(encoding, &crypto::hash(digest, &message(parts)))
}

pub(crate) fn equals(name: &str, given: &str) -> Result<bool, SecretError> {
    Ok(secret(name)? == given)
}

fn message(parts: &[Part<'_>]) -> Vec<u8> {
    let bytes = |part: &Part<'_>| match part {
        Part::Text(text) => text.as_bytes().to_vec(),
        Part::Bytes(bytes) => bytes.to_vec(),
        Part::Payload(payload) => payload_bytes(payload.0),
    };
    parts.iter().flat_map(bytes).collect()
}

pub(crate) fn http_send(request: Request) -> Result<Response, HttpError> {
    Call::with(|call| call.fetch(request))
}

/// Runs `work` if the power is granted.
fn stateful<T>(work: impl FnOnce(&Call) -> Result<T, StateError>) -> Result<T, StateError> {
    Call::with(|call| match call.denied("state") {
        Some(why) => Err(StateError::Denied(why)),
        None => work(call),
    })
}

pub(crate) fn state_get(key: &str) -> Result<Option<Vec<u8>>, StateError> {
    stateful(|call| Ok(call.shared.state.borrow().get(key)))
}

pub(crate) fn state_set(key: &str, value: &[u8], ttl: Option<u32>) -> Result<(), StateError> {
    stateful(|call| {
        call.shared.state.borrow_mut().set(key, value, ttl);
        Ok(())
    })
}

pub(crate) fn state_delete(key: &str) -> Result<(), StateError> {
    stateful(|call| {
        call.shared.state.borrow_mut().delete(key);
        Ok(())
    })
}

pub(crate) fn state_claim(key: &str, ttl: u32) -> Result<bool, StateError> {
    stateful(|call| Ok(call.shared.state.borrow_mut().claim(key, ttl)))
}

pub(crate) fn state_add(key: &str, delta: i64, ttl: Option<u32>) -> Result<i64, StateError> {
    stateful(|call| call.shared.state.borrow_mut().add(key, delta, ttl))
}

pub(crate) fn state_compare_and_set(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl: Option<u32>,
) -> Result<bool, StateError> {
    stateful(|call| {
        Ok(call
            .shared
            .state
            .borrow_mut()
            .compare_and_set(key, expected, value, ttl))
    })
}

pub(crate) fn state_keys(prefix: &str, cursor: Option<&str>, limit: u32) -> Result<Page, StateError> {
    stateful(|call| Ok(call.shared.state.borrow().keys(prefix, cursor, limit)))
}

/// When the files of tests are kept: the same in every run, and on the real host.
const KEPT_AT_MS: i64 = 1_700_000_000_000;
/// For how long, if nobody says: 30 days.
const KEPT_SECONDS: u32 = 30 * 24 * 3600;
/// Digits of a file's digest that its address has.
const DIGITS: usize = 16;

pub(crate) fn media_keep(of: u32, _content_type: &str, ttl: Option<u32>) -> Result<Kept, MediaError> {
    let bytes = payload_bytes(of);
    let digest = crypto::encode(Encoding::Hex, &crypto::hash(Digest::Sha256, &bytes));
    let seconds = i64::from(ttl.unwrap_or(KEPT_SECONDS));
    Ok(Kept {
        url: format!("https://relay.example/media/{}", &digest[..DIGITS]),
        // With milliseconds, as the relay writes it.
        expires: Time::from_unix_ms(KEPT_AT_MS + seconds * 1000)
            .to_string()
            .replace('Z', ".000Z"),
        size: bytes.len() as u32,
    })
}

pub(crate) fn judge_decide(
    instructions: &str,
    subject: &str,
    choices: Vec<String>,
) -> Result<Ruling, JudgeError> {
    Call::with(|call| match call.denied("judge") {
        Some(why) => Err(JudgeError::Denied(why)),
        None => call
            .shared
            .judge
            .borrow_mut()
            .decide(instructions, subject, choices),
    })
}

pub(crate) fn judge_extract(instructions: &str, subject: &str, _: &str) -> Result<String, JudgeError> {
    Call::with(|call| match call.denied("judge") {
        Some(why) => Err(JudgeError::Denied(why)),
        None => call.shared.judge.borrow_mut().extract(instructions, subject),
    })
}
