//! What two versions of a plugin make of the same event.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::bound::Step;
use super::super::fault::Fault;
use super::super::subject::Working;
use crate::model::draft::Draft;

/// A call is slower if it takes more than so many times as long as the other, and
const SLOWER_TIMES: u32 = 2;
/// so much longer: less is what a machine does by itself.
const SLOWER_BY: Duration = Duration::from_micros(200);

/// How what the candidate makes of an event stands to what is made of it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Same,
    Changed,
    Dropped,
    Passed,
    Failed,
    Mended,
}

/// What one of them made of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Made {
    Messages(Vec<Draft>),
    Nothing(String),
    Fault(Fault),
}

/// A step as something that can be compared: what is kept is what came.
pub(super) fn made(step: Result<Step, Fault>, event: &Working) -> Made {
    match step {
        Ok(Step::Keep) => Made::Messages(vec![event.draft()]),
        Ok(Step::Emit(messages)) => Made::Messages(messages.into_iter().map(Working::into_draft).collect()),
        Ok(Step::Drop(reason)) => Made::Nothing(reason),
        Err(fault) => Made::Fault(fault),
    }
}

impl Verdict {
    pub(super) fn of(before: &Made, after: &Made) -> Self {
        match (before, after) {
            (Made::Fault(_), Made::Fault(_)) | (Made::Nothing(_), Made::Nothing(_)) => Self::Same,
            (_, Made::Fault(_)) => Self::Failed,
            (Made::Fault(_), _) => Self::Mended,
            (Made::Nothing(_), Made::Messages(_)) => Self::Passed,
            (Made::Messages(_), Made::Nothing(_)) => Self::Dropped,
            (Made::Messages(before), Made::Messages(after)) if before == after => Self::Same,
            (Made::Messages(_), Made::Messages(_)) => Self::Changed,
        }
    }
}

/// Whether a call takes so much longer than another that it is worth telling.
pub(crate) fn is_slower(before: Duration, after: Duration) -> bool {
    after > before * SLOWER_TIMES && after > before + SLOWER_BY
}

/// What was made, for people.
pub(super) fn show(made: &Made) -> Value {
    match made {
        Made::Messages(drafts) => json!({"emit": drafts.iter().map(Draft::shown).collect::<Vec<_>>()}),
        Made::Nothing(reason) => json!({"drop": reason}),
        Made::Fault(fault) => json!({"fault": fault.kind, "message": fault.message}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::FaultKind;

    #[test]
    fn verdicts_say_what_a_receiver_would_notice() {
        let nothing = |reason: &str| Made::Nothing(reason.to_owned());
        let fault = || Made::Fault(Fault::new(FaultKind::Trapped, String::new()));
        let sent = || Made::Messages(Vec::new());
        for (before, after, verdict) in [
            (sent(), sent(), Verdict::Same),
            (nothing("a"), nothing("b"), Verdict::Same),
            (fault(), fault(), Verdict::Same),
            (sent(), nothing("a"), Verdict::Dropped),
            (nothing("a"), sent(), Verdict::Passed),
            (sent(), fault(), Verdict::Failed),
            (fault(), sent(), Verdict::Mended),
        ] {
            assert_eq!(Verdict::of(&before, &after), verdict, "{before:?} {after:?}");
        }
    }

    #[test]
    fn only_what_is_much_slower_counts_as_slower() {
        let us = Duration::from_micros;
        for (before, after, slower) in [(10, 100, false), (10, 300, true), (1_000, 1_900, false)] {
            assert_eq!(is_slower(us(before), us(after)), slower, "{before} {after}");
        }
    }
}
