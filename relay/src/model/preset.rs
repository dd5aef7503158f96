//! Senders whose habits are known, as data: how they sign, and where their posts say what
//! happened.

use std::time::Duration;

use super::secret::Secret;
use super::source::{
    Dedupe, Digest, Encoding, Handshake, HmacScheme, Mapping, Origin, Origins, Part, SignedTime, Template,
    Verify,
};

/// How far a signed time may be from now when a sender says nothing else.
pub const TOLERANCE_DEFAULT: Duration = Duration::from_secs(300);

impl Verify {
    /// GitHub: hex HMAC-SHA256 of the body in `X-Hub-Signature-256`.
    pub fn github(secrets: Vec<Secret>) -> Self {
        Self::Hmac(HmacScheme {
            header: "x-hub-signature-256".to_owned(),
            prefix: "sha256=".to_owned(),
            ..HmacScheme::of_body(secrets)
        })
    }

    /// Meta and the WhatsApp Cloud API: as GitHub, with a handshake by `GET`.
    pub fn meta(secrets: Vec<Secret>, verify_token: Secret) -> Self {
        Self::Hmac(HmacScheme {
            header: "x-hub-signature-256".to_owned(),
            prefix: "sha256=".to_owned(),
            handshake: Handshake::Meta { verify_token },
            ..HmacScheme::of_body(secrets)
        })
    }

    /// Stripe: `t=…,v1=…` in `Stripe-Signature`, over `t.body`.
    pub fn stripe(secrets: Vec<Secret>, tolerance: Duration) -> Self {
        let header = "stripe-signature".to_owned();
        Self::Hmac(HmacScheme {
            header: header.clone(),
            prefix: "v1=".to_owned(),
            separator: Some(','),
            parts: vec![Part::Timestamp, Part::Literal(".".to_owned()), Part::Body],
            timestamp: Some(SignedTime {
                header,
                prefix: "t=".to_owned(),
                tolerance,
            }),
            ..HmacScheme::of_body(secrets)
        })
    }

    /// Slack: `v0=…` in `X-Slack-Signature`, over `v0:timestamp:body`.
    pub fn slack(secrets: Vec<Secret>, tolerance: Duration) -> Self {
        Self::Hmac(HmacScheme {
            header: "x-slack-signature".to_owned(),
            prefix: "v0=".to_owned(),
            parts: vec![
                Part::Literal("v0:".to_owned()),
                Part::Timestamp,
                Part::Literal(":".to_owned()),
                Part::Body,
            ],
            timestamp: Some(SignedTime {
                header: "x-slack-request-timestamp".to_owned(),
                prefix: String::new(),
                tolerance,
            }),
            handshake: Handshake::Slack,
            ..HmacScheme::of_body(secrets)
        })
    }
}

impl HmacScheme {
    /// The commonest scheme: one hex HMAC-SHA256 of the body. The header is still to be named.
    pub fn of_body(secrets: Vec<Secret>) -> Self {
        Self {
            digest: Digest::Sha256,
            encoding: Encoding::Hex,
            header: String::new(),
            prefix: String::new(),
            separator: None,
            parts: vec![Part::Body],
            timestamp: None,
            secrets,
            secret_encoding: None,
            handshake: Handshake::None,
        }
    }
}

/// A mapping and the name it is asked for by.
type NamedMapping = (&'static str, fn() -> Mapping);

/// The platforms and senders whose posts are understood by name.
pub const MAPPINGS: [NamedMapping; 11] = [
    ("mumble", Mapping::mumble),
    ("mumara", Mapping::mumara),
    ("whatsable", Mapping::whatsable),
    ("calls", Mapping::calls),
    ("vambe", Mapping::vambe),
    ("github", Mapping::github),
    ("stripe", Mapping::stripe),
    ("slack", Mapping::slack),
    ("meta", Mapping::meta),
    ("whatsapp", Mapping::meta),
    ("standard-webhooks", Mapping::standard_webhooks),
];

impl Mapping {
    /// The mapping with that name.
    pub fn named(name: &str) -> Option<Self> {
        MAPPINGS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, mapping)| mapping())
    }

    /// Mumble, a CRM on WhatsApp: a customer's message, or an automation that names its event.
    ///
    /// Posts carry no id. Two messages of one conversation can share a second, so what was
    /// said counts too.
    pub fn mumble() -> Self {
        Self {
            kind: typed("", body(&["/event"]), "message.received"),
            id: body(&["/message_id"]),
            time: body(&["/timestamp"]),
            subject: body(&["/conversation_id", "/conversation/id", "/customer_phone"]),
            dedupe: Dedupe {
                required: vec![
                    body(&["/conversation_id", "/conversation/id"]),
                    body(&["/timestamp"]),
                ],
                optional: each(&[
                    "/event",
                    "/message_id",
                    "/message_type",
                    "/message",
                    "/text",
                    "/media_url",
                ]),
            },
        }
    }

    /// Mumara Campaigns: what became of an e-mail.
    ///
    /// One message is opened and clicked many times, by scanners several times a second, so
    /// the time and the link count too.
    pub fn mumara() -> Self {
        Self {
            kind: typed("email.", body(&["/event"]), "email.event"),
            time: body(&["/timestamp"]),
            subject: body(&["/email"]),
            dedupe: Dedupe {
                required: each(&["/event", "/message_id", "/timestamp"]),
                optional: each(&["/email", "/link_url"]),
            },
            ..Self::default()
        }
    }

    /// WhatsAble's bot: the last messages of a conversation.
    pub fn whatsable() -> Self {
        Self {
            kind: typed("", vec![Origin::Literal("message.received".to_owned())], ""),
            time: body(&["/user_last_message_time"]),
            subject: body(&["/phone_number"]),
            dedupe: Dedupe {
                required: each(&["/phone_number", "/user_last_message_time"]),
                optional: each(&["/message_type", "/last_message_of_user", "/attachment_url"]),
            },
            ..Self::default()
        }
    }

    /// A voice platform: calls, contacts, campaigns, integrations.
    ///
    /// Should the id be that of the call, then what happened and when tell its events apart.
    pub fn calls() -> Self {
        let event = ["/event", "/event_type", "/type", "/topic"];
        Self {
            kind: typed("", body(&event), ""),
            id: body(&["/event_id", "/id"]),
            time: body(&["/timestamp", "/created_at", "/time"]),
            subject: body(&[
                "/data/call_id",
                "/data/contact_id",
                "/data/campaign_id",
                "/data/id",
                "/call_id",
            ]),
            dedupe: Dedupe {
                required: vec![body(&event), body(&["/event_id", "/id"])],
                optional: each(&["/timestamp"]),
            },
        }
    }

    /// Vambe: messages, tickets, contacts and stages of a CRM.
    ///
    /// Not every topic has an id; where only the message has one, topic and time count too.
    pub fn vambe() -> Self {
        let topic = ["/event", "/topic", "/type"];
        Self {
            kind: typed("", body(&topic), ""),
            id: body(&["/id", "/event_id"]),
            time: body(&["/timestamp", "/created_at"]),
            subject: body(&[
                "/data/contact_id",
                "/data/aiContactId",
                "/aiContactId",
                "/data/ticket_id",
            ]),
            dedupe: Dedupe {
                required: vec![
                    body(&topic),
                    body(&["/id", "/event_id", "/data/message_id", "/data/messageId"]),
                ],
                optional: each(&["/timestamp"]),
            },
        }
    }

    /// GitHub: the event's name and the delivery's id are headers.
    pub fn github() -> Self {
        Self {
            kind: typed("github.", header(&["x-github-event"]), "github.event"),
            id: header(&["x-github-delivery"]),
            subject: body(&["/repository/full_name", "/organization/login"]),
            ..Self::default()
        }
    }

    /// Stripe: snapshot and thin events.
    pub fn stripe() -> Self {
        Self {
            kind: typed("", body(&["/type"]), "stripe.event"),
            id: body(&["/id"]),
            time: body(&["/created"]),
            subject: body(&["/data/object/id", "/related_object/id"]),
            ..Self::default()
        }
    }

    /// Slack: the Events API.
    pub fn slack() -> Self {
        Self {
            kind: typed("slack.", body(&["/event/type", "/type"]), "slack.event"),
            id: body(&["/event_id"]),
            time: body(&["/event_time"]),
            subject: body(&["/event/channel", "/event/user"]),
            ..Self::default()
        }
    }

    /// Meta and the WhatsApp Cloud API: one post holds several changes, so it has no id.
    pub fn meta() -> Self {
        Self {
            kind: typed(
                "meta.",
                body(&["/entry/0/changes/0/field", "/object"]),
                "meta.event",
            ),
            time: body(&["/entry/0/time"]),
            subject: body(&["/entry/0/id"]),
            ..Self::default()
        }
    }

    /// Standard Webhooks, under its own header names and those of Svix.
    pub fn standard_webhooks() -> Self {
        Self {
            kind: typed("", body(&["/type", "/event_type", "/eventType"]), ""),
            id: header(&["webhook-id", "svix-id"]),
            time: body(&["/timestamp"]),
            ..Self::default()
        }
    }
}

fn typed(prefix: &str, origins: Origins, fallback: &str) -> Template {
    Template {
        prefix: prefix.to_owned(),
        origins,
        words: Vec::new(),
        fallback: fallback.to_owned(),
    }
}

fn body(pointers: &[&str]) -> Origins {
    pointers
        .iter()
        .map(|pointer| Origin::Body((*pointer).to_owned()))
        .collect()
}

fn header(names: &[&str]) -> Origins {
    names
        .iter()
        .map(|name| Origin::Header((*name).to_owned()))
        .collect()
}

fn each(pointers: &[&str]) -> Vec<Origins> {
    pointers.iter().map(|pointer| body(&[pointer])).collect()
}
