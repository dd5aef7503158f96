//! Seals what is secret before it reaches a disk: AES-256-GCM-SIV (RFC 8452).
//!
//! A value is sealed with the data key of its tenant, a data key with the master key, which
//! is never in the store. Nonces are random; should one ever come twice, this mode gives away
//! no more than whether two values are equal. What is sealed opens in its own place alone.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::model::secret::Secret;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// By so much a sealed value is longer: nonce before, tag behind.
pub const OVERHEAD_BYTES: usize = NONCE_LEN + 16;
/// A key of fewer different bytes was not made by chance: thirty is usual, and fewer than
/// this come once in 10^22 times.
const DIFFERENT_BYTES_MIN: usize = 16;

/// Seals and opens.
pub struct Key(LessSafeKey);

impl Key {
    /// From its bytes.
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes).expect("a key of this length fits the cipher");
        Self(LessSafeKey::new(key))
    }

    /// `plain` behind its nonce, sealed. It opens only with the same `place`.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce = random::<NONCE_LEN>();
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place),
                &mut sealed[NONCE_LEN..],
            )
            .expect("a value is shorter than the cipher's 64 GiB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// What was sealed; `None` if it is not as it was sealed here.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut opened = sealed.to_vec();
        let plain = self
            .0
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(place),
                &mut opened,
            )
            .ok()?
            .len();
        opened.truncate(plain);
        Some(opened)
    }
}

/// The key that all others in a store are sealed with.
pub struct MasterKey {
    id: MasterId,
    key: Key,
}

/// Tells master keys apart and says nothing of them.
pub type MasterId = [u8; 8];

/// Why a text is no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    #[error("is not the base64 or hex of {KEY_BYTES} bytes")]
    Form,
    #[error("was not made by chance: it repeats itself")]
    Pattern,
}

impl MasterKey {
    /// Reads a key written in base64 or hex.
    ///
    /// # Errors
    /// It has another length, or could be guessed.
    pub fn parse(text: &Secret) -> Result<Self, WeakKey> {
        let text = text.reveal().trim();
        let read = hex::decode(text)
            .ok()
            .or_else(|| STANDARD.decode(text).ok())
            .or_else(|| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
        let bytes: [u8; KEY_BYTES] = read
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(WeakKey::Form)?;
        let mut sorted = bytes.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() < DIFFERENT_BYTES_MIN {
            return Err(WeakKey::Pattern);
        }
        Ok(Self::new(&bytes))
    }

    /// A new one, and how it is written.
    pub fn generate() -> (Self, Secret) {
        let bytes = random::<KEY_BYTES>();
        (Self::new(&bytes), Secret::new(STANDARD.encode(bytes)))
    }

    fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"relay master key\0");
        context.update(bytes);
        let mut id = MasterId::default();
        let length = id.len();
        id.copy_from_slice(&context.finish().as_ref()[..length]);
        Self {
            id,
            key: Key::new(bytes),
        }
    }

    /// What a store says it is sealed with.
    pub const fn id(&self) -> MasterId {
        self.id
    }

    /// Seals and opens data keys.
    pub const fn key(&self) -> &Key {
        &self.key
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for MasterKey {}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", hex::encode(self.id))
    }
}

/// Bytes that nobody can guess.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system hands out random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_equals_the_published_one() {
        // RFC 8452, appendix C.2: the first case with a plaintext.
        let mut bytes = [0; KEY_BYTES];
        bytes[0] = 1;
        let mut nonce = [0; NONCE_LEN];
        nonce[0] = 3;
        let sealed = "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28";
        let sealed = [nonce.as_slice(), &hex::decode(sealed).unwrap()].concat();
        assert_eq!(
            Key::new(&bytes).open(b"", &sealed).as_deref(),
            Some(&[1, 0, 0, 0, 0, 0, 0, 0][..])
        );
    }

    #[test]
    fn only_the_same_key_opens_in_the_same_place() {
        let key = Key::new(&random());
        for plain in [&b""[..], b"x", b"a longer secret than one block of the cipher"] {
            let sealed = key.seal(b"here", plain);
            assert_eq!(sealed.len(), plain.len() + OVERHEAD_BYTES);
            assert_eq!(key.open(b"here", &sealed).as_deref(), Some(plain));
            assert_eq!(key.open(b"there", &sealed), None);
            assert_eq!(Key::new(&random()).open(b"here", &sealed), None);
            assert_ne!(key.seal(b"here", plain), sealed, "nonces differ");
        }
    }

    #[test]
    fn every_cut_and_every_flip_is_noticed() {
        let key = Key::new(&random());
        let sealed = key.seal(b"here", b"whsec_secret");
        for length in 0..sealed.len() {
            assert_eq!(key.open(b"here", &sealed[..length]), None, "cut at {length}");
            let mut flipped = sealed.clone();
            flipped[length] ^= 0x10;
            assert_eq!(key.open(b"here", &flipped), None, "flipped at {length}");
        }
    }

    #[test]
    fn weak_master_keys_are_refused() {
        let parse = |text: &str| MasterKey::parse(&Secret::new(text.to_owned())).map(drop);
        let (_, fresh) = MasterKey::generate();
        assert_eq!(parse(fresh.reveal()), Ok(()));
        assert_eq!(parse(&format!("{}\n", fresh.reveal())), Ok(()));
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        assert_eq!(parse(hex), Ok(()));
        for (text, why) in [
            ("", WeakKey::Form),
            ("correct horse battery staple", WeakKey::Form),
            ("c2hvcnQ=", WeakKey::Form),
            (&hex[2..], WeakKey::Form),
            (&"00".repeat(32), WeakKey::Pattern),
            (&"deadbeef".repeat(8), WeakKey::Pattern),
        ] {
            assert_eq!(parse(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn a_master_key_is_known_by_an_id_that_is_not_shown_with_it() {
        let (key, text) = MasterKey::generate();
        assert_eq!(MasterKey::parse(&text).unwrap().id(), key.id());
        assert_ne!(MasterKey::generate().0.id(), key.id());
        assert!(!format!("{key:?}").contains(text.reveal()));
    }
}
