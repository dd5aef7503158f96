//! Sends again what did not arrive, calls off what should not go, erases what must not stay: over
//! many deliveries or events, as jobs that are counted first and done in bites.
//!
//! A job goes from the oldest to the newest. What it has done and where it stands are one commit,
//! so a job goes on after a restart where it was, and sends nothing twice. What it makes waits in
//! the store and goes through the lane of its endpoint like all else. New events go first: a job
//! adds the next bite only when the last one has gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::directory::{Directories, Directory};
use crate::flow::Flow;
use crate::model::audit::{By, Deed};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, IdMaker, JobId, TenantId};
use crate::model::time::Timestamp;
use crate::queue::Queue;
use crate::store::{self, Deliveries, Job, JobState, Span, Started, Store, Walked, Work};

mod run;
mod survey;

pub use survey::Survey;

/// Jobs of one tenant that run at once.
pub const RUNNING_MAX: usize = 10;
/// How long jobs are kept after their end.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Attempts that a job sets off in a second, where nothing is said.
pub const RATE: f64 = 100.0;

/// Before every raw id.
const START: i64 = -1;

/// Why a delivery was cancelled.
const CALLED_OFF: &str = "it was called off";
const PURGED: &str = "everything that waited for its endpoint was called off";

/// See the module.
pub struct Recovery {
    pub store: Arc<dyn Store>,
    pub queue: Arc<Queue>,
    pub flow: Arc<Flow>,
    pub directories: Arc<Directories>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<IdMaker>,
    /// Rung when there is a new job.
    pub bell: Notify,
}

/// The tenant has [`RUNNING_MAX`] jobs that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// What is noted of a job that is started: not what an erasure is to find, which would be kept by it.
fn deed(job: &Job, by: By) -> Deed {
    let work = serde_json::to_value(job.work.forgotten());
    let mut after = work.ok().and_then(|work| work.as_object().cloned());
    if let (Some(after), Some(rate)) = (&mut after, job.rate) {
        after.insert("rate_per_second".to_owned(), rate.into());
    }
    Deed {
        after,
        ..Deed::new(job.tenant, job.created_at, by, "job.started").to(job.id, None)
    }
}

impl Recovery {
    /// Counts what there is to do, and starts to do it.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn start(
        &self,
        tenant: TenantId,
        work: Work,
        rate: Option<f64>,
        by: By,
    ) -> Result<Result<Job, TooMany>, store::Error> {
        let now = self.clock.now();
        let id = JobId::from_raw(self.ids.next(now));
        let survey = self.survey(tenant, &work, id.raw()).await?;
        let job = Job {
            id,
            tenant,
            rate: match work {
                Work::Retry { .. } | Work::Replay { .. } => Some(rate.unwrap_or(RATE)),
                Work::Cancel { .. } | Work::Erase { .. } => None,
            },
            work,
            state: JobState::Running,
            total: survey.is_complete.then_some(survey.count),
            done: 0,
            failed: 0,
            cursor: START,
            before: id.raw(),
            created_at: now,
            updated_at: now,
            ended_at: None,
        };
        let deed = deed(&job, by);
        let started = self
            .store
            .start_job(job.clone(), RUNNING_MAX, now - KEPT, Some(deed));
        match started.await? {
            Started::Done => {
                self.bell.notify_one();
                Ok(Ok(job))
            }
            Started::TooMany => Ok(Err(TooMany)),
        }
    }

    /// Calls deliveries of a tenant off: those that wait do not go; an attempt under way is the
    /// last. Which were pending.
    ///
    /// # Errors
    /// If the store does not answer; then some may be called off.
    pub async fn call_off(
        &self,
        tenant: TenantId,
        deliveries: Vec<DeliveryId>,
    ) -> Result<Vec<DeliveryId>, store::Error> {
        let now = self.clock.now();
        let cancelled = self.store.cancel(tenant, deliveries, CALLED_OFF, now).await?;
        // What was read back before is in its lane now. What is under way is not made pending
        // again: the store sees to that.
        let mut lanes: HashMap<EndpointId, HashSet<DeliveryId>> = HashMap::new();
        for (delivery, endpoint) in &cancelled {
            lanes.entry(*endpoint).or_default().insert(*delivery);
        }
        for (endpoint, wanted) in lanes {
            for job in self.queue.call_off(endpoint, &wanted) {
                self.flow.cancel(job, CALLED_OFF).await;
            }
        }
        Ok(cancelled.into_iter().map(|(delivery, _)| delivery).collect())
    }

    /// Calls off everything that waits for an endpoint; how many.
    ///
    /// # Errors
    /// If the store does not answer; then some may be called off.
    pub async fn purge(&self, tenant: TenantId, endpoint: EndpointId) -> Result<usize, store::Error> {
        let now = self.clock.now();
        let before = DeliveryId::from_raw(self.ids.next(now));
        let (jobs, under_way) = self.queue.call_all_off(endpoint, before);
        let cancelled = self.flow.cancel_waiting(endpoint, jobs, before, PURGED).await?;
        // Under way for the first time: these have no row yet.
        let rest = self.store.cancel(tenant, under_way, PURGED, now).await?;
        // What was just being read back while that was done.
        for job in self.queue.call_all_off(endpoint, before).0 {
            self.flow.cancel(job, PURGED).await;
        }
        Ok(cancelled + rest.len())
    }

    /// The endpoints that want an event by their present definitions.
    pub fn wanting(&self, event: &Event) -> Vec<EndpointId> {
        let directory = self.directories.current();
        let source = event.source.and_then(|source| directory.source_name(source));
        let wanted = directory.table.route(event, source);
        wanted.iter().map(|endpoint| endpoint.id).collect()
    }

    /// Sends an event again to these endpoints: the deliveries that are made for it.
    ///
    /// # Errors
    /// If the store does not answer; then none was made.
    pub async fn replay(
        &self,
        tenant: TenantId,
        event: EventId,
        endpoints: &[EndpointId],
    ) -> Result<Vec<(DeliveryId, EndpointId)>, store::Error> {
        let (now, steady) = (self.clock.now(), self.clock.steady());
        let made: Vec<_> = endpoints
            .iter()
            .map(|endpoint| (DeliveryId::from_raw(self.ids.next(now)), *endpoint))
            .collect();
        if !self.store.replay(tenant, event, made.clone(), steady).await? {
            return Ok(Vec::new());
        }
        for (_, endpoint) in &made {
            self.queue.asked_for(*endpoint, steady);
        }
        Ok(made)
    }

    /// A part of the events that some work is about.
    async fn events(
        &self,
        tenant: TenantId,
        work: &Work,
        span: Span,
        limit: usize,
    ) -> Result<Walked<Arc<Event>>, store::Error> {
        let (Work::Replay { which, .. } | Work::Erase { which, .. }) = work else {
            return Ok(Walked {
                items: Vec::new(),
                next: None,
            });
        };
        let mut walked = self
            .store
            .events_after(tenant, which.clone(), span, limit)
            .await?;
        let directory = self.directories.current();
        walked.items.retain(|event| match work {
            Work::Replay { .. } if event.is_test() => false,
            Work::Replay {
                endpoint,
                only_wanted: true,
                ..
            } => is_wanted(&directory, *endpoint, event),
            Work::Erase {
                member: Some(member), ..
            } => member.is_in(&event.data),
            _ => true,
        });
        Ok(walked)
    }
}

/// Whether an endpoint wants an event by its present definition.
fn is_wanted(directory: &Directory, endpoint: EndpointId, event: &Event) -> bool {
    let source = event.source.and_then(|source| directory.source_name(source));
    let wanted = directory.table.route(event, source);
    wanted.iter().any(|wanting| wanting.id == endpoint)
}

/// The next of a list of deliveries.
fn these(deliveries: &Deliveries, after: i64, limit: usize) -> Option<Walked<DeliveryId>> {
    let Deliveries::These(ids) = deliveries else {
        return None;
    };
    let mut ids = ids.iter().copied().filter(|id| id.raw() > after);
    let items: Vec<_> = ids.by_ref().take(limit).collect();
    let next = items.last().filter(|_| ids.next().is_some()).map(|id| id.raw());
    Some(Walked { items, next })
}

/// Widens what was counted by one of that age.
fn widen(oldest: &mut Option<Timestamp>, newest: &mut Option<Timestamp>, at: Timestamp) {
    *oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
    *newest = Some(newest.map_or(at, |newest| newest.max(at)));
}

/// What is wrong with a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it as in \"50/s\", \"100/m\" or \"1000/h\"")]
pub struct BadRate;

/// Reads `"50/s"`, `"100/m"` or `"1000/h"`: how many a second.
///
/// # Errors
/// It is none of these.
pub fn parse_rate(text: &str) -> Result<f64, BadRate> {
    let (count, unit) = text.split_once('/').ok_or(BadRate)?;
    let count: std::num::NonZeroU32 = count.trim().parse().map_err(|_| BadRate)?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(BadRate),
    };
    Ok(f64::from(count.get()) / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_in_a_unit_of_time() {
        assert_eq!(parse_rate("50/s"), Ok(50.0));
        assert_eq!(parse_rate("90/m"), Ok(1.5));
        for text in ["", "50", "0/s", "-1/s", "50/", "50/d", "x/s"] {
            assert_eq!(parse_rate(text), Err(BadRate), "{text}");
        }
    }
}
