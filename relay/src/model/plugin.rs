//! The use of a plugin by a source or an endpoint, and the versions of a plugin.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::secret::Secret;

/// What versions are written with: the digest that they are.
const DIGEST: &str = "sha256:";
/// Hexadecimal digits of a whole version.
const DIGITS: usize = 64;
/// Digits that a pin has at least: fewer might come to name two.
pub const PIN_DIGITS_MIN: usize = 12;

/// A plugin in a chain, with what this owner gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginUse {
    /// The name of an uploaded plugin, of a file in the plugin folder, or of a stock plugin.
    pub name: String,
    /// The version that it is to have; `None`: whichever is current.
    pub pin: Option<Pin>,
    /// Its configuration, not yet checked against the plugin's schema.
    pub config: serde_json::Value,
    /// Secrets granted to it, by the name it asks for.
    pub secrets: Vec<(String, Secret)>,
    pub limits: Limits,
    /// Whether an instance may serve several calls, where the author allows it. `false`: a
    /// fresh instance for every call, whatever the author says.
    pub reuse: bool,
}

/// What one call of a plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall time, host calls included.
    pub time: Duration,
    /// All linear memories together.
    pub memory_bytes: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    pub output_bytes: usize,
    pub log_lines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(50),
            memory_bytes: 16 << 20,
            table_elements: 10_000,
            output_bytes: 1 << 20,
            log_lines: 64,
        }
    }
}

/// What becomes of a delivery when a plugin breaks (trap, overrun, unusable answer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFault {
    /// Try again by the endpoint's schedule.
    #[default]
    Retry,
    /// Give up at once; kept for a manual retry.
    DeadLetter,
    /// Go on as if the plugin were not there.
    Pass,
}

/// A version of a plugin: the SHA-256 digest of its component's bytes, written `sha256:` and
/// 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version([u8; Self::BYTES]);

impl Version {
    /// Bytes of a digest.
    pub const BYTES: usize = 32;

    /// The version that a component is.
    pub fn of(component: &[u8]) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes.copy_from_slice(digest(&SHA256, component).as_ref());
        Self(bytes)
    }

    /// From the digest's bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DIGEST}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl utoipa::PartialSchema for Version {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^sha256:[0-9a-f]{64}$"))
            .into()
    }
}

impl utoipa::ToSchema for Version {}

/// The beginning of a version, or all of it: what tells it from the others of its plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin(String);

impl Pin {
    /// Whether it is this version's beginning.
    pub fn fits(&self, version: &Version) -> bool {
        hex::encode(version.0).starts_with(&self.0)
    }
}

/// Why a text is no [`Pin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no version; write `sha256:` and at least {PIN_DIGITS_MIN} of its hexadecimal digits")]
pub struct NoPin;

impl FromStr for Pin {
    type Err = NoPin;

    fn from_str(text: &str) -> Result<Self, NoPin> {
        let digits = text.strip_prefix(DIGEST).ok_or(NoPin)?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if (PIN_DIGITS_MIN..=DIGITS).contains(&digits.len()) && digits.bytes().all(is_hex) {
            Ok(Self(digits.to_owned()))
        } else {
            Err(NoPin)
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DIGEST}{}", self.0)
    }
}

/// Reads what a use says: a name, or a name, `@` and a version.
///
/// # Errors
/// What stands behind `@` is no version.
pub fn read_use(text: &str) -> Result<(&str, Option<Pin>), NoPin> {
    match text.split_once('@') {
        None => Ok((text, None)),
        Some((name, pin)) => Ok((name, Some(pin.parse()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_digest_of_the_bytes() {
        // FIPS 180-2, appendix B.1.
        let known = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Version::of(b"abc").to_string(), known);
    }

    #[test]
    fn a_use_is_a_name_with_or_without_the_beginning_of_a_version() {
        let version = Version::of(b"abc");
        assert_eq!(read_use("tidy"), Ok(("tidy", None)));
        for text in [version.to_string(), "sha256:ba7816bf8f01".to_owned()] {
            let whole = format!("tidy@{text}");
            let (name, pin) = read_use(&whole).expect("a pinned use");
            let pin = pin.expect("it is pinned");
            assert_eq!((name, pin.to_string()), ("tidy", text));
            assert!(pin.fits(&version) && !pin.fits(&Version::of(b"abd")));
        }
        for text in [
            "tidy@",
            "tidy@1.2.0",
            "tidy@ba7816bf8f01",
            "tidy@sha256:ba7816bf8f0",
            "tidy@sha256:BA7816BF8F01",
            "tidy@sha256:ba7816bf8f01@",
        ] {
            assert_eq!(read_use(text), Err(NoPin), "{text}");
        }
        let long = format!("tidy@{version}0");
        assert_eq!(read_use(&long), Err(NoPin));
    }
}
