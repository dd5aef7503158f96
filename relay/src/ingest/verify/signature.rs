//! Checks a signature that is described as data.

use crate::crypto;
use crate::model::time::Timestamp;
use crate::model::verify::Signature;

use super::super::Request;
use super::key::{self, Key};
use super::{Forgery, message, place, signed_time};

/// Most signatures of one request that are looked at.
const SIGNATURES_MAX: usize = 16;

/// One right signature under one key suffices, which is how keys rotate. Returns that key.
pub(super) fn check<'s>(
    signature: &'s Signature,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Key<'s>, Forgery> {
    if !signature.covers_body() {
        return Err(Forgery::BodyNotSigned);
    }
    let keys = key::keys(&signature.keys, signature.key_encoding)?;
    let value = place::value(&signature.at, request)?;
    let given = given(signature, &value)?;
    let signed_at = match &signature.timestamp {
        Some(time) => Some(signed_time::read(time, signature.separator, request, now)?),
        None => None,
    };
    let messages = message::of(&signature.parts, signed_at.as_deref(), request)?;
    let is_right = |key: &Key<'_>| {
        messages.iter().any(|message| {
            let parts: Vec<&[u8]> = message.iter().map(AsRef::as_ref).collect();
            key.made(signature.algorithm, &parts, &given)
        })
    };
    keys.into_iter().find(is_right).ok_or(Forgery::Mismatch)
}

/// The signatures of a value, decoded; entries with another prefix are other versions.
fn given(signature: &Signature, value: &str) -> Result<Vec<Vec<u8>>, Forgery> {
    let mut found = Vec::new();
    for entry in entries(value, signature.separator) {
        let Some(text) = entry.strip_prefix(signature.prefix.as_str()) else {
            continue;
        };
        if found.len() == SIGNATURES_MAX {
            return Err(Forgery::TooManySignatures);
        }
        found.extend(crypto::decode(signature.encoding, text));
    }
    if found.is_empty() {
        Err(Forgery::NoSignature)
    } else {
        Ok(found)
    }
}

/// The entries of a value; the whole of it without a separator.
pub(super) fn entries(value: &str, separator: Option<char>) -> impl Iterator<Item = &str> {
    // A null character cannot be in a header, so it splits nothing.
    value.split(separator.unwrap_or('\0')).map(str::trim)
}
