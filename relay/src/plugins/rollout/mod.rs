//! A candidate beside the version of a plugin that is in use: tried on a share of the deliveries, or
//! only compared.
//!
//! A [`Watch`] counts for all places where one plugin is used, however often what is in force is made
//! anew; a [`Beside`] is what one place adds to its [`Bound`].

mod compare;
mod counts;
mod differ;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::bound::{Bound, Step};
use super::fault::Fault;
use super::subject::Working;
use super::visit::Notes;
use super::{Call, Hooks};
use crate::model::event::Event;
use crate::model::plugin::Version;
use crate::model::reply::Answer;
use crate::model::rollout::{Recent, Rollout};
use crate::model::time::Timestamp;

pub use compare::Verdict;
pub(crate) use compare::is_slower;
pub use counts::{Calls, Compared, Counted, Difference};
use counts::{Counts, Ring};
pub use differ::Changed;

/// Comparisons under way at once, of all tenants: events that come meanwhile are not compared.
const COMPARISONS_MAX: usize = 2;

/// What all roll-outs of a relay share.
#[derive(Clone)]
pub struct Common {
    places: Arc<Semaphore>,
    /// Rings when a candidate has failed too often.
    pub bell: Arc<Notify>,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(COMPARISONS_MAX)),
            bell: Arc::default(),
        }
    }
}

/// Which of two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    Candidate,
}

/// What a roll-out has shown so far.
pub struct Watch {
    rollout: Rollout,
    /// The version that the candidate is to replace, or has replaced.
    before: Version,
    since: Timestamp,
    common: Common,
    counts: Mutex<Counts>,
}

impl Watch {
    /// Nothing is known yet.
    pub fn new(rollout: Rollout, before: Version, since: Timestamp, common: Common) -> Self {
        Self {
            counts: Mutex::new(Counts::new(rollout.min_calls)),
            rollout,
            before,
            since,
            common,
        }
    }

    /// Whether it counts for this roll-out.
    pub fn is_of(&self, rollout: &Rollout) -> bool {
        self.rollout.is(rollout)
    }

    /// What was counted.
    pub fn counted(&self) -> Counted {
        self.counts().shown(self.since)
    }

    /// How the candidate's last calls ended, if it failed too often.
    pub fn condemned(&self) -> Option<Recent> {
        let counts = self.counts();
        counts.is_condemned.then(|| counts.candidate.recent())
    }

    fn count(&self, side: Side, fault: Option<&Fault>) {
        // What a plugin says about an event is no fault of its own, nor is what the relay refuses it.
        let is_fault = fault.is_some_and(|fault| fault.kind.follows_policy());
        let mut counts = self.counts();
        match side {
            Side::Before => counts.before.add(is_fault),
            Side::Candidate => counts.candidate.add(is_fault),
        }
        let (candidate, before) = (counts.candidate.recent(), counts.before.recent());
        if side == Side::Candidate && !counts.is_condemned && self.rollout.condemns(candidate, before) {
            counts.is_condemned = true;
            self.common.bell.notify_one();
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What takes part in the calls of one use of a plugin.
pub struct Beside {
    role: Role,
    watch: Arc<Watch>,
}

enum Role {
    /// It has the calls of a share of the deliveries.
    Canary(Bound),
    /// It has the same events, and what it makes of them is not used.
    Shadow(Bound),
    /// What is in use is the candidate itself.
    Promoted,
}

impl Beside {
    /// A candidate that has a share of the deliveries.
    pub const fn canary(candidate: Bound, watch: Arc<Watch>) -> Self {
        Self {
            role: Role::Canary(candidate),
            watch,
        }
    }

    /// A candidate that is compared; bound where it can do no harm.
    pub const fn shadow(candidate: Bound, watch: Arc<Watch>) -> Self {
        Self {
            role: Role::Shadow(candidate),
            watch,
        }
    }

    /// A candidate that has become current.
    pub const fn promoted(watch: Arc<Watch>) -> Self {
        Self {
            role: Role::Promoted,
            watch,
        }
    }

    /// The hooks that a use has for which either version has them.
    pub(super) fn hooks(&self, own: Hooks) -> Hooks {
        match &self.role {
            Role::Canary(candidate) | Role::Shadow(candidate) => own.or(candidate.hooks()),
            Role::Promoted => own,
        }
    }

    /// Lets the version whose turn it is filter and transform.
    pub(super) async fn pass(
        &self,
        own: &Bound,
        event: &Working,
        call: &Call<'_>,
        notes: &mut Notes,
    ) -> Result<Step, Fault> {
        let (started, waited) = (Instant::now(), notes.waited);
        let (side, bound) = self.chosen(own, call);
        self.note(side, bound, notes);
        let step = bound.pass_alone(event, call, notes).await;
        self.watch.count(side, step.as_ref().err());
        if let Role::Shadow(candidate) = &self.role {
            let took = started.elapsed().saturating_sub(notes.waited - waited);
            self.compare(candidate, event, call, (&step, took));
        }
        step
    }

    /// The same on the way back of a call. It is not compared.
    pub(super) async fn respond(
        &self,
        own: &Bound,
        event: &Arc<Event>,
        answer: Answer,
        call: Call<'_>,
    ) -> Result<Answer, Fault> {
        let (side, bound) = self.chosen(own, &call);
        // One of the two may lack the hook.
        if !bound.0.hooks.respond {
            return Ok(answer);
        }
        let answer = bound.respond_alone(event, answer, call).await;
        self.watch.count(side, answer.as_ref().err());
        answer
    }

    fn chosen<'b>(&'b self, own: &'b Bound, call: &Call<'_>) -> (Side, &'b Bound) {
        let is_chosen = call
            .delivery
            .is_some_and(|delivery| self.watch.rollout.chooses(delivery));
        match &self.role {
            Role::Canary(candidate) if is_chosen => (Side::Candidate, candidate),
            Role::Canary(_) | Role::Shadow(_) => (Side::Before, own),
            Role::Promoted => (Side::Candidate, own),
        }
    }

    /// Has the delivery's log say which version ran, where there are two.
    fn note(&self, side: Side, bound: &Bound, notes: &mut Notes) {
        let Role::Canary(_) = &self.role else { return };
        let version = match side {
            Side::Before => self.watch.before.short(),
            Side::Candidate => format!("{}, the candidate", self.watch.rollout.version.short()),
        };
        let line = format!("{} info: ran as {version}", bound.name());
        if !notes.log.contains(&line) {
            notes.log.push(line);
        }
    }

    /// Has the candidate do the same, if it is one of the deliveries that are compared and there is a
    /// place. The delivery goes on meanwhile.
    fn compare(
        &self,
        candidate: &Bound,
        event: &Working,
        call: &Call<'_>,
        (step, took): (&Result<Step, Fault>, Duration),
    ) {
        let Some(delivery) = call.delivery.filter(|id| self.watch.rollout.chooses(*id)) else {
            return;
        };
        let Ok(place) = Arc::clone(&self.watch.common.places).try_acquire_owned() else {
            self.watch.counts().compared.skipped += 1;
            return;
        };
        let (watch, candidate) = (Arc::clone(&self.watch), candidate.clone());
        let (event, before) = (event.clone(), step.clone());
        let (source, attempt) = (call.source.map(str::to_owned), call.attempt);
        // Nobody waits for it, a stop neither: nothing comes of it but numbers.
        tokio::spawn(async move {
            let call = Call {
                source: source.as_deref(),
                delivery: Some(delivery),
                attempt,
            };
            let (started, mut notes) = (Instant::now(), Notes::default());
            let after = candidate.pass_alone(&event, &call, &mut notes).await;
            let took_after = started.elapsed().saturating_sub(notes.waited);
            let is_slower = is_slower(took, took_after);
            let (before, after) = (compare::made(before, &event), compare::made(after, &event));
            let verdict = Verdict::of(&before, &after);
            let difference = (verdict != Verdict::Same).then(|| Difference {
                delivery,
                at: candidate.now(),
                verdict,
                changes: differ::changes(&compare::show(&before), &compare::show(&after)),
            });
            watch.counts().compare(verdict, is_slower, difference);
            drop(place);
        });
    }
}

impl Ring {
    fn recent(&self) -> Recent {
        Recent {
            calls: self.calls(),
            faults: self.faults(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::FaultKind;
    use crate::model::rollout::Mode;

    fn watch(min_calls: u32) -> Watch {
        let rollout = Rollout {
            version: Version::of(b"candidate"),
            mode: Mode::Canary,
            percent: 10,
            fault_rate_max: 0.05,
            min_calls,
            window_s: 600,
            begun_at: Timestamp::from_millis(0),
            begun_by: None,
            promoted: None,
        };
        Watch::new(
            rollout,
            Version::of(b"before"),
            Timestamp::from_millis(0),
            Common::default(),
        )
    }

    fn fault(kind: FaultKind) -> Fault {
        Fault::new(kind, "it broke".to_owned())
    }

    #[test]
    fn what_a_plugin_says_of_an_event_does_not_count_against_it() {
        for (kind, counts) in [
            (FaultKind::Invalid, false),
            (FaultKind::Misconfigured, false),
            (FaultKind::Unavailable, false),
            (FaultKind::Trapped, true),
            (FaultKind::TimedOut, true),
            (FaultKind::OutOfMemory, true),
            (FaultKind::OverLimit, true),
            (FaultKind::BadAnswer, true),
            (FaultKind::Unloadable, true),
        ] {
            let watch = watch(1);
            watch.count(Side::Candidate, Some(&fault(kind)));
            assert_eq!(watch.condemned().is_some(), counts, "{kind:?}");
        }
    }

    #[test]
    fn only_the_last_calls_count() {
        let watch = watch(20);
        for _ in 0..1_000 {
            watch.count(Side::Candidate, None);
        }
        watch.count(Side::Candidate, Some(&fault(FaultKind::Trapped)));
        assert_eq!(watch.condemned(), None, "one of twenty is within bounds");
        watch.count(Side::Candidate, Some(&fault(FaultKind::Trapped)));
        assert_eq!(watch.condemned(), Some(Recent { calls: 20, faults: 2 }));
        let counted = watch.counted();
        assert_eq!((counted.candidate.calls, counted.candidate.faults), (1_002, 2));
        assert_eq!(counted.before.calls, 0);
    }
}
