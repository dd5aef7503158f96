//! Reads how a source tells genuine posts from forged ones.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::crypto;
use crate::crypto::standard_webhooks::VerifyingKey;
use crate::model::preset::TOLERANCE_DEFAULT;
use crate::model::secret::Secret;
use crate::model::source::{Digest, Encoding, HmacScheme, Part, Place, SignedTime, Verify};

use super::{header_name, pointer};
use crate::config::reader::Section;

const TOLERANCE_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

const DIGESTS: [(&str, Digest); 3] = [
    ("sha1", Digest::Sha1),
    ("sha256", Digest::Sha256),
    ("sha512", Digest::Sha512),
];

const ENCODINGS: [(&str, Encoding); 3] = [
    ("hex", Encoding::Hex),
    ("base64", Encoding::Base64),
    ("base64url", Encoding::Base64Url),
];

#[derive(Clone, Copy)]
enum Scheme {
    StandardWebhooks,
    Hmac,
    Github,
    Stripe,
    Slack,
    Meta,
    Token,
    Basic,
    None,
}

const SCHEMES: [(&str, Scheme); 10] = [
    ("standard-webhooks", Scheme::StandardWebhooks),
    ("hmac", Scheme::Hmac),
    ("github", Scheme::Github),
    ("stripe", Scheme::Stripe),
    ("slack", Scheme::Slack),
    ("meta", Scheme::Meta),
    ("whatsapp", Scheme::Meta),
    ("token", Scheme::Token),
    ("basic", Scheme::Basic),
    ("none", Scheme::None),
];

/// The scheme, and the preset whose posts it usually signs. A preset that signs in a way of
/// its own need not be named again.
pub(super) fn read(source: &Section<'_>, preset: Option<&str>) -> Option<(Verify, Option<&'static str>)> {
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
    let section = source.section("verify")?;
    let own = SCHEMES
        .iter()
        .find(|(word, _)| preset == Some(word))
        .map(|(_, scheme)| *scheme);
    let scheme = match own {
        Some(own) if !section.has("scheme") => {
            section.value("scheme");
            Some(own)
        }
        _ => section
            .required("scheme", "\"token\"")
            .and_then(|_| section.choice("scheme", &SCHEMES)),
    };
    // Without the scheme, which keys belong here is not known either.
    let scheme = scheme?;
    let verify = read_scheme(&section, scheme);
    section.finish();
    Some((verify?, usual_preset(scheme)))
}

const fn usual_preset(scheme: Scheme) -> Option<&'static str> {
    match scheme {
        Scheme::StandardWebhooks => Some("standard-webhooks"),
        Scheme::Github => Some("github"),
        Scheme::Stripe => Some("stripe"),
        Scheme::Slack => Some("slack"),
        Scheme::Meta => Some("meta"),
        Scheme::Hmac | Scheme::Token | Scheme::Basic | Scheme::None => None,
    }
}

fn read_scheme(section: &Section<'_>, scheme: Scheme) -> Option<Verify> {
    match scheme {
        Scheme::None => Some(Verify::None),
        Scheme::Github => secrets(section, "secret", "secrets").map(Verify::github),
        Scheme::Stripe => {
            let tolerance = tolerance(section);
            secrets(section, "secret", "secrets").map(|secrets| Verify::stripe(secrets, tolerance))
        }
        Scheme::Slack => {
            let tolerance = tolerance(section);
            secrets(section, "secret", "secrets").map(|secrets| Verify::slack(secrets, tolerance))
        }
        Scheme::Meta => {
            let verify_token = secrets(section, "verify_token", "verify_tokens");
            let secrets = secrets(section, "secret", "secrets");
            Some(Verify::meta(secrets?, verify_token?.into_iter().next()?))
        }
        Scheme::StandardWebhooks => read_standard(section),
        Scheme::Hmac => read_hmac(section).map(Verify::Hmac),
        Scheme::Token => {
            let at = place(section);
            let secrets = secrets(section, "secret", "secrets");
            Some(Verify::Token {
                at: at?,
                secrets: secrets?,
            })
        }
        Scheme::Basic => {
            let user = section.required("user", "\"shop\"").map(str::to_owned);
            let passwords = secrets(section, "password", "passwords");
            Some(Verify::Basic {
                user: user?,
                passwords: passwords?,
            })
        }
    }
}

/// One secret or several, under either key; never none.
fn secrets(section: &Section<'_>, one: &'static str, many: &'static str) -> Option<Vec<Secret>> {
    let is_given = section.has(one) || section.has(many);
    let mut secrets = section.secrets(one).unwrap_or_default();
    secrets.extend(section.secrets(many).unwrap_or_default());
    if !is_given {
        section.fault(
            one,
            "is missing",
            format!("give it, as in {one} = {{ env = \"NAME\" }}"),
        );
    } else if matches!(section.value(many), Some(serde_json::Value::Array(list)) if list.is_empty()) {
        section.fault(
            many,
            "is an empty list",
            "without a secret every post would be refused",
        );
    }
    (!secrets.is_empty()).then_some(secrets)
}

fn tolerance(section: &Section<'_>) -> Duration {
    section
        .duration("tolerance", TOLERANCE_RANGE)
        .unwrap_or(TOLERANCE_DEFAULT)
}

fn read_standard(section: &Section<'_>) -> Option<Verify> {
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
    Some(Verify::StandardWebhooks { secrets, tolerance })
}

/// Where a token stands: `header:name`, `query:name` or `body:/pointer`.
fn place(section: &Section<'_>) -> Option<Place> {
    let text = section.string("in").unwrap_or("header:authorization");
    match text.split_once(':') {
        Some(("header", name)) => header_name(section, "in", name).map(Place::Header),
        Some(("body", at)) => pointer(section, "in", at).map(Place::Body),
        Some(("query", name)) if !name.is_empty() => Some(Place::Query(name.to_owned())),
        _ => {
            let remedy = "write \"header:name\", \"query:name\" or \"body:/pointer\"";
            section.fault("in", format!("is {text:?}"), remedy);
            None
        }
    }
}

fn read_hmac(section: &Section<'_>) -> Option<HmacScheme> {
    let header = section.required("header", "\"x-signature\"");
    let header = header.and_then(|name| header_name(section, "header", name));
    let secret_encoding = section.choice("secret_encoding", &ENCODINGS);
    let secrets = secrets(section, "secret", "secrets");
    check_encoding(section, secret_encoding, secrets.as_deref().unwrap_or_default());
    let timestamp = timestamp(section);
    let parts = parts(section, timestamp.is_some());
    let scheme = HmacScheme {
        digest: section.choice("digest", &DIGESTS).unwrap_or(Digest::Sha256),
        encoding: section.choice("encoding", &ENCODINGS).unwrap_or(Encoding::Hex),
        header: header.clone().unwrap_or_default(),
        prefix: section.string("prefix").unwrap_or_default().to_owned(),
        separator: separator(section),
        parts,
        timestamp,
        secret_encoding,
        ..HmacScheme::of_body(secrets.clone().unwrap_or_default())
    };
    (header.is_some() && secrets.is_some()).then_some(scheme)
}

fn check_encoding(section: &Section<'_>, encoding: Option<Encoding>, secrets: &[Secret]) {
    let Some(encoding) = encoding else { return };
    let is_readable =
        |secret: &Secret| crypto::decode(encoding, secret.reveal()).is_some_and(|key| !key.is_empty());
    if !secrets.iter().all(is_readable) {
        section.fault(
            "secret_encoding",
            "is not how the secret is written",
            "leave it out to use its text",
        );
    }
}

fn timestamp(section: &Section<'_>) -> Option<SignedTime> {
    let prefix = section.string("timestamp_prefix").unwrap_or_default().to_owned();
    let tolerance = section.duration("tolerance", TOLERANCE_RANGE);
    let Some(name) = section.string("timestamp") else {
        if tolerance.is_some() && !section.has("timestamp") {
            section.fault(
                "tolerance",
                "is given without a timestamp",
                "name its header, as in timestamp = \"x-time\"",
            );
        }
        return None;
    };
    let header = header_name(section, "timestamp", name.strip_prefix("header:").unwrap_or(name))?;
    Some(SignedTime {
        header,
        prefix,
        tolerance: tolerance.unwrap_or(TOLERANCE_DEFAULT),
    })
}

fn parts(section: &Section<'_>, has_timestamp: bool) -> Vec<Part> {
    let Some(texts) = section.strings("parts") else {
        if has_timestamp {
            let remedy = "say how it is signed, as in parts = [\"timestamp\", \"literal:.\", \"body\"]";
            section.fault("parts", "is missing beside a timestamp", remedy);
        }
        return vec![Part::Body];
    };
    let parts: Vec<_> = texts.iter().filter_map(|text| part(section, text)).collect();
    if !parts.contains(&Part::Body) {
        section.fault("parts", "leaves the body unsigned", "add \"body\"");
    }
    match (parts.contains(&Part::Timestamp), has_timestamp) {
        (true, false) => {
            section.fault(
                "parts",
                "signs a timestamp",
                "name its header, as in timestamp = \"x-time\"",
            );
        }
        (false, true) => {
            section.fault(
                "parts",
                "leaves the timestamp unsigned",
                "add \"timestamp\", or leave its header out",
            );
        }
        _ => {}
    }
    parts
}

fn part(section: &Section<'_>, text: &str) -> Option<Part> {
    match text.split_once(':') {
        None if text == "body" => Some(Part::Body),
        None if text == "timestamp" => Some(Part::Timestamp),
        Some(("header", name)) => header_name(section, "parts", name).map(Part::Header),
        Some(("literal", text)) => Some(Part::Literal(text.to_owned())),
        _ => {
            let remedy = "use \"body\", \"timestamp\", \"header:name\" and \"literal:text\"";
            section.fault("parts", format!("contains {text:?}"), remedy);
            None
        }
    }
}

fn separator(section: &Section<'_>) -> Option<char> {
    let text = section.string("separator")?;
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Some(character),
        _ => {
            section.fault(
                "separator",
                format!("is {text:?}"),
                "use one character, as in \",\"",
            );
            None
        }
    }
}
