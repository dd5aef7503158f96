//! Reads how a source tells genuine posts from forged ones.

mod handshake;
mod jwt;
mod keys;
mod signature;

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::config::reader::Section;
use crate::crypto::standard_webhooks::VerifyingKey;
use crate::model::verify::{
    Algorithm, Encoding, Place, PublicKeyAlgorithm, Scheme, TOLERANCE_DEFAULT, Verify,
};

use self::keys::secrets;
use super::place::place;
use super::preset::{self, Preset};

const TOLERANCE_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Most places where one token may stand.
const PLACES_MAX: usize = 4;

const ENCODINGS: [(&str, Encoding); 3] = [
    ("hex", Encoding::Hex),
    ("base64", Encoding::Base64),
    ("base64url", Encoding::Base64Url),
];

#[derive(Clone, Copy)]
enum Kind {
    StandardWebhooks,
    Hmac,
    Ecdsa,
    Ed25519,
    Rsa,
    Jwt,
    Token,
    Basic,
    None,
}

const KINDS: [(&str, Kind); 9] = [
    ("standard-webhooks", Kind::StandardWebhooks),
    ("hmac", Kind::Hmac),
    ("ecdsa", Kind::Ecdsa),
    ("ed25519", Kind::Ed25519),
    ("rsa", Kind::Rsa),
    ("jwt", Kind::Jwt),
    ("token", Kind::Token),
    ("basic", Kind::Basic),
    ("none", Kind::None),
];

/// The source that is read, as far as senders know it.
pub(super) struct Door<'a> {
    pub(super) name: Option<&'a str>,
    /// How people outside reach this relay.
    pub(super) public_url: Option<&'a Url>,
}

/// What posts are checked by, and the sender whose way that is. A preset that signs in a way
/// of its own need not be named again.
pub(super) fn read(
    source: &Section<'_>,
    preset: Option<&'static Preset>,
    door: &Door<'_>,
) -> Option<(Verify, Option<&'static Preset>)> {
    if !source.has("verify") {
        source.value("verify");
        source.fault(
            "verify",
            "is missing, so anyone could post",
            "write verify = { scheme = \"token\", in = \"header:authorization\", secret = { env = \"NAME\" } }, \
             or { scheme = \"none\" } if anyone may",
        );
        return None;
    }
    let given = source.section("verify")?;
    let sender = match given.string("scheme") {
        Some(word) => preset::named(word),
        None => preset,
    };
    let usual = sender.and_then(|sender| sender.verify.as_ref());
    let mut table = given.filled_from(usual);
    if let Some(scheme) = usual.and_then(|usual| usual.get("scheme")) {
        table.insert("scheme".to_owned(), scheme.clone());
    }
    let section = given.with(&table);
    // Without the scheme, which keys belong here is not known either.
    let kind = kind(&section)?;
    let scheme = read_scheme(&section, kind, door);
    let handshake = handshake::read(&section, scheme.as_ref());
    section.finish();
    let verify = Verify {
        scheme: scheme?,
        handshake: handshake?,
    };
    Some((verify, sender))
}

/// Beginnings of `verify` that lead the reader through every key that it knows.
pub(super) fn openings() -> Vec<Value> {
    let schemes = KINDS.iter().flat_map(|(scheme, kind)| match kind {
        Kind::Jwt => jwt::openings(scheme),
        Kind::Hmac | Kind::Ecdsa | Kind::Ed25519 | Kind::Rsa => signature::openings(scheme),
        _ => vec![json!({ "scheme": scheme })],
    });
    let handshakes = handshake::openings("none");
    // A scheme that is none: the words that would be.
    schemes.chain(handshakes).chain([json!({"scheme": ""})]).collect()
}

/// The kind of scheme; a fault names the senders too.
fn kind(section: &Section<'_>) -> Option<Kind> {
    let word = section.required("scheme", "\"token\"")?;
    if let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == word) {
        return Some(*kind);
    }
    let senders = preset::all().iter().filter(|preset| preset.verify.is_some());
    let words: Vec<_> = KINDS
        .iter()
        .map(|(word, _)| (*word, ()))
        .chain(senders.map(|preset| (preset.name.as_str(), ())))
        .collect();
    section.choice("scheme", &words);
    None
}

fn read_scheme(section: &Section<'_>, kind: Kind, door: &Door<'_>) -> Option<Scheme> {
    let signature = |algorithm| signature::read(section, algorithm, door).map(Scheme::Signature);
    match kind {
        Kind::None => Some(Scheme::None),
        Kind::StandardWebhooks => read_standard(section),
        Kind::Hmac => signature(signature::hmac(section)),
        Kind::Ecdsa => signature(signature::ecdsa(section)),
        Kind::Rsa => signature(signature::rsa(section)),
        Kind::Ed25519 => signature(Algorithm::PublicKey(PublicKeyAlgorithm::Ed25519)),
        Kind::Jwt => jwt::read(section).map(Scheme::Jwt),
        Kind::Token => {
            let at = places(section);
            let secrets = secrets(section, "secret", "secrets");
            Some(Scheme::Token {
                at: at?,
                secrets: secrets?,
            })
        }
        Kind::Basic => {
            let user = section.required("user", "\"shop\"").map(str::to_owned);
            let passwords = secrets(section, "password", "passwords");
            Some(Scheme::Basic {
                user: user?,
                passwords: passwords?,
            })
        }
    }
}

fn tolerance(section: &Section<'_>) -> Duration {
    section
        .duration("tolerance", TOLERANCE_RANGE)
        .unwrap_or(TOLERANCE_DEFAULT)
}

fn read_standard(section: &Section<'_>) -> Option<Scheme> {
    let tolerance = tolerance(section);
    let secrets = secrets(section, "secret", "secrets")?;
    let key = if section.has("secret") {
        "secret"
    } else {
        "secrets"
    };
    for error in secrets
        .iter()
        .filter_map(|secret| VerifyingKey::parse(secret).err())
    {
        section.fault(
            key,
            error.to_string(),
            "use the whsec_… secret or whpk_… key that the sender shows",
        );
    }
    Some(Scheme::StandardWebhooks { secrets, tolerance })
}

/// Where a token stands: one place, or several of which a post uses one.
fn places(section: &Section<'_>) -> Option<Vec<Place>> {
    let texts = section
        .strings("in")
        .unwrap_or_else(|| vec!["header:authorization"]);
    if texts.is_empty() || texts.len() > PLACES_MAX {
        let problem = format!("names {} places", texts.len());
        section.fault("in", problem, format!("name 1 to {PLACES_MAX}"));
        return None;
    }
    texts.iter().map(|text| place(section, "in", text)).collect()
}

impl Door<'_> {
    /// The address that a sender posts to, without its query.
    fn url(&self, section: &Section<'_>) -> Option<Url> {
        let Some(text) = section.string("url") else {
            return self.usual_url(section);
        };
        match Url::parse(text) {
            Ok(url) if is_address(&url) => Some(url),
            _ => {
                let remedy = "write it as the sender has it, as in \"https://hooks.example.com/in/sms\", \
                              without its query";
                section.fault("url", format!("is {text:?}"), remedy);
                None
            }
        }
    }

    fn usual_url(&self, section: &Section<'_>) -> Option<Url> {
        let Some(public_url) = self.public_url.filter(|url| is_address(url)) else {
            if !section.has("url") {
                let remedy = "write it as the sender has it, or give server.public_url";
                section.fault("url", "is missing, and this sender signs it", remedy);
            }
            return None;
        };
        let mut url = public_url.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{path}/in/{}", self.name.unwrap_or_default()));
        Some(url)
    }
}

fn is_address(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none()
}
