//! What comes after an attempt: a pure function of policy, outcome, time and jitter.

use std::time::Duration;

use crate::model::attempt::{FaultKind, Outcome};
use crate::model::delivery::State;
use crate::model::endpoint::RetryPolicy;
use crate::model::plugin::OnFault;
use crate::model::time::Timestamp;

/// How far a receiver's `Retry-After` can stretch a delay of the schedule.
const RETRY_AFTER_STRETCH_MAX: u32 = 4;
/// The longest wait that a receiver or a plugin can ask for.
const WAIT_ASKED_MAX: Duration = Duration::from_secs(24 * 3600);

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The receiver took it.
    Done,
    /// Tried again then.
    RetryAt(Timestamp),
    /// The schedule is used up: failed, kept for a manual retry.
    Exhausted,
    /// Trying again is pointless: failed, kept for a manual retry.
    DeadLetter,
    /// The next attempt would send what is too old by then: failed, kept for a manual retry.
    Expired,
    /// A filter or plugin decided not to send it.
    Dropped,
    /// Its endpoint was deleted, which nothing here decides either.
    Cancelled,
    /// Its endpoint is to be disabled, which nothing here decides: that takes more than one
    /// delivery. It waits, due as soon as the endpoint is enabled again.
    Disable,
}

impl Next {
    /// The state that the delivery goes to.
    pub const fn state(self) -> State {
        match self {
            Self::Done => State::Succeeded,
            Self::RetryAt(_) | Self::Disable => State::Pending,
            Self::Exhausted | Self::DeadLetter | Self::Expired => State::Failed,
            Self::Dropped => State::Dropped,
            Self::Cancelled => State::Cancelled,
        }
    }

    /// When the next attempt is due; set exactly while the state is pending.
    pub const fn due(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::RetryAt(due) => Some(due),
            Self::Disable => Some(now),
            Self::Done
            | Self::Exhausted
            | Self::DeadLetter
            | Self::Expired
            | Self::Dropped
            | Self::Cancelled => None,
        }
    }
}

/// When an event of that age is too old to be sent, if it ever is; `now` if it is already.
pub fn expiry(policy: &RetryPolicy, age: Duration, now: Timestamp) -> Option<Timestamp> {
    policy.max_age.map(|max| now + max.saturating_sub(age))
}

/// Decides what comes after attempt number `attempts`.
///
/// Nothing is tried again after `expires`.
/// `on_fault` rules over faults that a plugin did not state itself; [`OnFault::Pass`] is
/// applied within the chain, so a fault that gets here all the same is tried again.
/// `jitter` is a random number from 0 to 1: it moves a delay of the schedule by the policy's
/// share both ways, and what a receiver asked for only upwards.
pub fn decide(
    policy: &RetryPolicy,
    attempts: u32,
    outcome: &Outcome,
    on_fault: OnFault,
    expires: Option<Timestamp>,
    now: Timestamp,
    jitter: f64,
) -> Next {
    let wait = match outcome {
        outcome if outcome.is_success() => return Next::Done,
        Outcome::Dropped { .. } => return Next::Dropped,
        // What SMTP calls permanent: the same mail would be refused again.
        Outcome::Responded {
            status: 500..,
            by_mail: true,
            ..
        } => return Next::DeadLetter,
        Outcome::PluginFault { fault, .. } if is_final(*fault, on_fault) => {
            return Next::DeadLetter;
        }
        Outcome::Responded {
            retry_after_ms: Some(asked),
            ..
        } => Wait::Held(Duration::from_millis(*asked)),
        Outcome::PluginFault {
            retry_after_ms: Some(asked),
            ..
        } => Wait::Floor(Duration::from_millis(*asked)),
        Outcome::Responded { .. }
        | Outcome::Unreachable { .. }
        | Outcome::Refused { .. }
        | Outcome::PluginFault { .. } => Wait::Scheduled,
    };
    let Some(slot) = slot(policy, attempts) else {
        return Next::Exhausted;
    };
    let due = now + wait.after(slot, share(policy.jitter), share(jitter));
    if expires.is_some_and(|expires| due > expires) {
        return Next::Expired;
    }
    Next::RetryAt(due)
}

/// Whether a fault ends the delivery. One that waits for an operator (`Misconfigured`) or
/// for better times (`Unavailable`) does not, whatever the policy.
fn is_final(fault: FaultKind, on_fault: OnFault) -> bool {
    fault == FaultKind::Invalid || fault.follows_policy() && on_fault == OnFault::DeadLetter
}

/// The delay that the schedule has after attempt number `attempts`.
fn slot(policy: &RetryPolicy, attempts: u32) -> Option<Duration> {
    let index = usize::try_from(attempts.saturating_sub(1)).ok()?;
    policy.schedule.get(index).copied()
}

/// What a delay is made of.
enum Wait {
    /// The slot, give or take the jitter.
    Scheduled,
    /// What a receiver asked for, held between the slot and some times the slot, so that no
    /// receiver can hammer itself or hold its deliveries for ever.
    Held(Duration),
    /// The slot, but no sooner than a plugin asked for.
    Floor(Duration),
}

impl Wait {
    fn after(self, slot: Duration, share: f64, jitter: f64) -> Duration {
        let scheduled = scaled(slot, 1.0 + share * (2.0 * jitter - 1.0));
        match self {
            Self::Scheduled => scheduled,
            Self::Held(asked) => {
                let longest = slot
                    .saturating_mul(RETRY_AFTER_STRETCH_MAX)
                    .min(WAIT_ASKED_MAX)
                    .max(slot);
                scaled(asked.clamp(slot, longest), 1.0 + share * jitter).min(longest)
            }
            Self::Floor(asked) => scheduled.max(asked.min(WAIT_ASKED_MAX)),
        }
    }
}

fn scaled(span: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(span.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// A number held between 0 and 1; what is no number counts as 0.
const fn share(number: f64) -> f64 {
    if number.is_nan() {
        0.0
    } else {
        number.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::attempt::Cause;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const DAY_MS: u64 = 24 * 3600 * 1000;

    fn responded(status: u16, retry_after_ms: Option<u64>) -> Outcome {
        Outcome::Responded {
            status,
            excerpt: String::new(),
            retry_after_ms,
            declined: false,
            by_mail: false,
        }
    }

    fn fault(fault: FaultKind, retry_after_ms: Option<u64>) -> Outcome {
        Outcome::PluginFault {
            plugin: "shape".to_owned(),
            fault,
            message: String::new(),
            stderr: String::new(),
            retry_after_ms,
        }
    }

    fn unreachable_by(cause: Cause) -> Outcome {
        Outcome::Unreachable {
            cause,
            detail: String::new(),
        }
    }

    /// Under the default policy, without jitter.
    fn decided(attempts: u32, outcome: &Outcome, on_fault: OnFault) -> Next {
        decide(
            &RetryPolicy::default(),
            attempts,
            outcome,
            on_fault,
            None,
            NOW,
            0.5,
        )
    }

    fn after(seconds: u64) -> Next {
        Next::RetryAt(NOW + Duration::from_secs(seconds))
    }

    #[test]
    fn outcomes_lead_to_what_comes_next() {
        let dropped = Outcome::Dropped {
            by: "filter".to_owned(),
            reason: String::new(),
        };
        let refused = Outcome::Refused {
            reason: String::new(),
        };
        for (outcome, next) in [
            (responded(200, None), Next::Done),
            (responded(299, Some(1)), Next::Done),
            (responded(199, None), after(5)),
            (responded(301, None), after(5)),
            (responded(400, None), after(5)),
            (responded(410, None), after(5)),
            (responded(500, None), after(5)),
            (unreachable_by(Cause::Dns), after(5)),
            (unreachable_by(Cause::Timeout), after(5)),
            (refused, after(5)),
            (dropped, Next::Dropped),
        ] {
            assert_eq!(decided(1, &outcome, OnFault::Retry), next, "{outcome:?}");
        }
    }

    #[test]
    fn what_a_mail_server_refuses_for_good_is_not_tried_again() {
        for (code, next) in [
            (250, Next::Done),
            (421, after(5)),
            (451, after(5)),
            (550, Next::DeadLetter),
        ] {
            let mut outcome = responded(code, None);
            if let Outcome::Responded { by_mail, .. } = &mut outcome {
                *by_mail = true;
            }
            assert_eq!(decided(1, &outcome, OnFault::Retry), next, "{code}");
        }
    }

    #[test]
    fn retries_follow_the_schedule_until_it_is_used_up() {
        let minutes = |count: u64| count * 60;
        let hours = |count: u64| count * 3600;
        let delays = [
            5,
            minutes(5),
            minutes(30),
            hours(2),
            hours(5),
            hours(10),
            hours(14),
            hours(20),
            hours(24),
        ];
        for (attempts, delay) in (1..).zip(delays) {
            assert_eq!(
                decided(attempts, &responded(500, None), OnFault::Retry),
                after(delay),
                "{attempts}"
            );
        }
        for attempts in [10, 11, u32::MAX] {
            assert_eq!(
                decided(attempts, &responded(500, None), OnFault::Retry),
                Next::Exhausted
            );
        }
    }

    #[test]
    fn retries_after_429_honour_retry_after_within_bounds() {
        // The second delay of the schedule is five minutes, the ninth a day.
        for (attempts, asked_s, delay) in [
            (2, 0, 300),
            (2, 299, 300),
            (2, 301, 301),
            (2, 1200, 1200),
            (2, 1201, 1200),
            (2, u64::MAX / 1000, 1200),
            (9, 1, DAY_MS / 1000),
            (9, 7 * DAY_MS / 1000, DAY_MS / 1000),
        ] {
            let policy = RetryPolicy {
                jitter: 0.0,
                ..RetryPolicy::default()
            };
            let outcome = responded(429, Some(asked_s * 1000));
            let next = decide(&policy, attempts, &outcome, OnFault::Retry, None, NOW, 0.5);
            assert_eq!(next, after(delay), "{attempts} {asked_s}");
        }
    }

    #[test]
    fn faults_follow_the_policy_unless_the_plugin_decided() {
        use FaultKind::*;
        for kind in [Trapped, TimedOut, OutOfMemory, OverLimit, BadAnswer, Unloadable] {
            for (on_fault, next) in [
                (OnFault::Retry, after(5)),
                (OnFault::Pass, after(5)),
                (OnFault::DeadLetter, Next::DeadLetter),
            ] {
                assert_eq!(
                    decided(1, &fault(kind, None), on_fault),
                    next,
                    "{kind:?} {on_fault:?}"
                );
            }
        }
        for on_fault in [OnFault::Retry, OnFault::Pass, OnFault::DeadLetter] {
            assert_eq!(decided(1, &fault(Invalid, None), on_fault), Next::DeadLetter);
            assert_eq!(decided(1, &fault(Misconfigured, None), on_fault), after(5));
            assert_eq!(decided(1, &fault(Unavailable, None), on_fault), after(5));
        }
    }

    #[test]
    fn what_a_plugin_asks_for_is_a_floor_of_a_day_at_most() {
        for (asked_ms, delay) in [(1_000, 5), (90_000, 90), (10 * DAY_MS, DAY_MS / 1000)] {
            assert_eq!(
                decided(1, &fault(FaultKind::Unavailable, Some(asked_ms)), OnFault::Retry),
                after(delay)
            );
        }
    }

    #[test]
    fn only_what_is_pending_is_due() {
        for (next, state, due) in [
            (Next::Done, State::Succeeded, None),
            (Next::RetryAt(NOW), State::Pending, Some(NOW)),
            (Next::Disable, State::Pending, Some(NOW)),
            (Next::Exhausted, State::Failed, None),
            (Next::DeadLetter, State::Failed, None),
            (Next::Expired, State::Failed, None),
            (Next::Dropped, State::Dropped, None),
        ] {
            assert_eq!((next.state(), next.due(NOW)), (state, due), "{next:?}");
        }
    }

    #[test]
    fn nothing_is_tried_again_that_would_be_too_old() {
        let policy = RetryPolicy {
            max_age: Some(Duration::from_secs(305)),
            ..RetryPolicy::default()
        };
        let expires = expiry(&policy, Duration::ZERO, NOW);
        let next = |attempts, outcome: &Outcome| {
            decide(&policy, attempts, outcome, OnFault::Retry, expires, NOW, 0.5)
        };
        assert_eq!(next(1, &responded(500, None)), after(5));
        assert_eq!(next(2, &responded(500, None)), after(300));
        assert_eq!(next(2, &responded(429, Some(600_000))), Next::Expired);
        assert_eq!(next(3, &responded(500, None)), Next::Expired);
        assert_eq!(next(10, &responded(500, None)), Next::Exhausted);
        assert_eq!(next(3, &responded(200, None)), Next::Done);
    }

    proptest! {
        #[test]
        fn no_attempt_comes_before_its_slot_or_too_late(
            slot_ms in 0..10 * DAY_MS,
            share in 0.0..=1.0f64,
            jitter in 0.0..=1.0f64,
            asked in proptest::option::of(any::<u64>()),
        ) {
            let slot = Duration::from_millis(slot_ms);
            let policy = RetryPolicy { schedule: vec![slot], jitter: share, max_age: None };
            let next = decide(&policy, 1, &responded(503, asked), OnFault::Retry, None, NOW, jitter);
            let due = next.due(NOW).unwrap();
            // A millisecond for rounding.
            let earliest = if asked.is_some() { slot } else { slot.mul_f64(1.0 - share) };
            prop_assert!(due + Duration::from_millis(1) >= NOW + earliest);
            let longest = match asked {
                Some(_) => (slot * 4).min(Duration::from_millis(DAY_MS)).max(slot),
                None => slot.mul_f64(1.0 + share),
            };
            prop_assert!(due <= NOW + longest + Duration::from_millis(1));
        }

        #[test]
        fn more_jitter_never_comes_sooner(share in 0.0..=1.0f64, a in 0.0..=1.0f64, b in 0.0..=1.0f64) {
            let policy = RetryPolicy { jitter: share, ..RetryPolicy::default() };
            let due = |jitter| {
                decide(&policy, 3, &responded(500, None), OnFault::Retry, None, NOW, jitter).due(NOW)
            };
            prop_assert!(due(a.min(b)) <= due(a.max(b)));
        }

        #[test]
        fn no_number_makes_it_panic(attempts in any::<u32>(), asked in any::<u64>(), share in any::<f64>(), jitter in any::<f64>()) {
            let policy = RetryPolicy { schedule: vec![Duration::MAX; 3], jitter: share, max_age: None };
            for outcome in [responded(429, Some(asked)), fault(FaultKind::Unavailable, Some(asked))] {
                let next = decide(&policy, attempts, &outcome, OnFault::Retry, None, NOW, jitter);
                prop_assert!(next.due(NOW).is_none_or(|due| due >= NOW));
            }
        }
    }
}
