//! The collector: where it is, and one request to it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use prost::Message;
use url::Url;

use super::proto::{Answer, KeyValue, Resource, Scope};
use super::{Error, Settings};
use crate::clock::Clock;
use crate::deliver::address::Guard;
use crate::deliver::header::{self, Parsed};
use crate::deliver::send::{self, Outgoing, Sender, SenderSettings};
use crate::metrics::Metrics;

/// The words for what is sent, in metrics and log lines.
pub(super) const SPANS: &str = "traces";
pub(super) const POINTS: &str = "metrics";
/// For one request, as OTLP recommends.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// Characters of what a collector says that get into a log line.
const SAID_MAX: usize = 200;
/// Log lines about it in a minute, for each of the two.
const LINES_A_MINUTE: NonZeroU32 = NonZeroU32::new(1).expect("not zero");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("relay/", env!("CARGO_PKG_VERSION")));

/// Why something did not get to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// More came than could be sent.
    Full,
    /// It could not be reached, or answered that it failed.
    Failed,
    /// It took the rest of the request.
    Rejected,
}

impl Why {
    /// The word for metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Collector {
    sender: Sender,
    headers: Vec<Parsed>,
    metrics: Arc<Metrics>,
    resource: Resource,
}

/// One of the two things that it takes.
#[derive(Debug)]
pub(super) struct Intake {
    signal: &'static str,
    target: send::Target,
    collector: Arc<Collector>,
    lines: DefaultDirectRateLimiter,
    /// What was lost since the last log line.
    untold: AtomicU64,
}

impl Collector {
    pub(super) fn new(
        settings: &Settings,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        instance: u128,
    ) -> Result<Self, Error> {
        let sender = SenderSettings {
            extra_roots: settings.extra_roots.clone(),
            idle_per_origin: 2,
            ..SenderSettings::new(Guard::open(), clock)
        };
        let mut headers = header::parse_own(&settings.headers)?;
        headers.retain(|(name, _)| name != CONTENT_TYPE);
        headers.push((CONTENT_TYPE, PROTOBUF));
        if !headers.iter().any(|(name, _)| name == USER_AGENT) {
            headers.push((USER_AGENT, AGENT));
        }
        Ok(Self {
            sender: Sender::new(sender)?,
            headers,
            metrics,
            resource: Resource {
                attributes: vec![
                    KeyValue::text("service.name", settings.service_name.as_str()),
                    KeyValue::text("service.version", env!("CARGO_PKG_VERSION")),
                    KeyValue::text("service.instance.id", format!("{instance:032x}")),
                ],
            },
        })
    }

    /// Its intake for `signal`.
    pub(super) fn intake(self: &Arc<Self>, base: &Url, signal: &'static str) -> Result<Intake, Error> {
        let url = format!("{}/v1/{signal}", base.as_str().trim_end_matches('/'));
        Ok(Intake {
            signal,
            target: self.sender.target(&Url::parse(&url)?)?,
            collector: Arc::clone(self),
            lines: RateLimiter::direct(Quota::per_minute(LINES_A_MINUTE)),
            untold: AtomicU64::new(0),
        })
    }

    /// Who sends.
    pub(super) fn resource(&self) -> Resource {
        self.resource.clone()
    }

    /// What of the relay made it.
    pub(super) fn scope() -> Scope {
        Scope {
            name: "relay".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Intake {
    pub(super) fn collector(&self) -> &Collector {
        &self.collector
    }

    /// Sends `count` spans or points, once. What it does not take is counted and, at a bounded
    /// rate, logged; there is no second try, so that a collector that is down costs no memory.
    pub(super) async fn send(&self, message: &impl Message, count: usize) {
        let request = Outgoing {
            target: &self.target,
            method: &Method::POST,
            headers: &self.collector.headers,
            body: message.encode_to_vec().into(),
            answer_bytes_max: ANSWER_BYTES_MAX,
            timeout: TIMEOUT,
        };
        let answer = match self.collector.sender.ask(&request).await {
            Ok(answer) => answer,
            Err(outcome) => return self.lost(Why::Failed, count, &outcome.summary()),
        };
        if !answer.status.is_success() {
            let status = answer.status.as_u16();
            return self.lost(Why::Failed, count, &format!("it answered {status}"));
        }
        // What cannot be read says nothing against it.
        let partial = Answer::decode(answer.body.as_slice())
            .unwrap_or_default()
            .partial_success;
        if let Some(partial) = partial.filter(|partial| partial.rejected > 0) {
            let rejected = usize::try_from(partial.rejected).unwrap_or(count).min(count);
            let said: String = partial.error_message.chars().take(SAID_MAX).collect();
            self.lost(Why::Rejected, rejected, &format!("it said {said:?}"));
        }
    }

    fn lost(&self, why: Why, count: usize, error: &str) {
        let count = count as u64;
        let (signal, reason) = (self.signal, why.as_str());
        self.collector.metrics.telemetry_dropped(signal, reason, count);
        let lost = self.untold.fetch_add(count, Ordering::Relaxed) + count;
        if self.lines.check().is_ok() {
            self.untold.fetch_sub(lost, Ordering::Relaxed);
            tracing::warn!(
                signal,
                reason,
                error,
                lost,
                "the OpenTelemetry collector did not take what it was sent"
            );
        }
    }
}
