//! Checks shared secrets that are sent as they are: tokens and HTTP Basic.

use std::borrow::Cow;

use crate::crypto;
use crate::model::secret::Secret;
use crate::model::verify::{Encoding, Place};

use super::super::Request;
use super::{Forgery, place};

/// Compares with every secret, in constant time each.
pub(super) fn check(at: &[Place], secrets: &[Secret], request: &Request<'_>) -> Result<(), Forgery> {
    if secrets.iter().all(Secret::is_empty) {
        return Err(Forgery::NoSecret);
    }
    let (place, given) = given(at, request)?;
    let bare = place::without_scheme(place, &given);
    if is_one_of(secrets, &given) | is_one_of(secrets, bare) {
        Ok(())
    } else {
        Err(Forgery::WrongToken)
    }
}

/// Checks `authorization: Basic …`.
pub(super) fn check_basic(user: &str, passwords: &[Secret], request: &Request<'_>) -> Result<(), Forgery> {
    if passwords.iter().all(Secret::is_empty) {
        return Err(Forgery::NoSecret);
    }
    let value = place::header(request.headers, "authorization")?;
    let encoded = place::after_word(value, "basic").ok_or(Forgery::NoSignature)?;
    let pair = crypto::decode(Encoding::Base64, encoded).and_then(|bytes| String::from_utf8(bytes).ok());
    let unreadable = || Forgery::Unreadable("the header authorization".into());
    let pair = pair.ok_or_else(unreadable)?;
    let (given_user, password) = pair.split_once(':').ok_or_else(unreadable)?;
    // Both are compared whatever the other one is, so the time tells nothing of either.
    let is_user = crypto::same(user.as_bytes(), given_user.as_bytes());
    if is_one_of(passwords, password) & is_user {
        Ok(())
    } else {
        Err(Forgery::WrongToken)
    }
}

fn is_one_of(secrets: &[Secret], given: &str) -> bool {
    secrets
        .iter()
        .fold(false, |found, secret| found | secret.matches(given.as_bytes()))
}

/// The token at the only place that has one: with two, readers could take different ones.
fn given<'p, 'r>(at: &'p [Place], request: &Request<'r>) -> Result<(&'p Place, Cow<'r, str>), Forgery> {
    let mut found = None;
    let mut missing = Forgery::NoSecret;
    for place in at {
        match place::value(place, request) {
            Ok(_) if found.is_some() => return Err(Forgery::Repeated("the token".into())),
            Ok(value) => found = Some((place, value)),
            Err(forgery @ Forgery::Missing(_)) => missing = forgery,
            Err(other) => return Err(other),
        }
    }
    found.ok_or(missing)
}
