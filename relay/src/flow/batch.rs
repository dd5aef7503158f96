//! Several deliveries in one request, for an endpoint that wants them so.
//!
//! Each keeps its record: what came back is an attempt of every one of them.

use std::panic::AssertUnwindSafe;
use std::sync::PoisonError;

use futures_util::FutureExt as _;
use rand::RngExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::prepare::{Prepared, prepare};
use super::traced::Timed;
use super::turned::sign;
use super::{Attempted, Flow, about, call, end};
use crate::deliver::message;
use crate::directory::{Directory, Target};
use crate::model::attempt::Outcome;
use crate::model::message::{Message, Messages};
use crate::queue::{Job, Sign, TOGETHER_BYTES_MAX, Turned};

/// A delivery that goes into a request, and what it adds.
struct Part {
    job: Job,
    prepared: Prepared,
}

impl Part {
    /// What the receiver has not taken of it yet.
    fn unsent(&self) -> &[Message] {
        let messages = &self.prepared.messages;
        messages.list.get(messages.sent..).unwrap_or_default()
    }
}

impl Flow {
    /// Makes an attempt of a delivery and of those that can go with it: one request, one permit.
    pub(super) async fn deliver_batch(&self, directory: &Directory, target: &Target, first: Job) {
        let endpoint = first.endpoint;
        let others = self.queue.take_along(&first);
        let (started_at, watch) = (self.clock.now(), Instant::now());
        let parts = self.parts(directory, target, first, others).await;
        let Some(lead) = parts.first() else {
            self.queue.release(endpoint, Sign::Nothing);
            return;
        };
        let sending = async {
            let bodies: Vec<&Message> = parts.iter().flat_map(Part::unsent).collect();
            let mut joined = Messages {
                list: vec![message::batch::join(&target.endpoint, &bodies)],
                sent: 0,
            };
            let policy = directory.policy(lead.job.event.tenant);
            self.dispatch(target, &mut joined, &lead.job, policy).await
        };
        let outcome = AssertUnwindSafe(sending).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|_| Attempted::panicked().outcome);
        if let Some(grant) = target.outlet.granted() {
            self.queue.consented(endpoint, grant.pace);
        }
        let turned = self.queue.release(endpoint, sign(&outcome));
        let disabled = turned != Turned::default()
            && self
                .turn(target, turned, &outcome)
                .instrument(about(&lead.job))
                .await;
        // Drawn once: what failed together is due together.
        let jitter = self.jitter();
        for Part { job, prepared } in parts {
            let attempted = Attempted {
                outcome: outcome.clone(),
                messages: Some(prepared.messages),
                plugins: prepared.plugins,
                log: prepared.log,
            };
            let timed = Timed::new(started_at, watch, self.step(&job.event));
            let finished = self.conclude(target, job, attempted, disabled, timed, jitter);
            self.recorder.hand_in(finished).await;
        }
    }

    /// Puts back what was to go with a delivery that goes by itself, or nowhere.
    pub(super) async fn scatter(&self, first: &Job) {
        let others = self.queue.take_along(first);
        for job in self.queue.give_back(others) {
            self.cancel(job, end::DELETED).await;
        }
    }

    /// Prepares each delivery; those that end here are recorded, and those for which there is no room
    /// go back to where they came from.
    async fn parts(&self, directory: &Directory, target: &Target, first: Job, others: Vec<Job>) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::with_capacity(1 + others.len());
        let mut bytes = 0;
        let mut jobs = std::iter::once(first).chain(others);
        while let Some(mut job) = jobs.next() {
            if job.event.is_test() {
                self.recorder.hand_in(end::of_a_test(job)).await;
                continue;
            }
            if self.is_too_old(target, &job) {
                self.recorder.hand_in(self.too_old(target, job)).await;
                continue;
            }
            let (started_at, watch) = (self.clock.now(), Instant::now());
            let preparing = AssertUnwindSafe(self.part(directory, target, &mut job));
            let prepared = match preparing.catch_unwind().await {
                Ok(prepared) => prepared,
                Err(_) => Err(Attempted::panicked()),
            };
            let prepared = match prepared {
                Ok(prepared) => prepared,
                Err(ended) => {
                    let timed = Timed::new(started_at, watch, self.step(&job.event));
                    let finished = self.conclude(target, job, ended, false, timed, self.jitter());
                    self.recorder.hand_in(finished).await;
                    continue;
                }
            };
            let mut part = Part { job, prepared };
            let weight: usize = part.unsent().iter().map(|message| message.body.len()).sum();
            if !parts.is_empty() && bytes + weight > TOGETHER_BYTES_MAX {
                // Its chain has run: what it made is what is sent next time.
                part.job.messages = Some(part.prepared.messages);
                let back = std::iter::once(part.job).chain(jobs).collect();
                for job in self.queue.give_back(back) {
                    self.cancel(job, end::DELETED).await;
                }
                break;
            }
            bytes += weight;
            parts.push(part);
        }
        parts
    }

    /// What a delivery adds to a request, frozen before or made now.
    async fn part(
        &self,
        directory: &Directory,
        target: &Target,
        job: &mut Job,
    ) -> Result<Prepared, Attempted> {
        let mut prepared = match job.messages.take() {
            Some(messages) => Prepared {
                messages,
                plugins: Vec::new(),
                log: Vec::new(),
            },
            None => prepare(target, &job.event, job.delivery, call(directory, job)).await?,
        };
        let messages = &mut prepared.messages;
        if messages.sent >= messages.list.len() {
            // A retry by hand of something that arrived: sent again from the start.
            messages.sent = 0;
        }
        if messages.list.is_empty() {
            return Err(Attempted {
                outcome: Outcome::Refused {
                    reason: "there is no message to send".to_owned(),
                },
                messages: None,
                plugins: prepared.plugins,
                log: prepared.log,
            });
        }
        Ok(prepared)
    }

    /// Where between its bounds the next delay is.
    pub(super) fn jitter(&self) -> f64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.random::<f64>()
    }
}
