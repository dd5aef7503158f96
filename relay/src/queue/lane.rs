//! One endpoint's deliveries in memory, and the pace at which they may go.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::breaker::Breaker;
use super::health::Health;
use super::throttle::{Meter, Throttle};
use super::{Condition, Due, Job, Sign, Terms, Turn, Turned};
use crate::model::endpoint::RateLimit;
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;

/// A lane asks for more from the store when it holds fewer than this.
const REFILL_BELOW: usize = 64;
/// The longest pause of a whole lane that a receiver can ask for; then one delivery finds out
/// whether it still means it.
const HOLD_MAX: Duration = Duration::from_secs(3600);

pub(super) struct Lane {
    pub(super) ready: VecDeque<Job>,
    /// Room promised to events that are being committed.
    pub(super) reserved: usize,
    /// Deliveries in memory that have, or are just getting, a row: not to be read again.
    pub(super) held: HashSet<DeliveryId>,
    pub(super) in_ring: bool,
    /// When the earliest pending row that is not in memory is due; `None`: there is none.
    pub(super) stored_due: Option<Timestamp>,
    pub(super) refilling: bool,
    /// As it stands among the queue's alarms.
    pub(super) alarm: Option<Timestamp>,
    terms: Terms,
    limiter: Option<DefaultDirectRateLimiter>,
    /// The pace that the receiver bears, if it complained of a faster one.
    throttle: Option<Throttle>,
    meter: Meter,
    /// Nothing goes before then: the rate limit has no room, or the receiver asked for a pause.
    blocked_until: Option<Timestamp>,
    /// The end of the pause that the receiver asked for last.
    held_until: Option<Timestamp>,
    in_flight: usize,
    /// How many may be under way at once: halves when the receiver does not answer, grows
    /// when it does, never beyond the terms.
    width: usize,
    breaker: Breaker,
    pub(super) health: Health,
    /// Kept from the last look at the clock: whether the breaker lets a probe pass.
    probe_due: bool,
}

impl Lane {
    /// A lane of an endpoint nobody has described yet: it keeps, and gives nothing.
    pub(super) fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            reserved: 0,
            held: HashSet::new(),
            in_ring: false,
            stored_due: None,
            refilling: false,
            alarm: None,
            terms: Terms {
                concurrency: 1,
                rate_limit: None,
                enabled: false,
                disable_after: Duration::MAX,
            },
            limiter: None,
            throttle: None,
            meter: Meter::default(),
            blocked_until: None,
            held_until: None,
            in_flight: 0,
            width: 1,
            breaker: Breaker::CLOSED,
            health: Health::default(),
            probe_due: false,
        }
    }

    pub(super) fn set_terms(&mut self, terms: Terms) {
        if terms.rate_limit != self.terms.rate_limit {
            self.limiter = terms.rate_limit.map(limiter);
            self.blocked_until = None;
        }
        if terms.concurrency != self.terms.concurrency {
            self.width = terms.concurrency;
        }
        self.terms = terms;
    }

    pub(super) const fn pause(&mut self) {
        self.terms.enabled = false;
    }

    pub(super) fn set_enabled(&mut self, enabled: bool) {
        self.terms.enabled = enabled;
        if enabled {
            self.health.forget();
        }
        self.try_again();
    }

    /// Someone asks for an attempt by hand: a receiver that did not answer, or asked for a pause,
    /// gets another chance.
    pub(super) fn try_again(&mut self) {
        self.breaker = self.breaker.on_trial();
        if self.held_until.take().is_some() {
            self.blocked_until = None;
        }
        if let Some(throttle) = &mut self.throttle {
            throttle.lend();
        }
    }

    /// How it stands with the receiver.
    pub(super) fn condition(&self, now: Timestamp) -> Condition {
        Condition {
            failing: self.health.failing(),
            is_cut_off: self.breaker.is_open(),
            rate: self.throttle.as_ref().map(Throttle::rate),
            held_until: self.held_until.filter(|until| *until > now),
        }
    }

    /// Whether a fresh delivery may go into memory: there is room, the endpoint takes
    /// deliveries, and none that waits in the store would be overtaken.
    pub(super) fn takes_fresh(&self, deliveries_max: usize, now: Timestamp) -> bool {
        self.terms.enabled
            && !self.breaker.is_open()
            && self.ready.len() + self.reserved < deliveries_max
            && self.stored_due.is_none_or(|due| due > now)
    }

    /// Whether there is a delivery that could go, rate limit aside.
    pub(super) fn can_give(&self) -> bool {
        self.terms.enabled
            && !self.ready.is_empty()
            && self.in_flight < self.width
            && self.blocked_until.is_none()
            && (!self.breaker.is_open() || (self.probe_due && self.in_flight == 0))
    }

    /// Attempts under way.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Takes the next delivery if the pace allows one.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Job> {
        if !self.can_give() {
            return None;
        }
        if let Some(throttle) = &mut self.throttle {
            let wait = throttle.wait(now);
            if !wait.is_zero() {
                self.blocked_until = Some(now + wait + Duration::from_millis(1));
                return None;
            }
        }
        if let Some(limiter) = &self.limiter
            && let Err(not_until) = limiter.check()
        {
            let wait = not_until.wait_time_from(MonotonicClock.now());
            // Rounded up, so that the bell does not ring a moment too early.
            self.blocked_until = Some(now + wait + Duration::from_millis(1));
            return None;
        }
        let job = self.ready.pop_front()?;
        self.held.insert(job.delivery);
        self.in_flight += 1;
        self.probe_due = false;
        self.meter.begin(now);
        if let Some(throttle) = &mut self.throttle {
            throttle.spend();
        }
        Some(job)
    }

    pub(super) fn release(&mut self, sign: Sign, now: Timestamp) -> Turned {
        self.in_flight -= 1;
        match sign {
            Sign::Took | Sign::Declined | Sign::Gone => {
                self.width = (self.width + 1).min(self.terms.concurrency)
            }
            Sign::Busy(_) | Sign::Silent => self.width = (self.width / 2).max(1),
            Sign::Nothing => {}
        }
        let before = self.breaker;
        self.breaker = before.after(sign, self.in_flight, now);
        // A probe that a plugin dropped said nothing: the next delivery is one.
        self.probe_due = self.breaker.lets_pass(self.in_flight, now);
        let was_slowed = self.throttle.is_some();
        self.set_pace(sign, now);
        Turned {
            breaker: match (before.is_open(), self.breaker.is_open()) {
                (false, true) => Some(Turn::Opened),
                (true, false) => Some(Turn::Closed),
                _ => None,
            },
            slowed: !was_slowed && self.throttle.is_some(),
            health: self.health.after(sign, self.terms.disable_after, now),
        }
    }

    /// Slows down when the receiver asks for it, and grows faster again while it does not.
    fn set_pace(&mut self, sign: Sign, now: Timestamp) {
        match sign {
            Sign::Busy(pause) => {
                if !self.meter.complain(now) {
                    return;
                }
                self.throttle = Some(Throttle::after_complaint(self.throttle.take(), &self.meter, now));
                if !pause.is_zero() {
                    let until = now + pause.min(HOLD_MAX);
                    self.held_until = self.held_until.max(Some(until));
                    self.blocked_until = self.blocked_until.max(self.held_until);
                }
            }
            Sign::Took | Sign::Declined | Sign::Gone => {
                self.meter.answer(now);
                self.throttle = self
                    .throttle
                    .take()
                    .and_then(|throttle| throttle.after_answer(now));
            }
            Sign::Silent | Sign::Nothing => {}
        }
    }

    /// Remembers that a pending row is due then.
    pub(super) fn note_stored(&mut self, due: Timestamp) {
        self.stored_due = Some(self.stored_due.map_or(due, |known| known.min(due)));
    }

    /// Whether it is time to read deliveries back from the store.
    pub(super) fn wants_refill(&self, now: Timestamp) -> bool {
        self.terms.enabled
            && !self.refilling
            && self.ready.len() < self.refill_below()
            && self.stored_due.is_some_and(|due| due <= now)
    }

    /// A probe needs one delivery; more are not read for a receiver that does not answer.
    const fn refill_below(&self) -> usize {
        if self.breaker.is_open() { 1 } else { REFILL_BELOW }
    }

    /// Whether the queue's own loop has to look at this lane.
    pub(super) fn needs_tending(&self, now: Timestamp) -> bool {
        self.blocked_until.is_some() || self.wants_refill(now)
    }

    /// When something changes here by itself: a rate limit frees, a row becomes due.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        if !self.terms.enabled {
            return None;
        }
        let stored = self
            .stored_due
            .filter(|_| !self.refilling && self.ready.len() < self.refill_below());
        let probe = self
            .breaker
            .probes_at()
            .filter(|_| !self.probe_due && self.in_flight == 0 && !self.ready.is_empty());
        [self.blocked_until, stored, probe].into_iter().flatten().min()
    }

    /// Lets the rate limit be asked again, or a probe pass, if its time has come.
    pub(super) fn unblock(&mut self, now: Timestamp) {
        if self.blocked_until.is_some_and(|until| until <= now) {
            self.blocked_until = None;
        }
        self.probe_due = self.breaker.lets_pass(self.in_flight, now);
    }

    /// Takes in what was read back.
    pub(super) fn refill(&mut self, due: Vec<Due>, now: Timestamp) -> usize {
        let mut bytes = 0;
        for due in due {
            if self.held.insert(due.delivery) {
                bytes += due.event.weight();
                self.ready.push_back(Job {
                    delivery: due.delivery,
                    endpoint: due.endpoint,
                    event: due.event,
                    attempts: due.attempts,
                    manual: due.manual,
                    messages: due.messages,
                    has_row: true,
                    since: now,
                });
            }
        }
        bytes
    }
}

fn limiter(limit: RateLimit) -> DefaultDirectRateLimiter {
    let period = (limit.per / limit.count.get()).max(Duration::from_nanos(1));
    let quota = Quota::with_period(period)
        .unwrap_or(Quota::per_second(NonZeroU32::MAX))
        .allow_burst(limit.count);
    RateLimiter::direct(quota)
}
