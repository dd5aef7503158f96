//! Digests, MACs and signatures, over bytes and in constant time where it matters.
//!
//! Everything that compares a secret goes through here. What does not decode, has another
//! length or is empty is never equal to anything: verification fails closed.

pub mod public_key;
pub mod standard_webhooks;
#[cfg(test)]
mod standard_webhooks_tests;

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

pub use self::public_key::{PublicKey, is_usable, verify};
pub use crate::model::verify::{Digest, Encoding};

/// The HMAC of the concatenated `parts`.
pub fn hmac(digest: Digest, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let algorithm = match digest {
        // Twilio, Vercel and GitHub's legacy header sign with it; as an HMAC it still holds.
        Digest::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => hmac::HMAC_SHA256,
        Digest::Sha384 => hmac::HMAC_SHA384,
        Digest::Sha512 => hmac::HMAC_SHA512,
    };
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

/// The digest of the concatenated `parts`.
pub fn hash(digest: Digest, parts: &[&[u8]]) -> Vec<u8> {
    let algorithm = match digest {
        Digest::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => &digest::SHA256,
        Digest::Sha384 => &digest::SHA384,
        Digest::Sha512 => &digest::SHA512,
    };
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// A SHA-256 of what comes piece by piece.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Sha256 {
    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest, in hex.
    pub fn finish(self) -> String {
        hex::encode(self.0.finish())
    }
}

/// Writes bytes as text: hex in lower case, base64 padded, base64url without padding.
pub fn encode(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
    }
}

/// Reads what [`encode`] writes, hex in either case; `None` for anything else, such as
/// characters after the padding, white space, or bits that belong to no byte.
pub fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(text).ok(),
        Encoding::Base64 => STANDARD.decode(text).ok(),
        // Senders differ in whether they pad this one; both mean the same bytes.
        Encoding::Base64Url => URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok(),
    }
}

/// Whether `a` and `b` are the same bytes, in time that does not depend on where they
/// differ. False if the lengths differ or there is nothing to compare.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    !a.is_empty() && constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Bytes that nobody can guess, from the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system hands out random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_and_digests_equal_published_ones() {
        // GitHub's documentation.
        let github = hmac(
            Digest::Sha256,
            b"It's a Secret to Everybody",
            &[b"Hello, ", b"World!"],
        );
        assert_eq!(
            encode(Encoding::Hex, &github),
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
        // RFC 2202, test case 2.
        let sha1 = hmac(Digest::Sha1, b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            encode(Encoding::Hex, &sha1),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        // RFC 4231, test case 2.
        let sha384 = hmac(Digest::Sha384, b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            encode(Encoding::Hex, &sha384),
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
        );
        assert_eq!(hmac(Digest::Sha512, b"k", &[]).len(), 64);
        assert_eq!(
            encode(Encoding::Hex, &hash(Digest::Sha256, &[b"a", b"bc"])),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            encode(Encoding::Base64, &hash(Digest::Sha1, &[b"abc"])),
            "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
            for bytes in [&b""[..], b"\xff", b"\xfb\xff\xfe", b"hello"] {
                assert_eq!(decode(encoding, &encode(encoding, bytes)).as_deref(), Some(bytes));
            }
        }
    }

    #[test]
    fn sloppy_encodings_are_refused() {
        for (encoding, text) in [
            (Encoding::Hex, "abc"),
            (Encoding::Hex, "zz"),
            (Encoding::Hex, "ab "),
            (Encoding::Base64, "/w"),
            (Encoding::Base64, "/w=="),
            (Encoding::Base64, "/x=="),
            (Encoding::Base64, "/w==AAAA"),
            (Encoding::Base64, "_w=="),
            (Encoding::Base64Url, "/w"),
        ] {
            let is_right = text == "/w==";
            assert_eq!(decode(encoding, text).is_some(), is_right, "{encoding:?} {text}");
        }
    }

    #[test]
    fn nothing_is_the_same_as_nothing() {
        assert!(same(b"abc", b"abc"));
        for (a, b) in [
            (&b""[..], &b""[..]),
            (b"abc", b"abd"),
            (b"abc", b"ab"),
            (b"", b"a"),
        ] {
            assert!(!same(a, b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random::<32>(), random::<32>());
    }
}
