//! What waits for the writer.
//!
//! Bounded: callers wait for room. Accepting goes first, with a little of the rest beside it,
//! so that a flood of outcomes does not keep senders waiting; the rest is first in, first
//! out. A batch that holds only outcomes lingers, because nobody waits for those; anything
//! urgent ends the lingering. Under load, the writer also gathers for a moment: those answered
//! just now are about to call again, and a sync for two of them would make all others wait for
//! the next.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::job::{Job, Urgency};
use super::{Error, Settings};

/// How long the writer gathers, well below what a sync takes.
const GATHER_MAX: Duration = Duration::from_micros(150);
/// It gathers only if so many calls came with the batch before; a call that comes alone
/// never waits.
const GATHER_FROM: usize = 8;

/// Events of the rest in a batch in which something is accepted.
const BESIDE_ACCEPTING_MAX: usize = 256;

/// The queue between the callers and the writer.
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    /// Wakes the writer.
    wake: Condvar,
    /// One permit for each call that may still be queued.
    room: Semaphore,
    batch_events_max: usize,
    batch_bytes_max: usize,
    linger: Duration,
    linger_events: usize,
}

#[derive(Default)]
struct Queue {
    /// What goes before the rest.
    first: VecDeque<Box<dyn Job>>,
    rest: VecDeque<Box<dyn Job>>,
    /// How many of the jobs are urgent.
    urgent: usize,
    /// Events and records in all jobs.
    events: usize,
    closed: bool,
    /// What the writer, if it sleeps, is to be woken for.
    asleep: Option<WakeFor>,
    /// Jobs in the batch before.
    last_batch: usize,
}

#[derive(Clone, Copy)]
enum WakeFor {
    Anything,
    /// It lingers over outcomes, but not over so many.
    UrgentOrEvents(usize),
    /// It gathers as many as last time.
    Jobs(usize),
}

/// What came of waiting for jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Batch,
    /// None came in time.
    Nothing,
    /// The inbox is closed and empty.
    Closed,
}

impl Inbox {
    /// An empty queue with these bounds.
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            room: Semaphore::new(settings.queue_max.max(1)),
            batch_events_max: settings.batch_events_max,
            batch_bytes_max: settings.batch_bytes_max,
            linger: settings.linger,
            linger_events: settings.linger_events,
        }
    }

    /// Queues a job, once there is room.
    pub(super) async fn push(&self, job: Box<dyn Job>) -> Result<(), Error> {
        let Ok(permit) = self.room.acquire().await else {
            return Err(closed());
        };
        // Given back by `take`.
        permit.forget();
        let mut queue = self.lock();
        if queue.closed {
            return Err(closed());
        }
        queue.push(job);
        if queue.asleep.is_some_and(|wake_for| queue.has(wake_for)) {
            queue.asleep = None;
            drop(queue);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits so long for jobs and moves the next batch into `batch`.
    pub(super) fn take(&self, batch: &mut Vec<Box<dyn Job>>, patience: Duration) -> Taken {
        let mut queue = self.await_batch(patience);
        let mut room = Room {
            events: self.batch_events_max,
            bytes: self.batch_bytes_max,
        };
        queue.pop_into(batch, &mut room, |queue| &mut queue.first);
        if !batch.is_empty() {
            room.events = room.events.min(BESIDE_ACCEPTING_MAX);
        }
        queue.pop_into(batch, &mut room, |queue| &mut queue.rest);
        queue.last_batch = batch.len();
        let taken = match (batch.is_empty(), queue.closed) {
            (false, _) => Taken::Batch,
            (true, false) => Taken::Nothing,
            (true, true) => Taken::Closed,
        };
        drop(queue);
        self.room.add_permits(batch.len());
        taken
    }

    /// Takes no more jobs; those queued are still taken by the writer.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.wake.notify_one();
    }

    /// Closes, and drops what is queued: its callers learn that nobody will answer.
    pub(super) fn abandon(&self) {
        self.close();
        let mut queue = self.lock();
        let abandoned = (std::mem::take(&mut queue.first), std::mem::take(&mut queue.rest));
        // Callers learn of it outside of the lock; the queue stays closed meanwhile.
        drop(queue);
        drop(abandoned);
    }

    fn await_batch(&self, patience: Duration) -> MutexGuard<'_, Queue> {
        let mut queue = self.sleep(self.lock(), WakeFor::Anything, patience);
        if queue.len() == 0 {
            return queue;
        }
        if queue.urgent == 0 {
            queue = self.sleep(queue, WakeFor::UrgentOrEvents(self.linger_events), self.linger);
        }
        if queue.last_batch >= GATHER_FROM {
            let company = WakeFor::Jobs(queue.last_batch);
            queue = self.sleep(queue, company, GATHER_MAX);
        }
        queue
    }

    fn sleep<'a>(
        &self,
        mut queue: MutexGuard<'a, Queue>,
        wake_for: WakeFor,
        span: Duration,
    ) -> MutexGuard<'a, Queue> {
        queue.asleep = Some(wake_for);
        let (mut queue, _) = self
            .wake
            .wait_timeout_while(queue, span, |queue| !queue.has(wake_for))
            .unwrap_or_else(PoisonError::into_inner);
        queue.asleep = None;
        queue
    }

    /// The queue is changed in single steps that cannot panic halfway, so a poisoned lock
    /// still guards a sound one.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a batch may still take.
struct Room {
    events: usize,
    bytes: usize,
}

impl Queue {
    fn push(&mut self, job: Box<dyn Job>) {
        let weight = job.weight();
        self.urgent += usize::from(weight.urgency != Urgency::MayLinger);
        self.events += weight.events;
        match weight.urgency {
            Urgency::First => self.first.push_back(job),
            Urgency::Now | Urgency::MayLinger => self.rest.push_back(job),
        }
    }

    /// Moves what there is room for from one of the lines; one job always, so that neither
    /// keeps the other waiting for ever.
    fn pop_into(
        &mut self,
        batch: &mut Vec<Box<dyn Job>>,
        room: &mut Room,
        line: impl Fn(&mut Self) -> &mut VecDeque<Box<dyn Job>>,
    ) {
        let before = batch.len();
        while let Some(job) = line(self).front() {
            let weight = job.weight();
            let fits = weight.events <= room.events && weight.bytes <= room.bytes;
            if !fits && batch.len() > before {
                break;
            }
            room.events = room.events.saturating_sub(weight.events);
            room.bytes = room.bytes.saturating_sub(weight.bytes);
            self.urgent -= usize::from(weight.urgency != Urgency::MayLinger);
            self.events -= weight.events;
            batch.extend(line(self).pop_front());
        }
    }

    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// Whether there is what the writer waits for; once closed, it waits for nothing.
    fn has(&self, wake_for: WakeFor) -> bool {
        self.closed
            || match wake_for {
                WakeFor::Anything => self.len() > 0,
                WakeFor::UrgentOrEvents(events) => self.urgent > 0 || self.events >= events,
                WakeFor::Jobs(jobs) => self.len() >= jobs,
            }
    }
}

fn closed() -> Error {
    Error::Unavailable("it is closed: the relay is shutting down".to_owned())
}
