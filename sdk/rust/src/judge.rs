//! What the operator's model makes of something: which of several answers fits, or what it says in
//! the form of a JSON Schema.
//!
//! The instructions are yours and trusted. The subject is a stranger's and is not: the relay keeps it
//! apart, and whatever stands in it, the answer is one of the choices or an error. It may still be the
//! wrong one of them. Never put what came with an event into the instructions.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::host;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// One of the choices.
    pub choice: String,
    /// How sure it is, from 0 to 1.
    pub confidence: f32,
    /// Why, in a sentence.
    pub reason: String,
}

/// Why there is no answer.
///
/// No `std::error::Error`, so that `?` knows which [`Fault`](crate::Fault) it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JudgeError {
    /// The owner has not granted it.
    Denied(String),
    /// The operator has set up nothing that judges.
    NotConfigured,
    /// The tenant may ask again tomorrow.
    BudgetSpent,
    /// It took too long.
    Timeout,
    /// The question is none: no choices, or too long.
    Invalid(String),
    /// There is no answer at present, or none that was asked for.
    Unavailable(String),
}

impl fmt::Display for JudgeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Denied(reason) => reason,
            Self::NotConfigured => "the operator has set up nothing that judges",
            Self::BudgetSpent => "the budget for judging is spent for today",
            Self::Timeout => "judging took too long",
            Self::Invalid(reason) => return write!(formatter, "this cannot be judged: {reason}"),
            Self::Unavailable(reason) => return write!(formatter, "there is no ruling: {reason}"),
        })
    }
}

/// Which of the choices fits the subject, by the instructions.
///
/// ```no_run
/// # use relay_sdk::prelude::*;
/// # use relay_sdk::judge;
/// # fn filter(event: &Event) -> Result<Decision, Fault> {
/// let text = event.require::<String>("/text")?;
/// let ruling = judge::decide("Does the customer want to cancel?", &text, &["yes", "no"])?;
/// Ok(Decision::keep_if(ruling.choice == "yes", ruling.reason))
/// # }
/// ```
///
/// # Errors
/// There is no ruling.
pub fn decide(instructions: &str, subject: &str, choices: &[impl AsRef<str>]) -> Result<Ruling, JudgeError> {
    let choices: Vec<String> = choices.iter().map(|choice| choice.as_ref().to_owned()).collect();
    host::judge_decide(instructions, subject, choices)
}

/// Fills a JSON Schema from the subject, by the instructions. The relay has checked that what comes is
/// valid under the schema; whether it is true, nobody has.
///
/// # Errors
/// There is no answer, or it is none of this type.
pub fn extract<T: DeserializeOwned>(
    instructions: &str,
    subject: &str,
    schema: &Value,
) -> Result<T, JudgeError> {
    let text = host::judge_extract(instructions, subject, &schema.to_string())?;
    serde_json::from_str(&text)
        .map_err(|error| JudgeError::Unavailable(format!("the answer is of another type: {error}")))
}

/// Until the budgets of the next day of UTC are there.
#[expect(
    clippy::disallowed_methods,
    reason = "plugins have no clock but the system's, which the relay gives them"
)]
pub(crate) fn until_tomorrow() -> Duration {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_secs(DAY_SECONDS - since.as_secs() % DAY_SECONDS)
}
