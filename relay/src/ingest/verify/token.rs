//! Checks shared secrets that are sent as they are: tokens and HTTP Basic.

use std::borrow::Cow;

use crate::crypto;
use crate::model::json::Lookup;
use crate::model::secret::Secret;
use crate::model::source::{Encoding, Place};

use super::super::Request;
use super::{Forgery, only};

/// Compares with every secret, in constant time each.
pub(super) fn check(at: &Place, secrets: &[Secret], request: &Request<'_>) -> Result<(), Forgery> {
    if secrets.iter().all(Secret::is_empty) {
        return Err(Forgery::NoSecret);
    }
    let given = given(at, request)?;
    let bare = without_scheme(at, &given);
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
    let value = only(request.headers, "authorization")?;
    let encoded = after_word(value, "basic").ok_or(Forgery::NoSignature)?;
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

fn given<'r>(at: &Place, request: &Request<'r>) -> Result<Cow<'r, str>, Forgery> {
    match at {
        Place::Header(name) => only(request.headers, name).map(Cow::Borrowed),
        Place::Query(name) => parameter(request.query, name),
        Place::Body(pointer) => Lookup::of(request.body)
            .and_then(|body| body.scalar(pointer))
            .ok_or_else(|| Forgery::Missing(format!("the body's {pointer}").into())),
    }
}

/// The one value of a parameter of the query.
pub(super) fn parameter<'r>(query: &'r str, name: &str) -> Result<Cow<'r, str>, Forgery> {
    let described = || Cow::Owned(format!("the query's {name}"));
    let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let (_, value) = values.next().ok_or_else(|| Forgery::Missing(described()))?;
    if values.next().is_some() {
        Err(Forgery::Repeated(described()))
    } else {
        Ok(value)
    }
}

/// `authorization: Bearer x` is `x`.
fn without_scheme<'v>(at: &Place, value: &'v str) -> &'v str {
    match at {
        Place::Header(name) if name == "authorization" => after_word(value, "bearer").unwrap_or(value),
        _ => value,
    }
}

fn after_word<'v>(value: &'v str, word: &str) -> Option<&'v str> {
    let (first, rest) = value.split_once(' ')?;
    first.eq_ignore_ascii_case(word).then(|| rest.trim_start())
}
