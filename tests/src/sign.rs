//! How senders prove who they are, written apart from the relay's own code.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// HMAC-SHA256 of the concatenated parts.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().to_vec()
}

/// The same in hexadecimal digits.
pub fn hmac_sha256_hex(key: &[u8], parts: &[&[u8]]) -> String {
    hex::encode(hmac_sha256(key, parts))
}

/// Seconds since 1970, moved by `offset_secs`.
#[expect(
    clippy::disallowed_methods,
    reason = "senders and receivers outside of the relay have the machine's clock"
)]
pub fn now_secs(offset_secs: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX) + offset_secs
}

/// The signature `v1,…` of Standard Webhooks under a `whsec_…` secret.
///
/// # Panics
/// If the secret is none.
pub fn standard_webhooks(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let base64 = secret
        .strip_prefix("whsec_")
        .expect("a secret begins with whsec_");
    let key = STANDARD.decode(base64).expect("a secret is base64");
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    format!("v1,{}", STANDARD.encode(hmac_sha256(&key, &parts)))
}
