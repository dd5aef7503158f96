//! Checks a signed token (JWT), and that it speaks of this body.
//!
//! The algorithm is the source's, never the token's own choice. Composed of the relay's own
//! checks of signatures, which are strict, and of the clock that the relay is given.

use serde_json::{Map, Value};

use crate::crypto;
use crate::model::time::Timestamp;
use crate::model::verify::{Digest, Encoding, Jwt};

use super::super::Request;
use super::key::{self, Key};
use super::{Forgery, place};

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8 << 10;

pub(super) fn check(jwt: &Jwt, request: &Request<'_>, now: Timestamp) -> Result<(), Forgery> {
    let keys = key::keys(&jwt.keys, jwt.key_encoding)?;
    let value = place::value(&jwt.at, request)?;
    let token = Token::read(place::without_scheme(&jwt.at, &value))?;
    token.check_head(jwt)?;
    let is_right = |key: &Key<'_>| {
        key.made(
            jwt.algorithm,
            &[token.signed.as_bytes()],
            std::slice::from_ref(&token.signature),
        )
    };
    if !keys.iter().any(is_right) {
        return Err(Forgery::Mismatch);
    }
    let claims = token.claims()?;
    check_times(jwt, &claims, now)?;
    check_parties(jwt, &claims)?;
    check_body(jwt, &claims, request.body)
}

/// A token in its three pieces; nothing of it is believed yet.
struct Token<'t> {
    head: &'t str,
    claims: &'t str,
    /// Head and claims as they are signed.
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> Token<'t> {
    fn read(text: &'t str) -> Result<Self, Forgery> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Forgery::Jwt("is too long"));
        }
        let pieces = text
            .rsplit_once('.')
            .and_then(|(signed, signature)| Some((signed, signed.split_once('.')?, signature)));
        let Some((signed, (head, claims), signature)) = pieces else {
            return Err(Forgery::Jwt("has not three pieces"));
        };
        let signature = crypto::decode(Encoding::Base64Url, signature)
            .filter(|signature| !signature.is_empty())
            .ok_or(Forgery::NoSignature)?;
        Ok(Self {
            head,
            claims,
            signed,
            signature,
        })
    }

    fn check_head(&self, jwt: &Jwt) -> Result<(), Forgery> {
        let head = object(self.head)?;
        if head.get("alg").and_then(Value::as_str) != Some(jwt.name) {
            return Err(Forgery::Jwt("is signed with another algorithm"));
        }
        // What has to be understood, and is not.
        if head.contains_key("crit") {
            return Err(Forgery::Jwt("asks for an extension"));
        }
        Ok(())
    }

    fn claims(&self) -> Result<Map<String, Value>, Forgery> {
        object(self.claims)
    }
}

fn object(base64: &str) -> Result<Map<String, Value>, Forgery> {
    crypto::decode(Encoding::Base64Url, base64)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(Forgery::Jwt("is not readable"))
}

/// A token that binds no body could be used for any, so its time has to be limited.
fn check_times(jwt: &Jwt, claims: &Map<String, Value>, now: Timestamp) -> Result<(), Forgery> {
    let now = now.as_secs() as f64;
    let tolerance = jwt.tolerance.as_secs_f64();
    let ends = time(claims, "exp")?;
    let issued = time(claims, "iat")?;
    let begins = time(claims, "nbf")?;
    let is_limited = ends.is_some() || issued.is_some();
    if !is_limited && jwt.body_claim.is_none() {
        return Err(Forgery::NoTime);
    }
    let is_over = ends.or(issued).is_some_and(|end| now > end + tolerance);
    let is_early = [issued, begins]
        .into_iter()
        .flatten()
        .any(|start| start > now + tolerance);
    if is_over || is_early {
        Err(Forgery::Stale)
    } else {
        Ok(())
    }
}

fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Forgery> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Forgery::NoTime),
    }
}

fn check_parties(jwt: &Jwt, claims: &Map<String, Value>) -> Result<(), Forgery> {
    let is_issuer = |wanted: &str| claims.get("iss").and_then(Value::as_str) == Some(wanted);
    if !jwt.issuer.as_deref().is_none_or(is_issuer) {
        return Err(Forgery::Jwt("is of another issuer"));
    }
    let is_audience = |wanted: &str| match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(wanted)),
        Some(one) => one.as_str() == Some(wanted),
        None => false,
    };
    if !jwt.audience.as_deref().is_none_or(is_audience) {
        return Err(Forgery::Jwt("is for another audience"));
    }
    Ok(())
}

fn check_body(jwt: &Jwt, claims: &Map<String, Value>, body: &[u8]) -> Result<(), Forgery> {
    let Some(claim) = &jwt.body_claim else {
        return Ok(());
    };
    let given = claims
        .get(claim)
        .and_then(Value::as_str)
        .ok_or(Forgery::BodyNotSigned)?;
    let right = crypto::hash(Digest::Sha256, &[body]);
    let is_right = [Encoding::Base64, Encoding::Base64Url, Encoding::Hex]
        .into_iter()
        .filter_map(|encoding| crypto::decode(encoding, given))
        .any(|digest| crypto::same(&right, &digest));
    if is_right { Ok(()) } else { Err(Forgery::Mismatch) }
}
