//! JWE in compact form (RFC 7516, section 7.1) with a shared key: algorithm `dir`, encryption
//! `A256GCM` (RFC 7518, sections 4.5 and 5.3).

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use relay_sdk::{Fault, OrFault, json};

/// What AES-GCM asks of a key, a nonce and a tag, in bytes.
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Encrypts with one key.
pub(crate) struct Sealer {
    cipher: Aes256Gcm,
    /// The protected header, encoded: it is authenticated with every value.
    header: String,
}

impl Sealer {
    pub(crate) fn new(key: &str, key_id: Option<&str>) -> Result<Self, Fault> {
        let wrong = "the secret `encryption-key` has to be 32 bytes, in base64 or hexadecimal";
        let key = key_bytes(key.trim()).or_misconfigured(wrong)?;
        let cipher = Aes256Gcm::new_from_slice(&key).ok().or_misconfigured(wrong)?;
        let mut header = json!({ "alg": "dir", "enc": "A256GCM", "cty": "json" });
        if let Some(key_id) = key_id {
            header["kid"] = key_id.into();
        }
        Ok(Self {
            cipher,
            header: URL_SAFE_NO_PAD.encode(header.to_string()),
        })
    }

    /// A text in JWE. Its nonce is drawn at random each time: made from the value, it would show
    /// which values are the same, and the same nonce for two values would give the key away.
    pub(crate) fn seal(&self, text: &[u8]) -> Result<String, Fault> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).or_unavailable("no random numbers")?;
        let payload = Payload {
            msg: text,
            aad: self.header.as_bytes(),
        };
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .ok()
            .or_invalid("a value is too long to be encrypted")?;
        let (ciphertext, tag) = sealed.split_at(sealed.len() - TAG_BYTES);
        // With `dir` there is no encrypted key: the part between two full stops is empty.
        Ok(format!(
            "{}..{}.{}.{}",
            self.header,
            URL_SAFE_NO_PAD.encode(nonce),
            URL_SAFE_NO_PAD.encode(ciphertext),
            URL_SAFE_NO_PAD.encode(tag)
        ))
    }
}

/// A key in hexadecimal, or in base64 of either alphabet with or without padding.
fn key_bytes(text: &str) -> Option<Vec<u8>> {
    let key = if text.len() == 2 * KEY_BYTES {
        let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        (0..text.len()).step_by(2).map(pair).collect()
    } else {
        let text = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
        STANDARD_NO_PAD.decode(text).ok()
    };
    key.filter(|key| key.len() == KEY_BYTES)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The text of a JWE, as its reader would get it.
    pub(crate) fn open(key: &str, jwe: &str) -> Vec<u8> {
        let parts: Vec<&str> = jwe.split('.').collect();
        let [header, "", nonce, ciphertext, tag] = parts[..] else {
            panic!("{jwe} has not five parts with the second empty");
        };
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&decoded(header)).unwrap();
        assert_eq!((&read["alg"], &read["enc"]), (&json!("dir"), &json!("A256GCM")));
        let nonce: [u8; NONCE_BYTES] = decoded(nonce).try_into().unwrap();
        let sealed = [decoded(ciphertext), decoded(tag)].concat();
        let payload = Payload {
            msg: &sealed,
            aad: header.as_bytes(),
        };
        let cipher = Aes256Gcm::new_from_slice(&key_bytes(key).unwrap()).unwrap();
        cipher.decrypt(&Nonce::from(nonce), payload).unwrap()
    }
}
