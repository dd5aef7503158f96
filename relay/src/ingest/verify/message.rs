//! Puts together what a request should have been signed over, as bytes of the request.

use std::borrow::Cow;

use crate::crypto;
use crate::model::verify::{Digest, Encoding, Part, Place};

use super::super::{Request, headers};
use super::{Forgery, form, place, url_forms};

/// The parts of what is signed, in order.
pub(super) type Message<'r> = Vec<Cow<'r, [u8]>>;

/// What may have been signed: one message, or one for each form of the address.
pub(super) fn of<'r>(
    parts: &'r [Part],
    signed_at: Option<&'r str>,
    request: &Request<'r>,
) -> Result<Vec<Message<'r>>, Forgery> {
    let mut messages = vec![Message::with_capacity(parts.len())];
    for part in parts {
        let forms = forms(part, signed_at, request)?;
        messages = messages
            .iter()
            .flat_map(|message| forms.iter().map(move |form| with(message, form)))
            .collect();
    }
    Ok(messages)
}

fn with<'r>(message: &Message<'r>, part: &Cow<'r, [u8]>) -> Message<'r> {
    let mut message = message.clone();
    message.push(part.clone());
    message
}

/// The bytes of a part; several only for an address, which no two proxies write alike.
fn forms<'r>(
    part: &'r Part,
    signed_at: Option<&'r str>,
    request: &Request<'r>,
) -> Result<Vec<Cow<'r, [u8]>>, Forgery> {
    let one = match part {
        Part::Literal(text) => Cow::Borrowed(text.as_bytes()),
        Part::Value(at) => bytes(place::value(at, request)?),
        // A scheme that signs a time it does not name would sign nothing in its place.
        Part::Timestamp => Cow::Borrowed(signed_at.ok_or(Forgery::NoTime)?.as_bytes()),
        Part::Body => Cow::Borrowed(request.body.as_ref()),
        Part::Url(base) => {
            let urls = url_forms::of(base, request.query);
            return Ok(urls.into_iter().map(|url| Cow::Owned(url.into_bytes())).collect());
        }
        Part::Form { body_digest } => Cow::Owned(form_part(body_digest.as_ref(), request)?),
    };
    Ok(vec![one])
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The sorted parameters of a form, or nothing if the body is covered by a digest elsewhere.
fn form_part(body_digest: Option<&Place>, request: &Request<'_>) -> Result<Vec<u8>, Forgery> {
    if let Some(at) = body_digest {
        match place::value(at, request) {
            Ok(digest) => return check_digest(&digest, request.body).map(|()| Vec::new()),
            Err(Forgery::Missing(_)) => {}
            Err(other) => return Err(other),
        }
    }
    if request.body.is_empty() {
        return Ok(Vec::new());
    }
    if !headers::is_form(request.headers) {
        return Err(Forgery::BodyNotSigned);
    }
    Ok(form::sorted(request.body))
}

fn check_digest(digest: &str, body: &[u8]) -> Result<(), Forgery> {
    let given = crypto::decode(Encoding::Hex, digest).ok_or(Forgery::NoSignature)?;
    if crypto::same(&crypto::hash(Digest::Sha256, &[body]), &given) {
        Ok(())
    } else {
        Err(Forgery::Mismatch)
    }
}
