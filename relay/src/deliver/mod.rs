//! Everything that leaves the relay: one attempt, from the chain's result to its outcome.
//!
//! [`message`] freezes bytes and headers, [`sign`] and [`header`] make what is new on every
//! attempt, [`address`] decides where the relay may connect to, [`send`] does it, [`outcome`]
//! says what happened, and [`decide`] what comes next, without looking at clock or store.

use std::time::Duration;

use tokio::time::Instant;
use url::form_urlencoded::byte_serialize;

use crate::clock::Clock;
use crate::crypto::standard_webhooks::KeyError;
use crate::model::attempt::{EXCERPT_BYTES_MAX, Outcome};
use crate::model::endpoint::Endpoint;
use crate::model::message::{Message, Messages};
use crate::model::policy::{self, Policy};
use crate::model::reply::{ANSWER_BYTES_MAX, Answer};
use crate::model::secret::Secret;
use crate::store::Retiring;

pub mod address;
mod consent;
pub mod decide;
pub mod fetched;
pub mod header;
pub mod mail;
pub mod message;
pub mod outcome;
pub mod send;
pub mod sign;

use consent::Consent;
pub use consent::Grant;
use header::{HeaderError, Parsed};
use send::{Outgoing, Sender};
use sign::Signer;

/// The way out to one endpoint: everything that stays the same from attempt to attempt.
pub struct Outlet {
    target: send::Target,
    /// The address as it may be shown, if there is more in the real one than that.
    shown: Option<Box<str>>,
    own_headers: Vec<Parsed>,
    signer: Signer,
    method: http::Method,
    /// The endpoint's own.
    timeout: Option<Duration>,
    /// Whether whoever is on the way can read what is sent.
    is_plain: bool,
    /// Which 2xx count as success; empty: all.
    success_statuses: Vec<u16>,
    /// On the heap: few endpoints need it.
    consent: Option<Box<Consent>>,
}

/// What came of a call, and what the receiver answered, if it did.
pub type Answered = (Outcome, Option<Answer>);

/// Why there is no way out to an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum OutletError {
    #[error("its URL: {0}")]
    Url(#[from] address::UrlError),
    #[error("its headers: {0}")]
    Header(#[from] HeaderError),
    #[error("its signing secret: {0}")]
    Secret(#[from] KeyError),
}

impl Outlet {
    /// Makes ready what every attempt needs; signs with all `secrets`, and with those that retire
    /// until they have.
    ///
    /// # Errors
    /// What of the endpoint cannot be used.
    pub fn new(
        endpoint: &Endpoint,
        secrets: &[Secret],
        retiring: &[Retiring],
        sender: &Sender,
    ) -> Result<Self, OutletError> {
        Ok(Self {
            target: sender.target(&endpoint.address())?,
            shown: shown(endpoint),
            own_headers: header::parse_own(&endpoint.headers)?,
            signer: Signer::new(secrets)?.beside(retiring)?,
            method: endpoint.method.clone(),
            timeout: endpoint.timeout,
            is_plain: endpoint.url.scheme() == "http",
            success_statuses: endpoint.success_statuses.clone(),
            consent: Consent::of(endpoint).map(Box::new),
        })
    }

    /// What the receiver consented to, if it had to be asked and was.
    pub fn granted(&self) -> Option<Grant> {
        self.consent.as_ref()?.granted()
    }

    /// Where it leads, with no secret in it.
    pub fn url(&self) -> String {
        match (&self.shown, self.target.mailto()) {
            (Some(shown), _) => shown.to_string(),
            (None, Some(mailto)) => mailto.to_string(),
            (None, None) => self.target.uri().to_string(),
        }
    }

    /// With what it asks.
    pub const fn method(&self) -> &http::Method {
        &self.method
    }

    /// Whether what leaves by it is mail.
    pub fn is_mail(&self) -> bool {
        self.target.mailto().is_some()
    }

    /// Sends the messages that the receiver has not taken yet, in order, up to the first that
    /// it does not take, as the policy of the endpoint's tenant lets it. The outcome is that of the
    /// last one sent.
    pub async fn send(
        &self,
        sender: &Sender,
        messages: &mut Messages,
        clock: &dyn Clock,
        policy: Policy,
    ) -> Outcome {
        self.send_showing(sender, messages, clock, policy, |_, _| {})
            .await
    }

    /// As [`Outlet::send`]; `show` is told each message with the headers that go out with it.
    pub async fn send_showing(
        &self,
        sender: &Sender,
        messages: &mut Messages,
        clock: &dyn Clock,
        policy: Policy,
        mut show: impl FnMut(&Message, &[Parsed]),
    ) -> Outcome {
        if let Some(refused) = self.refused_by(policy) {
            return refused;
        }
        let timeout = policy.timeout(self.timeout);
        if let Some(consent) = &self.consent {
            let asked = consent.get(sender, &self.target, &self.own_headers, timeout);
            // On the heap, because it is rare: what is part of an attempt is moved with it.
            if let Err(outcome) = Box::pin(asked).await {
                return outcome;
            }
        }
        loop {
            let Some(message) = messages.list.get(messages.sent) else {
                // A retry by hand of something that arrived: sent again from the start.
                messages.sent = 0;
                if messages.list.is_empty() {
                    return Outcome::Refused {
                        reason: "there is no message to send".to_owned(),
                    };
                }
                continue;
            };
            let headers = self.head(message, clock);
            show(message, &headers);
            let outcome = self.send_one(sender, message, &headers, timeout).await;
            if !outcome.is_success() {
                return outcome;
            }
            messages.sent += 1;
            if messages.sent == messages.list.len() {
                return outcome;
            }
        }
    }

    /// Why nothing may be sent at all, by a policy.
    fn refused_by(&self, policy: Policy) -> Option<Outcome> {
        (self.is_plain && policy.https_only).then(|| Outcome::Refused {
            reason: policy::PLAIN_HTTP.to_owned(),
        })
    }

    async fn send_one(
        &self,
        sender: &Sender,
        message: &Message,
        headers: &[Parsed],
        timeout: Duration,
    ) -> Outcome {
        let request = Outgoing {
            target: &self.target,
            method: &self.method,
            headers,
            body: message.body.clone(),
            answer_bytes_max: EXCERPT_BYTES_MAX,
            timeout,
        };
        self.judged(sender.send(request).await)
    }

    /// The outcome, with a 2xx that this endpoint does not count as success marked as declined, and
    /// what a mail server said as such.
    fn judged(&self, mut outcome: Outcome) -> Outcome {
        if let Outcome::Responded { by_mail, .. } = &mut outcome {
            *by_mail = self.is_mail();
        }
        if let Outcome::Responded {
            status: status @ 200..=299,
            declined,
            ..
        } = &mut outcome
        {
            *declined = !self.success_statuses.is_empty() && !self.success_statuses.contains(status);
        }
        outcome
    }

    /// The head of a request, with its time and signature.
    fn head(&self, message: &Message, clock: &dyn Clock) -> Vec<Parsed> {
        if self.is_mail() {
            return header::of_mail(message);
        }
        let timestamp = clock.now().as_secs();
        let signature = self.signer.sign(&message.id, timestamp, &message.body);
        header::head(message, &self.own_headers, timestamp, signature)
    }

    /// Sends all messages in order, up to the first that the receiver does not take, and brings
    /// back its last answer, all of it or one byte more than may be, by `deadline`.
    pub async fn call(
        &self,
        sender: &Sender,
        messages: &mut Messages,
        clock: &dyn Clock,
        policy: Policy,
        deadline: Instant,
    ) -> Answered {
        if let Some(refused) = self.refused_by(policy) {
            return (refused, None);
        }
        if self.is_mail() {
            let reason = "nobody answers a mail: a call needs an endpoint with a URL of http".to_owned();
            return (Outcome::Refused { reason }, None);
        }
        let left = || deadline.saturating_duration_since(Instant::now());
        if let Some(consent) = &self.consent {
            let asked = consent.get(sender, &self.target, &self.own_headers, left());
            // Someone else may be asking, with more time.
            match tokio::time::timeout_at(deadline, asked).await {
                Ok(Ok(())) => {}
                Ok(Err(outcome)) => return (outcome, None),
                Err(_) => return (outcome::late("the receiver was asked for its consent"), None),
            }
        }
        let mut last = (outcome::late("there was a message"), None);
        for message in &messages.list {
            let headers = self.head(message, clock);
            let request = Outgoing {
                target: &self.target,
                method: &self.method,
                headers: &headers,
                body: message.body.clone(),
                answer_bytes_max: ANSWER_BYTES_MAX,
                timeout: left(),
            };
            last = match sender.ask(&request).await {
                Ok(answer) => {
                    let status = answer.status.as_u16();
                    let outcome = outcome::responded(status, &answer.headers, &answer.body, clock.now());
                    (self.judged(outcome), Some(answer.into()))
                }
                Err(outcome) => (outcome, None),
            };
            if !last.0.is_success() {
                break;
            }
            messages.sent += 1;
        }
        last
    }
}

/// The address of an endpoint that has parameters of its own, without their values.
fn shown(endpoint: &Endpoint) -> Option<Box<str>> {
    if endpoint.query.is_empty() {
        return None;
    }
    let mut url = endpoint.url.clone();
    url.set_fragment(None);
    let mut shown = String::from(url);
    for (name, _) in &endpoint.query {
        shown.push(if shown.contains('?') { '&' } else { '?' });
        shown.extend(byte_serialize(name.as_bytes()));
        shown.push_str("=(hidden)");
    }
    Some(shown.into())
}
