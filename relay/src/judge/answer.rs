//! What the model answered, if it is an answer to what was asked: one of the choices, or JSON that is
//! valid under the schema. Anything else is none, whatever it says.

use serde::Deserialize;
use serde_json::Value;

use super::task::{Task, Wanted};
use crate::model::json;
use crate::plugins::services::Ruling;

/// Longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 500;
/// Largest filled form, in bytes.
const FILLED_BYTES_MAX: usize = 64 << 10;

/// An answer that can be used.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Ruled(Ruling),
    /// JSON text.
    Filled(String),
}

impl Verdict {
    /// Bytes of its texts.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Ruled(ruling) => ruling.choice.len() + ruling.reason.len(),
            Self::Filled(text) => text.len(),
        }
    }
}

/// Why an answer cannot be used; without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) String);

/// What a model says of a choice. A member that is there twice is no answer: the two may differ.
#[derive(Debug, Deserialize)]
struct Said {
    choice: String,
    confidence: f64,
    #[serde(default)]
    reason: String,
}

/// Reads an answer to a task.
pub(super) fn read(task: &Task, content: &str) -> Result<Verdict, Malformed> {
    let mut fault = Malformed("it is no JSON".to_owned());
    for text in candidates(content) {
        if json::is_too_deep(text.as_bytes()) {
            return malformed("it is nested too deep");
        }
        let read = match &task.wanted {
            Wanted::Choice(choices) => serde_json::from_str(text).map(|said| ruled(choices, said)),
            Wanted::Filled { checked, .. } => serde_json::from_str(text).map(|said| filled(checked, &said)),
        };
        match read {
            Ok(read) => return read,
            Err(error) if error.is_data() => {
                fault = Malformed("it is no object with choice, confidence and reason".to_owned());
            }
            Err(_) => {}
        }
    }
    Err(fault)
}

/// The whole; what is fenced, as chats write code; what is in the outermost braces.
fn candidates(content: &str) -> impl Iterator<Item = &str> {
    let whole = content.trim();
    let fenced = whole.strip_prefix("```").and_then(|rest| {
        let (_, rest) = rest.split_once('\n')?;
        rest.trim_end().strip_suffix("```")
    });
    let braces = whole
        .find('{')
        .zip(whole.rfind('}'))
        .and_then(|(first, last)| whole.get(first..=last));
    [Some(whole), fenced, braces].into_iter().flatten()
}

fn ruled(choices: &[String], said: Said) -> Result<Verdict, Malformed> {
    let given = said.choice.trim().to_lowercase();
    let Some(choice) = choices.iter().find(|choice| choice.to_lowercase() == given) else {
        return malformed("its choice is none of those that there are");
    };
    if !(0.0..=1.0).contains(&said.confidence) {
        return malformed("its confidence is not between 0 and 1");
    }
    Ok(Verdict::Ruled(Ruling {
        choice: choice.clone(),
        confidence: said.confidence as f32,
        reason: one_line(&said.reason),
    }))
}

fn filled(schema: &crate::model::schema::Schema, said: &Value) -> Result<Verdict, Malformed> {
    if let Some(first) = schema.mismatches(said).first() {
        return malformed(&format!(
            "it is not valid under the schema: {} {}",
            first.pointer, first.problem
        ));
    }
    let text = said.to_string();
    if text.len() > FILLED_BYTES_MAX {
        return malformed(&format!("it has more than {FILLED_BYTES_MAX} bytes"));
    }
    Ok(Verdict::Filled(text))
}

/// It goes into logs: on one line, and no longer than people read.
fn one_line(reason: &str) -> String {
    let shown = reason.trim().chars().take(REASON_CHARS_MAX);
    shown.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn malformed<T>(why: &str) -> Result<T, Malformed> {
    Err(Malformed(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::judge::tests::settings;
    use crate::plugins::services::{Form, Question};

    fn decide() -> Task {
        let question = Question {
            instructions: "Is it urgent?".to_owned(),
            subject: "x".to_owned(),
            choices: vec!["yes".to_owned(), "no".to_owned()],
        };
        Task::decide(question, &settings()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn choice(content: &str) -> Result<(String, String), String> {
        match read(&decide(), content) {
            Ok(Verdict::Ruled(ruling)) => Ok((ruling.choice, ruling.reason)),
            Ok(Verdict::Filled(_)) => panic!("a form"),
            Err(malformed) => Err(malformed.0),
        }
    }

    #[test]
    fn a_choice_is_one_of_those_that_there_are_or_none() {
        let whole = r#"{"choice": "yes", "confidence": 0.9, "reason": "it\nburns"}"#;
        let yes = Ok(("yes".to_owned(), "it burns".to_owned()));
        for content in [
            whole.to_owned(),
            format!("```json\n{whole}\n```"),
            format!("```\n{whole}\n```\n"),
            format!("Here you are:\n{whole}\nAnything else?"),
            whole.replace("yes", " YES "),
        ] {
            assert_eq!(choice(&content), yes, "{content}");
        }
        for (content, why) in [
            (whole.replace("yes", "maybe"), "none of those"),
            (whole.replace("yes", "yes no"), "none of those"),
            (whole.replace("0.9", "90"), "confidence"),
            (whole.replace("0.9", "-0.1"), "confidence"),
            (whole.replace("0.9", "\"high\""), "no object with"),
            (whole.replace("choice", "answer"), "no object with"),
            (
                whole.replace(r#""confidence""#, r#""choice": "no", "confidence""#),
                "no object with",
            ),
            (format!("{whole}{whole}"), "no JSON"),
            ("yes".to_owned(), "no JSON"),
            (String::new(), "no JSON"),
            ("[]".to_owned(), "no object with"),
            ("[".repeat(100), "too deep"),
        ] {
            let found = choice(&content).expect_err(&content);
            assert!(found.contains(why), "{content}: {found}");
        }
    }

    #[test]
    fn a_form_is_filled_as_its_schema_says() {
        let form = Form {
            instructions: "Whose is it?".to_owned(),
            subject: "x".to_owned(),
            schema: r#"{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}"#
                .to_owned(),
        };
        let task = Task::extract(form, &settings()).unwrap_or_else(|error| panic!("{error}"));
        let filled = |text: &str| Ok(Verdict::Filled(text.to_owned()));
        assert_eq!(read(&task, "```json\n{\"n\": 7}\n```"), filled(r#"{"n":7}"#));
        for content in ["{}", r#"{"n": "7"}"#, "7", ""] {
            assert!(read(&task, content).is_err(), "{content}");
        }
        let long = format!(r#"{{"n": 1, "s": "{}"}}"#, "x".repeat(FILLED_BYTES_MAX));
        assert!(read(&task, &long).is_err());
    }

    proptest! {
        #[test]
        fn whatever_a_model_says_a_choice_is_one_of_the_set(content in "(\\PC|[{}\":,`\n]|choice|yes|no|confidence|reason|0\\.5){0,40}") {
            if let Ok((choice, _)) = choice(&content) {
                prop_assert!(choice == "yes" || choice == "no");
            }
        }
    }
}
