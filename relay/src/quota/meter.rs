//! What one tenant sends and has stored, held against its limits.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::RateLimiter;
use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};

use super::{Over, Used};
use crate::clock::TokioClock;
use crate::model::endpoint::RateLimit;
use crate::model::quota::Quota;
use crate::model::time::Timestamp;
use crate::store::Usage;

/// How often the store is asked what retention has removed, while a tenant is over its limit.
const ASK_EVERY: Duration = Duration::from_secs(1);

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, StateInformationMiddleware>;

/// See the module.
pub(super) struct Meter {
    quota: Quota,
    pace: Option<Arc<Pace>>,
    counted: Arc<Mutex<Counted>>,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

/// The rate that a tenant keeps to.
struct Pace {
    limit: RateLimit,
    limiter: Limiter,
    /// How many could have gone at once then.
    left: Mutex<(u32, Instant)>,
}

#[derive(Debug, Default)]
struct Counted {
    usage: Usage,
    asked_at: Timestamp,
}

impl Meter {
    /// One that goes on from what is known.
    pub(super) fn new(quota: Quota, usage: Usage) -> Self {
        let counted = Counted {
            usage,
            asked_at: Timestamp::default(),
        };
        Self {
            pace: quota.events_per_second.map(|limit| Arc::new(Pace::new(limit))),
            counted: Arc::new(Mutex::new(counted)),
            quota,
        }
    }

    /// The same with other limits. What is counted is shared with whatever is under way, and taken
    /// from the store where it was not counted before.
    pub(super) fn with(&self, quota: Quota, usage: Usage) -> Self {
        if !self.quota.counts_events() {
            self.lock().usage = usage;
        }
        let is_same = self.quota.events_per_second == quota.events_per_second;
        Self {
            pace: match &self.pace {
                Some(pace) if is_same => Some(Arc::clone(pace)),
                _ => quota.events_per_second.map(|limit| Arc::new(Pace::new(limit))),
            },
            counted: Arc::clone(&self.counted),
            quota,
        }
    }

    /// Whether its limits need what is accepted to be counted durably.
    pub(super) const fn counts_events(&self) -> bool {
        self.quota.counts_events()
    }

    /// Whether so many events may come at this moment.
    pub(super) fn keep_pace(&self, events: usize) -> Result<(), Over> {
        match (&self.pace, u32::try_from(events).ok().and_then(NonZeroU32::new)) {
            (Some(pace), Some(events)) => pace.keep(events),
            _ => Ok(()),
        }
    }

    /// Counts events, if there is room for all of them; for which day.
    pub(super) fn count(&self, now: Timestamp, events: usize, bytes: u64) -> Result<i64, Over> {
        let mut counted = self.lock();
        let usage = &mut counted.usage;
        let day = Usage::day_of(now);
        if usage.day != day {
            (usage.day, usage.events) = (day, 0);
        }
        let after = usage.events.saturating_add(events as u64);
        if let Some(max) = self.quota.events_per_day.filter(|max| events > 0 && after > *max) {
            return Err(Over::Day {
                used: usage.events,
                max,
                wait: Usage::end_of(day).since(now),
            });
        }
        let stored = usage.bytes.saturating_add(bytes);
        if let Some(max) = self.quota.stored_bytes.filter(|max| events > 0 && stored > *max) {
            return Err(Over::Bytes {
                used: usage.bytes,
                max,
                more: bytes,
            });
        }
        (usage.events, usage.bytes) = (after, stored);
        Ok(day)
    }

    /// Takes back what was counted and not accepted.
    pub(super) fn give_back(&self, day: i64, events: u64, bytes: u64) {
        let usage = &mut self.lock().usage;
        if usage.day == day {
            usage.events = usage.events.saturating_sub(events);
        }
        usage.bytes = usage.bytes.saturating_sub(bytes);
    }

    /// Whether the store may be asked again.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        let mut counted = self.lock();
        let waited = now.since(counted.asked_at) >= ASK_EVERY || now < counted.asked_at;
        if waited {
            counted.asked_at = now;
        }
        waited
    }

    /// Takes over what the store says was accepted today and is stored.
    pub(super) fn correct(&self, known: Option<Usage>) {
        if let Some(known) = known {
            let usage = &mut self.lock().usage;
            usage.bytes = known.bytes;
            usage.events = if known.day == usage.day { known.events } else { 0 };
        }
    }

    /// What is used of each limit.
    pub(super) fn used(&self, now: Timestamp, known: Option<Usage>) -> Used {
        let today = known.map(|known| {
            if known.day == Usage::day_of(now) {
                known.events
            } else {
                0
            }
        });
        Used {
            events_per_second: self.pace.as_ref().map(|pace| u64::from(pace.used())),
            events_per_day: today,
            stored_bytes: known.map(|known| known.bytes),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    fn new(limit: RateLimit) -> Self {
        let quota = governor::Quota::with_period(interval(limit))
            .unwrap_or(governor::Quota::per_second(NonZeroU32::MAX))
            .allow_burst(limit.count);
        Self {
            limiter: RateLimiter::direct_with_clock(quota, TokioClock).with_middleware(),
            left: Mutex::new((limit.count.get(), TokioClock.now())),
            limit,
        }
    }

    fn keep(&self, events: NonZeroU32) -> Result<(), Over> {
        let now = TokioClock.now();
        let left = match self.limiter.check_n(events) {
            Ok(Ok(snapshot)) => snapshot.remaining_burst_capacity(),
            Ok(Err(not_until)) => {
                return Err(Over::Rate {
                    wait: not_until.wait_time_from(now),
                });
            }
            Err(_) => {
                return Err(Over::Batch {
                    events: events.get() as usize,
                    max: self.limit.count.get(),
                });
            }
        };
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = (left, now);
        Ok(())
    }

    /// How many of those that may go at once are used up at present.
    fn used(&self) -> u32 {
        let (left, then) = *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = TokioClock.now().duration_since(then);
        let since = passed.as_nanos() / interval(self.limit).as_nanos();
        let since = u32::try_from(since).unwrap_or(u32::MAX);
        self.limit.count.get().saturating_sub(left.saturating_add(since))
    }
}

fn interval(limit: RateLimit) -> Duration {
    (limit.per / limit.count.get()).max(Duration::from_nanos(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_770_033_600_000);

    fn meter(events_per_day: Option<u64>, stored_bytes: Option<u64>) -> Meter {
        let quota = Quota {
            events_per_day,
            stored_bytes,
            ..Quota::default()
        };
        Meter::new(quota, Usage::default())
    }

    #[test]
    fn a_day_has_its_events_and_the_next_as_many() {
        let meter = meter(Some(3), None);
        assert!(meter.count(NOON, 2, 10).is_ok());
        let wait = Usage::end_of(Usage::day_of(NOON)).since(NOON);
        let over = Over::Day {
            used: 2,
            max: 3,
            wait,
        };
        assert_eq!(meter.count(NOON, 2, 10), Err(over), "all or none");
        assert!(meter.count(NOON, 1, 10).is_ok());
        assert!(meter.count(NOON + wait, 3, 10).is_ok());
        meter.give_back(Usage::day_of(NOON), 3, 0);
        assert!(meter.count(NOON + wait, 1, 10).is_err(), "of the day before");
    }

    #[test]
    fn bytes_are_free_again_once_the_store_says_so() {
        let meter = meter(None, Some(100));
        assert!(meter.count(NOON, 1, 60).is_ok());
        assert!(meter.count(NOON, 1, 60).is_err());
        assert!(meter.may_ask(NOON) && !meter.may_ask(NOON + Duration::from_millis(999)));
        let known = Usage {
            bytes: 40,
            ..Usage::default()
        };
        meter.correct(Some(known));
        assert!(meter.count(NOON, 1, 60).is_ok());
        meter.give_back(0, 1, 60);
        assert!(meter.count(NOON, 1, 60).is_ok());
    }

    #[test]
    fn a_rate_has_its_burst_and_tells_how_much_is_used() {
        let quota = Quota {
            events_per_second: Some(RateLimit {
                count: NonZeroU32::new(10).unwrap(),
                per: Duration::from_secs(36_000),
            }),
            ..Quota::default()
        };
        let meter = Meter::new(quota, Usage::default());
        assert!(meter.keep_pace(8).is_ok());
        assert_eq!(meter.used(NOON, None).events_per_second, Some(8));
        let Err(Over::Rate { wait }) = meter.keep_pace(5) else {
            panic!("there is room for two");
        };
        let hours = wait.as_secs_f64() / 3600.0;
        assert!((2.9..=3.0).contains(&hours), "three have to come back: {wait:?}");
        assert!(matches!(meter.keep_pace(11), Err(Over::Batch { max: 10, .. })));
        // Other limits leave the pace as it is.
        let other = Quota {
            events_per_day: Some(9),
            ..quota
        };
        let meter = meter.with(other, Usage::default());
        assert!(meter.keep_pace(2).is_ok() && meter.keep_pace(1).is_err());
        assert_eq!(meter.used(NOON, None).events_per_second, Some(10));
    }
}
