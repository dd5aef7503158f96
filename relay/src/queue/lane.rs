//! One endpoint's deliveries in memory, and the pace at which they may go.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::breaker::Breaker;
use super::callers::Caller;
use super::health::Health;
use super::throttle::{Meter, Throttle};
use super::{Condition, Denied, Due, Job, LaneLoad, Sign, Terms, Turn, Turned};
use crate::clock::TokioClock;
use crate::model::endpoint::{Batch, RateLimit};
use crate::model::id::{DeliveryId, EndpointId};
use crate::model::time::Timestamp;

/// A lane asks for more from the store when it holds fewer than this.
const REFILL_BELOW: usize = 64;
/// The longest pause of a whole lane that a receiver can ask for; then one delivery finds out
/// whether it still means it.
const HOLD_MAX: Duration = Duration::from_secs(3600);

/// A rate limit goes by the time that tokio waits by, which a test can pause.
type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<std::time::Instant>>;

/// What a lane gives: something to work on, or a permit to someone who waited for one.
pub(super) enum Given {
    Delivery(Job),
    Permit,
}

pub(super) struct Lane {
    pub(super) ready: VecDeque<Job>,
    /// Who waits for a permit to make a call; they go before the deliveries.
    pub(super) callers: VecDeque<Caller>,
    /// Room promised to events that are being committed.
    pub(super) reserved: usize,
    /// Deliveries in memory that have, or are just getting, a row: not to be read again.
    pub(super) held: HashSet<DeliveryId>,
    pub(super) in_ring: bool,
    /// When its endpoint was deleted, if it was.
    pub(super) retired_at: Option<Timestamp>,
    /// The relay or a person has disabled its endpoint, whatever its terms say.
    pub(super) is_disabled: bool,
    /// When the earliest pending row that is not in memory is due; `None`: there is none.
    pub(super) stored_due: Option<Timestamp>,
    pub(super) refilling: bool,
    /// How many may come with what is just being read back.
    coming: usize,
    /// What was read back did not all fit into memory: no more is read while any is left.
    is_crowded: bool,
    /// How many may wait in memory.
    deliveries_max: usize,
    /// Someone asked for an attempt then, of a delivery that may be among those held.
    asked_at: Option<Timestamp>,
    /// As it stands among the queue's alarms.
    pub(super) alarm: Option<Timestamp>,
    terms: Terms,
    /// Whether more than one delivery may be under way: the receiver consents to them.
    has_consented: bool,
    /// The pace that it consented to, if it named one.
    allowed: Option<RateLimit>,
    limiter: Option<Limiter>,
    /// The pace that the receiver bears, if it complained of a faster one.
    throttle: Option<Throttle>,
    meter: Meter,
    /// How often the rate limit had no room.
    rate_limit_waits: u64,
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
    /// The same: whether what waits to go together has waited for long enough.
    pub(super) is_ripe: bool,
    /// What goes with deliveries that were given just now.
    pub(super) trains: Vec<(DeliveryId, Vec<Job>)>,
}

impl Lane {
    /// A lane of an endpoint nobody has described yet: it keeps, and gives nothing.
    pub(super) fn new(deliveries_max: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            callers: VecDeque::new(),
            reserved: 0,
            held: HashSet::new(),
            in_ring: false,
            retired_at: None,
            is_disabled: false,
            stored_due: None,
            refilling: false,
            coming: 0,
            is_crowded: false,
            asked_at: None,
            deliveries_max,
            alarm: None,
            terms: Terms {
                concurrency: 1,
                rate_limit: None,
                enabled: false,
                asks_consent: false,
                disable_after: Duration::MAX,
                batch: None,
            },
            has_consented: true,
            allowed: None,
            limiter: None,
            throttle: None,
            meter: Meter::default(),
            rate_limit_waits: 0,
            blocked_until: None,
            held_until: None,
            in_flight: 0,
            width: 1,
            breaker: Breaker::CLOSED,
            health: Health::default(),
            probe_due: false,
            is_ripe: false,
            trains: Vec::new(),
        }
    }

    pub(super) fn set_terms(&mut self, terms: Terms) {
        self.retired_at = None;
        let before = self.pace();
        if terms.concurrency != self.terms.concurrency {
            self.width = terms.concurrency;
        }
        // Whoever has new terms is asked anew; until it answers, its last word counts.
        self.has_consented = !terms.asks_consent;
        self.allowed = self.allowed.filter(|_| terms.asks_consent);
        self.terms = terms;
        self.set_pace_from(before);
    }

    /// The receiver consents, to no more than that pace if it named one. Whether that is news.
    pub(super) fn consented(&mut self, pace: Option<RateLimit>) -> bool {
        if self.has_consented && self.allowed == pace {
            return false;
        }
        let before = self.pace();
        self.has_consented = true;
        self.allowed = pace;
        self.set_pace_from(before);
        if let Some(limiter) = self.limiter.as_ref().filter(|_| self.pace() != before) {
            // The delivery that asked is the first that counts; there is room for it.
            drop(limiter.check());
        }
        true
    }

    /// What deliveries keep to, and how many may go at once. A receiver that names a pace counts
    /// by the minute, so nothing goes at once then.
    fn pace(&self) -> Option<(Duration, NonZeroU32)> {
        let own = self.terms.rate_limit;
        match self.allowed {
            None => own.map(|limit| (interval(limit), limit.count)),
            Some(allowed) => {
                let slower = own.map(interval).max(Some(interval(allowed)));
                slower.map(|interval| (interval, NonZeroU32::MIN))
            }
        }
    }

    fn set_pace_from(&mut self, before: Option<(Duration, NonZeroU32)>) {
        let now = self.pace();
        if now != before {
            self.limiter = now.map(|(interval, burst)| limiter(interval, burst));
            self.blocked_until = None;
        }
    }

    /// How many deliveries go in one request, if several may.
    pub(super) const fn batch(&self) -> Option<Batch> {
        self.terms.batch
    }

    pub(super) const fn pause(&mut self) {
        self.terms.enabled = false;
    }

    /// Whether anything may go.
    const fn is_enabled(&self) -> bool {
        self.terms.enabled && !self.is_disabled
    }

    /// Whether its endpoint was deleted.
    pub(super) const fn is_retired(&self) -> bool {
        self.retired_at.is_some()
    }

    /// Whether no delivery is in it, under way, or about to come.
    pub(super) fn is_empty(&self) -> bool {
        self.holds_nothing() && self.in_flight == 0 && self.reserved == 0 && !self.refilling
    }

    pub(super) fn set_disabled(&mut self, disabled: bool) {
        self.is_disabled = disabled;
        if !disabled {
            self.health.forget();
        }
        self.lend_trust();
    }

    /// A receiver that did not answer, or asked for a pause, gets another chance.
    fn lend_trust(&mut self) {
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

    /// Someone asks for an attempt by hand, due then.
    pub(super) fn try_again(&mut self, due: Timestamp) {
        self.lend_trust();
        self.asked_at = Some(due);
    }

    /// Forgets a delivery whose record is written. What someone asked for may have been this
    /// very one: while it was held it was not read back, so it is looked for again.
    pub(super) fn settle(&mut self, delivery: DeliveryId) {
        self.held.remove(&delivery);
        if let Some(asked_at) = self.asked_at {
            self.note_stored(asked_at);
            self.asked_at = (!self.held.is_empty()).then_some(asked_at);
        }
    }

    /// Whether a fresh delivery may go into memory: there is room, the endpoint takes
    /// deliveries, and none that waits in the store would be overtaken.
    pub(super) fn takes_fresh(&self, now: Timestamp) -> bool {
        self.is_enabled()
            && !self.breaker.is_open()
            && self.room() > 0
            && self.stored_due.is_none_or(|due| due > now)
    }

    /// How many more may come to wait in memory.
    pub(super) fn room(&self) -> usize {
        self.deliveries_max
            .saturating_sub(self.ready.len() + self.reserved + self.coming)
    }

    /// Whether more may have to be read back after one of its deliveries ended.
    pub(super) const fn is_hungry(&self) -> bool {
        self.is_crowded || self.asked_at.is_some()
    }

    /// Starts to read back up to `limit` deliveries; what becomes due from here on is noted anew.
    pub(super) const fn start_refill(&mut self, limit: usize) {
        self.refilling = true;
        self.coming = limit;
        self.stored_due = None;
    }

    /// Nothing is being read back any more.
    pub(super) const fn end_refill(&mut self) {
        self.refilling = false;
        self.coming = 0;
    }

    /// Whether there is a delivery that could go, rate limit aside.
    pub(super) fn can_give(&self) -> bool {
        self.is_enabled()
            && (!self.callers.is_empty() || !self.ready.is_empty() && self.is_enough())
            && self.in_flight < if self.has_consented { self.width } else { 1 }
            && self.blocked_until.is_none()
            && (!self.breaker.is_open() || (self.probe_due && self.in_flight == 0))
    }

    /// Why whoever has so much patience gets no permit, if that is certain already.
    pub(super) fn denies(&self, now: Timestamp, patience: Duration) -> Option<Denied> {
        if !self.is_enabled() {
            return Some(Denied::Disabled);
        }
        if self.breaker.is_open() && !(self.probe_due && self.in_flight == 0) {
            let wait = self
                .breaker
                .probes_at()
                .map_or(Duration::ZERO, |at| at.since(now));
            return Some(Denied::CutOff { wait });
        }
        let wait = self.blocked_until.map(|until| until.since(now));
        wait.filter(|wait| *wait > patience)
            .map(|wait| Denied::Paced { wait })
    }

    /// What it is doing now.
    pub(super) fn load(&self, endpoint: EndpointId, now: Timestamp) -> LaneLoad {
        LaneLoad {
            endpoint,
            ready: self.ready.len(),
            in_flight: self.in_flight,
            is_enabled: self.is_enabled(),
            is_cut_off: self.breaker.is_open(),
            overdue: self.stored_due.map(|due| now.since(due)),
            rate_limit_waits: self.rate_limit_waits,
        }
    }

    /// Attempts under way.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Gives a permit to whoever waits for one, or takes the next delivery, if the pace allows it.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Given> {
        self.forget_callers_gone();
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
            let wait = not_until.wait_time_from(TokioClock.now());
            // Rounded up, so that the bell does not ring a moment too early.
            self.blocked_until = Some(now + wait + Duration::from_millis(1));
            self.rate_limit_waits += 1;
            return None;
        }
        let given = if self.admit_caller() {
            Given::Permit
        } else {
            let mut job = self.ready.pop_front()?;
            self.held.insert(job.delivery);
            if let Some(batch) = self.batch() {
                self.gather(&mut job, batch, now);
            }
            Given::Delivery(job)
        };
        self.in_flight += 1;
        self.probe_due = false;
        self.meter.begin(now);
        if let Some(throttle) = &mut self.throttle {
            throttle.spend();
        }
        Some(given)
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
        self.is_enabled()
            && !self.refilling
            && self.has_appetite()
            && self.stored_due.is_some_and(|due| due <= now)
    }

    /// Whether it has room for more and use for it soon. A probe needs one delivery, so more are
    /// not read for a receiver that does not answer. A crowded lane is given one after the other.
    fn has_appetite(&self) -> bool {
        if self.is_crowded {
            return self.holds_nothing();
        }
        let usual = self
            .batch()
            .map_or(REFILL_BELOW, |batch| batch.events_max.max(REFILL_BELOW));
        let is_low = self.ready.len() < if self.breaker.is_open() { 1 } else { usual };
        is_low && self.room() > 0
    }

    /// Whether none of its deliveries is in memory, nor under way, nor waiting to be recorded.
    fn holds_nothing(&self) -> bool {
        self.ready.is_empty() && self.held.is_empty()
    }

    /// Whether the queue's own loop has to look at this lane.
    pub(super) fn needs_tending(&self, now: Timestamp) -> bool {
        self.blocked_until.is_some() || self.wants_refill(now)
    }

    /// When something changes here by itself: a rate limit frees, a row becomes due.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        if !self.is_enabled() {
            return None;
        }
        let stored = self.stored_due.filter(|_| !self.refilling && self.has_appetite());
        let probe = self
            .breaker
            .probes_at()
            .filter(|_| !self.probe_due && self.in_flight == 0 && !self.ready.is_empty());
        let ripe = self.ripens_at().filter(|_| !self.is_enough());
        [self.blocked_until, stored, probe, ripe]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets the rate limit be asked again, or a probe pass, if its time has come.
    pub(super) fn unblock(&mut self, now: Timestamp) {
        if self.blocked_until.is_some_and(|until| until <= now) {
            self.blocked_until = None;
        }
        self.probe_due = self.breaker.lets_pass(self.in_flight, now);
        self.ripen(now);
    }

    /// Takes in what was read back, as far as there is room for it: `bytes_max` in memory, but
    /// one delivery even if there is none, so that the lane goes on whatever the others hold.
    pub(super) fn refill(&mut self, due: Vec<Due>, bytes_max: usize, now: Timestamp) -> usize {
        let mut bytes = 0;
        self.is_crowded = false;
        for due in due {
            if !self.holds_nothing() && bytes + due.event.weight() > bytes_max {
                self.is_crowded = true;
                self.note_stored(due.due);
                break;
            }
            if self.held.insert(due.delivery) {
                bytes += due.event.weight();
                self.ready.push_back(Job {
                    delivery: due.delivery,
                    endpoint: due.endpoint,
                    event: due.event,
                    attempts: due.attempts,
                    trigger: due.trigger,
                    owed_since: due.owed_since,
                    messages: due.messages,
                    has_row: true,
                    leads: false,
                    since: now,
                });
            }
        }
        bytes
    }
}

fn interval(limit: RateLimit) -> Duration {
    (limit.per / limit.count.get()).max(Duration::from_nanos(1))
}

fn limiter(interval: Duration, burst: NonZeroU32) -> Limiter {
    let quota = Quota::with_period(interval)
        .unwrap_or(Quota::per_second(NonZeroU32::MAX))
        .allow_burst(burst);
    RateLimiter::direct_with_clock(quota, TokioClock)
}
