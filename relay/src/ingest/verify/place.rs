//! Reads a value from where it stands in a request.

use std::borrow::Cow;

use http::HeaderMap;

use crate::model::json::Lookup;
use crate::model::verify::Place;

use super::super::Request;
use super::Forgery;

/// The one value at a place.
pub(super) fn value<'r>(place: &Place, request: &Request<'r>) -> Result<Cow<'r, str>, Forgery> {
    match place {
        Place::Header(name) => header(request.headers, name).map(Cow::Borrowed),
        Place::Query(name) => parameter(request.query, name),
        Place::Body(pointer) => Lookup::of(request.body)
            .and_then(|body| body.scalar(pointer))
            .ok_or_else(|| Forgery::Missing(format!("the body's {pointer}").into())),
    }
}

/// The one value of a header, as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Forgery> {
    let described = || Cow::Owned(format!("the header {name}"));
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| Forgery::Missing(described()))?;
    if values.next().is_some() {
        return Err(Forgery::Repeated(described()));
    }
    value.to_str().map_err(|_| Forgery::Unreadable(described()))
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

/// What follows a word such as `Bearer`, in any case.
pub(super) fn after_word<'v>(value: &'v str, word: &str) -> Option<&'v str> {
    let (first, rest) = value.split_once(' ')?;
    first.eq_ignore_ascii_case(word).then(|| rest.trim_start())
}

/// `authorization: Bearer x` is `x`.
pub(super) fn without_scheme<'v>(place: &Place, value: &'v str) -> &'v str {
    match place {
        Place::Header(name) if name == "authorization" => after_word(value, "bearer").unwrap_or(value),
        _ => value,
    }
}
