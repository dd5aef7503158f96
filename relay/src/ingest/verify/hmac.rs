//! Checks an HMAC signature that is described as data.

use std::time::Duration;

use crate::crypto;
use crate::model::secret::Secret;
use crate::model::source::{HmacScheme, Part, SignedTime};
use crate::model::time::Timestamp;

use super::super::Request;
use super::{Forgery, only};

/// Most signatures of one request that are looked at.
const SIGNATURES_MAX: usize = 16;
/// Numbers above this count milliseconds: as seconds they are beyond the year 5000.
const SECONDS_MAX: i64 = 100_000_000_000;
/// Longest number that is read as a time.
const TIME_DIGITS_MAX: usize = 15;

/// One right signature under one secret suffices, which is how secrets rotate.
pub(super) fn check(scheme: &HmacScheme, request: &Request<'_>, now: Timestamp) -> Result<(), Forgery> {
    if !scheme.parts.contains(&Part::Body) {
        return Err(Forgery::BodyNotSigned);
    }
    let keys = keys(scheme)?;
    let given = signatures(scheme, only(request.headers, &scheme.header)?)?;
    let signed_at = match &scheme.timestamp {
        Some(time) => signed_at(time, scheme.separator, request, now)?,
        None => "",
    };
    let parts = signed(&scheme.parts, signed_at, request)?;
    let is_right = keys.iter().any(|key| {
        let right = crypto::hmac(scheme.digest, key, &parts);
        given.iter().any(|signature| crypto::same(&right, signature))
    });
    if is_right { Ok(()) } else { Err(Forgery::Mismatch) }
}

/// The keys of all secrets that are not empty.
fn keys(scheme: &HmacScheme) -> Result<Vec<Vec<u8>>, Forgery> {
    let secrets: Vec<_> = scheme
        .secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .collect();
    if secrets.is_empty() {
        return Err(Forgery::NoSecret);
    }
    let keys: Vec<_> = secrets
        .into_iter()
        .filter_map(|secret| key(scheme, secret))
        .collect();
    if keys.is_empty() {
        Err(Forgery::UnusableSecret)
    } else {
        Ok(keys)
    }
}

fn key(scheme: &HmacScheme, secret: &Secret) -> Option<Vec<u8>> {
    let Some(encoding) = scheme.secret_encoding else {
        return Some(secret.reveal().as_bytes().to_vec());
    };
    crypto::decode(encoding, secret.reveal()).filter(|key| !key.is_empty())
}

/// The signatures of a header, decoded; entries with another prefix are other versions.
fn signatures(scheme: &HmacScheme, value: &str) -> Result<Vec<Vec<u8>>, Forgery> {
    let mut found = Vec::new();
    for entry in entries(value, scheme.separator) {
        let Some(text) = entry.strip_prefix(scheme.prefix.as_str()) else {
            continue;
        };
        if found.len() == SIGNATURES_MAX {
            return Err(Forgery::TooManySignatures);
        }
        found.extend(crypto::decode(scheme.encoding, text));
    }
    if found.is_empty() {
        Err(Forgery::NoSignature)
    } else {
        Ok(found)
    }
}

fn entries(value: &str, separator: Option<char>) -> impl Iterator<Item = &str> {
    // A null character cannot be in a header, so it splits nothing.
    value.split(separator.unwrap_or('\0')).map(str::trim)
}

/// The time of signing as the sender wrote it, found to be close enough to now.
fn signed_at<'r>(
    time: &SignedTime,
    separator: Option<char>,
    request: &Request<'r>,
    now: Timestamp,
) -> Result<&'r str, Forgery> {
    let value = only(request.headers, &time.header)?;
    let mut found = entries(value, if time.prefix.is_empty() { None } else { separator })
        .filter_map(|entry| entry.strip_prefix(time.prefix.as_str()));
    let text = found.next().ok_or(Forgery::NoTime)?;
    if found.next().is_some() {
        return Err(Forgery::Repeated("the time of signing".into()));
    }
    let at = read_time(text).ok_or(Forgery::NoTime)?;
    if distance(at, now) > time.tolerance {
        Err(Forgery::Stale)
    } else {
        Ok(text)
    }
}

/// Whole seconds or milliseconds since 1970, or RFC 3339.
fn read_time(text: &str) -> Option<Timestamp> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let number: i64 = Some(text)
        .filter(|text| text.len() <= TIME_DIGITS_MAX)?
        .parse()
        .ok()?;
    Some(Timestamp::from_millis(if number > SECONDS_MAX {
        number
    } else {
        number * 1000
    }))
}

/// Seconds are whole on the wire, so they are compared whole: a signature made within the
/// present second is not from the future.
fn distance(at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs(at.as_secs().abs_diff(now.as_secs()))
}

/// The parts that are signed, as bytes of the request.
fn signed<'r>(
    parts: &'r [Part],
    signed_at: &'r str,
    request: &Request<'r>,
) -> Result<Vec<&'r [u8]>, Forgery> {
    let bytes = |part: &'r Part| -> Result<&'r [u8], Forgery> {
        Ok(match part {
            Part::Literal(text) => text.as_bytes(),
            Part::Header(name) => only(request.headers, name)?.as_bytes(),
            // A scheme that signs a time it does not name would sign nothing in its place.
            Part::Timestamp if signed_at.is_empty() => return Err(Forgery::NoTime),
            Part::Timestamp => signed_at.as_bytes(),
            Part::Body => request.body,
        })
    };
    parts.iter().map(bytes).collect()
}
