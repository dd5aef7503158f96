//! Does the jobs, bite by bite.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Recovery, these};
use crate::model::id::{DeliveryId, EndpointId, JobId};
use crate::model::page::{LIMIT_MAX, Page};
use crate::queue::Backlog;
use crate::store::{self, Bite, Deliveries, DeliveryFilter, Job, Span, Step, Work};

/// Between two turns of all jobs.
const TICK: Duration = Duration::from_millis(50);
/// Attempts that one turn sets off at most: so many may be ahead of a new event.
const ATTEMPTS_MAX: usize = 64;
/// What one turn does otherwise.
const BITE: usize = 200;
/// How long an erasure waits for attempts under way: longer than any may take.
const HELD_MAX: Duration = Duration::from_secs(120);
/// How long to wait after the store has not answered.
const PAUSE: Duration = Duration::from_secs(1);

/// How a job has kept to its rate.
#[derive(Debug)]
struct Pace {
    /// Attempts that it may set off now.
    allowance: f64,
    since: Instant,
    /// For which endpoints its last bite was.
    endpoints: Vec<EndpointId>,
    /// Whether it has not set off any yet.
    is_first: bool,
    /// Since when it has waited for attempts under way.
    held_since: Option<Instant>,
}

impl Pace {
    fn new() -> Self {
        Self {
            allowance: 1.0,
            since: Instant::now(),
            endpoints: Vec::new(),
            is_first: true,
            held_since: None,
        }
    }

    /// How many attempts may be set off now.
    fn allows(&mut self, rate: Option<f64>) -> usize {
        let Some(rate) = rate else { return ATTEMPTS_MAX };
        let now = Instant::now();
        let earned = rate * now.duration_since(self.since).as_secs_f64();
        self.since = now;
        self.allowance = (self.allowance + earned).min(rate.max(1.0));
        (self.allowance as usize).min(ATTEMPTS_MAX)
    }

    fn spend(&mut self, attempts: u32) {
        self.allowance -= f64::from(attempts);
    }
}

impl Recovery {
    /// Does jobs until `stop`; first those that the last run left.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut paces: HashMap<JobId, Pace> = HashMap::new();
        loop {
            let pause = match self.turn_all(&mut paces).await {
                Ok(true) => Some(TICK),
                Ok(false) => None,
                Err(error) => {
                    tracing::warn!(%error, "a job cannot go on; trying again");
                    Some(PAUSE)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.bell.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// One turn of each job that runs; whether there is any.
    async fn turn_all(&self, paces: &mut HashMap<JobId, Pace>) -> Result<bool, store::Error> {
        let jobs = self.store.running_jobs().await?;
        let running: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
        paces.retain(|id, _| running.contains(id));
        for job in &jobs {
            let pace = paces.entry(job.id).or_insert_with(Pace::new);
            self.turn(job, pace).await?;
        }
        Ok(!jobs.is_empty())
    }

    async fn turn(&self, job: &Job, pace: &mut Pace) -> Result<(), store::Error> {
        match &job.work {
            Work::Retry { .. } | Work::Replay { .. } => self.send_again(job, pace).await,
            Work::Cancel { which } => self.cancel_some(job, which).await,
            Work::Erase { .. } => self.erase_some(job, pace).await,
        }
    }

    async fn send_again(&self, job: &Job, pace: &mut Pace) -> Result<(), store::Error> {
        let steady = self.clock.steady();
        let is_long = |endpoint: &EndpointId| self.queue.backlog(*endpoint, steady) == Backlog::Long;
        let limit = pace.allows(job.rate);
        if limit == 0 || pace.endpoints.iter().any(is_long) {
            return Ok(());
        }
        let step = match &job.work {
            Work::Retry { which } => self.retries(job, which, limit).await?,
            Work::Replay { endpoint, .. } => self.replays(job, *endpoint, limit).await?,
            Work::Cancel { .. } | Work::Erase { .. } => return Ok(()),
        };
        let steady = step.steady;
        let Some(stepped) = self.store.step(step).await? else {
            return Ok(());
        };
        pace.spend(stepped.done);
        for endpoint in &stepped.endpoints {
            // A receiver that does not answer is tried once because of a job, not at each bite.
            if pace.is_first || self.queue.backlog(*endpoint, steady) != Backlog::Stands {
                self.queue.asked_for(*endpoint, steady);
            } else {
                self.queue.stored(*endpoint, steady);
            }
        }
        if !stepped.endpoints.is_empty() {
            pace.endpoints = stepped.endpoints;
            pace.is_first = false;
        }
        Ok(())
    }

    async fn retries(&self, job: &Job, which: &Deliveries, limit: usize) -> Result<Step, store::Error> {
        let (found, next) = self.deliveries(job, which, limit).await?;
        let directory = self.directories.current();
        let looked_at = found.len();
        let wanted: Vec<DeliveryId> = found
            .into_iter()
            .filter(|(_, endpoint)| endpoint.is_some_and(|id| directory.table.endpoint(id).is_some()))
            .map(|(delivery, _)| delivery)
            .collect();
        let failed = count(looked_at - wanted.len());
        Ok(self.step(job, next, Bite::Retry(wanted), failed))
    }

    async fn replays(&self, job: &Job, endpoint: EndpointId, limit: usize) -> Result<Step, store::Error> {
        let walked = self.events(job.tenant, &job.work, span(job), limit).await?;
        if self.directories.current().table.endpoint(endpoint).is_none() {
            // It was deleted meanwhile.
            return Ok(self.step(job, walked.next, Bite::Count(0), count(walked.items.len())));
        }
        let now = self.clock.now();
        let deliveries = walked
            .items
            .iter()
            .map(|event| (DeliveryId::from_raw(self.ids.next(now)), event.id))
            .collect();
        Ok(self.step(job, walked.next, Bite::Replay { endpoint, deliveries }, 0))
    }

    async fn cancel_some(&self, job: &Job, which: &Deliveries) -> Result<(), store::Error> {
        let (found, next) = self.deliveries(job, which, BITE).await?;
        let looked_at = found.len();
        let ids = found.into_iter().map(|(delivery, _)| delivery).collect();
        let cancelled = self.call_off(job.tenant, ids).await?.len();
        let step = self.step(
            job,
            next,
            Bite::Count(count(cancelled)),
            count(looked_at - cancelled),
        );
        self.store.step(step).await.map(drop)
    }

    /// Erases events whose deliveries are not in memory any more: what is recorded of an attempt
    /// after the erasure might bring back what was erased.
    async fn erase_some(&self, job: &Job, pace: &mut Pace) -> Result<(), store::Error> {
        let walked = self.events(job.tenant, &job.work, span(job), BITE).await?;
        let mut is_held = false;
        for event in &walked.items {
            let filter = DeliveryFilter {
                event: Some(event.id),
                ..DeliveryFilter::default()
            };
            let page = Page {
                limit: LIMIT_MAX,
                before: None,
            };
            let made = self.store.deliveries(job.tenant, filter, page).await?.items;
            let ids: Vec<DeliveryId> = made.iter().map(|delivery| delivery.id).collect();
            self.call_off(job.tenant, ids).await?;
            is_held |= made
                .iter()
                .any(|delivery| self.queue.holds(delivery.endpoint, &HashSet::from([delivery.id])));
        }
        if is_held && pace.held_since.get_or_insert_with(Instant::now).elapsed() < HELD_MAX {
            return Ok(());
        }
        pace.held_since = None;
        let events = walked.items.iter().map(|event| event.id).collect();
        let step = self.step(job, walked.next, Bite::Erase(events), 0);
        self.store.step(step).await.map(drop)
    }

    /// The next deliveries of a job, with their endpoints, where they are known.
    async fn deliveries(
        &self,
        job: &Job,
        which: &Deliveries,
        limit: usize,
    ) -> Result<(Vec<(DeliveryId, Option<EndpointId>)>, Option<i64>), store::Error> {
        if let Some(walked) = these(which, job.cursor, limit) {
            let mut found = Vec::with_capacity(walked.items.len());
            for id in walked.items {
                let delivery = self.store.delivery(job.tenant, id).await?;
                // A test is sent once, and so is a call while its sender waits.
                let delivery = delivery.filter(|delivery| !delivery.test && !self.flow.under_way.has(id));
                found.push((id, delivery.map(|delivery| delivery.endpoint)));
            }
            return Ok((found, walked.next));
        }
        let Deliveries::Matching(filter) = which else {
            return Ok((Vec::new(), None));
        };
        let walked = self
            .store
            .deliveries_after(job.tenant, filter.clone(), span(job), limit)
            .await?;
        let found = walked
            .items
            .into_iter()
            .filter(|delivery| !self.flow.under_way.has(delivery.id))
            .map(|delivery| (delivery.id, Some(delivery.endpoint)));
        Ok((found.collect(), walked.next))
    }

    fn step(&self, job: &Job, next: Option<i64>, bite: Bite, failed: u32) -> Step {
        Step {
            job: job.id,
            from: job.cursor,
            to: next.unwrap_or(job.before),
            bite,
            failed,
            ends: next.is_none(),
            now: self.clock.now(),
            steady: self.clock.steady(),
        }
    }
}

const fn span(job: &Job) -> Span {
    Span {
        after: job.cursor,
        before: job.before,
    }
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
