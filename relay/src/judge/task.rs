//! What is asked, checked: short enough, and with answers that can be told apart.

use std::sync::Arc;

use serde_json::Value;

use super::Settings;
use crate::model::id::TenantId;
use crate::model::json;
use crate::model::schema::Schema;
use crate::plugins::services::{Form, JudgeError, Question};

/// Choices of one question.
const CHOICES_MAX: usize = 64;
/// Longest choice, in bytes.
const CHOICE_BYTES_MAX: usize = 100;
/// Largest schema of a form, in bytes.
const SCHEMA_BYTES_MAX: usize = 16 << 10;

/// What is remembered under one key is the answer to one question of one tenant.
pub(super) type Key = [u8; 32];

/// See the module.
pub(super) struct Task {
    pub(super) instructions: String,
    pub(super) subject: String,
    pub(super) wanted: Wanted,
}

/// What an answer has to be.
pub(super) enum Wanted {
    Choice(Vec<String>),
    Filled { schema: Value, checked: Arc<Schema> },
}

impl Task {
    pub(super) fn decide(question: Question, settings: &Settings) -> Result<Self, JudgeError> {
        check_choices(&question.choices)?;
        Self {
            instructions: question.instructions,
            subject: question.subject,
            wanted: Wanted::Choice(question.choices),
        }
        .checked(settings)
    }

    pub(super) fn extract(form: Form, settings: &Settings) -> Result<Self, JudgeError> {
        let (schema, checked) = read_schema(&form.schema)?;
        Self {
            instructions: form.instructions,
            subject: form.subject,
            wanted: Wanted::Filled {
                schema,
                checked: Arc::new(checked),
            },
        }
        .checked(settings)
    }

    /// A subject that is too long is refused and not cut: what is cut off would be what a stranger
    /// wants nobody to judge.
    fn checked(self, settings: &Settings) -> Result<Self, JudgeError> {
        if self.instructions.trim().is_empty() {
            return Err(invalid("there are no instructions"));
        }
        for (what, text, max) in [
            (
                "instructions",
                &self.instructions,
                settings.instructions_bytes_max,
            ),
            ("subject", &self.subject, settings.subject_bytes_max),
        ] {
            if text.len() > max {
                let len = text.len();
                return Err(invalid(format!("the {what} has {len} bytes, {max} are allowed")));
            }
        }
        Ok(self)
    }

    /// What its answer is remembered under: all that the answer depends on, and whose it is, so that
    /// no tenant finds out what another has asked.
    pub(super) fn key(&self, tenant: TenantId, model: &str) -> Key {
        let mut hasher = blake3::Hasher::new();
        let mut word = |word: &[u8]| {
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word);
        };
        word(&tenant.raw().to_le_bytes());
        word(model.as_bytes());
        word(self.instructions.as_bytes());
        word(self.subject.as_bytes());
        match &self.wanted {
            Wanted::Choice(choices) => {
                word(b"choice");
                choices.iter().for_each(|choice| word(choice.as_bytes()));
            }
            Wanted::Filled { schema, .. } => {
                word(b"filled");
                word(schema.to_string().as_bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }
}

fn check_choices(choices: &[String]) -> Result<(), JudgeError> {
    if choices.is_empty() || choices.len() > CHOICES_MAX {
        let count = choices.len();
        return Err(invalid(format!("{count} choices; give 1 to {CHOICES_MAX}")));
    }
    for (index, choice) in choices.iter().enumerate() {
        let is_usable = (1..=CHOICE_BYTES_MAX).contains(&choice.len())
            && choice.trim() == choice
            && !choice.chars().any(char::is_control);
        if !is_usable {
            return Err(invalid(format!(
                "choice {index} is empty, has more than {CHOICE_BYTES_MAX} bytes, or has blanks around it or control characters"
            )));
        }
        let lower = choice.to_lowercase();
        if choices[..index]
            .iter()
            .any(|before| before.to_lowercase() == lower)
        {
            return Err(invalid(format!(
                "choice {index} is there already, but for capitals"
            )));
        }
    }
    Ok(())
}

fn read_schema(text: &str) -> Result<(Value, Schema), JudgeError> {
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(invalid(format!(
            "the schema has more than {SCHEMA_BYTES_MAX} bytes"
        )));
    }
    if json::is_too_deep(text.as_bytes()) {
        return Err(invalid("the schema is nested too deep"));
    }
    let schema: Value =
        serde_json::from_str(text).map_err(|error| invalid(format!("the schema is no JSON: {error}")))?;
    if !schema.is_object() {
        return Err(invalid("the schema is no JSON object"));
    }
    match Schema::read(&schema) {
        Ok(checked) => Ok((schema, checked)),
        Err(mismatch) => Err(invalid(format!(
            "the schema cannot be used: {} {}",
            mismatch.pointer, mismatch.problem
        ))),
    }
}

fn invalid(why: impl Into<String>) -> JudgeError {
    JudgeError::Invalid(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tests::settings;

    fn question(subject: &str, choices: &[&str]) -> Question {
        Question {
            instructions: "Is it urgent?".to_owned(),
            subject: subject.to_owned(),
            choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
        }
    }

    #[test]
    fn a_question_has_a_closed_set_of_answers_and_bounds() {
        let why = |question| match Task::decide(question, &settings()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(why(question("x", &["yes", "no"])), "");
        let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (asked, told) in [
            (question("x", &[]), "0 choices"),
            (question("x", &many), "65 choices"),
            (question("x", &["yes", ""]), "choice 1"),
            (question("x", &["yes", " no"]), "choice 1"),
            (question("x", &["yes", "no\n"]), "choice 1"),
            (question("x", &["yes", "Yes"]), "there already"),
            (
                question(&"x".repeat(2000), &["yes"]),
                "the subject has 2000 bytes",
            ),
        ] {
            let found = why(asked);
            assert!(found.contains(told), "{found}");
        }
    }

    #[test]
    fn a_form_has_a_schema_that_ends() {
        for (schema, told) in [
            ("{", "no JSON"),
            ("[]", "no JSON object"),
            (r#"{"type": "nothing"}"#, "cannot be used"),
            (r##"{"$ref": "#"}"##, "cannot be used"),
        ] {
            let form = Form {
                instructions: "Fill it".to_owned(),
                subject: String::new(),
                schema: schema.to_owned(),
            };
            let Err(error) = Task::extract(form, &settings()) else {
                panic!("{schema} is taken");
            };
            assert!(error.to_string().contains(told), "{schema}: {error}");
        }
    }

    #[test]
    fn nothing_that_counts_is_left_out_of_the_key() {
        let key = |tenant, model, asked| {
            let task = Task::decide(asked, &settings()).unwrap_or_else(|error| panic!("{error}"));
            task.key(TenantId::from_raw(tenant), model)
        };
        let first = key(1, "m", question("ab", &["c", "d"]));
        assert_eq!(first, key(1, "m", question("ab", &["c", "d"])));
        for other in [
            key(2, "m", question("ab", &["c", "d"])),
            key(1, "n", question("ab", &["c", "d"])),
            key(1, "m", question("a", &["bc", "d"])),
            key(1, "m", question("ab", &["d", "c"])),
            key(1, "m", question("ab", &["cd"])),
        ] {
            assert_ne!(first, other);
        }
    }
}
