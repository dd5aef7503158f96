//! One call that writes, on its way to the writer and back.

use tokio::sync::oneshot;

use super::Error;
use super::failure::Failure;
use super::session::Session;

/// Whether somebody waits for the answer at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Goes with the next transaction, before whatever else waits: nothing that an accepted
    /// event depends on is in the queue.
    First,
    /// Goes with the next transaction, after what came before it.
    Now,
    /// May wait a little for company.
    MayLinger,
}

/// What a job adds to a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    pub(super) urgency: Urgency,
    /// Events or records.
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Weight {
    /// The weight of a small change.
    pub(super) const SMALL: Self = Self {
        urgency: Urgency::Now,
        events: 1,
        bytes: 256,
    };
}

/// A call that writes.
pub(super) trait Job: Send {
    /// What it adds.
    fn weight(&self) -> Weight;
    /// Does the work within the transaction of the session; may run again after a rollback.
    fn run(&mut self, session: &mut Session<'_>) -> Result<(), Failure>;
    /// Tells the caller, once the work is durable or has failed, and passes the baton on.
    fn answer(self: Box<Self>, outcome: Result<(), Error>, baton: Option<Baton>);
}

/// The callers of a batch that have not been told yet.
///
/// The writer tells only the first, and hands it this; dropping it tells the others. So they
/// are woken from a thread of the runtime, which costs a fraction of waking each from
/// outside. A caller who has gone away drops it too: nobody is forgotten.
pub(super) struct Baton {
    jobs: Vec<Box<dyn Job>>,
    outcome: Result<(), Error>,
}

impl Baton {
    /// Tells all callers of a batch.
    pub(super) fn start(batch: &mut Vec<Box<dyn Job>>, outcome: Result<(), Error>) {
        let Some(first) = batch.pop() else { return };
        let baton = Self {
            jobs: std::mem::take(batch),
            outcome: outcome.clone(),
        };
        first.answer(outcome, (!baton.jobs.is_empty()).then_some(baton));
    }
}

impl Drop for Baton {
    fn drop(&mut self) {
        for job in self.jobs.drain(..) {
            job.answer(self.outcome.clone(), None);
        }
    }
}

/// A job from a closure, and whom to tell.
pub(super) struct Asked<T, F> {
    pub(super) weight: Weight,
    pub(super) work: F,
    pub(super) value: Option<T>,
    pub(super) caller: oneshot::Sender<(Result<T, Error>, Option<Baton>)>,
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: FnMut(&mut Session<'_>) -> Result<T, Failure> + Send,
{
    fn weight(&self) -> Weight {
        self.weight
    }

    fn run(&mut self, session: &mut Session<'_>) -> Result<(), Failure> {
        self.value = Some((self.work)(session)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), Error>, baton: Option<Baton>) {
        let answer = match (outcome, self.value) {
            (Ok(()), Some(value)) => Ok(value),
            (Ok(()), None) => Err(Error::Unavailable("the writer did not run this call".to_owned())),
            (Err(error), _) => Err(error),
        };
        // A caller who has gone away needs no answer; the work stays done.
        drop(self.caller.send((answer, baton)));
    }
}
