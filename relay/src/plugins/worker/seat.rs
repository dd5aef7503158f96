//! One plugin at its place, as the relay sees it: what it may, and how it is called.

use std::sync::Arc;
use std::time::Duration;

use super::beyond;
use super::calls::CallSent;
use super::link::Worker;
use super::message::{self, Finished, Offered, Place, ToWorker};
use crate::model::attempt::FaultKind;
use crate::model::plugin::Limits;
use crate::plugins::fault::Fault;
use crate::plugins::instance::{Code, MESSAGE_BYTES_MAX};
use crate::plugins::job::{Done, Job};
use crate::plugins::limits::{LOG_LINE_BYTES_MAX, STDIO_BYTES_MAX};
use crate::plugins::subject::Subject;
use crate::plugins::visit::{ELSEWHERE_MAX, Grants, Notes, Origin, retell, without_controls};

/// What a call may take beyond its own time: three waits for a turn (for the start and two hooks),
/// one for a place of an instance, and the way there and back.
const SLACK: Duration = Duration::from_secs(3 * 10 + 2 + 3);
/// The same of one that waits for others: as long as a chain may, and as long again for turns when the
/// answers are there.
const SLACK_ELSEWHERE: Duration = ELSEWHERE_MAX.saturating_mul(2);
/// Bytes that the name of a plugin and a level add to a line.
const PREFIX_BYTES: usize = 256;
/// The longest that a plugin can ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_millis(u32::MAX as u64);

/// A plugin at its place.
pub(super) struct Seat {
    pub(super) place: u64,
    pub(super) code: Arc<Code>,
    pub(super) digest: [u8; 32],
    pub(super) grants: Arc<Grants>,
    pub(super) may_wait: bool,
    pub(super) worker: Worker,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.worker.forget(self.place);
    }
}

/// A plugin that a worker runs. Cheap to clone.
#[derive(Clone)]
pub(in crate::plugins) struct Away {
    seat: Arc<Seat>,
    /// The seat's own, but perhaps with less time.
    grants: Arc<Grants>,
}

impl Away {
    pub(super) fn new(seat: Seat) -> Self {
        Self {
            grants: seat.grants.clone(),
            seat: Arc::new(seat),
        }
    }

    pub(in crate::plugins) const fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }

    /// The same with this much time for a call.
    pub(in crate::plugins) fn with_time(&self, time: Duration) -> Self {
        let grants = &*self.grants;
        let limits = Limits {
            time,
            ..grants.limits
        };
        Self {
            seat: self.seat.clone(),
            grants: Arc::new(Grants {
                limits,
                ..grants.clone()
            }),
        }
    }

    /// Has the worker do a job in one visit; also what is kept of the visit.
    pub(in crate::plugins) async fn run(&self, job: Job, origin: Origin) -> (Result<Done, Fault>, Notes) {
        let subject = job.subject();
        let finished = match self.call(&job, origin, subject.clone()).await {
            Ok(finished) => finished,
            Err(fault) => return (Err(fault), Notes::default()),
        };
        let Finished {
            done,
            log,
            waited,
            waited_elsewhere,
            ..
        } = *finished;
        let done = match done {
            Ok(done) => done.open(&subject),
            Err(fault) => Err(self.tidy(fault.into())),
        };
        (done, self.notes(log, waited, waited_elsewhere))
    }

    async fn call(&self, job: &Job, origin: Origin, subject: Subject) -> Result<Box<Finished>, Fault> {
        let _room = self.grants.enter(&subject).await?;
        let session = self.seat.worker.session().await?;
        let time = self.grants.limits.time;
        let called = session.call(&self.seat, subject, |call| {
            CallSent::new(call, self.seat.place, time, job, origin)
        })?;
        match tokio::time::timeout(time * 3 + self.slack(), called.finished()).await {
            Ok(finished) => finished,
            Err(_) => Err(Fault::new(
                FaultKind::Unavailable,
                "the process that runs plugins did not answer in time".to_owned(),
            )),
        }
    }

    fn slack(&self) -> Duration {
        match self.grants.room {
            Some(_) => SLACK + SLACK_ELSEWHERE,
            None => SLACK,
        }
    }

    /// What is kept of a visit, held to the bounds of one that was here.
    fn notes(&self, mut log: Vec<String>, waited: Duration, waited_elsewhere: Duration) -> Notes {
        log.truncate(self.grants.limits.log_lines);
        let bound = |mut line: String| {
            line.truncate(line.floor_char_boundary(LOG_LINE_BYTES_MAX + PREFIX_BYTES));
            let line = self.grants.redact(without_controls(&line));
            retell(&self.grants, &line);
            line
        };
        Notes {
            log: log.into_iter().map(bound).collect(),
            waited: waited.min(self.slack()),
            waited_elsewhere: waited_elsewhere.min(ELSEWHERE_MAX),
        }
    }

    fn tidy(&self, mut fault: Fault) -> Fault {
        let bound = |mut text: String, max: usize| {
            text.truncate(text.floor_char_boundary(max));
            self.grants.redact(text)
        };
        fault.message = bound(fault.message, MESSAGE_BYTES_MAX);
        // What is no text takes three bytes for one.
        fault.stderr = bound(fault.stderr, 3 * STDIO_BYTES_MAX);
        fault.retry_after = fault.retry_after.map(|after| after.min(RETRY_AFTER_MAX));
        fault
    }
}

impl Seat {
    /// All that a worker has to know of it.
    pub(super) fn described(&self) -> ToWorker {
        let grants = &*self.grants;
        ToWorker::Place(Box::new(Place {
            place: self.place,
            digest: self.digest,
            plugin: grants.plugin.clone(),
            tenant_name: grants.owner.tenant_name.clone(),
            kind: grants.owner.kind.into(),
            owner: grants.owner.name.clone(),
            config: grants.config.clone(),
            granted: grants.granted.clone(),
            limits: grants.limits,
            may_wait: self.may_wait,
            offered: Offered {
                http: grants.services.http.is_some(),
                judge: grants.services.judge.is_some(),
                media: grants.services.media.is_some(),
            },
        }))
    }

    /// Its compiled code.
    pub(super) fn compiled(&self) -> wasmtime::Result<ToWorker> {
        Ok(ToWorker::Code(message::Code {
            digest: self.digest,
            code: self.code.pre.component().serialize()?.into(),
        }))
    }

    /// Bytes that one message about it may have, near enough.
    pub(super) fn bytes_max(&self) -> usize {
        let granted = &self.grants.granted;
        // What it has fetched goes out again with the next request, or to be kept.
        let carries = !granted.http.is_empty() || granted.media;
        self.grants.limits.output_bytes + if carries { beyond::BODY_BYTES_MAX } else { 0 }
    }
}
