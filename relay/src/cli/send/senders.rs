//! How each known sender posts: what its body looks like, how it signs, what it asks first.
//!
//! Written from what the senders say of themselves and apart from what verifies them, so that
//! one tests the other; they share only digests and encodings.

use anyhow::{Context as _, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use url::form_urlencoded;

use super::post::{Ask, Post};
use crate::crypto::{self, standard_webhooks::SigningKey};
use crate::model::secret::Secret;
use crate::model::verify::{Digest, Encoding};

/// A sender that can be played.
pub(super) struct Sender {
    name: &'static str,
    sample: Sample,
    /// A post with that body, signed.
    pub(super) sign: fn(&Ask<'_>, Vec<u8>) -> anyhow::Result<Post>,
    pub(super) handshake: Option<fn(&Ask<'_>) -> anyhow::Result<Post>>,
}

/// A small body that says the word.
enum Sample {
    /// Under this name, beside an id.
    Field(&'static str),
    Made(fn(&Ask<'_>) -> String),
}

use Sample::{Field, Made};

/// A sender that asks nothing first.
const fn sender(
    name: &'static str,
    sample: Sample,
    sign: fn(&Ask<'_>, Vec<u8>) -> anyhow::Result<Post>,
) -> Sender {
    Sender {
        name,
        sample,
        sign,
        handshake: None,
    }
}

impl Sender {
    /// A small body that says the word.
    pub(super) fn sample(&self, ask: &Ask<'_>) -> String {
        match self.sample {
            Field(name) => json!({"id": ask.id, name: ask.word}).to_string(),
            Made(make) => make(ask),
        }
    }

    const fn asks(mut self, handshake: fn(&Ask<'_>) -> anyhow::Result<Post>) -> Self {
        self.handshake = Some(handshake);
        self
    }
}

const SENDERS: &[Sender] = &[
    sender("chargebee", Field("event_type"), basic),
    sender("clerk", Field("type"), svix),
    sender("cloudevents", Field("type"), cloudevents).asks(cloudevents_consent),
    sender("deepgram", Made(deepgram_sample), deepgram),
    sender("elevenlabs", Field("type"), elevenlabs),
    sender("fusionauth", Made(fusionauth_sample), fusionauth),
    sender("github", Field("action"), github),
    sender("gitlab", Field("object_kind"), gitlab),
    sender("meta", Made(meta_sample), meta).asks(meta_subscription),
    sender("okta", Made(okta_sample), okta).asks(okta_verification),
    sender("openai", Field("type"), standard),
    sender("paddle", Field("event_type"), paddle),
    sender("postmark", Field("RecordType"), basic),
    sender("replicate", Field("status"), standard),
    sender("resend", Field("type"), svix),
    sender("sendgrid", Made(sendgrid_sample), sendgrid),
    sender("shopify", Field("note"), shopify),
    sender("slack", Made(slack_sample), slack).asks(slack_challenge),
    sender("standard-webhooks", Field("type"), standard),
    sender("stripe", Field("type"), stripe),
    sender("svix", Field("type"), svix),
    sender("twilio", Made(twilio_sample), twilio),
    sender("vercel", Field("type"), vercel),
    sender("webflow", Field("triggerType"), webflow),
    sender("whatsapp", Made(meta_sample), meta).asks(meta_subscription),
    sender("woocommerce", Field("status"), woocommerce).asks(woocommerce_ping),
    sender("zendesk", Field("type"), zendesk),
    sender("zoom", Field("event"), zoom).asks(zoom_validation),
];

/// The sender with that name.
pub(super) fn named(name: &str) -> Option<&'static Sender> {
    SENDERS.iter().find(|sender| sender.name == name)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SENDERS.iter().map(|sender| sender.name)
}

// ---- an HMAC of the body ---------------------------------------------------------------

fn github(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let signature = format!("sha256={}", ask.hex(&[&body]));
    Ok(Post::json(body)
        .with("x-github-event", ask.word)
        .with("x-github-delivery", ask.id)
        .with("x-hub-signature-256", signature))
}

fn meta(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let signature = format!("sha256={}", ask.hex(&[&body]));
    Ok(Post::json(body).with("x-hub-signature-256", signature))
}

fn shopify(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let signature = ask.base64(&[&body]);
    Ok(Post::json(body)
        .with("x-shopify-topic", ask.word)
        .with("x-shopify-webhook-id", ask.id)
        .with("x-shopify-hmac-sha256", signature))
}

fn woocommerce(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let signature = ask.base64(&[&body]);
    Ok(Post::json(body)
        .with("x-wc-webhook-topic", ask.word)
        .with("x-wc-webhook-delivery-id", ask.id)
        .with("x-wc-webhook-signature", signature))
}

fn vercel(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let signature = ask.mac(Digest::Sha1, Encoding::Hex, &[&body]);
    Ok(Post::json(body).with("x-vercel-signature", signature))
}

// ---- an HMAC of the body and its time --------------------------------------------------

fn stripe(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let at = ask.seconds();
    let signature = format!("t={at},v1={}", ask.hex(&[at.as_bytes(), b".", &body]));
    Ok(Post::json(body).with("stripe-signature", signature))
}

fn slack(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let at = ask.seconds();
    let signature = format!("v0={}", ask.hex(&[b"v0:", at.as_bytes(), b":", &body]));
    Ok(Post::json(body)
        .with("x-slack-request-timestamp", at)
        .with("x-slack-signature", signature))
}

fn zoom(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let at = ask.seconds();
    let signature = format!("v0={}", ask.hex(&[b"v0:", at.as_bytes(), b":", &body]));
    Ok(Post::json(body)
        .with("x-zm-request-timestamp", at)
        .with("x-zm-signature", signature))
}

fn zendesk(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let at = ask.now.to_string();
    let signature = ask.base64(&[at.as_bytes(), &body]);
    Ok(Post::json(body)
        .with("x-zendesk-webhook-invocation-id", ask.id)
        .with("x-zendesk-webhook-signature-timestamp", at)
        .with("x-zendesk-webhook-signature", signature))
}

fn paddle(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let at = ask.seconds();
    let signature = format!("ts={at};h1={}", ask.hex(&[at.as_bytes(), b":", &body]));
    Ok(Post::json(body).with("paddle-signature", signature))
}

fn elevenlabs(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let at = ask.seconds();
    let signature = format!("t={at},v0={}", ask.hex(&[at.as_bytes(), b".", &body]));
    Ok(Post::json(body).with("elevenlabs-signature", signature))
}

fn webflow(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let at = ask.now.as_millis().to_string();
    let signature = ask.hex(&[at.as_bytes(), b":", &body]);
    Ok(Post::json(body)
        .with("x-webflow-timestamp", at)
        .with("x-webflow-signature", signature))
}

// ---- Standard Webhooks -----------------------------------------------------------------

fn standard(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    standard_as("webhook", ask, body)
}

fn svix(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    standard_as("svix", ask, body)
}

fn standard_as(brand: &str, ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let key = SigningKey::parse(&Secret::new(ask.secret.to_owned()))
        .map_err(|error| anyhow!("the secret {error}"))?;
    let id = format!("msg_{}", ask.id);
    let signature = key.sign(&id, ask.now.as_secs(), &body);
    Ok(Post::json(body)
        .with(&format!("{brand}-id"), id)
        .with(&format!("{brand}-timestamp"), ask.seconds())
        .with(&format!("{brand}-signature"), signature))
}

// ---- others that sign ------------------------------------------------------------------

/// A form is signed by its parameters; anything else by a digest within the address.
fn twilio(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let sign = |text: &str| ask.mac(Digest::Sha1, Encoding::Base64, &[text.as_bytes()]);
    let post = if body.starts_with(b"{") || body.starts_with(b"[") {
        let digest = crypto::encode(Encoding::Hex, &crypto::hash(Digest::Sha256, &[&body]));
        let query = format!("bodySHA256={digest}");
        let signature = sign(&format!("{}?{query}", ask.url));
        Post::json(body)
            .query(query)
            .with("x-twilio-signature", signature)
    } else {
        let mut pairs: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
        pairs.sort();
        let listed: String = pairs
            .iter()
            .map(|(name, value)| format!("{name}{value}"))
            .collect();
        let signature = sign(&format!("{}{listed}", ask.url));
        Post::form(body).with("x-twilio-signature", signature)
    };
    Ok(post.with("i-twilio-idempotency-token", ask.id))
}

fn sendgrid(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(ask.secret.as_bytes())
        .map_err(|error| anyhow!("the secret is no private key in PEM (PKCS #8): {error}"))?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_pkcs8_der())
        .map_err(|error| anyhow!("the secret is no private key of P-256: {error}"))?;
    let at = ask.seconds();
    let signature = pair
        .sign(&SystemRandom::new(), &[at.as_bytes(), &body].concat())
        .ok()
        .context("the private key cannot sign")?;
    let signature = crypto::encode(Encoding::Base64, signature.as_ref());
    Ok(Post::json(body)
        .with("x-twilio-email-event-webhook-timestamp", at)
        .with("x-twilio-email-event-webhook-signature", signature))
}

fn fusionauth(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let piece = |value: serde_json::Value| crypto::encode(Encoding::Base64Url, value.to_string().as_bytes());
    let digest = crypto::encode(Encoding::Base64, &crypto::hash(Digest::Sha256, &[&body]));
    let head = piece(json!({"alg": "HS256", "typ": "JWT"}));
    let claims = piece(json!({"request_body_sha256": digest, "iat": ask.now.as_secs()}));
    let text = format!("{head}.{claims}");
    let signature = ask.mac(Digest::Sha256, Encoding::Base64Url, &[text.as_bytes()]);
    Ok(Post::json(body).with("x-fusionauth-signature-jwt", format!("{text}.{signature}")))
}

// ---- shared secrets --------------------------------------------------------------------

fn gitlab(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    Ok(Post::json(body)
        .with("x-gitlab-event", ask.word)
        .with("idempotency-key", ask.id)
        .with("x-gitlab-token", ask.secret))
}

fn okta(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    Ok(Post::json(body).with("authorization", ask.secret))
}

fn basic(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    let pair = format!("{}:{}", ask.user, ask.secret);
    let credentials = crypto::encode(Encoding::Base64, pair.as_bytes());
    Ok(Post::json(body).with("authorization", format!("Basic {credentials}")))
}

fn deepgram(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    Ok(Post::json(body).with("dg-token", ask.secret))
}

/// Binary mode: what the event is stands in headers.
fn cloudevents(ask: &Ask<'_>, body: Vec<u8>) -> anyhow::Result<Post> {
    Ok(Post::json(body)
        .with("ce-specversion", "1.0")
        .with("ce-id", ask.id)
        .with("ce-source", "/relay/send")
        .with("ce-type", ask.word)
        .with("authorization", format!("Bearer {}", ask.secret)))
}

// ---- handshakes ------------------------------------------------------------------------

fn meta_subscription(ask: &Ask<'_>) -> anyhow::Result<Post> {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.verify_token", ask.verify_token)
        .append_pair("hub.challenge", ask.id)
        .finish();
    Ok(Post::of("GET", Vec::new()).query(query))
}

fn slack_challenge(ask: &Ask<'_>) -> anyhow::Result<Post> {
    let body = json!({"type": "url_verification", "challenge": ask.id});
    slack(ask, body.to_string().into_bytes())
}

fn zoom_validation(ask: &Ask<'_>) -> anyhow::Result<Post> {
    let body = json!({"event": "endpoint.url_validation", "payload": {"plainToken": ask.id}});
    zoom(ask, body.to_string().into_bytes())
}

fn okta_verification(ask: &Ask<'_>) -> anyhow::Result<Post> {
    Ok(Post::of("GET", Vec::new()).with("x-okta-verification-challenge", ask.id))
}

fn woocommerce_ping(_: &Ask<'_>) -> anyhow::Result<Post> {
    Ok(Post::form(b"webhook_id=1".to_vec()))
}

fn cloudevents_consent(_: &Ask<'_>) -> anyhow::Result<Post> {
    Ok(Post::of("OPTIONS", Vec::new()).with("webhook-request-origin", "relay.send"))
}

// ---- bodies ----------------------------------------------------------------------------

fn meta_sample(ask: &Ask<'_>) -> String {
    let changes = json!([{"field": ask.word, "value": {"id": ask.id}}]);
    json!({"object": "page", "entry": [{"id": "1", "time": ask.now.as_secs(), "changes": changes}]})
        .to_string()
}

fn slack_sample(ask: &Ask<'_>) -> String {
    let event = json!({"type": ask.word, "channel": "C0000001"});
    json!({"type": "event_callback", "event_id": ask.id, "event_time": ask.now.as_secs(), "event": event})
        .to_string()
}

fn twilio_sample(ask: &Ask<'_>) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("MessageSid", &format!("SM{}", ask.id))
        .append_pair("MessageStatus", ask.word)
        .finish()
}

fn sendgrid_sample(ask: &Ask<'_>) -> String {
    let event = json!({"event": ask.word, "sg_event_id": ask.id, "timestamp": ask.now.as_secs()});
    json!([event]).to_string()
}

fn fusionauth_sample(ask: &Ask<'_>) -> String {
    let event = json!({"type": ask.word, "id": ask.id, "createInstant": ask.now.as_millis()});
    json!({"event": event}).to_string()
}

fn okta_sample(ask: &Ask<'_>) -> String {
    json!({"eventId": ask.id, "data": {"events": [{"eventType": ask.word}]}}).to_string()
}

fn deepgram_sample(ask: &Ask<'_>) -> String {
    json!({"metadata": {"request_id": ask.id}, "results": {"channels": []}}).to_string()
}
