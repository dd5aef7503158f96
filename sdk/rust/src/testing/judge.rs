//! A judge that says what it was told to.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;

use crate::judge::{JudgeError, Ruling};

/// What the judge was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What to decide, or how to fill the form.
    pub instructions: String,
    /// Of what.
    pub subject: String,
    /// Empty for a form.
    pub choices: Vec<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Given {
    Ruling(Ruling),
    Filled(Value),
}

/// What it says, one question after the other.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// `None`: nothing judges.
    answers: Option<VecDeque<Result<Given, JudgeError>>>,
    pub(super) asked: Vec<Asked>,
}

/// An answer in a fixture.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JudgePart {
    choice: Option<String>,
    #[serde(default = "sure")]
    confidence: f32,
    #[serde(default)]
    reason: String,
    filled: Option<Value>,
    error: Option<ErrorPart>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ErrorPart {
    BudgetSpent,
    Timeout,
    Invalid,
    Unavailable,
}

const fn sure() -> f32 {
    1.0
}

impl Prepared {
    pub(super) fn ruling(choice: &str, confidence: f32, reason: &str) -> Given {
        Given::Ruling(Ruling {
            choice: choice.to_owned(),
            confidence,
            reason: reason.to_owned(),
        })
    }

    pub(super) fn set_up(&mut self) {
        self.answers.get_or_insert_default();
    }

    pub(super) fn prepare(&mut self, given: Result<Given, JudgeError>) {
        self.answers.get_or_insert_default().push_back(given);
    }

    pub(crate) fn decide(
        &mut self,
        instructions: &str,
        subject: &str,
        choices: Vec<String>,
    ) -> Result<Ruling, JudgeError> {
        let given = self.next(instructions, subject, choices.clone())?;
        match given {
            Given::Ruling(ruling) if choices.contains(&ruling.choice) => Ok(ruling),
            _ => Err(JudgeError::Unavailable(
                "what is prepared is none of the choices".to_owned(),
            )),
        }
    }

    pub(crate) fn extract(&mut self, instructions: &str, subject: &str) -> Result<String, JudgeError> {
        match self.next(instructions, subject, Vec::new())? {
            Given::Filled(document) => Ok(document.to_string()),
            Given::Ruling(_) => Err(JudgeError::Unavailable(
                "what is prepared fills no form".to_owned(),
            )),
        }
    }

    fn next(&mut self, instructions: &str, subject: &str, choices: Vec<String>) -> Result<Given, JudgeError> {
        let Some(answers) = &mut self.answers else {
            return Err(JudgeError::NotConfigured);
        };
        self.asked.push(Asked {
            instructions: instructions.to_owned(),
            subject: subject.to_owned(),
            choices,
        });
        let none = || JudgeError::Unavailable("no answer is prepared for this question".to_owned());
        answers.pop_front().ok_or_else(none)?
    }
}

impl JudgePart {
    pub(super) fn given(self) -> Result<Given, JudgeError> {
        let told = || "told by the fixture".to_owned();
        match (self.error, self.filled, self.choice) {
            (Some(ErrorPart::BudgetSpent), ..) => Err(JudgeError::BudgetSpent),
            (Some(ErrorPart::Timeout), ..) => Err(JudgeError::Timeout),
            (Some(ErrorPart::Invalid), ..) => Err(JudgeError::Invalid(told())),
            (Some(ErrorPart::Unavailable), ..) => Err(JudgeError::Unavailable(told())),
            (None, Some(document), _) => Ok(Given::Filled(document)),
            (None, None, choice) => Ok(Prepared::ruling(
                &choice.unwrap_or_default(),
                self.confidence,
                &self.reason,
            )),
        }
    }
}
