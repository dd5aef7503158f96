//! How long many calls took.

use std::time::Duration;

/// Calls of which the time is kept: more would tell nothing new.
const KEPT_MAX: usize = 1_000_000;

/// The times of calls, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Timings {
    kept: Vec<u32>,
    count: usize,
}

impl Timings {
    pub(super) fn add(&mut self, took: Duration) {
        self.count += 1;
        if self.kept.len() < KEPT_MAX {
            self.kept.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        }
    }

    /// Takes over those of another.
    pub(super) fn join(&mut self, mut other: Self) {
        self.kept.append(&mut other.kept);
        self.count += other.count;
    }

    /// How many there were.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// What so large a share of the calls did not take longer than.
    pub(super) fn at(&mut self, share: f64) -> Duration {
        let Some(last) = self.kept.len().checked_sub(1) else {
            return Duration::ZERO;
        };
        let at = (last as f64 * share).round() as usize;
        let (_, found, _) = self.kept.select_nth_unstable(at.min(last));
        Duration::from_nanos(u64::from(*found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_calls_in_the_order_of_their_times() {
        let mut timings = Timings::default();
        assert_eq!(timings.at(0.5), Duration::ZERO);
        for nanos in (1..=101).rev() {
            timings.add(Duration::from_nanos(nanos));
        }
        assert_eq!(timings.at(0.5), Duration::from_nanos(51));
        assert_eq!(timings.at(0.99), Duration::from_nanos(100));
        assert_eq!(timings.at(1.0), Duration::from_nanos(101));
    }
}
