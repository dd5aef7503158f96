//! What a sender is asked to post, and the post it makes of it.

use crate::crypto;
use crate::model::time::Timestamp;
use crate::model::verify::{Digest, Encoding};

/// What is asked of a sender.
pub(super) struct Ask<'a> {
    /// The sender's own word for what happened.
    pub(super) word: &'a str,
    pub(super) secret: &'a str,
    pub(super) user: &'a str,
    pub(super) verify_token: &'a str,
    /// The source's address as the sender knows it.
    pub(super) url: &'a str,
    /// Made for this post.
    pub(super) id: &'a str,
    pub(super) now: Timestamp,
}

impl Ask<'_> {
    /// Seconds since 1970.
    pub(super) fn seconds(&self) -> String {
        self.now.as_secs().to_string()
    }

    /// HMAC-SHA256 under the secret's text, in hex.
    pub(super) fn hex(&self, parts: &[&[u8]]) -> String {
        self.mac(Digest::Sha256, Encoding::Hex, parts)
    }

    /// HMAC-SHA256 under the secret's text, in base64.
    pub(super) fn base64(&self, parts: &[&[u8]]) -> String {
        self.mac(Digest::Sha256, Encoding::Base64, parts)
    }

    pub(super) fn mac(&self, digest: Digest, encoding: Encoding, parts: &[&[u8]]) -> String {
        crypto::encode(encoding, &crypto::hmac(digest, self.secret.as_bytes(), parts))
    }
}

/// A request to a source.
pub(super) struct Post {
    pub(super) method: &'static str,
    pub(super) query: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Post {
    pub(super) fn json(body: Vec<u8>) -> Self {
        Self::of("POST", body).with("content-type", "application/json")
    }

    pub(super) fn form(body: Vec<u8>) -> Self {
        Self::of("POST", body).with("content-type", "application/x-www-form-urlencoded")
    }

    pub(super) const fn of(method: &'static str, body: Vec<u8>) -> Self {
        Self {
            method,
            query: None,
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn query(mut self, query: String) -> Self {
        self.query = Some(query);
        self
    }
}
