//! What happened in a span of time, counted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, Outcome};
use super::delivery::State;
use super::time::Timestamp;

/// What an attempt that the receiver took is counted as, beside the classes of failures.
pub const SUCCESS: &str = "success";
/// What an attempt is counted as that was not to be sent: neither a success nor a failure.
const DROPPED: &str = "dropped";

/// How much of each happened. Counts of two spans add up to that of both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Events that came in.
    #[serde(skip_serializing_if = "is_zero")]
    pub accepted: u64,
    /// Deliveries that events were routed to.
    #[serde(skip_serializing_if = "is_zero")]
    pub matched: u64,
    /// Deliveries that came to each end.
    #[serde(skip_serializing_if = "is_zero")]
    pub succeeded: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Attempts by what they came to: [`SUCCESS`] or a class of failure.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attempts: BTreeMap<Cow<'static, str>, u64>,
    /// How long attempts took at which something was sent.
    #[serde(skip_serializing_if = "Durations::is_empty")]
    pub durations: Durations,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Timestamp>,
}

const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Adds an attempt that is over.
    pub fn attempted(&mut self, attempt: &Attempt) {
        let outcome = &attempt.outcome;
        let ended_at = attempt.started_at + Duration::from_micros(attempt.duration_us);
        let class = outcome.class().unwrap_or(SUCCESS);
        *self.attempts.entry(Cow::Borrowed(class)).or_default() += 1;
        match outcome {
            Outcome::Dropped { .. } => return,
            outcome if outcome.is_success() => self.last_success = self.last_success.max(Some(ended_at)),
            _ => self.last_failure = self.last_failure.max(Some(ended_at)),
        }
        self.durations.add(attempt.duration_us);
    }

    /// Adds a delivery that came to its end.
    pub const fn ended(&mut self, state: State) {
        match state {
            State::Succeeded => self.succeeded += 1,
            State::Failed => self.failed += 1,
            State::Dropped => self.dropped += 1,
            State::Pending | State::Cancelled => {}
        }
    }

    /// Adds what happened in another span.
    pub fn merge(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.matched += other.matched;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.dropped += other.dropped;
        for (class, count) in &other.attempts {
            *self.attempts.entry(class.clone()).or_default() += count;
        }
        self.durations.merge(&other.durations);
        self.last_success = self.last_success.max(other.last_success);
        self.last_failure = self.last_failure.max(other.last_failure);
    }

    /// Attempts that the receiver took.
    pub fn successes(&self) -> u64 {
        self.attempts.get(SUCCESS).copied().unwrap_or_default()
    }

    /// Attempts that failed. One that a filter or plugin decided not to send did not.
    pub fn failures(&self) -> u64 {
        let failures = self
            .attempts
            .iter()
            .filter(|(class, _)| !matches!(class.as_ref(), SUCCESS | DROPPED));
        failures.map(|(_, count)| count).sum()
    }

    /// The share of attempts that the receiver took, of those at which something was to be sent;
    /// `None` if there was none.
    pub fn success_rate(&self) -> Option<f64> {
        let (taken, failed) = (self.successes(), self.failures());
        (taken + failed > 0).then(|| taken as f64 / (taken + failed) as f64)
    }
}

/// Buckets of one octave. Their width, an eighth of it or less, is what a percentile is off by at
/// most; from the middle of a bucket it is half of that.
const PER_OCTAVE: u64 = 8;
/// The longest that is told apart: some 70 minutes.
const LONGEST_US: u64 = (1 << 32) - 1;

/// How long things took: a histogram whose buckets grow with what they hold, so that percentiles
/// are within a sixteenth of what they were, from microseconds to an hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Durations(BTreeMap<u8, u64>);

impl Durations {
    /// Adds one of that many microseconds.
    pub fn add(&mut self, us: u64) {
        *self.0.entry(bucket(us)).or_default() += 1;
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How long the shortest took that is longer than that share of all; `None` without any.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let total: u64 = self.0.values().sum();
        // Whole numbers small enough for a float, and at least the first of them.
        let rank = ((share.clamp(0.0, 1.0) * total as f64).ceil() as u64).max(1);
        let mut passed = 0;
        let mut buckets = self.0.iter();
        let found = buckets.find(|(_, count)| {
            passed += **count;
            passed >= rank
        });
        found.map(|(bucket, _)| Duration::from_micros(middle(*bucket)))
    }
}

/// The first three bits behind the leading one tell apart what is in one octave.
fn bucket(us: u64) -> u8 {
    let us = us.min(LONGEST_US);
    if us < PER_OCTAVE {
        return us as u8;
    }
    let octave = u64::from(us.ilog2());
    let part = (us >> (octave - 3)) - PER_OCTAVE;
    // At most 31 octaves of 8.
    (octave * PER_OCTAVE + part) as u8
}

fn middle(bucket: u8) -> u64 {
    let (octave, part) = (u64::from(bucket) / PER_OCTAVE, u64::from(bucket) % PER_OCTAVE);
    if octave < 3 {
        return u64::from(bucket);
    }
    let width = 1 << (octave - 3);
    (PER_OCTAVE + part) * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::Trigger;
    use crate::model::id::AttemptId;

    fn attempt(ms: i64, status: u16) -> Attempt {
        Attempt {
            id: AttemptId::from_raw(1),
            number: 1,
            trigger: Trigger::Scheduled,
            started_at: Timestamp::from_millis(ms),
            duration_us: 1000,
            outcome: Outcome::Responded {
                status,
                excerpt: String::new(),
                retry_after_ms: None,
                declined: false,
                by_mail: false,
            },
            plugins: Vec::new(),
            log: Vec::new(),
        }
    }

    #[test]
    fn percentiles_are_within_a_sixteenth() {
        for us in (0..32).map(|octave| (1_u64 << octave) + (1_u64 << octave) / 3) {
            let mut durations = Durations::default();
            durations.add(us);
            let found = durations.percentile(0.5).expect("one was added").as_micros();
            let off = found.abs_diff(u128::from(us));
            assert!(off * 16 <= u128::from(us), "{us} was found as {found}");
        }
    }

    #[test]
    fn a_percentile_is_the_shortest_of_the_longer_ones() {
        let mut durations = Durations::default();
        assert_eq!(durations.percentile(0.5), None);
        for _ in 0..94 {
            durations.add(1000);
        }
        for _ in 0..6 {
            durations.add(1_000_000);
        }
        let ms = |share| durations.percentile(share).expect("some were added").as_millis();
        assert!((0..=2).contains(&ms(0.5)) && (900..1100).contains(&ms(0.95)));
        assert_eq!(ms(0.0), ms(0.5));
        assert_eq!(ms(1.0), ms(0.95));
    }

    #[test]
    fn counts_of_two_spans_add_up_and_read_back() {
        let (mut first, mut second) = (Counts::default(), Counts::default());
        assert_eq!(first.success_rate(), None);
        first.matched = 2;
        first.attempted(&attempt(10, 204));
        first.ended(State::Succeeded);
        second.attempted(&attempt(20, 500));
        second.attempted(&attempt(30, 500));
        second.attempted(&attempt(40, 404));
        first.merge(&second);
        assert_eq!((first.successes(), first.failures()), (1, 3));
        assert_eq!(first.success_rate(), Some(0.25));
        assert_eq!(first.attempts["http_5xx"], 2);
        assert_eq!(first.last_failure, Some(Timestamp::from_millis(41)));
        let text = serde_json::to_string(&first).expect("counts are JSON");
        assert!(!text.contains("accepted"), "{text}");
        assert_eq!(serde_json::from_str::<Counts>(&text).expect("it reads"), first);
    }
}
