//! An endpoint: where a consumer receives, and how it wants to be treated.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

use super::event_type::Pattern;
use super::id::{EndpointId, TenantId};
use super::plugin::{OnFault, PluginUse};
use super::reply::Mapping;
use super::secret::Secret;

/// One endpoint, checked.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: EndpointId,
    pub tenant: TenantId,
    pub name: String,
    /// Where messages are sent; leads nowhere if it is polled.
    pub url: url::Url,
    /// Whether its deliveries wait until they are fetched, rather than being sent.
    pub is_polled: bool,
    pub method: http::Method,
    /// Which event types it wants; empty: all.
    pub event_types: Vec<Pattern>,
    /// Names of the sources it wants; empty: all, and the API.
    pub sources: Vec<String>,
    /// An event pattern, as it was written; compiled by `route::filter`.
    pub filter: Option<serde_json::Value>,
    /// The share of what it would get otherwise that it gets; `None`: all of it.
    pub sample: Option<f64>,
    pub plugins: Vec<PluginUse>,
    pub on_fault: OnFault,
    /// `None`: `standard` for events from the API, `raw` for events from a source.
    pub format: Option<Format>,
    pub headers: Vec<(String, Secret)>,
    /// Parameters that are sent behind the URL's own, which may hold credentials.
    pub query: Vec<(String, Secret)>,
    /// What it signs with; several while a secret rotates. Empty: the relay made its own.
    pub secrets: Vec<Secret>,
    /// Which of its own secrets the relay signs with, when `secrets` is empty.
    pub signatures: Signatures,
    /// How long an attempt may take; `None`: as long as its tenant's [policy](super::policy) says.
    pub timeout: Option<Duration>,
    /// Which statuses from 200 to 299 count as success; empty: all.
    pub success_statuses: Vec<u16>,
    pub retry: RetryPolicy,
    pub rate_limit: Option<RateLimit>,
    /// Attempts under way at once.
    pub concurrency: NonZeroU32,
    /// The origin that asks the receiver for its consent before it sends (CloudEvents); `None`:
    /// nobody is asked.
    pub consent_origin: Option<String>,
    /// How long its receiver may do nothing but fail until it is disabled.
    pub disable_after: Duration,
    /// What becomes of its receiver's answer to a call; `None`: the caller gets it as it is.
    pub reply: Option<Mapping>,
    pub enabled: bool,
    /// How often it is told what should have come; `None`: never.
    pub digest: Option<Duration>,
    /// How its deliveries are put together into requests; `None`: each goes by itself.
    pub batch: Option<Batch>,
}

/// How many deliveries go in one request, and how long the first of them waits for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    pub events_max: usize,
    pub wait: Duration,
    pub body: BatchBody,
}

/// How the bodies of several messages stand in one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BatchBody {
    /// As a JSON list.
    #[default]
    List,
    /// One after the other, each on a line of its own.
    Lines,
}

impl Endpoint {
    /// Where requests go: the URL with the endpoint's own parameters. Not to be shown.
    pub fn address(&self) -> Cow<'_, url::Url> {
        if self.query.is_empty() {
            return Cow::Borrowed(&self.url);
        }
        Cow::Owned(with_query(&self.url, &self.query))
    }
}

/// A URL with more parameters behind its own.
pub fn with_query(url: &url::Url, query: &[(String, Secret)]) -> url::Url {
    let mut url = url.clone();
    let parameters = query.iter().map(|(name, value)| (name, value.reveal()));
    url.query_pairs_mut().extend_pairs(parameters);
    url
}

/// The kinds of signature of Standard Webhooks that the relay makes with its own secrets.
///
/// `v1` (HMAC-SHA256) is what receivers expect and costs a microsecond; `v1a` (Ed25519) costs
/// more than all else that an attempt does, so it is made only where it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signatures {
    pub v1: bool,
    pub v1a: bool,
}

impl Default for Signatures {
    fn default() -> Self {
        Self { v1: true, v1a: false }
    }
}

/// The shape of the body that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{type, timestamp, data}`, as Standard Webhooks recommends.
    Standard,
    /// The bytes as they came, with their content type.
    Raw,
    /// CloudEvents 1.0, structured mode.
    CloudEvents,
    /// CloudEvents 1.0, binary mode.
    CloudEventsBinary,
}

/// When a failed attempt is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// The delay after each failed attempt; one attempt more than there are delays.
    pub schedule: Vec<Duration>,
    /// The share by which a delay may be shortened or lengthened, 0 to 1.
    pub jitter: f64,
    /// How old an event may be when it is sent; `None`: as old as may be.
    pub max_age: Option<Duration>,
}

impl Default for RetryPolicy {
    /// The example schedule of Standard Webhooks: 10 attempts over 75 hours and a half.
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let hours = |count: u64| Duration::from_secs(3600 * count);
        Self {
            schedule: vec![
                Duration::from_secs(5),
                minutes(5),
                minutes(30),
                hours(2),
                hours(5),
                hours(10),
                hours(14),
                hours(20),
                hours(24),
            ],
            jitter: 0.2,
            max_age: None,
        }
    }
}

/// At most `count` messages in each `per`, evenly spread after a burst of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub count: NonZeroU32,
    pub per: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_behind_the_urls_own() {
        let url = url::Url::parse("https://example.com/hook?a=%20b&c").unwrap();
        let query = [("to ken".to_owned(), Secret::new("s&cret=".to_owned()))];
        assert_eq!(
            with_query(&url, &query).as_str(),
            "https://example.com/hook?a=%20b&c&to+ken=s%26cret%3D"
        );
    }
}
