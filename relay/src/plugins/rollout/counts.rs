//! What is counted of a roll-out.

use std::collections::VecDeque;

use serde::Serialize;

use super::compare::Verdict;
use super::differ::Changed;
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;

/// Differences that are kept, the latest.
const DIFFERENCES_MAX: usize = 20;

/// What a roll-out has shown so far, as it is told.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = RolloutCounted)]
pub struct Counted {
    /// Since when it is counted: a restart begins anew.
    pub since: Timestamp,
    pub before: Calls,
    /// Calls whose result was used.
    pub candidate: Calls,
    pub compared: Compared,
    /// The latest differences that were found.
    pub differences: Vec<Difference>,
}

/// Calls of one version.
#[derive(Debug, Clone, Copy, Default, Serialize, utoipa::ToSchema)]
#[schema(as = RolloutCalls)]
pub struct Calls {
    pub calls: u64,
    /// Those that broke: what the plugin says of an event is not among them.
    pub faults: u64,
    /// Of the last calls, as many as are looked at together.
    pub recent_fault_rate: f64,
}

/// Events that both versions were given.
#[derive(Debug, Clone, Copy, Default, Serialize, utoipa::ToSchema)]
#[schema(as = RolloutCompared)]
pub struct Compared {
    pub same: u64,
    /// They went out otherwise.
    pub changed: u64,
    /// They would not have gone out any more.
    pub dropped: u64,
    /// They were dropped, and would have gone out.
    pub passed: u64,
    /// The candidate broke.
    pub failed: u64,
    /// The version in use broke, and the candidate did not.
    pub mended: u64,
    /// More than twice as long, whatever came of it.
    pub slower: u64,
    /// Not compared, as others were.
    pub skipped: u64,
}

/// A delivery of which the candidate would have made something else.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = RolloutDifference)]
pub struct Difference {
    pub delivery: DeliveryId,
    pub at: Timestamp,
    #[schema(value_type = String)]
    pub verdict: Verdict,
    pub changes: Vec<Changed>,
}

pub(super) struct Counts {
    pub(super) before: Ring,
    pub(super) candidate: Ring,
    pub(super) compared: Compared,
    differences: VecDeque<Difference>,
    pub(super) is_condemned: bool,
}

impl Counts {
    pub(super) fn new(recent_max: u32) -> Self {
        Self {
            before: Ring::new(recent_max),
            candidate: Ring::new(recent_max),
            compared: Compared::default(),
            differences: VecDeque::new(),
            is_condemned: false,
        }
    }

    pub(super) fn compare(&mut self, verdict: Verdict, is_slower: bool, difference: Option<Difference>) {
        let compared = &mut self.compared;
        *match verdict {
            Verdict::Same => &mut compared.same,
            Verdict::Changed => &mut compared.changed,
            Verdict::Dropped => &mut compared.dropped,
            Verdict::Passed => &mut compared.passed,
            Verdict::Failed => &mut compared.failed,
            Verdict::Mended => &mut compared.mended,
        } += 1;
        compared.slower += u64::from(is_slower);
        self.differences.extend(difference);
        if self.differences.len() > DIFFERENCES_MAX {
            self.differences.pop_front();
        }
    }

    pub(super) fn shown(&self, since: Timestamp) -> Counted {
        Counted {
            since,
            before: self.before.shown(),
            candidate: self.candidate.shown(),
            compared: self.compared,
            differences: self.differences.iter().cloned().collect(),
        }
    }
}

/// How the last calls ended, and how many there were.
pub(super) struct Ring {
    /// Whether it was a fault, oldest first.
    last: VecDeque<bool>,
    last_max: u32,
    last_faults: u32,
    all: Calls,
}

impl Ring {
    fn new(last_max: u32) -> Self {
        Self {
            last: VecDeque::new(),
            last_max: last_max.max(1),
            last_faults: 0,
            all: Calls::default(),
        }
    }

    pub(super) fn add(&mut self, is_fault: bool) {
        if self.calls() >= self.last_max {
            let was_fault = self.last.pop_front().unwrap_or_default();
            self.last_faults -= u32::from(was_fault);
        }
        self.last.push_back(is_fault);
        self.last_faults += u32::from(is_fault);
        self.all.calls += 1;
        self.all.faults += u64::from(is_fault);
    }

    /// Those that are looked at together.
    pub(super) fn calls(&self) -> u32 {
        // There are no more than `last_max`.
        u32::try_from(self.last.len()).unwrap_or(u32::MAX)
    }

    pub(super) const fn faults(&self) -> u32 {
        self.last_faults
    }

    fn shown(&self) -> Calls {
        Calls {
            recent_fault_rate: self.recent().rate(),
            ..self.all
        }
    }
}
