//! The use of a plugin by a source or an endpoint, and the versions of a plugin.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use url::Url;

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
    pub pin: Option<Choice>,
    /// Its configuration, not yet checked against the plugin's schema.
    pub config: serde_json::Value,
    /// Secrets granted to it, by the name it asks for.
    pub secrets: Vec<(String, Secret)>,
    /// Powers granted to it beyond what every plugin has.
    pub granted: Granted,
    pub limits: Limits,
    /// Whether an instance may serve several calls, where the author allows it. `false`: a
    /// fresh instance for every call, whatever the author says.
    pub reuse: bool,
}

/// Powers that reach beyond the event in hand: none is there unless its owner grants it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Granted {
    /// Hosts that it may send requests to.
    pub http: Vec<HostPattern>,
    pub state: bool,
    pub judge: bool,
    pub media: bool,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    Http,
    State,
    Judge,
    Media,
}

impl Power {
    pub const ALL: [Self; 4] = [Self::Http, Self::State, Self::Judge, Self::Media];

    /// What the interface, manifests and `grants` call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::State => "state",
            Self::Judge => "judge",
            Self::Media => "media",
        }
    }

    /// The one of that name, if it is one that has to be granted.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|power| power.name() == name)
    }
}

impl Granted {
    /// The powers of these names, with any host: for where nothing is reached but what was prepared.
    /// Other names count for nothing.
    pub fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut granted = Self::default();
        for power in names.filter_map(Power::of) {
            match power {
                Power::Http => granted.http = vec![HostPattern::any()],
                Power::State => granted.state = true,
                Power::Judge => granted.judge = true,
                Power::Media => granted.media = true,
            }
        }
        granted
    }

    /// Whether it is granted at all.
    pub const fn has(&self, power: Power) -> bool {
        match power {
            Power::Http => !self.http.is_empty(),
            Power::State => self.state,
            Power::Judge => self.judge,
            Power::Media => self.media,
        }
    }

    /// The line that grants what is granted, and these too.
    pub fn line_with(&self, more: &[Power]) -> String {
        let is_in = |power: &Power| self.has(*power) || more.contains(power);
        let keys: Vec<_> = Power::ALL
            .into_iter()
            .filter(is_in)
            .map(|power| match power {
                Power::Http => format!("http = [{}]", self.hosts()),
                other => format!("{} = true", other.name()),
            })
            .collect();
        format!("grants = {{ {} }}", keys.join(", "))
    }

    fn hosts(&self) -> String {
        if self.http.is_empty() {
            return "\"api.example.com\"".to_owned();
        }
        let quoted: Vec<_> = self.http.iter().map(|host| format!("\"{host}\"")).collect();
        quoted.join(", ")
    }
}

/// A host name, or `*.` and a domain, for every name below that; with a port, or for the one that a
/// scheme usually has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPattern {
    name: String,
    port: Option<u16>,
}

/// Stands for every host; nobody can write it.
const ANY_HOST: &str = "*";

impl HostPattern {
    fn any() -> Self {
        Self {
            name: ANY_HOST.to_owned(),
            port: None,
        }
    }

    /// Whether a URL leads there.
    pub fn fits(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let is_there = match self.name.strip_prefix('*') {
            Some("") => return true,
            Some(domain) => host.strip_suffix(domain).is_some_and(|below| !below.is_empty()),
            None => host == self.name,
        };
        // A URL tells a port only if it is not its scheme's own.
        let is_at_port = match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            None => url.port().is_none(),
        };
        is_there && is_at_port
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Why a text is no [`HostPattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no host; write one such as api.example.com, api.example.com:8443, or *.example.com for all below"
)]
pub struct NoHost;

impl FromStr for HostPattern {
    type Err = NoHost;

    fn from_str(text: &str) -> Result<Self, NoHost> {
        let below = text.strip_prefix("*.").unwrap_or(text);
        let (name, port) = match below.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((name, port)) if !port.ends_with(']') => {
                let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
                let port = port.parse().ok().filter(|port| is_number && *port != 0);
                (name, Some(port.ok_or(NoHost)?))
            }
            _ => (below, None),
        };
        let url = Url::parse(&format!("https://{name}/")).map_err(|_| NoHost)?;
        let is_whole = url.host_str() == Some(name) && !name.contains('*');
        let prefix = &text[..text.len() - below.len()];
        match is_whole {
            true => Ok(Self {
                name: format!("{prefix}{name}"),
                port,
            }),
            false => Err(NoHost),
        }
    }
}

/// What one call of a plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall time, host calls included.
    pub time: Duration,
    /// All linear memories together.
    pub memory_bytes: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    pub output_bytes: usize,
    pub log_lines: usize,
    /// How long one request may take, if `http` is granted.
    pub http_timeout: Duration,
    /// Requests of one call of a hook.
    pub http_calls: usize,
    /// Longest body of an answer to one.
    pub http_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(50),
            memory_bytes: 16 << 20,
            table_elements: 10_000,
            output_bytes: 1 << 20,
            log_lines: 64,
            http_timeout: Duration::from_secs(5),
            http_calls: 4,
            http_bytes: 1 << 20,
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

impl Version {
    /// Enough of it for people to tell it from others.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(DIGEST.len() + PIN_DIGITS_MIN);
        text
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

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Version {
    type Err = NoPin;

    fn from_str(text: &str) -> Result<Self, NoPin> {
        let digits = text.strip_prefix(DIGEST).ok_or(NoPin)?;
        let mut bytes = [0; Self::BYTES];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NoPin)?;
        Ok(Self(bytes))
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

/// A name that stands for one version of a plugin at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Tag(String);

/// What the current version is called among the tags.
pub const CURRENT: &str = "current";
/// Letters of a tag.
const TAG_MAX: usize = 32;

/// Why a text is no [`Tag`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no tag; write a letter, and up to 31 more letters, digits, `-` and `_`")]
pub struct NoTag;

impl Tag {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = NoTag;

    fn from_str(text: &str) -> Result<Self, NoTag> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        // More likely a version that lacks what it begins with.
        let is_digest = text.len() >= PIN_DIGITS_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match begins && text.len() <= TAG_MAX && text.bytes().all(is_fit) && !is_digest {
            true => Ok(Self(text.to_owned())),
            false => Err(NoTag),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which version a use wants, if not the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one, whatever comes later.
    Version(Pin),
    /// Whichever the tag stands for.
    Tag(Tag),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(pin) => pin.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

/// Reads what a use says: a name, or a name, `@` and a version or a tag.
///
/// # Errors
/// What stands behind `@` is neither.
pub fn read_use(text: &str) -> Result<(&str, Option<Choice>), NoPin> {
    match text.split_once('@') {
        None => Ok((text, None)),
        Some((name, CURRENT)) => Ok((name, None)),
        Some((name, word)) => match word.parse() {
            Ok(tag) => Ok((name, Some(Choice::Tag(tag)))),
            Err(NoTag) => Ok((name, Some(Choice::Version(word.parse()?)))),
        },
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
    fn a_host_is_granted_by_name_or_by_what_it_is_below() {
        let fits = |pattern: &str, url: &str| {
            let url = url.parse().expect("a URL");
            pattern.parse::<HostPattern>().map(|pattern| pattern.fits(&url))
        };
        for (pattern, url, expected) in [
            ("api.example.com", "https://api.example.com/a", true),
            ("api.example.com", "https://API.Example.com:443/a", true),
            ("api.example.com", "http://api.example.com/", true),
            ("api.example.com", "http://api.example.com:443/", false),
            ("api.example.com", "https://api.example.com:8443/", false),
            ("api.example.com", "https://xapi.example.com/", false),
            ("api.example.com", "https://api.example.com./", false),
            ("api.example.com", "https://api.example.com@evil.example/", false),
            ("*.example.com", "https://api.example.com/", true),
            ("*.example.com", "https://a.b.example.com/", true),
            ("*.example.com", "https://example.com/", false),
            ("*.example.com", "https://badexample.com/", false),
            ("*.example.com:8443", "https://a.example.com:8443/", true),
            ("127.0.0.1:80", "http://2130706433/", true),
            ("127.0.0.1:80", "http://0x7f.1/", true),
            ("127.0.0.1:80", "http://[::ffff:127.0.0.1]/", false),
            ("[::1]:8080", "http://[::1]:8080/", true),
            ("[::1]", "http://[::1]:8080/", false),
        ] {
            assert_eq!(fits(pattern, url), Ok(expected), "{pattern} {url}");
        }
        for text in [
            "",
            "*",
            "*.*",
            "*.",
            "a b",
            "https://a.b",
            "a.b/c",
            "a.b:",
            "a.b:0",
            "a.b:+1",
            "a.b:70000",
            "A.b",
            "user@a.b",
            "2130706433",
        ] {
            assert_eq!(fits(text, "https://a.b"), Err(NoHost), "{text}");
        }
    }

    #[test]
    fn the_line_to_add_keeps_what_is_granted() {
        let none = Granted::default();
        assert_eq!(none.line_with(&[Power::State]), "grants = { state = true }");
        assert_eq!(
            none.line_with(&[Power::Judge, Power::Http]),
            "grants = { http = [\"api.example.com\"], judge = true }"
        );
        let some = Granted {
            http: vec!["*.a.example:81".parse().expect("a host")],
            ..none
        };
        let line = "grants = { http = [\"*.a.example:81\"], state = true }";
        assert_eq!(some.line_with(&[Power::State]), line);
    }

    #[test]
    fn a_use_is_a_name_with_or_without_the_beginning_of_a_version() {
        let version = Version::of(b"abc");
        assert_eq!(read_use("tidy"), Ok(("tidy", None)));
        for text in [version.to_string(), "sha256:ba7816bf8f01".to_owned()] {
            let whole = format!("tidy@{text}");
            let (name, pin) = read_use(&whole).expect("a pinned use");
            assert_eq!((name, pin.as_ref().map(Choice::to_string)), ("tidy", Some(text)));
            let Some(Choice::Version(pin)) = pin else {
                panic!("it is pinned");
            };
            assert!(pin.fits(&version) && !pin.fits(&Version::of(b"abd")));
        }
        assert_eq!(read_use("tidy@current"), Ok(("tidy", None)));
        let tag = |text: &str| text.parse().map(Choice::Tag).expect("a tag");
        assert_eq!(read_use("tidy@beta"), Ok(("tidy", Some(tag("beta")))));
        for text in [
            "tidy@",
            "tidy@1.2.0",
            "tidy@ba7816bf8f01",
            "tidy@a.b",
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
