//! Who vouches for a plugin: an Ed25519 signature over what names its version.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::plugin::Version;
use super::secret::Secret;

/// What is signed begins with this line; behind it stands the version.
const PREAMBLE: &str = "relay-plugin-v1\n";
/// What a key to sign with, and one to verify with, begins with.
const PREFIXES: (&str, &str) = ("whsk_", "whpk_");
/// Signatures of one version.
const SIGNATURES_MAX: usize = 4;

const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The public key of somebody whose plugins are trusted, written `whpk_…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher(VerifyingKey);

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    #[error("is no public key of a publisher; write `whpk_` and its 32 bytes in base64")]
    Public,
    #[error("is no key to sign with; it begins with `whsk_`, as `relay plugin keygen` makes them")]
    Private,
}

impl FromStr for Publisher {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let bytes = text
            .strip_prefix(PREFIXES.1)
            .map(|base64| KEY_BASE64.decode(base64));
        let Some(Ok(bytes)) = bytes else {
            return Err(NoKey::Public);
        };
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| NoKey::Public)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| NoKey::Public)?;
        // Anyone can sign under a key of small order.
        match key.is_weak() {
            true => Err(NoKey::Public),
            false => Ok(Self(key)),
        }
    }
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", PREFIXES.1, STANDARD.encode(self.0.as_bytes()))
    }
}

/// Signatures of a version, each 64 bytes in base64, with blanks between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures(Vec<Signature>);

/// Why a text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no signature; it has 64 bytes, in base64, as `relay plugin sign` writes them")]
pub struct NoSignature;

impl FromStr for Signatures {
    type Err = NoSignature;

    fn from_str(text: &str) -> Result<Self, NoSignature> {
        let read = |word: &str| {
            let bytes = STANDARD.decode(word).map_err(|_| NoSignature)?;
            Signature::from_slice(&bytes).map_err(|_| NoSignature)
        };
        let signatures: Vec<_> = text
            .split_ascii_whitespace()
            .take(SIGNATURES_MAX + 1)
            .map(read)
            .collect::<Result<_, _>>()?;
        match (1..=SIGNATURES_MAX).contains(&signatures.len()) {
            true => Ok(Self(signatures)),
            false => Err(NoSignature),
        }
    }
}

impl fmt::Display for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self
            .0
            .iter()
            .map(|signature| STANDARD.encode(signature.to_bytes()))
            .collect();
        f.write_str(&words.join(" "))
    }
}

/// Whose plugins are taken; without any, everybody's are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publishers(Option<Arc<[Publisher]>>);

/// Why a version is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    #[error(
        "is not signed, and only plugins of named publishers are taken; sign it with `relay plugin sign`"
    )]
    Unsigned,
    #[error("is signed by none of the publishers whose plugins are taken, or is not what they signed")]
    Stranger,
}

impl Publishers {
    /// These and nobody else.
    pub fn only(publishers: Vec<Publisher>) -> Self {
        Self(Some(publishers.into()))
    }

    /// Whether everybody's are taken.
    pub const fn is_anyone(&self) -> bool {
        self.0.is_none()
    }

    /// Who of them has signed a version.
    pub fn signer(&self, version: &Version, signatures: Option<&Signatures>) -> Option<&Publisher> {
        let text = signed(version);
        let signatures = &signatures?.0;
        self.0.iter().flat_map(|known| known.iter()).find(|publisher| {
            signatures
                .iter()
                .any(|signature| publisher.0.verify_strict(text.as_bytes(), signature).is_ok())
        })
    }

    /// Whether a version may be used.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, version: &Version, signatures: Option<&Signatures>) -> Result<(), Untrusted> {
        match (&self.0, signatures) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(Untrusted::Unsigned),
            (Some(_), Some(_)) => match self.signer(version, signatures) {
                Some(_) => Ok(()),
                None => Err(Untrusted::Stranger),
            },
        }
    }
}

/// Vouches for a version with a key `whsk_…`; answers with the signature in base64.
///
/// # Errors
/// That is no such key.
pub fn sign(key: &Secret, version: &Version) -> Result<String, NoKey> {
    let bytes = key
        .reveal()
        .trim()
        .strip_prefix(PREFIXES.0)
        .and_then(|base64| KEY_BASE64.decode(base64).ok());
    let pair: Option<[u8; 64]> = bytes.and_then(|bytes| bytes.try_into().ok());
    let key = pair.and_then(|pair| SigningKey::from_keypair_bytes(&pair).ok());
    let key = key.ok_or(NoKey::Private)?;
    Ok(STANDARD.encode(key.sign(signed(version).as_bytes()).to_bytes()))
}

fn signed(version: &Version) -> String {
    format!("{PREAMBLE}{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(seed: u8) -> (Secret, Publisher) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let text = format!("whsk_{}", STANDARD.encode(key.to_keypair_bytes()));
        (Secret::new(text), Publisher(key.verifying_key()))
    }

    fn signatures(seed: u8, version: &Version) -> Signatures {
        let text = sign(&pair(seed).0, version).expect("a key");
        text.parse().expect("a signature")
    }

    #[test]
    fn a_version_is_taken_if_a_publisher_vouches_for_just_that_version() {
        let (version, other) = (Version::of(b"a"), Version::of(b"b"));
        let known = Publishers::only(vec![pair(1).1, pair(2).1]);
        let check = |signatures: Option<&Signatures>| known.check(&version, signatures);
        assert_eq!(check(Some(&signatures(1, &version))), Ok(()));
        assert_eq!(check(Some(&signatures(2, &version))), Ok(()));
        assert_eq!(check(Some(&signatures(3, &version))), Err(Untrusted::Stranger));
        assert_eq!(check(Some(&signatures(1, &other))), Err(Untrusted::Stranger));
        assert_eq!(check(None), Err(Untrusted::Unsigned));
        let both = format!("{} {}", signatures(3, &version), signatures(2, &version));
        let both: Signatures = both.parse().expect("two");
        assert_eq!(check(Some(&both)), Ok(()));
        assert_eq!(known.signer(&version, Some(&both)), Some(&pair(2).1));
        assert_eq!(Publishers::default().check(&version, None), Ok(()));
        assert_eq!(
            Publishers::only(Vec::new()).check(&version, Some(&both)),
            Err(Untrusted::Stranger)
        );
    }

    #[test]
    fn what_is_no_key_or_signature_is_refused() {
        let public = pair(1).1;
        assert_eq!(public.to_string().parse(), Ok(public));
        let weak = format!("whpk_{}", STANDARD.encode([0; 32]));
        for text in ["", "whpk_", "whpk_AAAA", "whsk_AAAA", weak.as_str()] {
            assert_eq!(text.parse::<Publisher>(), Err(NoKey::Public), "{text}");
        }
        let version = Version::of(b"a");
        for text in ["", "whsk_AAAA", "whpk_AAAA"] {
            assert_eq!(
                sign(&Secret::new(text.to_owned()), &version),
                Err(NoKey::Private),
                "{text}"
            );
        }
        let one = signatures(1, &version).to_string();
        let many = [one.as_str(); SIGNATURES_MAX + 1].join(" ");
        for text in ["", " ", "AAAA", "?", many.as_str()] {
            assert_eq!(text.parse::<Signatures>(), Err(NoSignature), "{text}");
        }
    }
}
