//! How senders post, written apart from the relay's own code.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::Relay;
use relay_tests::sign::{hmac_sha256, hmac_sha256_hex, standard_webhooks};
use serde_json::{Value, json};

use super::recipes::{Keys, OTHER_WHSEC, WHSEC};

/// A post: where to, and with what.
#[derive(Clone, Default)]
pub(super) struct Post {
    pub(super) query: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Post {
    pub(super) fn json(body: &[u8]) -> Self {
        Self {
            body: body.to_vec(),
            ..Self::default()
        }
        .with("content-type", "application/json")
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) async fn to(&self, relay: &Relay, source: &str) -> Answer {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let path = format!("/in/{source}{}", self.query);
        relay.send(Method::POST, &path, &headers, self.body.clone()).await
    }
}

pub(super) fn base64_sha256(key: &str, parts: &[&[u8]]) -> String {
    STANDARD.encode(hmac_sha256(key.as_bytes(), parts))
}

pub(super) fn hex_sha256(key: &str, parts: &[&[u8]]) -> String {
    hmac_sha256_hex(key.as_bytes(), parts)
}

pub(super) fn sha1(key: &str, parts: &[&[u8]]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    hmac::sign(&key, &parts.concat()).as_ref().to_vec()
}

pub(super) fn rfc3339(at: i64) -> String {
    // Any time of one day is as good as another for what is signed; only its distance counts.
    let (days, rest) = (at.div_euclid(86_400), at.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// The date of a number of days since 1970, counted out.
pub(super) fn civil(mut days: i64) -> (i64, usize, i64) {
    let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut year = 1970;
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

pub(super) fn jwt(alg: &str, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let piece = |value: String| URL_SAFE_NO_PAD.encode(value);
    let text = format!(
        "{}.{}",
        piece(json!({"alg": alg}).to_string()),
        piece(claims.to_string())
    );
    let signature = sign(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(super) fn body_claims(body: &[u8]) -> Value {
    json!({"request_body_sha256": STANDARD.encode(digest::digest(&digest::SHA256, body))})
}

/// How a sender posts: with these keys or this secret, at this time, this body.
pub(super) type Sign = fn(&Keys, &str, i64, &[u8]) -> Post;

/// A sender and what becomes of its posts.
pub(super) struct Sender {
    pub(super) source: &'static str,
    /// The variable with its secret; a key pair signs where there is none.
    pub(super) secret: &'static str,
    pub(super) body: &'static str,
    pub(super) sign: Sign,
    pub(super) kind: &'static str,
    pub(super) is_deduped: bool,
    /// How many seconds a post may be old, if its time is signed.
    pub(super) tolerance: Option<i64>,
    /// Whether the proof covers the body.
    pub(super) covers_body: bool,
}

/// The commonest: the body is signed, the time is not, and there is an id.
pub(super) const SENDER: Sender = Sender {
    source: "",
    secret: "",
    body: "{}",
    sign: |_, _, _, body| Post::json(body),
    kind: "",
    is_deduped: true,
    tolerance: None,
    covers_body: true,
};

pub(super) fn basic(user: &str, password: &str, body: &[u8]) -> Post {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    Post::json(body).with("authorization", format!("Basic {pair}"))
}

pub(super) fn v0(names: [&'static str; 2], secret: &str, at: i64, body: &[u8]) -> Post {
    let signature = hex_sha256(secret, &[format!("v0:{at}:").as_bytes(), body]);
    Post::json(body)
        .with(names[0], at.to_string())
        .with(names[1], format!("v0={signature}"))
}

pub(super) fn standard(names: [&'static str; 3], secret: &str, at: i64, body: &[u8]) -> Post {
    // Wrong secrets of the other senders are no secrets here.
    let secret = if secret == WHSEC { WHSEC } else { OTHER_WHSEC };
    let signature = standard_webhooks(secret, "msg_1", &at.to_string(), body);
    Post::json(body)
        .with(names[0], "msg_1")
        .with(names[1], at.to_string())
        .with(names[2], signature)
}

pub(super) const OWN: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
pub(super) const SVIX: [&str; 3] = ["svix-id", "svix-timestamp", "svix-signature"];

pub(super) fn standard_sender(source: &'static str, sign: Sign) -> Sender {
    Sender {
        source,
        secret: "STANDARD_WEBHOOKS_SECRET",
        body: r#"{"type":"user.created","status":"succeeded"}"#,
        sign,
        kind: "user.created",
        tolerance: Some(300),
        ..SENDER
    }
}

pub(super) fn meta_sender(source: &'static str) -> Sender {
    Sender {
        source,
        secret: "META_APP_SECRET",
        // Escapes that a parser would not write again.
        body: r#"{"object":"page","entry":[{"id":"1","changes":[{"field":"messages","value":"\u00e9\/"}]}]}"#,
        sign: |_, secret, _, body| {
            Post::json(body).with(
                "x-hub-signature-256",
                format!("sha256={}", hex_sha256(secret, &[body])),
            )
        },
        kind: "meta.messages",
        is_deduped: false,
        ..SENDER
    }
}

pub(super) fn senders() -> Vec<Sender> {
    let mut senders = macs();
    senders.extend(timed_macs());
    senders.extend(key_pairs());
    senders.extend(tokens());
    senders
}

pub(super) fn macs() -> Vec<Sender> {
    vec![
        Sender {
            source: "github",
            secret: "GITHUB_WEBHOOK_SECRET",
            sign: |_, secret, _, body| {
                Post::json(body)
                    .with("x-github-event", "push")
                    .with("x-github-delivery", "d-1")
                    .with(
                        "x-hub-signature-256",
                        format!("sha256={}", hex_sha256(secret, &[body])),
                    )
            },
            kind: "github.push",
            ..SENDER
        },
        meta_sender("meta"),
        meta_sender("whatsapp"),
        Sender {
            source: "shopify",
            secret: "SHOPIFY_CLIENT_SECRET",
            sign: |_, secret, _, body| {
                Post::json(body)
                    .with("x-shopify-topic", "orders/create")
                    .with("x-shopify-webhook-id", "w-1")
                    .with("x-shopify-hmac-sha256", base64_sha256(secret, &[body]))
            },
            kind: "shopify.orders/create",
            ..SENDER
        },
        Sender {
            source: "woocommerce",
            secret: "WOOCOMMERCE_SECRET",
            sign: |_, secret, _, body| {
                Post::json(body)
                    .with("x-wc-webhook-topic", "order.created")
                    .with("x-wc-webhook-delivery-id", "w-1")
                    .with("x-wc-webhook-signature", base64_sha256(secret, &[body]))
            },
            kind: "woocommerce.order.created",
            ..SENDER
        },
        Sender {
            source: "vercel",
            secret: "VERCEL_WEBHOOK_SECRET",
            body: r#"{"id":"v-1","type":"deployment.created"}"#,
            sign: |_, secret, _, body| {
                Post::json(body).with("x-vercel-signature", hex::encode(sha1(secret, &[body])))
            },
            kind: "vercel.deployment.created",
            ..SENDER
        },
        Sender {
            source: "twilio",
            secret: "TWILIO_AUTH_TOKEN",
            body: "MessageStatus=delivered&MessageSid=SM1",
            sign: |_, secret, _, body| {
                let url = b"https://hooks.example.com/in/twilio";
                let listed: &[u8] = match body {
                    b"MessageStatus=delivered&MessageSid=SM1" => b"MessageSidSM1MessageStatusdelivered",
                    other => other,
                };
                Post {
                    body: body.to_vec(),
                    ..Post::default()
                }
                .with("content-type", "application/x-www-form-urlencoded")
                .with("i-twilio-idempotency-token", "t-1")
                .with(
                    "x-twilio-signature",
                    STANDARD.encode(sha1(secret, &[url, listed])),
                )
            },
            kind: "twilio.delivered",
            ..SENDER
        },
    ]
}

pub(super) fn timed_macs() -> Vec<Sender> {
    vec![
        Sender {
            source: "stripe",
            secret: "STRIPE_WEBHOOK_SECRET",
            body: r#"{"id":"evt_1","object":"v2.core.event","type":"invoice.paid"}"#,
            sign: |_, secret, at, body| {
                let signature = hex_sha256(secret, &[format!("{at}.").as_bytes(), body]);
                Post::json(body).with(
                    "stripe-signature",
                    format!("t={at},v1={},v1={signature},v0=00", "0".repeat(64)),
                )
            },
            kind: "invoice.paid",
            tolerance: Some(300),
            ..SENDER
        },
        Sender {
            source: "slack",
            secret: "SLACK_SIGNING_SECRET",
            body: r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}"#,
            sign: |_, secret, at, body| {
                v0(
                    ["x-slack-request-timestamp", "x-slack-signature"],
                    secret,
                    at,
                    body,
                )
            },
            kind: "slack.message",
            tolerance: Some(300),
            ..SENDER
        },
        Sender {
            source: "zoom",
            secret: "ZOOM_SECRET_TOKEN",
            body: r#"{"event":"meeting.started","event_ts":1,"payload":{"object":{"id":1}}}"#,
            sign: |_, secret, at, body| v0(["x-zm-request-timestamp", "x-zm-signature"], secret, at, body),
            kind: "zoom.meeting.started",
            tolerance: Some(300),
            ..SENDER
        },
        Sender {
            source: "zendesk",
            secret: "ZENDESK_SIGNING_SECRET",
            body: r#"{"type":"zen:event-type:ticket.created"}"#,
            sign: |_, secret, at, body| {
                let at = rfc3339(at);
                let signature = base64_sha256(secret, &[at.as_bytes(), body]);
                Post::json(body)
                    .with("x-zendesk-webhook-invocation-id", "i-1")
                    .with("x-zendesk-webhook-signature-timestamp", at)
                    .with("x-zendesk-webhook-signature", signature)
            },
            kind: "zendesk.zen:event-type:ticket.created",
            tolerance: Some(300),
            ..SENDER
        },
        Sender {
            source: "paddle",
            secret: "PADDLE_WEBHOOK_SECRET",
            body: r#"{"event_id":"evt_1","event_type":"transaction.paid"}"#,
            sign: |_, secret, at, body| {
                let signature = hex_sha256(secret, &[format!("{at}:").as_bytes(), body]);
                Post::json(body).with("paddle-signature", format!("ts={at};h1={signature}"))
            },
            kind: "transaction.paid",
            tolerance: Some(5),
            ..SENDER
        },
        Sender {
            source: "elevenlabs",
            secret: "ELEVENLABS_WEBHOOK_SECRET",
            body: r#"{"type":"post_call_transcription","event_timestamp":1,"data":{"conversation_id":"c"}}"#,
            sign: |_, secret, at, body| {
                let signature = hex_sha256(secret, &[format!("{at}.").as_bytes(), body]);
                Post::json(body).with("elevenlabs-signature", format!("t={at},v0={signature}"))
            },
            kind: "elevenlabs.post_call_transcription",
            tolerance: Some(1800),
            ..SENDER
        },
        Sender {
            source: "webflow",
            secret: "WEBFLOW_WEBHOOK_SECRET",
            body: r#"{"triggerType":"form_submission"}"#,
            sign: |_, secret, at, body| {
                let signature = hex_sha256(secret, &[format!("{at}000:").as_bytes(), body]);
                Post::json(body)
                    .with("x-webflow-timestamp", format!("{at}000"))
                    .with("x-webflow-signature", signature)
            },
            kind: "webflow.form_submission",
            is_deduped: false,
            tolerance: Some(300),
            ..SENDER
        },
        standard_sender("standard-webhooks", |_, secret, at, body| {
            standard(OWN, secret, at, body)
        }),
        standard_sender("svix", |_, secret, at, body| standard(SVIX, secret, at, body)),
        standard_sender("clerk", |_, secret, at, body| standard(SVIX, secret, at, body)),
        standard_sender("resend", |_, secret, at, body| standard(SVIX, secret, at, body)),
        standard_sender("openai", |_, secret, at, body| standard(OWN, secret, at, body)),
        Sender {
            kind: "replicate.succeeded",
            ..standard_sender("replicate", |_, secret, at, body| standard(OWN, secret, at, body))
        },
        Sender {
            source: "payments",
            secret: "PAYMENTS_SECRET",
            sign: |_, secret, at, body| {
                let signature = hex_sha256(secret, &[format!("{at}.").as_bytes(), body]);
                Post::json(body).with("x-signature", format!("t={at},v1={signature}"))
            },
            kind: "payments.event",
            is_deduped: false,
            tolerance: Some(300),
            ..SENDER
        },
        Sender {
            source: "mail",
            secret: "MAIL_SIGNING_KEY",
            sign: |_, secret, at, _| {
                let signature = hex_sha256(secret, &[format!("{at}abc").as_bytes()]);
                let signature = json!({"timestamp": at.to_string(), "token": "abc", "signature": signature});
                let body = json!({"signature": signature, "event-data": {"event": "opened"}});
                Post::json(body.to_string().as_bytes())
            },
            kind: "mail.opened",
            tolerance: Some(300),
            covers_body: false,
            ..SENDER
        },
    ]
}

pub(super) fn key_pairs() -> Vec<Sender> {
    vec![
        Sender {
            source: "sendgrid",
            body: "[{\"event\":\"delivered\",\"sg_event_id\":\"1\"}]\r\n",
            sign: |keys, secret, at, body| {
                // Both are on P-256; only one is the sender's.
                let pair = if secret.is_empty() {
                    &keys.ecdsa
                } else {
                    &keys.other
                };
                let text = [at.to_string().as_bytes(), body].concat();
                let signature = pair.sign(&SystemRandom::new(), &text).expect("a signature");
                Post::json(body)
                    .with("x-twilio-email-event-webhook-timestamp", at.to_string())
                    .with(
                        "x-twilio-email-event-webhook-signature",
                        STANDARD.encode(signature),
                    )
            },
            kind: "sendgrid.delivered",
            tolerance: Some(600),
            ..SENDER
        },
        Sender {
            source: "fusionauth",
            secret: "FUSIONAUTH_KEY",
            body: r#"{"event":{"type":"user.create","id":"e-1"}}"#,
            sign: |_, secret, _, body| {
                let token = jwt("HS256", &body_claims(body), |text| {
                    hmac_sha256(secret.as_bytes(), &[text])
                });
                Post::json(body).with("x-fusionauth-signature-jwt", token)
            },
            kind: "fusionauth.user.create",
            ..SENDER
        },
        Sender {
            source: "fusionauth-rsa",
            body: r#"{"event":{"type":"user.create","id":"e-1"}}"#,
            sign: |keys, secret, _, body| {
                let token = jwt("RS256", &body_claims(body), |text| {
                    let mut signature = vec![0; keys.rsa.public_modulus_len()];
                    keys.rsa
                        .sign(
                            &RSA_PKCS1_SHA256,
                            &SystemRandom::new(),
                            &[secret.as_bytes(), text].concat(),
                            &mut signature,
                        )
                        .expect("a signature");
                    signature
                });
                Post::json(body).with("x-fusionauth-signature-jwt", token)
            },
            kind: "fusionauth.user.create",
            ..SENDER
        },
        Sender {
            source: "chat",
            sign: |keys, secret, at, body| {
                let text = [secret.as_bytes(), at.to_string().as_bytes(), body].concat();
                Post::json(body)
                    .with("x-signature-timestamp", at.to_string())
                    .with("x-signature-ed25519", hex::encode(keys.ed25519.sign(&text)))
            },
            kind: "chat.event",
            is_deduped: false,
            tolerance: Some(300),
            ..SENDER
        },
        Sender {
            source: "internal",
            sign: |keys, secret, at, body| {
                let claims = json!({"iss": "https://id.example.com", "aud": "relay", "exp": at + 60});
                let token = jwt("ES256", &claims, |text| {
                    let text = [secret.as_bytes(), text].concat();
                    let signature = keys.jwt.sign(&SystemRandom::new(), &text);
                    signature.expect("a signature").as_ref().to_vec()
                });
                Post::json(body).with("authorization", format!("Bearer {token}"))
            },
            kind: "internal.event",
            is_deduped: false,
            tolerance: Some(360),
            covers_body: false,
            ..SENDER
        },
    ]
}

pub(super) fn tokens() -> Vec<Sender> {
    let token = Sender {
        covers_body: false,
        ..SENDER
    };
    vec![
        Sender {
            source: "gitlab",
            secret: "GITLAB_TOKEN",
            body: r#"{"object_kind":"push"}"#,
            sign: |_, secret, _, body| {
                Post::json(body)
                    .with("x-gitlab-token", secret)
                    .with("idempotency-key", "g-1")
            },
            kind: "gitlab.push",
            ..token
        },
        Sender {
            source: "okta",
            secret: "OKTA_HOOK_SECRET",
            body: r#"{"eventId":"o-1","data":{"events":[{"eventType":"user.session.start"}]}}"#,
            sign: |_, secret, _, body| Post::json(body).with("authorization", secret),
            kind: "okta.user.session.start",
            ..token
        },
        Sender {
            source: "postmark",
            secret: "POSTMARK_PASSWORD",
            body: r#"{"RecordType":"Delivery","MessageID":"m-1"}"#,
            sign: |_, secret, _, body| basic("postmark", secret, body),
            kind: "postmark.Delivery",
            ..token
        },
        Sender {
            source: "chargebee",
            secret: "CHARGEBEE_PASSWORD",
            body: r#"{"id":"ev_1","event_type":"subscription_created"}"#,
            sign: |_, secret, _, body| basic("chargebee", secret, body),
            kind: "chargebee.subscription_created",
            ..token
        },
        Sender {
            source: "deepgram",
            secret: "DEEPGRAM_KEY_ID",
            body: r#"{"metadata":{"request_id":"r-1"}}"#,
            sign: |_, secret, _, body| Post::json(body).with("dg-token", secret),
            kind: "deepgram.transcript",
            ..token
        },
        Sender {
            source: "cloudevents",
            secret: "CLOUDEVENTS_TOKEN",
            sign: |_, secret, _, body| {
                Post {
                    query: format!("?access_token={secret}"),
                    ..Post::json(body)
                }
                .with("ce-type", "com.example.paid")
                .with("ce-id", "1")
                .with("ce-source", "/shop")
            },
            kind: "com.example.paid",
            ..token
        },
    ]
}
