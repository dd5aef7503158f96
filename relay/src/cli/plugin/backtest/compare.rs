//! What two chains make of the same event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::chains::Chains;
use crate::model::draft::Draft;
use crate::model::event::Event;
use crate::model::id::DeliveryId;
use crate::plugins::rollout::is_slower;
use crate::plugins::{Call, Chain, Chained};

/// How what the candidate makes of an event stands to what is made of it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    /// It goes out otherwise.
    Changed,
    /// It went out, and does not any more.
    Dropped,
    /// It was dropped, and goes out.
    Passed,
    /// The candidate fails on it.
    Failed,
    /// The version in use fails on it, and the candidate does not.
    Mended,
}

impl Verdict {
    pub(super) const ALL: [Self; 6] = [
        Self::Same,
        Self::Changed,
        Self::Dropped,
        Self::Passed,
        Self::Failed,
        Self::Mended,
    ];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Dropped => "dropped",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Mended => "mended",
        }
    }

    fn of(before: &Chained, after: &Chained) -> Self {
        match (before, after) {
            (Chained::Fault { .. }, Chained::Fault { .. }) | (Chained::Drop { .. }, Chained::Drop { .. }) => {
                Self::Same
            }
            (_, Chained::Fault { .. }) => Self::Failed,
            (Chained::Fault { .. }, _) => Self::Mended,
            (Chained::Drop { .. }, Chained::Emit(_)) => Self::Passed,
            (Chained::Emit(_), Chained::Drop { .. }) => Self::Dropped,
            (Chained::Emit(before), Chained::Emit(after)) if before == after => Self::Same,
            (Chained::Emit(_), Chained::Emit(_)) => Self::Changed,
        }
    }
}

/// What came of one event.
pub(super) struct Compared {
    pub(super) verdict: Verdict,
    pub(super) is_slower: bool,
    pub(super) before: Chained,
    pub(super) after: Chained,
    pub(super) took_before: Duration,
    pub(super) took_after: Duration,
}

/// Runs both; whichever is first has the harder time, so they take turns.
pub(super) async fn compare(chains: &Chains, event: &Arc<Event>, in_order: bool) -> Compared {
    let ((before, took_before), (after, took_after)) = if in_order {
        let before = run(&chains.before, event).await;
        (before, run(&chains.after, event).await)
    } else {
        let after = run(&chains.after, event).await;
        (run(&chains.before, event).await, after)
    };
    Compared {
        verdict: Verdict::of(&before, &after),
        is_slower: is_slower(took_before, took_after),
        before,
        after,
        took_before,
        took_after,
    }
}

async fn run(chain: &Chain, event: &Arc<Event>) -> (Chained, Duration) {
    let call = Call {
        source: Some(&event.envelope.source),
        delivery: Some(DeliveryId::from_raw(event.id.raw())),
        attempt: 1,
    };
    let started = Instant::now();
    let ran = chain.run(event, call).await;
    (ran.result, started.elapsed())
}

/// What came of an event, for people.
pub(super) fn show(result: &Chained) -> Value {
    match result {
        Chained::Emit(drafts) => json!({"emit": drafts.iter().map(Draft::shown).collect::<Vec<_>>()}),
        Chained::Drop { by, reason } => json!({"drop": reason, "by": by}),
        Chained::Fault {
            plugin,
            fault,
            message,
            ..
        } => json!({"fault": fault, "by": plugin, "message": message}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::FaultKind;

    #[test]
    fn verdicts_say_what_a_receiver_would_notice() {
        let drop = |reason: &str| Chained::Drop {
            by: "p".to_owned(),
            reason: reason.to_owned(),
        };
        let fault = Chained::Fault {
            plugin: "p".to_owned(),
            fault: FaultKind::Trapped,
            message: String::new(),
            stderr: String::new(),
            retry_after: None,
        };
        let emit = || Chained::Emit(Vec::new());
        for (before, after, verdict) in [
            (emit(), emit(), Verdict::Same),
            (drop("a"), drop("b"), Verdict::Same),
            (emit(), drop("a"), Verdict::Dropped),
            (drop("a"), emit(), Verdict::Passed),
            (drop("a"), fault.clone(), Verdict::Failed),
            (fault.clone(), emit(), Verdict::Mended),
            (fault.clone(), fault.clone(), Verdict::Same),
        ] {
            assert_eq!(Verdict::of(&before, &after), verdict, "{before:?} {after:?}");
        }
    }
}
