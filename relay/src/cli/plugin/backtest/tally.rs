//! What came of all events.

use std::time::Duration;

use serde_json::{Value, json};

use super::chains::Chains;
use super::compare::{Compared, Verdict, show};
use crate::cli::plugin::diff;
use crate::cli::plugin::timings::Timings;
use crate::model::event::Event;
use crate::plugins::Chained;

/// Lines of a difference that are shown.
const DIFF_LINES_MAX: usize = 40;

/// Where an event stands: the bite, and which of it.
pub(super) type Place = (u64, usize);

/// Counts, and some of the events that are not as they were.
pub(super) struct Tally {
    counts: [u64; Verdict::ALL.len()],
    slower: u64,
    /// Of those that are the same, the ones on which both fail.
    both_failed: u64,
    before: Timings,
    after: Timings,
    /// The first ones, in no order until they are sorted.
    examples: Vec<Example>,
    examples_max: usize,
}

struct Example {
    place: Place,
    event: String,
    kind: String,
    verdict: Verdict,
    diff: Vec<String>,
}

impl Tally {
    pub(super) fn new(examples_max: usize) -> Self {
        Self {
            counts: [0; Verdict::ALL.len()],
            slower: 0,
            both_failed: 0,
            before: Timings::default(),
            after: Timings::default(),
            examples: Vec::new(),
            examples_max,
        }
    }

    pub(super) fn count(&mut self, place: Place, event: &Event, compared: Compared) {
        self.counts[compared.verdict as usize] += 1;
        self.slower += u64::from(compared.is_slower);
        let has_failed = matches!(compared.after, Chained::Fault { .. });
        self.both_failed += u64::from(has_failed && compared.verdict == Verdict::Same);
        self.before.add(compared.took_before);
        self.after.add(compared.took_after);
        if compared.verdict == Verdict::Same || self.examples.len() >= self.examples_max {
            return;
        }
        let mut diff = diff::lines(&show(&compared.before), &show(&compared.after), DIFF_LINES_MAX);
        if diff.is_empty() {
            diff.push("  the same, written in another way".to_owned());
        }
        self.examples.push(Example {
            place,
            event: event.id.to_string(),
            kind: event.envelope.kind.clone(),
            verdict: compared.verdict,
            diff,
        });
    }

    pub(super) fn add(&mut self, mut other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.slower += other.slower;
        self.both_failed += other.both_failed;
        self.before.join(other.before);
        self.after.join(other.after);
        self.examples.append(&mut other.examples);
    }

    /// Puts what was found side by side into the order of events.
    pub(super) fn sort(&mut self) {
        self.examples.sort_by_key(|example| example.place);
        self.examples.truncate(self.examples_max);
    }

    pub(super) fn failed(&self) -> u64 {
        self.counts[Verdict::Failed as usize]
    }

    fn events(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn per_second(&self, took: Duration) -> f64 {
        self.events() as f64 / took.as_secs_f64().max(f64::EPSILON)
    }

    pub(super) fn text(&mut self, took: Duration, chains: &Chains, endpoint: &str) -> String {
        let mut lines = Vec::new();
        for example in &self.examples {
            lines.push(format!(
                "{} {} {}",
                example.event,
                example.kind,
                example.verdict.word()
            ));
            lines.extend(example.diff.iter().map(|line| format!("  {line}")));
        }
        let against = match &chains.in_use {
            Some(in_use) => format!("against {in_use}"),
            None => "against no plugin".to_owned(),
        };
        lines.push(format!(
            "{} {against}, on the events of {endpoint}",
            chains.candidate
        ));
        lines.push(format!(
            "{} events in {:.1} s, {:.0} per second",
            self.events(),
            took.as_secs_f64(),
            self.per_second(took)
        ));
        for (verdict, meaning) in Verdict::ALL.into_iter().zip(MEANINGS) {
            let count = self.counts[verdict as usize];
            lines.push(format!("{count:>10} {:8} {meaning}", verdict.word()));
        }
        lines.push(format!("{:>10} slower   than twice as long", self.slower));
        if self.both_failed > 0 {
            lines.push(format!(
                "{:>10} of the same fail with both: what lacks them, such as a secret, hides what would change",
                self.both_failed
            ));
        }
        let of = |timings: &mut Timings| (micros(timings.at(0.5)), micros(timings.at(0.99)));
        let (before, after) = (of(&mut self.before), of(&mut self.after));
        lines.push(format!(
            "p50 {:.1} µs, {:.1} µs before; p99 {:.1} µs, {:.1} µs before",
            after.0, before.0, after.1, before.1
        ));
        lines.join("\n")
    }

    pub(super) fn json(&mut self, took: Duration) -> Value {
        let mut shown = json!({
            "events": self.events(),
            "slower": self.slower,
            "failed_with_both": self.both_failed,
            "seconds": took.as_secs_f64(),
            "events_per_second": self.per_second(took),
        });
        for verdict in Verdict::ALL {
            shown[verdict.word()] = json!(self.counts[verdict as usize]);
        }
        for (key, timings) in [("before_us", &mut self.before), ("after_us", &mut self.after)] {
            shown[key] = json!({"p50": micros(timings.at(0.5)), "p99": micros(timings.at(0.99))});
        }
        let examples = self.examples.iter().map(|example| {
            json!({
                "event": example.event,
                "type": example.kind,
                "verdict": example.verdict.word(),
                "diff": example.diff,
            })
        });
        shown["examples"] = examples.collect();
        shown
    }
}

/// What the verdicts mean, in their order.
const MEANINGS: [&str; Verdict::ALL.len()] = [
    "as before",
    "go out otherwise",
    "went out, and do not any more",
    "were dropped, and go out",
    "fail, and did not",
    "failed, and do not any more",
];

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
