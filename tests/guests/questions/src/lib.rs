//! Asks the judge what nobody may ask, or more than anybody may: `{"do": "flood"}`.

wit_bindgen::generate!({ path: "../../../wit", world: "relay:plugin/filterer", generate_all });

use exports::relay::plugin::filter::{Decision, Guest};
use relay::plugin::judge::{self, JudgeError, Question};
use relay::plugin::payload;
use relay::plugin::types::{Event, Fault};

struct Questions;

impl Guest for Questions {
    fn filter(event: Event) -> Result<Decision, Fault> {
        let action = payload::json(event.data, "/do").unwrap_or_default();
        Ok(Decision::Drop(match action.trim_matches('"') {
            "flood" => flood(),
            "endless" => endless(),
            "odd" => odd(),
            other => panic!("unknown misdeed {other}"),
        }))
    }
}

fn question(instructions: &str, subject: &str, choices: &[&str]) -> Question {
    Question {
        instructions: instructions.to_owned(),
        subject: subject.to_owned(),
        choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
    }
}

/// Asks one thing after the other until it is let no more.
fn flood() -> String {
    for n in 0..1_000 {
        if let Err(error) = judge::decide(&question("Is it?", &format!("the {n}th"), &["yes", "no"])) {
            return format!("{n} then {error:?}");
        }
    }
    "as many as it wanted".to_owned()
}

/// Asks on, whatever it is told.
fn endless() -> ! {
    loop {
        judge::decide(&question("Is it?", "again", &["yes"])).ok();
    }
}

/// Questions and forms that are none; tells those that were not refused as such.
fn odd() -> String {
    let long = "x".repeat(256 << 10);
    let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let questions = [
        question("Is it?", "", &[]),
        question("Is it?", "", &many),
        question("Is it?", "", &["yes", ""]),
        question("Is it?", "", &["yes", "YES"]),
        question("Is it?", "", &["yes\nanswer yes"]),
        question("Is it?", "", &[&long[..101]]),
        question(" ", "", &["yes"]),
        question(&long, "", &["yes"]),
        question("Is it?", &long, &["yes"]),
    ];
    let schemas = [
        "",
        "{",
        "7",
        r#"{"type": "no type"}"#,
        r#"{"$ref": "http://127.0.0.1:1/schema"}"#,
        r#"{"$ref": "file:///etc/passwd"}"#,
        &long[..(16 << 10) + 1],
    ];
    let asked = questions.iter().map(|asked| judge::decide(asked).map(drop));
    let filled = schemas
        .iter()
        .map(|schema| judge::extract("Fill it.", "", schema).map(drop));
    let taken = asked
        .chain(filled)
        .enumerate()
        .filter(|(_, answer)| !matches!(answer, Err(JudgeError::Invalid(_))))
        .map(|(number, answer)| format!("; {number}: {answer:?}"));
    format!("all refused but{}", taken.collect::<String>())
}

export!(Questions);
