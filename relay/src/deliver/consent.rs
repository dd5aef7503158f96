//! Asks a receiver whether it wants events at all, before the first one goes to it.
//!
//! Source: CloudEvents, HTTP 1.1 Web Hooks for Event Delivery, 1.0.2, section 4 (abuse
//! protection). `OPTIONS` names the origin that wants to send, and the pace; the answer's headers
//! alone say yes, whatever its status. A yes is kept for as long as the endpoint's settings are
//! in force; a no is asked for anew with every attempt.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::OnceCell;

use super::header::Parsed;
use super::send::{Outgoing, Sender, Target};
use crate::model::attempt::Outcome;
use crate::model::endpoint::{Endpoint, RateLimit};

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const REQUEST_RATE: HeaderName = HeaderName::from_static("webhook-request-rate");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");
/// Rates are counted by the minute.
const MINUTE: Duration = Duration::from_secs(60);

/// What a receiver consents to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// How many requests it wants to get; `None`: as many as the relay likes.
    pub pace: Option<RateLimit>,
}

/// The question, and the answer once it is yes.
#[derive(Debug)]
pub(super) struct Consent {
    origin: HeaderValue,
    /// Requests per minute that the endpoint's own limit comes to.
    pace: Option<u64>,
    granted: OnceCell<Grant>,
}

impl Consent {
    /// What to ask for an endpoint; `None` if its receiver need not consent.
    pub(super) fn of(endpoint: &Endpoint) -> Option<Self> {
        let origin = endpoint.consent_origin.as_deref()?;
        Some(Self {
            origin: HeaderValue::try_from(origin).ok()?,
            pace: endpoint.rate_limit.map(per_minute),
            granted: OnceCell::new(),
        })
    }

    /// What the receiver has consented to.
    pub(super) fn granted(&self) -> Option<Grant> {
        self.granted.get().copied()
    }

    /// Makes sure of the receiver's consent. One asks, whoever else needs it waits for the answer.
    ///
    /// # Errors
    /// The outcome of the attempt that goes no further.
    pub(super) async fn get(
        &self,
        sender: &Sender,
        target: &Target,
        own: &[Parsed],
        timeout: Duration,
    ) -> Result<(), Outcome> {
        let asking = || self.ask(sender, target, own, timeout);
        self.granted.get_or_try_init(asking).await.map(drop)
    }

    async fn ask(
        &self,
        sender: &Sender,
        target: &Target,
        own: &[Parsed],
        timeout: Duration,
    ) -> Result<Grant, Outcome> {
        let mut headers = own.to_vec();
        headers.push((REQUEST_ORIGIN, self.origin.clone()));
        headers.extend(self.pace.map(|pace| (REQUEST_RATE, HeaderValue::from(pace))));
        let request = Outgoing {
            target,
            method: &http::Method::OPTIONS,
            headers: &headers,
            body: Bytes::new(),
            answer_bytes_max: 0,
            timeout,
        };
        let answer = sender.ask(&request).await?;
        grant(&answer.headers, &self.origin).map_err(|reason| Outcome::Refused { reason })
    }
}

/// Reads the answer.
///
/// # Errors
/// What is missing in it.
fn grant(headers: &HeaderMap, origin: &HeaderValue) -> Result<Grant, String> {
    let Some(allowed) = headers.get(ALLOWED_ORIGIN) else {
        return Err(
            "the receiver did not consent: its answer to OPTIONS has no webhook-allowed-origin".to_owned(),
        );
    };
    let allowed = allowed.as_bytes().trim_ascii();
    if allowed != b"*" && !allowed.eq_ignore_ascii_case(origin.as_bytes()) {
        return Err(format!(
            "the receiver did not consent: its webhook-allowed-origin is another than {:?}",
            origin.to_str().unwrap_or_default()
        ));
    }
    let pace =
        match headers.get(ALLOWED_RATE).map(|rate| rate.as_bytes().trim_ascii()) {
            None | Some(b"*") => None,
            Some(rate) => Some(parse_rate(rate).ok_or(
                "the receiver's webhook-allowed-rate is neither a count of requests per minute nor *",
            )?),
        };
    Ok(Grant { pace })
}

fn parse_rate(text: &[u8]) -> Option<RateLimit> {
    let count: NonZeroU32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(RateLimit { count, per: MINUTE })
}

/// Rounded up: a limit of less than one a minute still asks for one.
fn per_minute(limit: RateLimit) -> u64 {
    let count = u128::from(limit.count.get()) * MINUTE.as_nanos();
    u64::try_from(count.div_ceil(limit.per.as_nanos().max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &'static str)]) -> Result<Option<(u32, Duration)>, String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let grant = grant(&headers, &HeaderValue::from_static("relay.example.com"))?;
        Ok(grant.pace.map(|pace| (pace.count.get(), pace.per)))
    }

    #[test]
    fn only_the_headers_say_yes() {
        let yes = ("webhook-allowed-origin", "Relay.Example.com");
        assert_eq!(read(&[yes]), Ok(None));
        assert_eq!(read(&[("webhook-allowed-origin", "*")]), Ok(None));
        assert_eq!(read(&[yes, ("webhook-allowed-rate", "*")]), Ok(None));
        assert_eq!(
            read(&[yes, ("webhook-allowed-rate", "120")]),
            Ok(Some((120, MINUTE)))
        );
        for rate in ["0", "-1", "many", "", "1.5"] {
            assert!(read(&[yes, ("webhook-allowed-rate", rate)]).is_err(), "{rate:?}");
        }
        for no in [
            &[][..],
            &[("webhook-allowed-origin", "other.example.com")],
            &[("webhook-allowed-rate", "*")],
        ] {
            assert!(read(no).is_err(), "{no:?}");
        }
    }

    #[test]
    fn rates_are_asked_for_by_the_minute() {
        let limit = |count, secs| {
            per_minute(RateLimit {
                count: NonZeroU32::new(count).unwrap(),
                per: Duration::from_secs(secs),
            })
        };
        assert_eq!([limit(50, 1), limit(100, 60), limit(1, 3600)], [3000, 100, 1]);
    }
}
