//! `judge`: what the operator's model makes of something.
//!
//! What a plugin gives as subject is sent as it gives it: a secret that it puts there leaves the relay.
//! What is decided stands in the delivery's log, whatever the plugin makes of it.

use std::sync::Arc;
use std::time::Duration;

use crate::model::plugin::Power;
use crate::plugins::services::{self, Form, Judge};
use crate::plugins::subject::Subject;
use crate::plugins::v0_1::bindings::relay::plugin::judge::{Host, JudgeError, Question, Ruling};
use crate::plugins::visit::Visit;

/// Questions of one call of a hook.
const QUESTIONS_MAX: usize = 8;

impl Host for Visit {
    async fn decide(&mut self, question: Question) -> wasmtime::Result<Result<Ruling, JudgeError>> {
        self.count_host_call()?;
        Ok(decide(self, question).await)
    }

    async fn extract(
        &mut self,
        instructions: String,
        subject: String,
        schema: String,
    ) -> wasmtime::Result<Result<String, JudgeError>> {
        self.count_host_call()?;
        let form = Form {
            instructions,
            subject,
            schema,
        };
        Ok(extract(self, form).await)
    }
}

async fn decide(visit: &mut Visit, question: Question) -> Result<Ruling, JudgeError> {
    let (judge, patience) = ask(visit)?;
    let tenant = visit.grants.owner.tenant;
    let question = services::Question {
        instructions: question.instructions,
        subject: question.subject,
        choices: question.choices,
    };
    let asked = tokio::time::timeout(patience, judge.decide(tenant, question));
    let judged = visit.wait_for(asked).await;
    match judged.unwrap_or(Err(services::JudgeError::Timeout)) {
        Ok(judged) => {
            let ruling = judged.answer;
            visit.remark(&format!(
                "judge: {:?}, confidence {:.2}{}: {}",
                ruling.choice,
                ruling.confidence,
                cached(judged.was_cached),
                ruling.reason
            ));
            Ok(Ruling {
                choice: ruling.choice,
                confidence: ruling.confidence,
                reason: ruling.reason,
            })
        }
        Err(error) => Err(failed(visit, error)),
    }
}

async fn extract(visit: &mut Visit, form: Form) -> Result<String, JudgeError> {
    let (judge, patience) = ask(visit)?;
    let tenant = visit.grants.owner.tenant;
    let asked = tokio::time::timeout(patience, judge.extract(tenant, form));
    let judged = visit.wait_for(asked).await;
    match judged.unwrap_or(Err(services::JudgeError::Timeout)) {
        Ok(judged) => {
            let (bytes, cached) = (judged.answer.len(), cached(judged.was_cached));
            visit.remark(&format!("judge: filled a form of {bytes} bytes{cached}"));
            Ok(judged.answer)
        }
        Err(error) => Err(failed(visit, error)),
    }
}

/// Takes one of the questions of this call: whom it goes to, and for how long it may take.
fn ask(visit: &mut Visit) -> Result<(Arc<dyn Judge>, Duration), JudgeError> {
    if let Some(why) = visit.grants.denied(Power::Judge) {
        return Err(JudgeError::Denied(why));
    }
    if matches!(visit.subject, Subject::None) {
        let why = "nothing is judged while a configuration is checked";
        return Err(JudgeError::Unavailable(why.to_owned()));
    }
    let Some(judge) = visit.grants.services.judge.clone() else {
        return Err(failed(visit, services::JudgeError::NotConfigured));
    };
    if visit.questions >= QUESTIONS_MAX {
        return Err(JudgeError::Invalid(format!(
            "one call may ask {QUESTIONS_MAX} questions"
        )));
    }
    visit.questions += 1;
    let patience = visit.patience();
    if patience.is_zero() {
        return Err(JudgeError::Timeout);
    }
    Ok((judge, patience))
}

fn failed(visit: &mut Visit, error: services::JudgeError) -> JudgeError {
    visit.remark(&format!("judge: no answer: {error}"));
    error.into()
}

const fn cached(was_cached: bool) -> &'static str {
    if was_cached { ", from memory" } else { "" }
}

impl From<services::JudgeError> for JudgeError {
    fn from(error: services::JudgeError) -> Self {
        match error {
            services::JudgeError::NotConfigured => Self::NotConfigured,
            services::JudgeError::BudgetSpent => Self::BudgetSpent,
            services::JudgeError::Timeout => Self::Timeout,
            services::JudgeError::Invalid(why) => Self::Invalid(why),
            services::JudgeError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
