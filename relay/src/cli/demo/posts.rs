//! What the five platforms post, each in its own way, and what they should be answered.

use anyhow::Context as _;

use super::super::client::exchange;
use super::super::samples;
use crate::app::App;
use crate::clock::{Clock as _, SystemClock};
use crate::crypto;
use crate::crypto::standard_webhooks::SigningKey;
use crate::model::secret::Secret;
use crate::model::verify::{Digest, Encoding};

/// One post and its answer.
pub(super) struct Answered {
    pub(super) source: &'static str,
    pub(super) what: String,
    pub(super) status: u16,
    pub(super) duplicate: bool,
    /// What the receiver said to it, as the platform got it.
    pub(super) reply: Option<String>,
    expected: Expected,
}

/// How the relay should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Taken,
    /// With what the receiver of an endpoint says.
    Replied,
    Duplicate,
    Refused,
}

impl Answered {
    pub(super) fn is_as_expected(&self) -> bool {
        match self.expected {
            Expected::Taken => self.status == 202 && !self.duplicate,
            Expected::Replied => self.reply.as_deref().is_some_and(|reply| reply.contains(REPLY)),
            Expected::Duplicate => self.status == 202 && self.duplicate,
            Expected::Refused => self.status == 401,
        }
    }
}

/// Whether every post was answered as it should be.
pub(super) fn all_as_expected(answers: &[Answered]) -> bool {
    answers.iter().all(Answered::is_as_expected)
}

/// The samples that each platform posts.
const SAMPLES: [(&str, &str); 14] = [
    ("mumble", "mumble-message-text"),
    ("mumble", "mumble-message-image"),
    ("mumble", "mumble-status-closed"),
    ("mumara", "mumara-delivered"),
    ("mumara", "mumara-bounced"),
    ("mumara", "mumara-newsletter-clicked"),
    ("whatsable", "whatsable-message-text"),
    ("whatsable", "whatsable-message-document"),
    ("calls", "calls-call-completed"),
    ("calls", "calls-call-failed"),
    ("calls", "calls-contact-created"),
    ("vambe", "vambe-message-received"),
    ("vambe", "vambe-ticket-created"),
    ("vambe", "vambe-stage-changed"),
];

/// The post whose sender waits, and a part of what it is answered.
const ASKING: &str = "vambe-ticket-created";
const REPLY: &str = "We are on it";

/// E-mails opened one after the other, enough to meet the dashboard's rate limit.
const OPENED: usize = 10;

/// Posts everything, in order.
pub(super) async fn play(app: &App) -> anyhow::Result<Vec<Answered>> {
    let mut answers = Vec::new();
    for (source, name) in SAMPLES {
        let text = samples::text(name);
        let body = if source == "mumble" {
            with_token(text)?
        } else {
            text.to_owned()
        };
        let expected = if name == ASKING {
            Expected::Replied
        } else {
            Expected::Taken
        };
        answers.push(post(app, source, name.to_owned(), body, expected).await?);
    }
    for number in 0..OPENED {
        let body = opened(number);
        answers.push(
            post(
                app,
                "mumara",
                format!("newsletter opened, {} of {OPENED}", number + 1),
                body,
                Expected::Taken,
            )
            .await?,
        );
    }
    let name = "whatsable-message-text";
    answers.push(
        post(
            app,
            "whatsable",
            format!("{name}, again"),
            samples::text(name).to_owned(),
            Expected::Duplicate,
        )
        .await?,
    );
    answers.push(forged(app).await?);
    Ok(answers)
}

/// Mumble puts its secret into the body.
fn with_token(text: &str) -> anyhow::Result<String> {
    let mut body: serde_json::Value = serde_json::from_str(text)?;
    body["token"] = "mumble-demo-token".into();
    Ok(body.to_string())
}

fn opened(number: usize) -> String {
    serde_json::json!({
        "event": "newsletter_opened",
        "timestamp": format!("2026-02-11T07:00:{number:02}Z"),
        "email": format!("reader{number}@example.org"),
        "campaign_id": 512,
        "broadcast_name": "Spring Letter",
        "message_id": format!("m-8{number:05}"),
    })
    .to_string()
}

/// A post with a signature by somebody else.
async fn forged(app: &App) -> anyhow::Result<Answered> {
    let text = samples::text("calls-call-failed");
    let headers = vec![("x-signature".to_owned(), signature("not-the-secret", text))];
    send(
        app,
        "calls",
        "a forged call".to_owned(),
        headers,
        text.to_owned(),
        Expected::Refused,
    )
    .await
}

async fn post(
    app: &App,
    source: &'static str,
    what: String,
    body: String,
    expected: Expected,
) -> anyhow::Result<Answered> {
    let headers = proof(source, &body)?;
    send(app, source, what, headers, body, expected).await
}

async fn send(
    app: &App,
    source: &'static str,
    what: String,
    mut headers: Vec<(String, String)>,
    body: String,
    expected: Expected,
) -> anyhow::Result<Answered> {
    let address = app.addresses.first().context("the relay does not listen")?;
    let url = format!("http://{address}/in/{source}").parse()?;
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    let answer = exchange("POST", &url, &headers, body.into_bytes()).await?;
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    Ok(Answered {
        source,
        what,
        status: answer.status,
        duplicate: said["duplicate"] == true,
        reply: (answer.status == 200).then(|| said.to_string()),
        expected,
    })
}

/// How a platform shows that a post is its own.
fn proof(source: &str, body: &str) -> anyhow::Result<Vec<(String, String)>> {
    let header = |name: &str, value: String| (name.to_owned(), value);
    Ok(match source {
        "mumara" => vec![header("x-mumara-token", "mumara-demo-token".to_owned())],
        "whatsable" => {
            let credentials = crypto::encode(Encoding::Base64, b"whatsable:whatsable-demo-password");
            vec![header("authorization", format!("Basic {credentials}"))]
        }
        "calls" => vec![header("x-signature", signature("calls-demo-secret", body))],
        "vambe" => {
            let secret = Secret::new("whsec_cmVsYXktZGVtby12YW1iZS1zZWNyZXQtMTIz".to_owned());
            let id = format!(
                "msg_{}",
                hex::encode(&crypto::hash(Digest::Sha256, &[body.as_bytes()])[..8])
            );
            let timestamp = SystemClock.now().as_secs();
            let signature = SigningKey::parse(&secret)?.sign(&id, timestamp, body.as_bytes());
            vec![
                header("webhook-id", id),
                header("webhook-timestamp", timestamp.to_string()),
                header("webhook-signature", signature),
            ]
        }
        _ => Vec::new(),
    })
}

fn signature(secret: &str, body: &str) -> String {
    format!(
        "sha256={}",
        hex::encode(crypto::hmac(
            Digest::Sha256,
            secret.as_bytes(),
            &[body.as_bytes()]
        ))
    )
}
