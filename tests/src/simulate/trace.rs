//! What happened, line by line: a digest of all, and the end of it as text.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

/// Lines that are kept as text.
const LINES_KEPT: usize = 60;

/// See the module.
#[derive(Default)]
pub(super) struct Trace {
    digest: DefaultHasher,
    kept: VecDeque<String>,
    /// Whether every line is printed as it comes.
    is_loud: bool,
}

impl Trace {
    pub(super) fn new(is_loud: bool) -> Self {
        Self {
            is_loud,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, at: Duration, text: std::fmt::Arguments<'_>) {
        let line = format!("{} {text}", shown(at));
        self.digest.write(line.as_bytes());
        if self.is_loud {
            print(&line);
        }
        if self.kept.len() == LINES_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(line);
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest.finish()
    }

    pub(super) fn end(&self) -> Vec<String> {
        self.kept.iter().cloned().collect()
    }
}

#[expect(clippy::print_stderr, reason = "asked for")]
fn print(line: &str) {
    eprintln!("{line}");
}

/// Hours, minutes, seconds and milliseconds.
pub(super) fn shown(at: Duration) -> String {
    let seconds = at.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{:03}",
        seconds % 60,
        at.subsec_millis()
    )
}
