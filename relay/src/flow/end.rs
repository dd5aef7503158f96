//! Deliveries that end without another attempt: too old, or their endpoint deleted.

use std::sync::Arc;

use super::{Flow, Offered, Settled};
use crate::directory::Target;
use crate::model::delivery::{Progress, State};
use crate::model::id::{DeliveryId, EndpointId};
use crate::queue::Job;
use crate::record::Finished;
use crate::store::{self, Record};

/// Why a delivery was cancelled.
pub const DELETED: &str = "its endpoint was deleted";

impl Flow {
    /// Whether a delivery is older than its endpoint wants. One that a person asks for is not.
    pub(super) fn is_too_old(&self, target: &Target, job: &Job) -> bool {
        let expires = self.expiry(target, job);
        !job.trigger.is_asked_for() && expires.is_some_and(|expires| self.clock.steady() >= expires)
    }

    /// What is written of a delivery that was too old when its turn came.
    pub(super) fn too_old(&self, target: &Target, job: Job) -> Finished<Settled> {
        self.metrics.expired((&*target.endpoint).into());
        self.metrics.ended((&*target.endpoint).into(), State::Failed);
        let reason = "not sent: when its turn came it was older than the endpoint's retry.max_age";
        self.stats.ended(&job.event, job.endpoint, State::Failed);
        self.tell_exhausted(target, &job, job.attempts, reason);
        let record = ended(&job, State::Failed, reason);
        Finished {
            record,
            held: Settled::Delivery(job, None),
        }
    }

    /// Cancels what waits for an endpoint, because of a `reason`: `jobs`, which were taken out of
    /// its lane, and what waits in the store with an id below `before`; how many. Not to be dropped
    /// half way: what it has taken out of the lane is known nowhere else.
    ///
    /// # Errors
    /// If the store cannot write; what waits there is cancelled at the next start.
    pub async fn cancel_waiting(
        &self,
        endpoint: EndpointId,
        jobs: Vec<Job>,
        before: DeliveryId,
        reason: &str,
    ) -> Result<usize, store::Error> {
        const BITE: usize = 1000;
        let (with_row, without): (Vec<_>, Vec<_>) = jobs.into_iter().partition(Job::has_row);
        let mut count = without.len();
        for job in without.into_iter().chain(with_row) {
            self.cancel(job, reason).await;
        }
        loop {
            let now = self.clock.now();
            let cancelled = self.store.cancel_all(endpoint, before, BITE, reason, now).await?;
            count += cancelled;
            if cancelled < BITE {
                return Ok(count);
            }
        }
    }

    /// Ends a delivery that is called off.
    pub async fn cancel(&self, job: Job, reason: &str) {
        let record = ended(&job, State::Cancelled, reason);
        let held = Settled::Delivery(job, None);
        self.recorder.hand_in(Finished { record, held }).await;
    }

    /// An endpoint may be deleted between routing and commit: what came too late for it is
    /// cancelled like all else.
    pub(super) fn cancel_late(self: &Arc<Self>, offered: &Offered) {
        for (index, (endpoint, _)) in offered.waits.iter().enumerate() {
            if !self.queue.is_retired(*endpoint) {
                continue;
            }
            let (flow, endpoint) = (Arc::clone(self), *endpoint);
            let after = DeliveryId::from_raw(offered.event.id.delivery(index).raw() + 1);
            self.tasks.spawn(async move {
                let jobs = flow.queue.retire(endpoint);
                if let Err(error) = flow.cancel_waiting(endpoint, jobs, after, DELETED).await {
                    tracing::warn!(%error, %endpoint, "deliveries of a deleted endpoint were not cancelled");
                }
            });
        }
    }
}

/// What is written of a test that somebody wants to have sent again.
pub(super) fn of_a_test(job: Job) -> Finished<Settled> {
    let record = ended(&job, State::Cancelled, "a test is sent once; make another one");
    Finished {
        record,
        held: Settled::Delivery(job, None),
    }
}

/// What is written of a delivery that ends without another attempt.
fn ended(job: &Job, state: State, reason: &str) -> Record {
    Record {
        delivery: job.delivery,
        event: job.event.id,
        endpoint: job.endpoint,
        tenant: job.event.tenant,
        attempts: job.attempts,
        progress: Progress {
            state,
            due: None,
            reason: Some(reason.to_owned()),
            attempt: None,
            messages: None,
        },
    }
}
