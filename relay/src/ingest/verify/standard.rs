//! Checks Standard Webhooks signatures, under its header names or those of Svix.

use std::time::Duration;

use crate::crypto::standard_webhooks::{self, VerifyingKey};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

use super::super::Request;
use super::Forgery;
use super::place::header;

/// The names of id, timestamp and signature; never mixed within one request.
const STANDARD: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const SVIX: [&str; 3] = ["svix-id", "svix-timestamp", "svix-signature"];

pub(super) fn check(
    secrets: &[Secret],
    tolerance: Duration,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<(), Forgery> {
    if secrets.iter().all(Secret::is_empty) {
        return Err(Forgery::NoSecret);
    }
    let keys: Vec<_> = secrets
        .iter()
        .filter_map(|secret| VerifyingKey::parse(secret).ok())
        .collect();
    if keys.is_empty() {
        return Err(Forgery::UnusableSecret);
    }
    // Some senders send both sets; one of them is checked whole.
    let is_svix = !request.headers.contains_key(STANDARD[2]) && request.headers.contains_key(SVIX[2]);
    let [id, timestamp, signature] = if is_svix { SVIX } else { STANDARD };
    let id = header(request.headers, id)?;
    let timestamp = header(request.headers, timestamp)?;
    let signature = header(request.headers, signature)?;
    standard_webhooks::verify(&keys, id, timestamp, signature, request.body, now, tolerance)?;
    Ok(())
}
