//! What is written of a call that is over, and what it counts as.

use super::{Given, Missed, Origin, Question};
use crate::directory::Target;
use crate::flow::traced::Timed;
use crate::flow::{Attempted, Flow};
use crate::model::attempt::{Attempt, Outcome, Trigger};
use crate::model::delivery::{Progress, State};
use crate::model::id::AttemptId;
use crate::store::Record;

impl Flow {
    /// What is written of a call that is over.
    pub(super) fn recorded(
        &self,
        target: &Target,
        question: &Question,
        attempted: Option<(Attempted, Timed)>,
        answer: &Result<Given, Missed>,
    ) -> Record {
        let (event, endpoint) = (&question.event, &target.endpoint);
        let progress = match attempted {
            Some((attempted, timed)) => self.attempted(target, question, attempted, timed, answer),
            None => unattempted(answer),
        };
        self.metrics.ended((&**endpoint).into(), progress.state);
        match &progress.attempt {
            Some(attempt) => self.stats.attempted(event, endpoint.id, attempt, progress.state),
            None => self.stats.ended(event, endpoint.id, progress.state),
        }
        Record {
            delivery: question.delivery,
            event: event.id,
            endpoint: endpoint.id,
            tenant: event.tenant,
            attempts: u32::from(progress.attempt.is_some()),
            progress,
        }
    }

    fn attempted(
        &self,
        target: &Target,
        question: &Question,
        attempted: Attempted,
        timed: Timed,
        answer: &Result<Given, Missed>,
    ) -> Progress {
        let outcome = attempted.outcome;
        let (state, reason) = match &outcome {
            outcome if outcome.is_success() => (State::Succeeded, shortfall(answer)),
            Outcome::Dropped { .. } => (State::Dropped, Some(outcome.summary())),
            _ => (
                State::Failed,
                Some(format!("{}; a call is not tried again", outcome.summary())),
            ),
        };
        let attempt = Attempt {
            id: AttemptId::from_raw(self.ids.next(self.clock.now())),
            number: 1,
            trigger: Trigger::Call,
            started_at: timed.started_at,
            duration_us: timed.duration_us,
            outcome,
            plugins: attempted.plugins,
            log: attempted.log,
        };
        self.metrics.attempted((&*target.endpoint).into(), &attempt);
        let of = (&*question.event, question.delivery);
        self.end_span(timed.step, target, of, &attempt, state);
        Progress {
            state,
            due: None,
            reason,
            attempt: Some(attempt),
            // Frozen, so that a retry by hand sends the same bytes.
            messages: attempted.messages.filter(|_| state == State::Failed),
        }
    }
}

/// What was not well with a call although its receiver took the message.
fn shortfall(answer: &Result<Given, Missed>) -> Option<String> {
    match answer {
        Err(Missed::Failed(why)) => Some(format!("its caller got no answer: {why}")),
        Err(missed) => Some(format!("its caller got no answer: {}", missed.word())),
        Ok(Given {
            origin: Origin::Fallback(why),
            ..
        }) => Some(format!("its caller was answered with the fallback: {why}")),
        Ok(_) => None,
    }
}

/// Where a delivery stands for which nothing was sent.
fn unattempted(answer: &Result<Given, Missed>) -> Progress {
    let (state, reason) = match answer {
        Ok(given) if given.origin == Origin::Cache => {
            (State::Succeeded, "answered from the cache".to_owned())
        }
        Ok(Given {
            origin: Origin::Fallback(why),
            ..
        }) => (
            State::Failed,
            format!("not called: {why}; its caller was answered with the fallback"),
        ),
        Ok(_) => (State::Failed, "not called".to_owned()),
        Err(missed) => (State::Failed, format!("not called: {}", missed.word())),
    };
    Progress {
        state,
        due: None,
        reason: Some(reason),
        attempt: None,
        messages: None,
    }
}

/// The word for metrics.
pub(super) fn word(answer: &Result<Given, Missed>) -> &'static str {
    match answer {
        Ok(Given {
            origin: Origin::Receiver,
            ..
        }) => "receiver",
        Ok(Given {
            origin: Origin::Cache,
            ..
        }) => "cache",
        Ok(Given {
            origin: Origin::Fallback(_),
            ..
        }) => "fallback",
        Err(missed) => missed.word(),
    }
}
