//! Reads what a platform asks before it sends events.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use crate::config::reader::Section;
use crate::model::verify::{Handshake, Scheme};

use super::keys::secrets;

/// Most requests a minute that may be consented to.
const RATE_MAX: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    Meta,
    Slack,
    Zoom,
    Okta,
    WooCommerce,
    CloudEvents,
}

const KINDS: [(&str, Kind); 7] = [
    ("none", Kind::None),
    ("meta", Kind::Meta),
    ("slack", Kind::Slack),
    ("zoom", Kind::Zoom),
    ("okta", Kind::Okta),
    ("woocommerce", Kind::WooCommerce),
    ("cloudevents", Kind::CloudEvents),
];

/// Beginnings that lead the reader through every key that it knows.
pub(super) fn openings(scheme: &str) -> Vec<Value> {
    let kinds = KINDS.iter();
    kinds
        .map(|(kind, _)| json!({"scheme": scheme, "handshake": kind}))
        .collect()
}

/// The handshake; `None` if it cannot be told.
pub(super) fn read(section: &Section<'_>, scheme: Option<&Scheme>) -> Option<Handshake> {
    let kind = if section.has("handshake") {
        section.choice("handshake", &KINDS)?
    } else {
        section.value("handshake");
        Kind::None
    };
    let is_signed = scheme.is_none_or(|scheme| matches!(scheme, Scheme::Signature(_)));
    if matches!(kind, Kind::Slack | Kind::Zoom) && !is_signed {
        let remedy = "use it with scheme = \"hmac\"";
        section.fault(
            "handshake",
            "is signed, and this scheme checks no signature",
            remedy,
        );
    }
    Some(match kind {
        Kind::None => Handshake::None,
        Kind::Slack => Handshake::Slack,
        Kind::Zoom => Handshake::Zoom,
        Kind::Okta => Handshake::Okta,
        Kind::WooCommerce => Handshake::WooCommerce,
        Kind::Meta => Handshake::Meta {
            verify_token: secrets(section, "verify_token", "verify_tokens")?
                .into_iter()
                .next()?,
        },
        Kind::CloudEvents => cloudevents(section)?,
    })
}

fn cloudevents(section: &Section<'_>) -> Option<Handshake> {
    let origins = section.strings("allow_origins");
    let rate = section.integer("allow_rate", 1..=RATE_MAX);
    if origins.as_ref().is_none_or(Vec::is_empty) {
        section.fault(
            "allow_origins",
            "is missing, so nobody would get consent",
            "name who may send, as in allow_origins = [\"eventgrid.azure.net\"], or [\"*\"]",
        );
    }
    Some(Handshake::CloudEvents {
        origins: origins?.into_iter().map(str::to_owned).collect(),
        rate: rate
            .and_then(|rate| u32::try_from(rate).ok())
            .and_then(NonZeroU32::new),
    })
}
