//! How a plugin failed, as data.

use std::time::Duration;

use crate::model::attempt::FaultKind;

/// One failure of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// One line for people.
    pub message: String,
    /// What the plugin wrote to stderr, bounded, without the noise of its runtime.
    pub stderr: String,
    /// The next attempt comes no sooner than this.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A failure with nothing on stderr.
    pub(super) const fn new(kind: FaultKind, message: String) -> Self {
        Self {
            kind,
            message,
            stderr: String::new(),
            retry_after: None,
        }
    }

    pub(super) fn bad_answer(message: impl ToString) -> Self {
        Self::new(FaultKind::BadAnswer, message.to_string())
    }

    pub(super) fn over_limit(message: impl Into<String>) -> Self {
        Self::new(FaultKind::OverLimit, message.into())
    }
}

/// Lines that runtimes add to every panic and that help nobody here.
const NOISE: [&str; 2] = ["note: run with `RUST_BACKTRACE", "note: Some details are omitted"];

/// What was written to stderr, without empty lines around it and without noise.
pub(super) fn trim_stderr(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !NOISE.iter().any(|noise| line.starts_with(noise)))
        .collect();
    lines.join("\n").trim().to_owned()
}

/// The sentence of a panic, if stderr holds one: `panicked at src/lib.rs:6:5: message`.
pub(super) fn panic_message(stderr: &str) -> Option<String> {
    let start = stderr.rfind("panicked at ")?;
    let mut lines = stderr[start..].lines();
    let place = lines.next()?.trim_end_matches(':');
    let reason = lines.next().unwrap_or_default();
    Some(if reason.is_empty() {
        place.to_owned()
    } else {
        format!("{place}: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_one_line() {
        let written = "\nthread '<unnamed>' (1) panicked at src/lib.rs:6:5:\nboom\nnote: run with `RUST_BACKTRACE=1` environment variable\n";
        let trimmed = trim_stderr(written);
        assert_eq!(
            trimmed,
            "thread '<unnamed>' (1) panicked at src/lib.rs:6:5:\nboom"
        );
        assert_eq!(
            panic_message(&trimmed).as_deref(),
            Some("panicked at src/lib.rs:6:5: boom")
        );
        assert_eq!(panic_message("just a line"), None);
    }
}
