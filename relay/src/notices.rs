//! What the relay tells about itself: operational events.
//!
//! They are ordinary events of the tenant whose types begin with `relay.`, so that any endpoint
//! that names them gets them, through any plugin. Who notices something hands in a [`Notice`] and
//! goes on; one task makes events of them (`flow::tell`). A notice has a key made of what it is
//! about and since when, by which the store knows it again: it can be handed in twice, as after a
//! crash, and is told once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::ingest::{Post, dedupe};
use crate::model::event::{Envelope, Event};
use crate::model::event_type;
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId};
use crate::model::rollout::RolledBack;
use crate::model::time::Timestamp;
use crate::store::Failing;

/// The type of the event that tells what should have come.
pub const DIGEST: &str = "relay.digest";
/// CloudEvents `source` of the relay's own events, and what they are counted as.
pub const SOURCE: &str = "relay";
/// Notices that may wait to become events; what goes beyond is lost, and the log says so.
const WAITING_MAX: usize = 1024;
/// Deliveries of one endpoint that are exhausted are told together, so often.
pub const GATHER: Duration = Duration::from_secs(60);
/// Endpoints whose exhausted deliveries are gathered at once.
const GATHERED_MAX: usize = 10_000;

/// Which endpoint something is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    pub id: EndpointId,
    pub name: String,
    #[serde(skip)]
    pub tenant: TenantId,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The relay disabled an endpoint.
    Disabled {
        endpoint: About,
        at: Timestamp,
        reason: String,
    },
    /// A receiver has done nothing but fail for so many percent of the time after which its
    /// endpoint is disabled.
    Failing {
        endpoint: About,
        failing: Failing,
        percent: u8,
        reason: String,
    },
    /// A receiver takes messages again, after one of the two above.
    Recovered { endpoint: About, failing: Failing },
    /// A delivery has failed for good.
    Exhausted(Exhausted),
    /// The relay took a version of a plugin back that failed too often.
    RolledBack(TakenBack),
}

/// A version of a plugin that was taken back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TakenBack {
    #[serde(skip)]
    pub tenant: TenantId,
    pub plugin: String,
    /// Whether it was in use for all deliveries.
    pub was_current: bool,
    #[serde(flatten)]
    pub rolled_back: RolledBack,
    pub fault_rate: f64,
    pub fault_rate_max: f64,
}

/// A delivery that has failed for good.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exhausted {
    pub endpoint: About,
    pub delivery: DeliveryId,
    pub event: EventId,
    pub event_type: String,
    pub attempts: u32,
    pub reason: String,
}

/// An event to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub tenant: TenantId,
    pub post: Post,
}

impl Told {
    /// An event of that type about something. Of events with the same `key` one is told.
    pub fn new(
        tenant: TenantId,
        kind: &str,
        about: Option<EndpointId>,
        data: &impl Serialize,
        key: &[&str],
    ) -> Self {
        let data = serde_json::to_vec(data).unwrap_or_else(|error| {
            tracing::error!(%error, kind, "an operational event lacks its data");
            b"null".to_vec()
        });
        let words: Vec<&str> = std::iter::once(kind).chain(key.iter().copied()).collect();
        let envelope = Envelope {
            source: SOURCE.to_owned(),
            kind: kind.to_owned(),
            subject: about.map(|endpoint| endpoint.to_string()),
            content_type: Some("application/json".to_owned()),
            ..Envelope::default()
        };
        Self {
            tenant,
            post: Post {
                envelope,
                headers: Vec::new(),
                data: Bytes::from(data),
                dedupe: Some(dedupe::of_notice(tenant, &words)),
            },
        }
    }
}

/// Whether a post is one of the relay's own.
pub fn is_own(post: &Post) -> bool {
    event_type::is_own(&post.envelope.kind)
}

/// The endpoints that an event of the relay's own goes to: never the one it is about, which may
/// be just the one that fails; but a digest goes there, whatever else it wants.
pub fn address(event: &Event, endpoints: &mut Vec<EndpointId>) {
    let subject = event.envelope.subject.as_deref();
    let Some(about) = subject.and_then(|subject| subject.parse::<EndpointId>().ok()) else {
        return;
    };
    let is_digest = event.envelope.kind == DIGEST;
    if !is_digest {
        endpoints.retain(|endpoint| *endpoint != about);
    } else if !endpoints.contains(&about) {
        endpoints.push(about);
    }
}

/// Where notices are handed in.
#[derive(Debug, Clone)]
pub struct Notices(mpsc::Sender<Notice>);

impl Notices {
    /// Where they are handed in, and where they come out.
    pub fn new() -> (Self, mpsc::Receiver<Notice>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Hands one in; never waits.
    pub fn hand_in(&self, notice: Notice) {
        if self.0.try_send(notice).is_err() {
            tracing::warn!("more happens than the relay can tell: an operational event is lost");
        }
    }
}

/// What `relay.endpoint.…` events say.
#[derive(Debug, Serialize)]
struct OfEndpoint<'a> {
    endpoint: &'a About,
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u32>,
    /// Of the way to being disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// What `relay.delivery.exhausted` says: the last one, and how many there were.
#[derive(Debug, Serialize)]
struct OfDelivery<'a> {
    /// Deliveries of this endpoint that failed for good since it was told last.
    count: u64,
    #[serde(flatten)]
    last: &'a Exhausted,
}

/// Makes events of notices; deliveries that are exhausted are told together.
#[derive(Debug, Default)]
pub struct Gathering(BTreeMap<EndpointId, Gathered>);

#[derive(Debug)]
struct Gathered {
    since: Timestamp,
    count: u64,
    last: Exhausted,
}

impl Gathering {
    /// The event that a notice becomes, unless it is told later together with others.
    pub fn take_in(&mut self, notice: Notice, now: Timestamp) -> Option<Told> {
        let empty = |endpoint| OfEndpoint {
            endpoint,
            failing_since: None,
            failures: None,
            percent: None,
            disabled_at: None,
            reason: None,
        };
        match &notice {
            Notice::Disabled { endpoint, at, reason } => {
                let data = OfEndpoint {
                    disabled_at: Some(*at),
                    reason: Some(reason),
                    ..empty(endpoint)
                };
                Some(of_endpoint(
                    "disabled",
                    endpoint,
                    &data,
                    &[at.to_string().as_str()],
                ))
            }
            Notice::Failing {
                endpoint,
                failing,
                percent,
                reason,
            } => {
                let data = OfEndpoint {
                    failing_since: Some(failing.since),
                    failures: Some(failing.failures),
                    percent: Some(*percent),
                    reason: Some(reason),
                    ..empty(endpoint)
                };
                let key = [failing.since.to_string(), percent.to_string()];
                Some(of_endpoint("failing", endpoint, &data, &[&key[0], &key[1]]))
            }
            Notice::Recovered { endpoint, failing } => {
                let data = OfEndpoint {
                    failing_since: Some(failing.since),
                    failures: Some(failing.failures),
                    ..empty(endpoint)
                };
                let key = failing.since.to_string();
                Some(of_endpoint("recovered", endpoint, &data, &[&key]))
            }
            Notice::Exhausted(last) => self.gather(last, now),
            Notice::RolledBack(taken_back) => {
                let key = [
                    taken_back.plugin.as_str(),
                    &taken_back.rolled_back.version.to_string(),
                    &taken_back.rolled_back.at.to_string(),
                ];
                let kind = "relay.plugin.rolled_back";
                Some(Told::new(taken_back.tenant, kind, None, taken_back, &key))
            }
        }
    }

    /// The first is told at once; those that follow within [`GATHER`] when that is over.
    fn gather(&mut self, last: &Exhausted, now: Timestamp) -> Option<Told> {
        if let Some(gathered) = self.0.get_mut(&last.endpoint.id) {
            gathered.count += 1;
            gathered.last = last.clone();
            return None;
        }
        if self.0.len() < GATHERED_MAX {
            let gathered = Gathered {
                since: now,
                count: 0,
                last: last.clone(),
            };
            self.0.insert(last.endpoint.id, gathered);
        }
        Some(exhausted(1, last))
    }

    /// What has been gathered for long enough; with `all`, whatever has been gathered.
    pub fn take_out(&mut self, now: Timestamp, all: bool) -> Vec<Told> {
        let mut told = Vec::new();
        self.0.retain(|_, gathered| {
            if !all && now.since(gathered.since) < GATHER {
                return true;
            }
            let Gathered { since, count, last } = gathered;
            if *count > 0 {
                told.push(exhausted(*count, last));
            }
            // More may follow: they are gathered on from here.
            let goes_on = *count > 0;
            (*since, *count) = (now, 0);
            goes_on
        });
        told
    }
}

fn of_endpoint(what: &str, endpoint: &About, data: &OfEndpoint<'_>, key: &[&str]) -> Told {
    let id = endpoint.id.to_string();
    let key: Vec<&str> = std::iter::once(id.as_str()).chain(key.iter().copied()).collect();
    let kind = format!("relay.endpoint.{what}");
    Told::new(endpoint.tenant, &kind, Some(endpoint.id), data, &key)
}

fn exhausted(count: u64, last: &Exhausted) -> Told {
    let key = [last.delivery.to_string(), last.attempts.to_string()];
    let data = OfDelivery { count, last };
    let (tenant, about) = (last.endpoint.tenant, last.endpoint.id);
    let key = [key[0].as_str(), key[1].as_str()];
    Told::new(tenant, "relay.delivery.exhausted", Some(about), &data, &key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_770_000_000_000);

    fn about(id: i64) -> About {
        About {
            id: EndpointId::from_raw(id),
            name: "crm".to_owned(),
            tenant: TenantId::DEFAULT,
        }
    }

    fn exhausted_one(endpoint: i64, delivery: i64) -> Notice {
        Notice::Exhausted(Exhausted {
            endpoint: about(endpoint),
            delivery: DeliveryId::from_raw(delivery),
            event: EventId::from_raw(1),
            event_type: "a.b".to_owned(),
            attempts: 3,
            reason: "the receiver answered 500".to_owned(),
        })
    }

    fn data(told: &Told) -> serde_json::Value {
        serde_json::from_slice(&told.post.data).expect("the data is JSON")
    }

    #[test]
    fn the_first_exhausted_delivery_is_told_at_once_and_the_others_together() {
        let mut gathering = Gathering::default();
        let first = gathering.take_in(exhausted_one(7, 1), NOW).expect("told at once");
        assert_eq!(first.post.envelope.kind, "relay.delivery.exhausted");
        assert_eq!(data(&first)["count"], 1);
        for delivery in 2..=5 {
            assert_eq!(gathering.take_in(exhausted_one(7, delivery), NOW), None);
        }
        assert!(gathering.take_in(exhausted_one(8, 6), NOW).is_some());
        assert_eq!(gathering.take_out(NOW, false), []);
        let later = gathering.take_out(NOW + GATHER, false);
        assert_eq!(later.len(), 1, "{later:?}");
        assert_eq!(data(&later[0])["count"], 4);
        assert_eq!(data(&later[0])["delivery"], DeliveryId::from_raw(5).to_string());
        assert_eq!(gathering.take_in(exhausted_one(7, 9), NOW + GATHER), None);
        assert!(gathering.take_in(exhausted_one(8, 9), NOW + GATHER).is_some());
        assert_eq!(gathering.take_out(NOW + GATHER, true).len(), 1);
    }

    #[test]
    fn the_same_notice_has_the_same_key() {
        let disabled = |ms| Notice::Disabled {
            endpoint: about(7),
            at: Timestamp::from_millis(ms),
            reason: "gone".to_owned(),
        };
        let key = |notice| {
            let told = Gathering::default().take_in(notice, NOW).expect("told at once");
            told.post.dedupe
        };
        assert_eq!(key(disabled(1)), key(disabled(1)));
        assert_ne!(key(disabled(1)), key(disabled(2)));
    }

    #[test]
    fn nothing_is_told_to_the_endpoint_it_is_about_but_its_digest() {
        let event = |kind: &str| {
            let told = Told::new(TenantId::DEFAULT, kind, Some(EndpointId::from_raw(7)), &(), &[]);
            let raw = EventId::from_raw(1);
            Event::clone(&told.post.into_event(raw, told.tenant, None, NOW))
        };
        let ids = |raws: &[i64]| {
            raws.iter()
                .map(|raw| EndpointId::from_raw(*raw))
                .collect::<Vec<_>>()
        };
        for (kind, wanted, addressed) in [
            ("relay.endpoint.failing", &[6, 7, 8][..], &[6, 8][..]),
            ("relay.alert.firing", &[7], &[]),
            (DIGEST, &[6], &[6, 7]),
            (DIGEST, &[6, 7], &[6, 7]),
        ] {
            let mut endpoints = ids(wanted);
            address(&event(kind), &mut endpoints);
            assert_eq!(endpoints, ids(addressed), "{kind}");
        }
    }
}
