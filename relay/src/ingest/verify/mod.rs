//! Tells genuine requests to a source from forged ones, and answers handshakes.
//!
//! Works on raw bytes and fails closed: without a secret, with an empty one, or with
//! anything ambiguous, nothing is genuine. A header that carries a proof and comes twice is
//! refused, because two readers of such a request could believe different ones. Which check
//! failed is for the log; the caller gets the same answer for all.

mod signature;
mod key;
mod message;
mod form;
mod url_forms;
mod signed_time;
mod standard;
mod jwt;
mod token;
mod place;
mod handshake;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use crate::crypto::standard_webhooks::VerifyError;
use crate::model::time::Timestamp;
use crate::model::verify::{Scheme, Verify};

use super::Request;

/// What a request turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    Genuine,
    /// A genuine handshake: answer it, there is no event in it.
    Answer(Answer),
    Forged(Forgery),
}

/// The answer to a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// Why a request is not taken as genuine; for the log, never for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forgery {
    #[error("the source has no secret to check with")]
    NoSecret,
    #[error("the source's secret cannot be used as a key")]
    UnusableSecret,
    #[error("the source's scheme does not sign the body")]
    BodyNotSigned,
    #[error("{0} is missing")]
    Missing(Cow<'static, str>),
    #[error("{0} is there more than once")]
    Repeated(Cow<'static, str>),
    #[error("{0} is not readable")]
    Unreadable(Cow<'static, str>),
    #[error("there are too many signatures")]
    TooManySignatures,
    #[error("no signature of the expected form is there")]
    NoSignature,
    #[error("no signature matches")]
    Mismatch,
    #[error("the token is not the right one")]
    WrongToken,
    #[error("the time of signing is not a time")]
    NoTime,
    #[error("the time of signing is too far from now")]
    Stale,
    #[error("the token {0}")]
    Jwt(&'static str),
    #[error("the handshake is malformed")]
    Handshake,
    #[error("{0}")]
    StandardWebhooks(#[from] VerifyError),
}

/// Tells whether a request is genuine at `now`.
pub fn verify(verify: &Verify, request: &Request<'_>, now: Timestamp) -> Verified {
    if let Some(answered) = handshake::unsigned(&verify.handshake, request) {
        return answered;
    }
    let checked = match &verify.scheme {
        Scheme::None => Ok(()),
        Scheme::Signature(signature) => match signature::check(signature, request, now) {
            Ok(key) => {
                return handshake::signed(&verify.handshake, request, &key).unwrap_or(Verified::Genuine);
            }
            Err(forgery) => Err(forgery),
        },
        Scheme::StandardWebhooks { secrets, tolerance } => standard::check(secrets, *tolerance, request, now),
        Scheme::Jwt(jwt) => jwt::check(jwt, request, now),
        Scheme::Token { at, secrets } => token::check(at, secrets, request),
        Scheme::Basic { user, passwords } => token::check_basic(user, passwords, request),
    };
    checked.map_or_else(Verified::Forged, |()| Verified::Genuine)
}
