//! Requests of plugins, by the way that deliveries take: past the same guard, through the same
//! proxy, and no further than the tenant's policy lets them.

use std::sync::{Arc, Weak};
use std::time::Instant;

use async_trait::async_trait;
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, USER_AGENT};

use crate::deliver::address::UrlError;
use crate::deliver::header::{Parsed, USER_AGENT_VALUE};
use crate::deliver::send::{Answer, Outgoing, Sender};
use crate::directory::Directories;
use crate::metrics::Metrics;
use crate::model::attempt::{Cause, Outcome};
use crate::model::id::TenantId;
use crate::model::policy;
use crate::plugins::services::{Fetch, FetchError, FetchRequest, Fetched};

/// Sends them. It keeps nothing alive that in the end keeps it: plugins are part of the directory.
pub struct Fetcher {
    pub sender: Arc<Sender>,
    /// Knows the policies of tenants.
    pub directories: Weak<Directories>,
    pub metrics: Weak<Metrics>,
}

#[async_trait]
impl Fetch for Fetcher {
    async fn fetch(&self, tenant: TenantId, request: FetchRequest) -> Result<Fetched, FetchError> {
        let since = Instant::now();
        let fetched = self.send(tenant, &request).await;
        let outcome = match &fetched {
            Ok(_) => "answered",
            Err(error) => word(error),
        };
        if let Some(metrics) = self.metrics.upgrade() {
            metrics.fetched(outcome, since.elapsed());
        }
        fetched
    }
}

impl Fetcher {
    async fn send(&self, tenant: TenantId, request: &FetchRequest) -> Result<Fetched, FetchError> {
        // Other schemes are the relay's own, which a plugin has no business with.
        if !matches!(request.url.scheme(), "http" | "https") {
            return Err(FetchError::Invalid(
                "the scheme of the URL has to be https".to_owned(),
            ));
        }
        let Some(directories) = self.directories.upgrade() else {
            return Err(FetchError::Failed("the relay stops".to_owned()));
        };
        if directories.current().policy(tenant).forbids(&request.url) {
            return Err(FetchError::Denied(policy::PLAIN_HTTP.to_owned()));
        }
        let target = self.sender.target(&request.url).map_err(refused)?;
        let headers = head(&request.headers);
        let outgoing = Outgoing {
            target: &target,
            method: &request.method,
            headers: &headers,
            body: request.body.clone(),
            answer_bytes_max: request.body_bytes_max,
            timeout: request.timeout,
        };
        let answer = self.sender.ask(&outgoing).await.map_err(failed)?;
        taken(answer, request.body_bytes_max)
    }
}

/// A plugin's headers, and those of every request: who asks, and that nothing is to be compressed,
/// for the answer is handed on as it comes.
fn head(given: &HeaderMap) -> Vec<Parsed> {
    let mut head: Vec<Parsed> = given
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let usual = [
        (USER_AGENT, USER_AGENT_VALUE),
        (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
    ];
    head.extend(usual.into_iter().filter(|(name, _)| !given.contains_key(name)));
    head
}

fn taken(answer: Answer, body_bytes_max: usize) -> Result<Fetched, FetchError> {
    if answer.body.len() > body_bytes_max {
        return Err(FetchError::TooLarge(body_bytes_max));
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = answer.headers.iter();
    Ok(Fetched {
        status: answer.status.as_u16(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        body: answer.body.into(),
    })
}

fn refused(error: UrlError) -> FetchError {
    match error {
        UrlError::Blocked(_) | UrlError::PlainHttp => FetchError::Denied(error.to_string()),
        other => FetchError::Invalid(other.to_string()),
    }
}

fn failed(outcome: Outcome) -> FetchError {
    match outcome {
        Outcome::Refused { reason } => FetchError::Denied(reason),
        Outcome::Unreachable {
            cause: Cause::Timeout,
            ..
        } => FetchError::Timeout,
        Outcome::Unreachable { detail, .. } => FetchError::Failed(detail),
        other => FetchError::Failed(format!("there is no answer: {other:?}")),
    }
}

const fn word(error: &FetchError) -> &'static str {
    match error {
        FetchError::Denied(_) => "denied",
        FetchError::Timeout => "timeout",
        FetchError::TooLarge(_) => "too_large",
        FetchError::Invalid(_) => "invalid",
        FetchError::Failed(_) => "failed",
    }
}
