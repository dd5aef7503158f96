//! A circuit breaker: spares a receiver that does not answer, and the relay the trying.
//!
//! It opens after many attempts in a row to which nobody answered. While it is open, one
//! delivery at a time goes out as a probe, after ever longer pauses; all others wait without
//! using up their attempts. The first answer, whatever it says, closes it.

use std::time::Duration;

use super::Sign;
use crate::model::time::Timestamp;

/// So many attempts in a row go unanswered before it opens.
const FAILURES_MAX: u32 = 20;
/// The pause before the first probe; each that fails doubles it.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaker {
    /// Deliveries go; so many attempts in a row went unanswered.
    Closed { unanswered: u32 },
    /// Nothing goes before `until`; from then on one probe.
    Open { until: Timestamp, pause: Duration },
}

impl Breaker {
    pub(super) const CLOSED: Self = Self::Closed { unanswered: 0 };

    /// Whether another delivery may go while so many are under way.
    pub(super) fn lets_pass(self, in_flight: usize, now: Timestamp) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Open { until, .. } => in_flight == 0 && until <= now,
        }
    }

    /// When it lets a probe pass; `None` if it is closed.
    pub(super) const fn probes_at(self) -> Option<Timestamp> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { until, .. } => Some(until),
        }
    }

    /// What it is once a person says that the receiver may be back: one more unanswered attempt
    /// opens it again.
    pub(super) const fn on_trial(self) -> Self {
        match self {
            Self::Closed { .. } => self,
            Self::Open { .. } => Self::Closed {
                unanswered: FAILURES_MAX - 1,
            },
        }
    }

    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// What it is after an attempt. `in_flight` counts those still under way: what comes of
    /// them says nothing new once it is open.
    pub(super) fn after(self, sign: Sign, in_flight: usize, now: Timestamp) -> Self {
        match (self, sign) {
            (_, Sign::Took | Sign::Declined | Sign::Gone | Sign::Busy(_)) => Self::CLOSED,
            (state, Sign::Nothing) => state,
            (Self::Closed { unanswered }, Sign::Silent) if unanswered + 1 < FAILURES_MAX => Self::Closed {
                unanswered: unanswered + 1,
            },
            (Self::Closed { .. }, Sign::Silent) => Self::Open {
                until: now + PAUSE_MIN,
                pause: PAUSE_MIN,
            },
            (Self::Open { pause, .. }, Sign::Silent) if in_flight == 0 => {
                let pause = (pause * 2).min(PAUSE_MAX);
                Self::Open {
                    until: now + pause,
                    pause,
                }
            }
            (open, Sign::Silent) => open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn silent(times: u32) -> Breaker {
        (0..times).fold(Breaker::CLOSED, |breaker, _| {
            breaker.after(Sign::Silent, 0, at(0))
        })
    }

    #[test]
    fn many_unanswered_attempts_in_a_row_open_it() {
        assert!(!silent(FAILURES_MAX - 1).is_open());
        assert!(silent(FAILURES_MAX).is_open());
        let answered = silent(FAILURES_MAX - 1).after(Sign::Declined, 0, at(0));
        assert!(!answered.after(Sign::Silent, 0, at(0)).is_open());
    }

    #[test]
    fn one_probe_at_a_time_after_ever_longer_pauses() {
        let mut breaker = silent(FAILURES_MAX);
        let mut now = at(0);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(!breaker.lets_pass(0, now));
            now = now + Duration::from_secs(seconds);
            assert!(breaker.lets_pass(0, now) && !breaker.lets_pass(1, now));
            assert_eq!(breaker.probes_at(), Some(now));
            breaker = breaker.after(Sign::Silent, 0, now);
        }
    }

    #[test]
    fn what_was_under_way_when_it_opened_does_not_lengthen_the_pause() {
        let breaker = silent(FAILURES_MAX);
        assert_eq!(breaker.after(Sign::Silent, 7, at(500)), breaker);
    }

    #[test]
    fn a_person_gives_it_one_more_try() {
        let breaker = silent(FAILURES_MAX).on_trial();
        assert!(breaker.lets_pass(5, at(0)));
        assert!(breaker.after(Sign::Silent, 0, at(0)).is_open());
    }

    #[test]
    fn any_answer_closes_it() {
        for sign in [Sign::Took, Sign::Declined, Sign::Gone, Sign::Busy(Duration::ZERO)] {
            assert_eq!(silent(FAILURES_MAX).after(sign, 0, at(1000)), Breaker::CLOSED);
        }
        assert!(silent(FAILURES_MAX).after(Sign::Nothing, 0, at(1000)).is_open());
    }
}
