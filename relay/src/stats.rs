//! Counts what happens, by endpoint, source and event type, in spans of a minute and of an hour.
//!
//! Whoever counts adds to a shard of its own thread, so that nobody waits; every few seconds what
//! has gathered is added to the store in one transaction. A crash loses what has gathered since:
//! what has to be exact is told from events and deliveries instead (`digests`).

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::model::attempt::Attempt;
use crate::model::counts::Counts;
use crate::model::delivery::State;
use crate::model::event::Event;
use crate::model::id::{EndpointId, SourceId, TenantId};
use crate::model::time::Timestamp;
use crate::store::monitoring::{Bucket, Step};
use crate::store::{self, Store};

/// How often what has gathered is written; a crash loses as much.
pub const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// How long counts by the minute are kept.
pub const MINUTES_KEPT: Duration = Duration::from_secs(3 * 3600);
/// Buckets forgotten at once.
const BITE: usize = 1000;
/// Flushes between two looks for what is old.
const FLUSHES_PER_BITE: u32 = 15;
/// Threads that can count without waiting for each other.
const SHARDS: usize = 16;
/// Event types told apart of one endpoint or source within an hour. Senders make them up.
const TYPES_MAX: usize = 200;
/// Buckets of one shard between two flushes; what goes beyond is counted without its type.
const SHARD_BUCKETS_MAX: usize = 4096;
/// Buckets that may wait for a store that does not write.
const UNWRITTEN_MAX: usize = 100_000;
/// What types that are not told apart are counted as: no event has an empty one.
const OTHERS: &str = "";

/// What is counted together, but for its type: tenant, subject, and when the minute began.
type Place = (TenantId, i64, i64);

#[derive(Debug, Default)]
struct Shard {
    counts: BTreeMap<Place, BTreeMap<String, Counts>>,
    buckets: usize,
}

/// See the module.
pub struct Stats {
    shards: [Mutex<Shard>; SHARDS],
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Locked while what has gathered is on its way to the store.
    writing: tokio::sync::Mutex<Writing>,
}

#[derive(Debug, Default)]
struct Writing {
    /// What the store did not take, and what has gathered since.
    unwritten: BTreeMap<Bucket, Counts>,
    /// The types told apart in this hour.
    types: HashMap<(TenantId, i64), HashSet<String>>,
    hour: Timestamp,
}

impl Stats {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            shards: Default::default(),
            store,
            clock,
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// An event was accepted and routed to these endpoints.
    pub fn accepted(&self, event: &Event, endpoints: impl Iterator<Item = EndpointId>) {
        let (tenant, kind) = (event.tenant, event.envelope.kind.as_str());
        let minute = Step::Minute.floor(event.received_at).as_millis();
        let source = event.source.map_or(0, SourceId::raw);
        let mut shard = self.shard();
        shard.count((tenant, source, minute), kind).accepted += 1;
        for endpoint in endpoints {
            shard.count((tenant, endpoint.raw(), minute), kind).matched += 1;
        }
    }

    /// An attempt is over, and its delivery stands so.
    pub fn attempted(&self, event: &Event, endpoint: EndpointId, attempt: &Attempt, state: State) {
        let minute = Step::Minute.floor(self.clock.now()).as_millis();
        let mut shard = self.shard();
        let counts = shard.count((event.tenant, endpoint.raw(), minute), &event.envelope.kind);
        counts.attempted(attempt);
        counts.ended(state);
    }

    /// A delivery came to its end without another attempt.
    pub fn ended(&self, event: &Event, endpoint: EndpointId, state: State) {
        let minute = Step::Minute.floor(self.clock.now()).as_millis();
        let mut shard = self.shard();
        shard
            .count((event.tenant, endpoint.raw(), minute), &event.envelope.kind)
            .ended(state);
    }

    /// So many deliveries were fetched and acknowledged, of whatever types.
    pub fn fetched(&self, tenant: TenantId, endpoint: EndpointId, count: u64) {
        let minute = Step::Minute.floor(self.clock.now()).as_millis();
        let mut shard = self.shard();
        shard.count((tenant, endpoint.raw(), minute), OTHERS).succeeded += count;
    }

    /// The shard of this thread: nobody else locks it but for a moment at each flush.
    fn shard(&self) -> MutexGuard<'_, Shard> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static OWN: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        let own = OWN.get() % SHARDS;
        self.shards[own].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what has gathered. When it returns, the store knows all that was counted before.
    ///
    /// # Errors
    /// If the store cannot write; then it is kept for the next time.
    pub async fn flush(&self) -> Result<(), store::Error> {
        let mut writing = self.writing.lock().await;
        for shard in &self.shards {
            let gathered = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            writing.take_over(gathered);
        }
        if writing.unwritten.is_empty() {
            return Ok(());
        }
        let counts: Vec<(Bucket, Counts)> = std::mem::take(&mut writing.unwritten).into_iter().collect();
        let written = self.store.add_counts(&counts).await;
        if written.is_err() && counts.len() < UNWRITTEN_MAX {
            writing.unwritten = counts.into_iter().collect();
        }
        written
    }

    /// Writes every few seconds until `stop`, and forgets what is older than it has to be kept.
    pub async fn run(self: Arc<Self>, hours_kept: Duration, stop: CancellationToken) {
        let mut flushes = 0;
        while !stop.is_cancelled() {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(FLUSH_EVERY) => {}
            }
            if let Err(error) = self.flush().await {
                // The store says itself when it takes no writes.
                tracing::debug!(%error, "counts could not be written; trying again");
            }
            flushes += 1;
            if flushes % FLUSHES_PER_BITE == 0 {
                self.forget(hours_kept).await;
            }
        }
    }

    async fn forget(&self, hours_kept: Duration) {
        let now = self.clock.now();
        for (step, kept) in [(Step::Minute, MINUTES_KEPT), (Step::Hour, hours_kept)] {
            while let Ok(BITE..) = self.store.forget_counts(step, now - kept, BITE).await {}
        }
    }
}

impl Shard {
    fn count(&mut self, place: Place, kind: &str) -> &mut Counts {
        let types = self.counts.entry(place).or_default();
        // Looked up before anything is allocated: nearly always it is there.
        if types.contains_key(kind) {
            return types.get_mut(kind).expect("it was there just now");
        }
        let kind = if self.buckets < SHARD_BUCKETS_MAX {
            kind
        } else {
            OTHERS
        };
        self.buckets += 1;
        types.entry(kind.to_owned()).or_default()
    }
}

impl Writing {
    fn take_over(&mut self, shard: Shard) {
        for ((tenant, subject, minute), types) in shard.counts {
            let minute = Timestamp::from_millis(minute);
            for (kind, counts) in types {
                let kind = self.told_apart((tenant, subject), kind, minute);
                for step in [Step::Minute, Step::Hour] {
                    let bucket = Bucket {
                        tenant,
                        subject,
                        step,
                        at: step.floor(minute),
                        kind: kind.clone(),
                    };
                    self.unwritten.entry(bucket).or_default().merge(&counts);
                }
            }
        }
    }

    /// The type as it is counted: its own, unless there are too many.
    fn told_apart(&mut self, subject: (TenantId, i64), kind: String, minute: Timestamp) -> String {
        let hour = Step::Hour.floor(minute);
        if hour > self.hour {
            self.hour = hour;
            self.types.clear();
        }
        let types = self.types.entry(subject).or_default();
        if types.contains(&kind) {
            return kind;
        }
        if types.len() >= TYPES_MAX {
            return OTHERS.to_owned();
        }
        types.insert(kind.clone());
        kind
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::ManualClock;
    use crate::model::event::Envelope;
    use crate::model::id::EventId;
    use crate::store::memory::MemoryStore;
    use crate::store::monitoring::{By, CountsAsked};

    const ENDPOINT: EndpointId = EndpointId::from_raw(7);
    const START: Timestamp = Timestamp::from_millis(1_770_000_000_000);

    fn event(kind: &str, received_at: Timestamp) -> Event {
        Event {
            id: EventId::from_raw(1),
            tenant: TenantId::DEFAULT,
            source: None,
            received_at,
            envelope: Envelope {
                kind: kind.to_owned(),
                ..Envelope::default()
            },
            headers: Vec::new(),
            data: Bytes::new(),
        }
    }

    fn stats() -> (Arc<Stats>, ManualClock, Arc<MemoryStore>) {
        let (clock, store) = (ManualClock::starting_at(START), Arc::new(MemoryStore::new()));
        let stats = Stats::new(Arc::clone(&store) as Arc<dyn Store>, Arc::new(clock.clone()));
        (Arc::new(stats), clock, store)
    }

    async fn sums(store: &MemoryStore, subject: i64, step: Step, kind: &str) -> Vec<(u64, u64)> {
        use crate::store::Monitoring as _;
        let asked = CountsAsked {
            tenant: TenantId::DEFAULT,
            subjects: vec![subject],
            types: kind.parse().into_iter().collect(),
            step,
            since: START - Duration::from_secs(3600),
            until: START + Duration::from_secs(7200),
            by: By::Time,
        };
        let sums = store.counts(asked).await.expect("a store in memory works");
        let counts = sums.into_values();
        counts.map(|counts| (counts.accepted, counts.matched)).collect()
    }

    #[tokio::test]
    async fn what_all_threads_counted_is_in_the_store_after_a_flush() {
        let (stats, _, store) = stats();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let stats = Arc::clone(&stats);
                std::thread::spawn(move || {
                    for _ in 0..100 {
                        stats.accepted(&event("a.b", START), [ENDPOINT].into_iter());
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("it counts"));
        let later = START + Duration::from_secs(61);
        stats.accepted(&event("a.b", later), [ENDPOINT].into_iter());
        stats.flush().await.expect("a store in memory works");
        assert_eq!(sums(&store, 0, Step::Minute, "a.*").await, [(400, 0), (1, 0)]);
        assert_eq!(sums(&store, 7, Step::Minute, "a.*").await, [(0, 400), (0, 1)]);
        assert_eq!(sums(&store, 7, Step::Hour, "a.*").await, [(0, 401)]);
        stats.flush().await.expect("a store in memory works");
        assert_eq!(
            sums(&store, 7, Step::Hour, "*").await,
            [(0, 401)],
            "nothing is counted twice"
        );
    }

    #[tokio::test]
    async fn types_without_end_are_counted_together() {
        let (stats, _, store) = stats();
        for number in 0..TYPES_MAX + 10 {
            stats.accepted(&event(&format!("t{number}"), START), [].into_iter());
        }
        stats.flush().await.expect("a store in memory works");
        let all = sums(&store, 0, Step::Hour, "").await;
        assert_eq!(all, [(TYPES_MAX as u64 + 10, 0)]);
        assert_eq!(
            sums(&store, 0, Step::Hour, "*").await,
            [(TYPES_MAX as u64 + 10, 0)]
        );
    }

    #[tokio::test]
    async fn old_minutes_are_forgotten_before_old_hours() {
        let (stats, clock, store) = stats();
        stats.accepted(&event("a.b", START), [].into_iter());
        stats.flush().await.expect("a store in memory works");
        clock.advance(MINUTES_KEPT + Duration::from_secs(120));
        stats.forget(Duration::from_secs(24 * 3600)).await;
        assert_eq!(sums(&store, 0, Step::Minute, "*").await, []);
        assert_eq!(sums(&store, 0, Step::Hour, "*").await, [(1, 0)]);
    }
}
