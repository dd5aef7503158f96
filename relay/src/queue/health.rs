//! How long a receiver has done nothing but fail, and when that is enough.
//!
//! One success forgets everything. What has to outlast a restart is a [`Failing`]; the queue's
//! own loop writes it, a moment later, so that no attempt waits for it.

use std::time::Duration;

use super::Sign;
use crate::model::time::Timestamp;
use crate::store::Failing;

/// Fewer failures are never enough, however long they took: an endpoint may get little.
pub const FAILURES_MIN: u32 = 20;
/// So many times in a row a receiver says that it is gone before it is taken at its word.
const GONE_MAX: u32 = 2;
/// Percents of the way to being disabled at which it is said.
const WARNED_AT: [u8; 2] = [50, 80];
/// The end of that way.
const ENOUGH: u8 = 100;

/// What became clear of a receiver by its latest failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has gone so many percent of the way to being disabled.
    Failing { percent: u8, failing: Failing },
    /// It has done nothing but fail for as long as its endpoint allows.
    Failed(Failing),
    /// It has said in a row that it is gone.
    Gone,
    /// It took a message, after one of the above was said.
    Recovered(Failing),
}

impl Verdict {
    /// Whether the endpoint is to be disabled.
    pub const fn is_enough(self) -> bool {
        matches!(self, Self::Failed(_) | Self::Gone)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Health {
    failing: Option<Failing>,
    /// Answers in a row that said it is gone.
    gone: u32,
    /// Whether the store does not know yet.
    is_news: bool,
    /// What was said and is not taken back yet, be it forgotten meanwhile.
    said: Option<Failing>,
}

impl Health {
    /// As it was when the relay stopped.
    pub(super) fn restored(failing: Failing) -> Self {
        Self {
            failing: Some(failing),
            said: Some(failing).filter(|failing| failing.warned > 0),
            ..Self::default()
        }
    }

    /// What it has failed at since its last success.
    pub(super) const fn failing(&self) -> Option<Failing> {
        self.failing
    }

    /// Starts anew: someone says that the receiver may be back.
    pub(super) fn forget(&mut self) {
        self.is_news |= self.failing.take().is_some();
        self.gone = 0;
    }

    /// Takes in what an attempt said. `disable_after` is how long it may do nothing but fail.
    pub(super) fn after(&mut self, sign: Sign, disable_after: Duration, now: Timestamp) -> Option<Verdict> {
        match sign {
            Sign::Took => {
                self.forget();
                return self.said.take().map(Verdict::Recovered);
            }
            Sign::Nothing => return None,
            Sign::Gone => self.gone += 1,
            Sign::Declined | Sign::Busy(_) => self.gone = 0,
            Sign::Silent => {}
        }
        let verdict = self.count(disable_after, now);
        // Said once: attempts that were under way meanwhile say it again.
        let is_gone = sign == Sign::Gone && self.gone == GONE_MAX;
        let verdict = if is_gone { Some(Verdict::Gone) } else { verdict };
        if verdict.is_some() {
            self.said = self.failing;
        }
        verdict
    }

    fn count(&mut self, disable_after: Duration, now: Timestamp) -> Option<Verdict> {
        let failing = self.failing.get_or_insert(Failing {
            since: now,
            failures: 0,
            warned: 0,
        });
        failing.failures = failing.failures.saturating_add(1);
        // Beyond the least there is nothing new to remember in another failure.
        self.is_news |= failing.failures <= FAILURES_MIN;
        let percent = percent(failing, disable_after, now);
        let mark = [ENOUGH].into_iter().chain(WARNED_AT.into_iter().rev());
        let reached = mark.into_iter().find(|mark| percent >= *mark)?;
        if failing.warned >= reached {
            return None;
        }
        failing.warned = reached;
        self.is_news = true;
        let failing = *failing;
        Some(match reached {
            ENOUGH => Verdict::Failed(failing),
            percent => Verdict::Failing { percent, failing },
        })
    }

    /// What the store has to learn, if it does not know yet.
    pub(super) fn take_news(&mut self) -> Option<Option<Failing>> {
        std::mem::take(&mut self.is_news).then_some(self.failing)
    }

    /// The store could not be told.
    pub(super) const fn keep_news(&mut self) {
        self.is_news = true;
    }
}

/// How much of the way it has gone: both of time and of failures.
fn percent(failing: &Failing, disable_after: Duration, now: Timestamp) -> u8 {
    let time = now.since(failing.since).as_secs_f64() / disable_after.as_secs_f64().max(f64::MIN_POSITIVE);
    let failures = f64::from(failing.failures) / f64::from(FAILURES_MIN);
    // Held to a whole number from 0 to 100.
    (time.min(failures).clamp(0.0, 1.0) * f64::from(ENOUGH)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_millis(0) + Duration::from_secs(3600 * hours)
    }

    /// What is said of a receiver that fails every `hours` hours, and at which failure.
    fn said(hours: u64, times: u32) -> Vec<(u32, Verdict)> {
        let mut health = Health::default();
        (1..=times)
            .filter_map(|number| {
                let now = at(u64::from(number - 1) * hours);
                let verdict = health.after(Sign::Silent, 5 * DAY, now)?;
                Some((number, verdict))
            })
            .collect()
    }

    fn percents(said: &[(u32, Verdict)]) -> Vec<(u32, u8)> {
        said.iter()
            .map(|(number, verdict)| match verdict {
                Verdict::Failing { percent, .. } => (*number, *percent),
                Verdict::Failed(_) => (*number, 100),
                Verdict::Gone | Verdict::Recovered(_) => (*number, 0),
            })
            .collect()
    }

    #[test]
    fn five_days_of_failures_are_enough_and_are_announced_once_each() {
        // Every hour: it is the time that counts.
        assert_eq!(percents(&said(1, 200)), [(61, 50), (97, 80), (121, 100)]);
        // Every day: it is the failures that count.
        assert_eq!(percents(&said(24, 30)), [(10, 50), (16, 80), (20, 100)]);
        // All at once: never enough.
        assert_eq!(percents(&said(0, 10_000)), []);
    }

    #[test]
    fn one_success_forgets_everything() {
        let mut health = Health::default();
        for hour in 0..119 {
            health.after(Sign::Declined, 5 * DAY, at(hour));
        }
        assert_eq!(health.failing().map(|failing| failing.failures), Some(119));
        let verdict = health.after(Sign::Took, 5 * DAY, at(119));
        assert!(matches!(verdict, Some(Verdict::Recovered(_))), "{verdict:?}");
        assert_eq!(health.failing(), None);
        assert_eq!(health.after(Sign::Declined, 5 * DAY, at(130)), None);
    }

    #[test]
    fn what_was_said_is_taken_back_once_by_a_success() {
        let mut health = Health::default();
        for hour in 0..=61 {
            health.after(Sign::Declined, 5 * DAY, at(hour));
        }
        // Someone enables the endpoint: nothing is said of its receiver yet.
        health.forget();
        let verdict = health.after(Sign::Took, 5 * DAY, at(62));
        let said = matches!(verdict, Some(Verdict::Recovered(failing)) if failing.since == at(0));
        assert!(said, "{verdict:?}");
        assert_eq!(health.after(Sign::Took, 5 * DAY, at(63)), None);
    }

    #[test]
    fn what_says_nothing_of_the_receiver_counts_nothing() {
        let mut health = Health::default();
        health.after(Sign::Nothing, DAY, at(0));
        assert_eq!((health.failing(), health.take_news()), (None, None));
    }

    #[test]
    fn gone_twice_in_a_row_is_enough() {
        let mut health = Health::default();
        let signs = [
            Sign::Gone,
            Sign::Declined,
            Sign::Gone,
            Sign::Silent,
            Sign::Gone,
            Sign::Gone,
        ];
        let verdicts = signs.map(|sign| health.after(sign, DAY, at(0)));
        assert_eq!(verdicts, [None, None, None, None, Some(Verdict::Gone), None]);
        health.forget();
        assert_eq!(health.after(Sign::Gone, DAY, at(0)), None);
    }

    #[test]
    fn the_store_learns_what_has_to_outlast_a_restart_and_no_more() {
        let mut health = Health::default();
        health.after(Sign::Silent, DAY, at(0));
        let failing = health.failing();
        assert_eq!(health.take_news(), Some(failing));
        assert_eq!(health.take_news(), None);
        for _ in 0..FAILURES_MIN {
            health.after(Sign::Silent, DAY, at(0));
        }
        assert!(health.take_news().is_some());
        health.after(Sign::Silent, DAY, at(0));
        assert_eq!(health.take_news(), None, "the count has nothing new to say");
        health.after(Sign::Took, DAY, at(1));
        assert_eq!(health.take_news(), Some(None));
        health.after(Sign::Took, DAY, at(2));
        assert_eq!(health.take_news(), None);
    }

    #[test]
    fn a_restart_does_not_announce_it_again() {
        let before = Failing {
            since: at(0),
            failures: 40,
            warned: 80,
        };
        let mut health = Health::restored(before);
        assert_eq!(health.after(Sign::Silent, 5 * DAY, at(100)), None);
        let verdict = health.after(Sign::Silent, 5 * DAY, at(121));
        assert!(matches!(verdict, Some(Verdict::Failed(failing)) if failing.failures == 42));
    }
}
