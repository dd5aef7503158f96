//! What happens, for whoever watches: events as they are accepted, attempts as they end.
//!
//! Nothing is made of it while nobody watches. Each watcher has a bounded buffer; one who does not
//! keep up loses what has no room, and is told how much. The path never waits for anyone.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::model::event_type::Pattern;
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId};
use crate::model::time::Timestamp;

/// Watchers at once; each costs every event a moment.
const WATCHERS_MAX: usize = 64;
/// What one of them may be behind.
const BUFFER: usize = 256;

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// An event was accepted.
    Event(SeenEvent),
    /// An attempt is over.
    Attempt(SeenAttempt),
}

#[derive(Debug, Clone, Serialize)]
pub struct SeenEvent {
    #[serde(skip)]
    pub tenant: TenantId,
    pub id: EventId,
    pub r#type: String,
    pub source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub at: Timestamp,
    /// Where it is routed to.
    pub endpoints: Vec<EndpointId>,
}

#[derive(Debug, Clone, Serialize)]
pub struct SeenAttempt {
    #[serde(skip)]
    pub tenant: TenantId,
    pub delivery: DeliveryId,
    pub event: EventId,
    pub r#type: String,
    pub endpoint: EndpointId,
    pub endpoint_name: String,
    pub attempt: u32,
    /// Where the delivery stands now.
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<&'static str>,
    pub summary: String,
    pub duration_ms: f64,
    pub at: Timestamp,
}

/// What a watcher wants to see; `None` and an empty list restrict nothing.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub tenant: TenantId,
    pub endpoint: Option<EndpointId>,
    pub types: Vec<Pattern>,
    /// The state of a delivery: no events then.
    pub status: Option<&'static str>,
}

impl Wanted {
    fn has(&self, happening: &Happening) -> bool {
        let (tenant, kind, at_endpoint) = match happening {
            Happening::Event(event) => (
                event.tenant,
                &event.r#type,
                self.endpoint
                    .is_none_or(|wanted| event.endpoints.contains(&wanted)),
            ),
            Happening::Attempt(attempt) => (
                attempt.tenant,
                &attempt.r#type,
                self.endpoint.is_none_or(|wanted| attempt.endpoint == wanted),
            ),
        };
        let is_of_status = self.status.is_none_or(
            |wanted| matches!(happening, Happening::Attempt(attempt) if attempt.status == wanted),
        );
        tenant == self.tenant
            && at_endpoint
            && is_of_status
            && (self.types.is_empty() || self.types.iter().any(|pattern| pattern.matches(kind)))
    }
}

struct Watcher {
    wanted: Wanted,
    sender: mpsc::Sender<Arc<Happening>>,
    lost: Arc<AtomicU64>,
}

/// See the module.
#[derive(Default)]
pub struct Feed {
    count: AtomicUsize,
    watchers: ArcSwap<Vec<Arc<Watcher>>>,
    /// Held by who comes or goes.
    changing: Mutex<()>,
}

impl Feed {
    /// Whether anybody watches: ask before making anything.
    pub fn is_watched(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Shows something to those who want to see it.
    pub fn show(&self, happening: Happening) {
        let watchers = self.watchers.load();
        let mut wanting = watchers.iter().filter(|watcher| watcher.wanted.has(&happening));
        let Some(first) = wanting.next() else { return };
        let rest: Vec<_> = wanting.collect();
        let happening = Arc::new(happening);
        for watcher in std::iter::once(first).chain(rest) {
            if watcher.sender.try_send(Arc::clone(&happening)).is_err() {
                watcher.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Begins to watch; `None` if as many do as may.
    pub fn watch(self: &Arc<Self>, wanted: Wanted) -> Option<Watching> {
        let (sender, receiver) = mpsc::channel(BUFFER);
        let lost = Arc::new(AtomicU64::new(0));
        let watcher = Arc::new(Watcher {
            wanted,
            sender,
            lost: Arc::clone(&lost),
        });
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut watchers = Vec::clone(&self.watchers.load());
        if watchers.len() >= WATCHERS_MAX {
            return None;
        }
        watchers.push(Arc::clone(&watcher));
        self.replace(watchers);
        Some(Watching {
            feed: Arc::clone(self),
            watcher,
            receiver,
            lost,
        })
    }

    fn replace(&self, watchers: Vec<Arc<Watcher>>) {
        self.count.store(watchers.len(), Ordering::Relaxed);
        self.watchers.store(Arc::new(watchers));
    }
}

/// One who watches, for as long as this lives.
pub struct Watching {
    feed: Arc<Feed>,
    watcher: Arc<Watcher>,
    receiver: mpsc::Receiver<Arc<Happening>>,
    lost: Arc<AtomicU64>,
}

impl Watching {
    /// The next that happens; safe to be dropped while it waits.
    pub async fn next(&mut self) -> Option<Arc<Happening>> {
        self.receiver.recv().await
    }

    /// How much was lost since it was asked last.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _changing = self.feed.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut watchers = Vec::clone(&self.feed.watchers.load());
        watchers.retain(|watcher| !Arc::ptr_eq(watcher, &self.watcher));
        self.feed.replace(watchers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(tenant: i64, kind: &str) -> Happening {
        Happening::Event(SeenEvent {
            tenant: TenantId::from_raw(tenant),
            id: EventId::from_raw(1),
            r#type: kind.to_owned(),
            source: "api".to_owned(),
            subject: None,
            at: Timestamp::default(),
            endpoints: vec![EndpointId::from_raw(7)],
        })
    }

    fn wanted(endpoint: Option<i64>, kind: &str, status: Option<&'static str>) -> Wanted {
        Wanted {
            tenant: TenantId::from_raw(1),
            endpoint: endpoint.map(EndpointId::from_raw),
            types: kind.parse().into_iter().collect(),
            status,
        }
    }

    #[test]
    fn a_watcher_sees_what_it_wants_of_its_own_tenant() {
        for (wanted, sees) in [
            (wanted(None, "", None), true),
            (wanted(Some(7), "a.*", None), true),
            (wanted(Some(8), "", None), false),
            (wanted(None, "x.*", None), false),
            (wanted(None, "", Some("failed")), false),
        ] {
            assert_eq!(wanted.has(&event(1, "a.b")), sees, "{wanted:?}");
            assert!(!wanted.has(&event(2, "a.b")));
        }
    }

    #[tokio::test]
    async fn who_does_not_keep_up_loses_and_is_told_how_much() {
        let feed = Arc::new(Feed::default());
        assert!(!feed.is_watched());
        let mut watching = feed.watch(wanted(None, "", None)).expect("there is room");
        assert!(feed.is_watched());
        for _ in 0..BUFFER + 3 {
            feed.show(event(1, "a.b"));
        }
        assert_eq!((watching.take_lost(), watching.take_lost()), (3, 0));
        assert!(watching.next().await.is_some());
        drop(watching);
        assert!(!feed.is_watched());
    }

    #[test]
    fn there_are_only_so_many_watchers() {
        let feed = Arc::new(Feed::default());
        let watch = || feed.watch(wanted(None, "", None));
        let all: Vec<_> = (0..WATCHERS_MAX)
            .map(|_| watch().expect("there is room"))
            .collect();
        assert!(watch().is_none());
        drop(all);
        assert!(watch().is_some());
    }
}
