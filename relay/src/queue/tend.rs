//! What the queue does by itself: reads back what is due, frees rate limits, writes rows for
//! deliveries that wait for long, and moves the checkpoint.

use std::collections::HashSet;

use super::*;
use crate::clock::AHEAD_MIN_MS;
use crate::store::{Failing, Record};

/// Deliveries read back from the store at once.
const REFILL_DELIVERIES: usize = 256;
/// A delivery that waits in memory for longer gets a row, so that the checkpoint can move.
const PARK_AFTER: Duration = Duration::from_secs(2);
/// Rows written at once for waiting deliveries: few, since senders wait meanwhile.
const PARK_DELIVERIES: usize = 128;
/// How often the checkpoint is written, waiting deliveries are looked for, and the wall clock is
/// compared with the steady one. It also bounds how late a due delivery is after the machine slept.
const ROUND: Duration = Duration::from_secs(1);
/// Why a delivery has failed that cannot be read.
const DAMAGED: &str = "what is stored of it is damaged; the relay's log says how";

/// What a lane is to be given from the store.
struct Refill {
    endpoint: EndpointId,
    /// What it has in memory already.
    held: HashSet<DeliveryId>,
    /// How many more it has room for.
    limit: usize,
}

impl Queue {
    /// Tends the lanes until the queue is closed.
    pub async fn tend(self: Arc<Self>, store: Arc<dyn Store>) {
        let mut last_round = tokio::time::Instant::now();
        let mut written = self.checkpoint();
        let mut ahead = None;
        loop {
            let wait = self.wait();
            tokio::select! {
                biased;
                () = self.chores.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            if self.lock().closed {
                break;
            }
            self.refill_due(&store).await;
            if last_round.elapsed() >= ROUND {
                last_round = tokio::time::Instant::now();
                while self.park_waiting(&store).await {}
                self.write_checkpoint(&store, &mut written).await;
                self.write_failing(&store).await;
                self.compare_clocks(&store, &mut ahead).await;
            }
        }
        self.write_checkpoint(&store, &mut written).await;
        self.write_failing(&store).await;
    }

    /// How long nothing happens by itself.
    fn wait(&self) -> Duration {
        let now = self.clock.steady();
        let next = self.lock().alarms.first().copied();
        next.map_or(ROUND, |(at, _)| at.since(now).min(ROUND))
    }

    async fn refill_due(&self, store: &Arc<dyn Store>) {
        let now = self.clock.steady();
        let mut damaged = Vec::new();
        for Refill {
            endpoint,
            held,
            limit,
        } in self.start_refills(now)
        {
            let batch = store.due(endpoint, now, held, limit).await;
            let mut inner = self.lock();
            let inner = &mut *inner;
            let Some(lane) = inner.lanes.get_mut(&endpoint) else {
                continue;
            };
            lane.end_refill();
            match batch {
                // Its rows are being cancelled.
                Ok(_) if lane.is_retired() => {}
                Ok(batch) => {
                    if let Some(next) = batch.next {
                        lane.note_stored(next);
                    }
                    let bytes_max = self.settings.memory_bytes_max.saturating_sub(inner.bytes);
                    inner.bytes += lane.refill(batch.due, bytes_max, now);
                    // Not to be read again, whatever comes of failing them.
                    lane.held.extend(&batch.damaged);
                    damaged.extend(batch.damaged);
                }
                Err(error) => {
                    tracing::warn!(%endpoint, %error, "deliveries could not be read back; trying again");
                    lane.note_stored(now + ROUND);
                }
            }
            inner.update(endpoint);
        }
        self.bell.notify_one();
        if !damaged.is_empty()
            && let Err(error) = store.give_up(damaged, DAMAGED, now).await
        {
            tracing::error!(%error, "deliveries that cannot be read stay pending until the next start");
        }
    }

    /// The lanes to refill, each marked, with what they hold already.
    fn start_refills(&self, now: Timestamp) -> Vec<Refill> {
        let mut inner = self.lock();
        let is_full = inner.bytes >= self.settings.memory_bytes_max;
        let mut wanted = Vec::new();
        let ringing = inner.alarms.iter().take_while(|(at, _)| *at <= now);
        let ringing: Vec<EndpointId> = ringing.map(|(_, endpoint)| *endpoint).collect();
        for endpoint in ringing {
            let Some(lane) = inner.lanes.get_mut(&endpoint) else {
                continue;
            };
            lane.unblock(now);
            if lane.wants_refill(now) {
                let limit = if is_full {
                    1
                } else {
                    lane.room().clamp(1, REFILL_DELIVERIES)
                };
                lane.start_refill(limit);
                wanted.push(Refill {
                    endpoint,
                    held: lane.held.clone(),
                    limit,
                });
            }
            inner.update(endpoint);
        }
        wanted
    }

    /// Writes pending rows for deliveries that have waited in memory for long; true if there
    /// may be more of them.
    async fn park_waiting(&self, store: &Arc<dyn Store>) -> bool {
        let records = self.waiting_without_row();
        if records.is_empty() {
            return false;
        }
        let parked: Vec<(DeliveryId, EndpointId)> = records
            .iter()
            .map(|record| (record.delivery, record.endpoint))
            .collect();
        let written = store.record(&records).await;
        if let Err(error) = &written {
            // The store says itself when it takes no writes; so below.
            tracing::debug!(%error, "waiting deliveries could not be written; they stay in memory");
        }
        self.note_parked(&parked, written.is_ok());
        written.is_ok() && parked.len() == PARK_DELIVERIES
    }

    fn waiting_without_row(&self) -> Vec<Record> {
        let now = self.clock.steady();
        let mut inner = self.lock();
        let mut records = Vec::new();
        for lane in inner.lanes.values_mut() {
            let old = lane
                .ready
                .iter()
                .filter(|job| !job.has_row && now.since(job.since) >= PARK_AFTER);
            for job in old.take(PARK_DELIVERIES.saturating_sub(records.len())) {
                // Held before its row is there, so that no refill reads it beside us.
                lane.held.insert(job.delivery);
                records.push(Record::waiting(job.delivery, &job.event, job.endpoint, now));
            }
        }
        records
    }

    /// A delivery that was taken while its row was written keeps counting as unwritten: its
    /// own record settles it.
    fn note_parked(&self, parked: &[(DeliveryId, EndpointId)], written: bool) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        for (delivery, endpoint) in parked {
            let Some(lane) = inner.lanes.get_mut(endpoint) else {
                continue;
            };
            let Some(job) = lane.ready.iter_mut().find(|job| job.delivery == *delivery) else {
                continue;
            };
            if written {
                job.has_row = true;
                inner.checkpoint.settle(job.event.id);
            } else {
                lane.held.remove(delivery);
            }
        }
    }

    /// Lets what receivers have failed at outlast a restart.
    async fn write_failing(&self, store: &Arc<dyn Store>) {
        let news: Vec<(EndpointId, Option<Failing>)> = {
            let mut inner = self.lock();
            let lanes = inner.lanes.iter_mut();
            lanes
                .filter_map(|(endpoint, lane)| Some((*endpoint, lane.health.take_news()?)))
                .collect()
        };
        if news.is_empty() {
            return;
        }
        if let Err(error) = store.set_failing(&news).await {
            tracing::warn!(%error, "how long receivers have been failing could not be written; trying again");
            let mut inner = self.lock();
            for (endpoint, _) in &news {
                if let Some(lane) = inner.lanes.get_mut(endpoint) {
                    lane.health.keep_news();
                }
            }
        }
    }

    /// Remembers how far the clocks are apart, so that what waits waits on after a restart.
    async fn compare_clocks(&self, store: &Arc<dyn Store>, known: &mut Option<i64>) {
        let ahead = self.clock.ahead_ms();
        if known.is_some_and(|known| (ahead - known).abs() < AHEAD_MIN_MS) {
            return;
        }
        match store.set_clock_ahead(ahead).await {
            Ok(()) => {
                if let Some(known) = known.replace(ahead) {
                    let seconds = (ahead - known) / 1000;
                    tracing::warn!(
                        seconds,
                        "the wall clock was set; deliveries wait by the steady one"
                    );
                }
            }
            Err(error) => tracing::warn!(%error, "how far the clocks are apart could not be written"),
        }
    }

    async fn write_checkpoint(&self, store: &Arc<dyn Store>, written: &mut EventId) {
        let reached = self.checkpoint();
        if reached <= *written {
            return;
        }
        match store.set_checkpoint(reached).await {
            Ok(()) => *written = reached,
            Err(error) => tracing::debug!(%error, "the checkpoint could not be written"),
        }
    }
}
