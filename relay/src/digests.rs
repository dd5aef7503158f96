//! Digests: what should have come to an endpoint in a span of time, so that its receiver can tell
//! whether all of it did.
//!
//! They are told from the events and deliveries themselves, not from counters: what is in them is
//! exact, for as long as the events are kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::crypto::Sha256;
use crate::deliver::message;
use crate::flow::Flow;
use crate::model::delivery::State;
use crate::model::endpoint::Endpoint;
use crate::model::id::{EndpointId, EventId, TenantId, first_raw_at};
use crate::model::time::Timestamp;
use crate::notices::{DIGEST, Told};
use crate::store::monitoring::ExpectedAsked;
use crate::store::{self, Store};

/// Deliveries read at once.
const PAGE: usize = 1000;
/// How often it is looked whether a span is over.
const TICK: Duration = Duration::from_secs(1);
/// What was accepted just before the end of a span may not be stored yet.
const SETTLES: Duration = Duration::from_secs(5);

/// What should have come to an endpoint in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Digest {
    pub endpoint: EndpointId,
    pub endpoint_name: String,
    /// Events accepted at or after.
    pub since: Timestamp,
    /// And before.
    pub until: Timestamp,
    /// Events that were routed to the endpoint.
    pub matched: u64,
    /// What became of them, as things stand.
    pub delivered: u64,
    pub dropped: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub pending: u64,
    /// SHA-256, in hex, over the webhook ids of those matched, sorted, each with a line feed
    /// behind it.
    pub matched_sha256: String,
    /// The same over those delivered.
    pub delivered_sha256: String,
}

/// Works out the digest of a span.
///
/// # Errors
/// If the store does not answer.
pub async fn digest(
    store: &dyn Store,
    tenant: TenantId,
    endpoint: &Endpoint,
    since: Timestamp,
    until: Timestamp,
) -> Result<Digest, store::Error> {
    let mut digest = Digest {
        endpoint: endpoint.id,
        endpoint_name: endpoint.name.clone(),
        since,
        until,
        matched: 0,
        delivered: 0,
        dropped: 0,
        failed: 0,
        cancelled: 0,
        pending: 0,
        matched_sha256: String::new(),
        delivered_sha256: String::new(),
    };
    let (mut matched, mut delivered) = (Sha256::default(), Sha256::default());
    let mut after = Some(EventId::from_raw(first_raw_at(since) - 1));
    while let Some(from) = after {
        let asked = ExpectedAsked {
            tenant,
            endpoint: endpoint.id,
            after: from,
            until,
            limit: PAGE,
        };
        let page = store.expected(asked).await?;
        // In the order of their ids, which is that of their texts.
        for expected in &page.items {
            let line = message::webhook_id(expected.delivery) + "\n";
            matched.update(line.as_bytes());
            digest.matched += 1;
            match expected.state {
                State::Pending => digest.pending += 1,
                State::Failed => digest.failed += 1,
                State::Dropped => digest.dropped += 1,
                State::Cancelled => digest.cancelled += 1,
                State::Succeeded => {
                    digest.delivered += 1;
                    delivered.update(line.as_bytes());
                }
            }
        }
        after = page.next;
    }
    digest.matched_sha256 = matched.finish();
    digest.delivered_sha256 = delivered.finish();
    Ok(digest)
}

/// Sends digests to the endpoints that ask for them, until `stop`: each once, when its span is
/// over. After a start, the last span is told if it was not; dedupe keys know.
pub async fn run(flow: Arc<Flow>, stop: CancellationToken) {
    let mut told: HashMap<EndpointId, Timestamp> = HashMap::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        let directory = flow.directories.current();
        let now = flow.clock.now();
        told.retain(|endpoint, _| directory.table.endpoint(*endpoint).is_some());
        for endpoint in directory.table.endpoints() {
            let Some(span) = endpoint.digest else { continue };
            if stop.is_cancelled() {
                return;
            }
            let (since, until) = last_span(span, now - SETTLES);
            let is_news = told.get(&endpoint.id).is_none_or(|before| *before < until);
            if !is_news || endpoint.id.made_at() >= until {
                continue;
            }
            match tell(&flow, endpoint, since, until).await {
                Ok(()) => drop(told.insert(endpoint.id, until)),
                Err(error) => {
                    tracing::debug!(%error, endpoint = endpoint.name, "a digest could not be told; trying again");
                }
            }
        }
    }
}

async fn tell(
    flow: &Arc<Flow>,
    endpoint: &Endpoint,
    since: Timestamp,
    until: Timestamp,
) -> Result<(), store::Error> {
    let data = digest(flow.store.as_ref(), endpoint.tenant, endpoint, since, until).await?;
    let key = [endpoint.id.to_string(), since.to_string(), until.to_string()];
    let key = key.each_ref().map(String::as_str);
    let Told { tenant, post } = Told::new(endpoint.tenant, DIGEST, Some(endpoint.id), &data, &key);
    flow.accept(tenant, None, vec![post]).await?;
    Ok(())
}

/// The last span that is over: spans begin with the day, in UTC.
fn last_span(span: Duration, now: Timestamp) -> (Timestamp, Timestamp) {
    let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1);
    let until = Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(ms));
    (until - span, until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_begin_with_the_day_in_utc() {
        let now: Timestamp = "2026-03-05T13:37:11Z".parse().expect("a time");
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert_eq!(
            last_span(Duration::from_secs(3600), now),
            (at("2026-03-05T12:00:00Z"), at("2026-03-05T13:00:00Z"))
        );
        assert_eq!(
            last_span(Duration::from_secs(86_400), now),
            (at("2026-03-04T00:00:00Z"), at("2026-03-05T00:00:00Z"))
        );
    }
}
