//! Reads a signature that is described as data.

use serde_json::{Value, json};

use crate::config::reader::Section;
use crate::model::verify::{
    Algorithm, Digest, Encoding, Part, Place, PublicKeyAlgorithm, Signature, SignedTime, TOLERANCE_DEFAULT,
    TimeUnit,
};

use super::super::place::{header_name, place};
use super::{Door, ENCODINGS, TOLERANCE_RANGE, keys};

const DIGESTS: [(&str, Digest); 4] = [
    ("sha1", Digest::Sha1),
    ("sha256", Digest::Sha256),
    ("sha384", Digest::Sha384),
    ("sha512", Digest::Sha512),
];

const RSA_DIGESTS: [(&str, PublicKeyAlgorithm); 3] = [
    ("sha256", PublicKeyAlgorithm::RsaPkcs1Sha256),
    ("sha384", PublicKeyAlgorithm::RsaPkcs1Sha384),
    ("sha512", PublicKeyAlgorithm::RsaPkcs1Sha512),
];

#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
}

const CURVES: [(&str, Curve); 2] = [("p256", Curve::P256), ("p384", Curve::P384)];

#[derive(Clone, Copy)]
enum Form {
    Der,
    Fixed,
}

const FORMS: [(&str, Form); 2] = [("der", Form::Der), ("fixed", Form::Fixed)];

const UNITS: [(&str, TimeUnit); 3] = [
    ("s", TimeUnit::Seconds),
    ("ms", TimeUnit::Milliseconds),
    ("rfc3339", TimeUnit::Rfc3339),
];

/// Beginnings that lead the reader through every key that it knows.
pub(super) fn openings(scheme: &str) -> Vec<Value> {
    vec![
        json!({"scheme": scheme, "parts": ["body", "url", "sorted-form"]}),
        json!({"scheme": scheme, "in": "header:x", "parts": ["body"]}),
    ]
}

pub(super) fn hmac(section: &Section<'_>) -> Algorithm {
    Algorithm::Hmac(section.choice("digest", &DIGESTS).unwrap_or(Digest::Sha256))
}

pub(super) fn rsa(section: &Section<'_>) -> Algorithm {
    let algorithm = section.choice("digest", &RSA_DIGESTS);
    Algorithm::PublicKey(algorithm.unwrap_or(PublicKeyAlgorithm::RsaPkcs1Sha256))
}

/// The curve brings its digest.
pub(super) fn ecdsa(section: &Section<'_>) -> Algorithm {
    let curve = section.choice("curve", &CURVES).unwrap_or(Curve::P256);
    let form = section.choice("form", &FORMS).unwrap_or(Form::Der);
    Algorithm::PublicKey(match (curve, form) {
        (Curve::P256, Form::Der) => PublicKeyAlgorithm::EcdsaP256Sha256,
        (Curve::P256, Form::Fixed) => PublicKeyAlgorithm::EcdsaP256Sha256Fixed,
        (Curve::P384, Form::Der) => PublicKeyAlgorithm::EcdsaP384Sha384,
        (Curve::P384, Form::Fixed) => PublicKeyAlgorithm::EcdsaP384Sha384Fixed,
    })
}

pub(super) fn read(section: &Section<'_>, algorithm: Algorithm, door: &Door<'_>) -> Option<Signature> {
    let at = at(section);
    let (keys, key_encoding) = keys::read(section, algorithm);
    let timestamp = timestamp(section);
    let parts = parts(section, door, timestamp.is_some());
    let signature = Signature {
        algorithm,
        at: at?,
        prefix: section.string("prefix").unwrap_or_default().to_owned(),
        separator: separator(section),
        encoding: section.choice("encoding", &ENCODINGS).unwrap_or(Encoding::Hex),
        parts,
        timestamp,
        keys: keys.unwrap_or_default(),
        key_encoding,
    };
    if !signature.covers_body() {
        section.fault("parts", "leaves the body unsigned", "add \"body\"");
    }
    (!signature.keys.is_empty()).then_some(signature)
}

/// `header = "NAME"`, or `in` for any place.
fn at(section: &Section<'_>) -> Option<Place> {
    let Some(text) = section.string("in") else {
        let name = section.required("header", "\"x-signature\"")?;
        return header_name(section, "header", name).map(Place::Header);
    };
    if section.value("header").is_some() {
        section.fault(
            "in",
            "is given beside header",
            "say in one way where the signature stands",
        );
    }
    place(section, "in", text)
}

fn timestamp(section: &Section<'_>) -> Option<SignedTime> {
    let prefix = section.string("timestamp_prefix").unwrap_or_default().to_owned();
    let unit = section.choice("timestamp_unit", &UNITS).unwrap_or(TimeUnit::Any);
    let tolerance = section.duration("tolerance", TOLERANCE_RANGE);
    let Some(text) = section.string("timestamp") else {
        if tolerance.is_some() && !section.has("timestamp") {
            section.fault(
                "tolerance",
                "is given without a timestamp",
                "name its header, as in timestamp = \"x-time\"",
            );
        }
        return None;
    };
    let at = if text.contains(':') {
        place(section, "timestamp", text)
    } else {
        header_name(section, "timestamp", text).map(Place::Header)
    };
    Some(SignedTime {
        at: at?,
        prefix,
        unit,
        tolerance: tolerance.unwrap_or(TOLERANCE_DEFAULT),
    })
}

fn parts(section: &Section<'_>, door: &Door<'_>, has_timestamp: bool) -> Vec<Part> {
    let Some(texts) = section.strings("parts") else {
        if has_timestamp {
            let remedy = "say how it is signed, as in parts = [\"timestamp\", \"literal:.\", \"body\"]";
            section.fault("parts", "is missing beside a timestamp", remedy);
        }
        return vec![Part::Body];
    };
    let parts: Vec<_> = texts
        .iter()
        .filter_map(|text| part(section, door, text))
        .collect();
    check_timestamp(section, parts.contains(&Part::Timestamp), has_timestamp);
    if texts.iter().filter(|text| **text == "url").count() > 1 {
        section.fault("parts", "signs the address twice", "name \"url\" once");
    }
    if section.has("body_digest") && !(texts.contains(&"url") && texts.contains(&"sorted-form")) {
        let remedy = "a digest in the query counts in place of \"sorted-form\" and beside \"url\"";
        section.value("body_digest");
        section.fault("body_digest", "is not covered by the signature", remedy);
    }
    parts
}

fn check_timestamp(section: &Section<'_>, is_signed: bool, is_named: bool) {
    match (is_signed, is_named) {
        (true, false) if !section.has("timestamp") => {
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
}

fn part(section: &Section<'_>, door: &Door<'_>, text: &str) -> Option<Part> {
    match text.split_once(':') {
        None if text == "body" => Some(Part::Body),
        None if text == "timestamp" => Some(Part::Timestamp),
        None if text == "url" => door.url(section).map(Part::Url),
        None if text == "sorted-form" => Some(Part::Form {
            body_digest: body_digest(section),
        }),
        Some(("literal", text)) => Some(Part::Literal(text.to_owned())),
        Some(("header" | "query" | "body", _)) => place(section, "parts", text).map(Part::Value),
        _ => {
            let remedy = "use \"body\", \"timestamp\", \"url\", \"sorted-form\", \"header:name\", \
                          \"query:name\", \"body:/pointer\" and \"literal:text\"";
            section.fault("parts", format!("contains {text:?}"), remedy);
            None
        }
    }
}

/// Only the query is covered by the signature, as a part of the address.
fn body_digest(section: &Section<'_>) -> Option<Place> {
    let text = section.string("body_digest")?;
    let at = place(section, "body_digest", text)?;
    if !matches!(at, Place::Query(_)) {
        section.fault("body_digest", format!("is {text:?}"), "write \"query:name\"");
    }
    Some(at)
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
