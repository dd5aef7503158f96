//! What was promised of each delivery, kept beside the relay and compared with what it does.
//!
//! Due times are the relay's own, by its steady clock. That may differ from the true time by what
//! the wall clock was set while the relay was down, which it takes for time that passed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use relay::model::attempt::{Attempt, Cause, Outcome};
use relay::model::delivery::State;
use relay::model::event_type;
use relay::model::id::{DeliveryId, EndpointId, EventId};
use relay::model::time::Timestamp;
use relay::store::{Begins, DedupeKey, NewEvent, Record};

use super::clock::moved;
use super::terms::{Bucket, Terms};

/// What is lost to rounding to milliseconds, and to reading a clock twice.
const ROUNDING: Duration = Duration::from_millis(3);
/// The status that disables an endpoint when it is given twice in a row: then the delivery is due
/// as soon as someone enables it.
const GONE: u16 = 410;
/// How long it takes at most to write that an endpoint is disabled.
const DISABLING_MAX: Duration = Duration::from_secs(15);

type Kept = Result<(), String>;

/// One delivery.
#[derive(Debug)]
struct Duty {
    endpoint: usize,
    state: State,
    /// By the steady clock.
    due: Timestamp,
    attempts: u32,
    has_row: bool,
    /// Someone asked for an attempt since the last one was recorded.
    is_asked_for: bool,
    body: Option<u64>,
    /// The attempt of this run that is not recorded yet.
    attempt: Option<Unrecorded>,
}

#[derive(Debug)]
struct Unrecorded {
    terms: Arc<Terms>,
    began_at: Timestamp,
    is_under_way: bool,
    /// Status, and what `Retry-After` asked for.
    answer: Option<(u16, Option<Duration>)>,
}

/// An endpoint as the configuration in force has it.
#[derive(Debug)]
struct Side {
    terms: Arc<Terms>,
    bucket: Option<Bucket>,
    under_way: usize,
    /// The most deliveries that were seen to be due at once.
    waiting_max: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    duties: BTreeMap<DeliveryId, Duty>,
    pending: BTreeSet<DeliveryId>,
    /// Deliveries by the id that receivers see.
    by_wire_id: HashMap<String, DeliveryId>,
    /// Deliveries without a row, by event.
    rowless: BTreeMap<EventId, usize>,
    /// Events that armed a timer, which has to emit one event.
    armed: BTreeSet<EventId>,
    checkpoint: Option<EventId>,
    /// Which endpoints post number `n` is for.
    routes: HashMap<u64, BTreeSet<usize>>,
    /// What was accepted under a key, when, and how much the steady clock had been thrown off
    /// by then: thrown forward and back again, it has passed every window on the way.
    keys: HashMap<DedupeKey, (EventId, Timestamp, Duration)>,
    dedupe_window: Duration,
    sides: Vec<Side>,
    numbers: HashMap<EndpointId, usize>,
    concurrency_max: usize,
    /// The relay's steady clock is ahead of the true time by so much.
    skew_ms: i64,
    /// What the store knows of how far the wall clock is ahead.
    ahead_known_ms: i64,
    /// The delivery that was recorded last.
    recorded_last: Option<DeliveryId>,
    /// All changes of the skew so far.
    skewed: Duration,
}

// ---- what the script says ------------------------------------------------------------------

impl Ledger {
    /// A process starts, with this configuration.
    pub(super) fn run_begins(
        &mut self,
        terms: Vec<Terms>,
        limits: (usize, Duration),
        ahead_ms: i64,
        now: Timestamp,
    ) {
        let skew_ms = ahead_ms - self.ahead_known_ms;
        let change = Duration::from_millis(skew_ms.abs_diff(self.skew_ms));
        self.skewed += change;
        self.skew_ms = skew_ms;
        (self.concurrency_max, self.dedupe_window) = limits;
        self.sides.clear();
        self.configured(terms, now);
        for duty in self.duties.values_mut() {
            duty.attempt = None;
        }
    }

    /// A configuration is in force; a rate limit that did not change goes on.
    pub(super) fn configured(&mut self, terms: Vec<Terms>, now: Timestamp) {
        for (number, terms) in terms.into_iter().enumerate() {
            let bucket = terms.rate.map(|rate| Bucket::full(rate, now));
            match self.sides.get_mut(number) {
                None => self.sides.push(Side {
                    terms: Arc::new(terms),
                    bucket,
                    under_way: 0,
                    waiting_max: 0,
                }),
                Some(side) => {
                    if side.terms.rate != terms.rate {
                        side.bucket = bucket;
                    }
                    side.terms = Arc::new(terms);
                }
            }
        }
    }

    /// Post number `n` is sent now and is for these endpoints.
    pub(super) fn posted(&mut self, n: u64, endpoints: BTreeSet<usize>) {
        self.routes.insert(n, endpoints);
    }

    /// The sender of post number `n` is told that it is accepted under this id.
    pub(super) fn acknowledged(&self, id: EventId, is_duplicate: bool) -> Kept {
        check(self.rowless.contains_key(&id), || {
            format!("{id} was acknowledged (duplicate: {is_duplicate}) but never committed")
        })
    }
}

// ---- what the store commits ----------------------------------------------------------------

impl Ledger {
    pub(super) fn named(&mut self, names: &[String], ids: &[i64]) {
        for (name, id) in names.iter().zip(ids) {
            let number = name.trim_start_matches('e').parse();
            self.numbers
                .insert(EndpointId::from_raw(*id), number.expect("endpoints are e0, e1 …"));
        }
    }

    pub(super) const fn clock_ahead_known(&mut self, ms: i64) {
        self.ahead_known_ms = ms;
    }

    /// An event was committed, with its key remembered as seen at `seen_at`.
    pub(super) fn accepted(&mut self, new: &NewEvent, seen_at: Timestamp) -> Kept {
        let id = new.event.id;
        if event_type::is_own(&new.event.envelope.kind) {
            // Nobody sent it, and nobody asked for it.
            return check(new.deliveries.is_empty(), || {
                format!("{id} tells {:?} of the relay itself", new.deliveries)
            });
        }
        let data: serde_json::Value = serde_json::from_slice(&new.event.data).unwrap_or_default();
        let n = data["n"].as_u64().unwrap_or_default();
        let planned: BTreeSet<usize> = new
            .deliveries
            .iter()
            .map(|planned| self.numbers[&planned.endpoint])
            .collect();
        let rules = new.rules.as_deref().cloned().unwrap_or_default();
        match rules.fires {
            Some(timer) => check(self.armed.remove(&timer.event), || {
                format!("{id} comes of {timer:?}, which was never armed or has fired")
            })?,
            None => {
                let wanted = self.routes.get(&n).cloned().unwrap_or_default();
                check(planned == wanted, || {
                    format!("{id} goes to {planned:?} instead of {wanted:?}")
                })?;
            }
        }
        self.armed.extend(rules.effects.iter().map(|_| id));
        if let Some(key) = new.dedupe
            && let Some((first, first_at, skewed)) = self.keys.insert(key, (id, seen_at, self.skewed))
            && skewed == self.skewed
        {
            let window = self.dedupe_window;
            check(seen_at >= first_at + window, || {
                format!("{id} was accepted before, as {first}")
            })?;
        }
        let mut rowless = 0;
        for (index, planned) in new.deliveries.iter().enumerate() {
            let delivery = id.delivery(index);
            rowless += usize::from(planned.begins == Begins::InMemory);
            self.pending.insert(delivery);
            self.by_wire_id
                .insert(format!("msg_{}", delivery.digits()), delivery);
            self.duties.insert(
                delivery,
                Duty {
                    endpoint: self.numbers[&planned.endpoint],
                    state: State::Pending,
                    due: seen_at,
                    attempts: 0,
                    has_row: planned.begins != Begins::InMemory,
                    is_asked_for: false,
                    body: None,
                    attempt: None,
                },
            );
        }
        self.rowless.insert(id, rowless);
        let is_passed = self.checkpoint.is_some_and(|checkpoint| id <= checkpoint);
        check(rowless == 0 || !is_passed, || {
            format!("the checkpoint passed {id} before it was committed")
        })
    }

    /// The checkpoint was moved.
    pub(super) fn checkpoint_set(&mut self, upto: EventId) -> Kept {
        self.checkpoint = Some(upto);
        let passed = self.rowless.range(..=upto).find(|(_, rowless)| **rowless > 0);
        check(passed.is_none(), || {
            format!("the checkpoint passes {passed:?}, of which not every delivery has a row")
        })
    }

    /// Someone asked for an attempt.
    pub(super) fn asked_for(&mut self, id: DeliveryId, now: Timestamp) {
        if let Some(duty) = self.duties.get_mut(&id) {
            duty.state = State::Pending;
            duty.due = now;
            duty.is_asked_for = true;
            self.pending.insert(id);
        }
    }

    /// Where a delivery stands was committed.
    pub(super) fn recorded(&mut self, record: &Record) -> Kept {
        let skew_ms = self.skew_ms;
        let id = record.delivery;
        let duty = self
            .duties
            .get_mut(&id)
            .ok_or_else(|| format!("{id} was recorded, but never planned"))?;
        let progress = &record.progress;
        let had_row = std::mem::replace(&mut duty.has_row, true);
        if !had_row && let Some(rowless) = self.rowless.get_mut(&record.event) {
            *rowless -= 1;
        }
        let Some(attempt) = &progress.attempt else {
            if !had_row {
                duty.due = progress.due.unwrap_or_default();
            }
            return check(progress.state == State::Pending, || {
                format!("{id} ended without an attempt")
            });
        };
        self.recorded_last = Some(id);
        let made = duty.attempt.take();
        duty.state = progress.state;
        duty.due = progress.due.unwrap_or_default();
        duty.is_asked_for = false;
        let attempts_before = std::mem::replace(&mut duty.attempts, record.attempts);
        if duty.state != State::Pending {
            self.pending.remove(&id);
        }
        check(
            record.attempts == attempts_before + 1 && attempt.number == record.attempts,
            || {
                format!(
                    "{id}: attempt {} was recorded after {attempts_before}",
                    record.attempts
                )
            },
        )?;
        let made = made.ok_or_else(|| format!("{id}: an attempt was recorded that was never made"))?;
        made.is_told_by(attempt)
            .map_err(|fault| format!("{id}: {fault}"))?;
        made.leads_to(record, attempt, skew_ms)
            .map_err(|fault| format!("{id}: {fault}"))
    }
}

impl Unrecorded {
    /// Whether the record says what the receiver did.
    fn is_told_by(&self, attempt: &Attempt) -> Kept {
        let told = match &attempt.outcome {
            Outcome::Responded { status, .. } => Some(*status),
            Outcome::Unreachable {
                cause: Cause::Timeout | Cause::Reset,
                ..
            } => None,
            other => return Err(format!("an outcome that no receiver has: {other:?}")),
        };
        let answered = self.answer.map(|(status, _)| status);
        check(told == answered, || {
            format!("recorded as {told:?}, the receiver answered {answered:?}")
        })
    }

    /// Whether what comes next is what the schedule says.
    fn leads_to(&self, record: &Record, attempt: &Attempt, skew_ms: i64) -> Kept {
        let progress = &record.progress;
        let state = progress.state;
        let (status, asked) = self.answer.map_or((0, None), |(status, asked)| (status, asked));
        let wait = self.terms.wait(record.attempts, asked);
        let ended_at = moved(self.began_at, skew_ms) + Duration::from_micros(attempt.duration_us);
        let at_once = |due| due + ROUNDING >= ended_at && due <= ended_at + DISABLING_MAX;
        if status == GONE && state == State::Pending && progress.due.is_some_and(at_once) {
            return Ok(());
        }
        let expected = match (status, wait) {
            (200..=299, _) => State::Succeeded,
            (_, Some(_)) => State::Pending,
            _ => State::Failed,
        };
        check(state == expected, || {
            format!("{state} instead of {expected} after {status}")
        })?;
        check(state == State::Succeeded || progress.reason.is_some(), || {
            format!("{state} without a reason")
        })?;
        let Some(due) = progress.due else {
            return check(state != State::Pending, || "pending, but never due".to_owned());
        };
        let (shortest, longest) = wait.unwrap_or_default();
        let in_time = due + ROUNDING >= ended_at + shortest && due <= ended_at + longest + ROUNDING;
        check(in_time, || {
            format!("due {due}, which is not {shortest:?} to {longest:?} after {ended_at}")
        })
    }
}

// ---- what receivers see --------------------------------------------------------------------

impl Ledger {
    /// A request arrives.
    pub(super) fn request_began(
        &mut self,
        endpoint: usize,
        wire_id: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Kept {
        let under_way: usize = self.sides.iter().map(|side| side.under_way).sum();
        if let Some(side) = self.sides.get_mut(endpoint) {
            side.under_way += 1;
        }
        self.message_came(endpoint, wire_id, body, now)?;
        let side = &mut self.sides[endpoint];
        check(side.under_way <= side.terms.concurrency, || {
            format!("e{endpoint} has {} requests under way", side.under_way)
        })?;
        check(under_way < self.concurrency_max, || {
            format!("{under_way} requests were under way already")
        })?;
        let has_room = side.bucket.as_mut().is_none_or(|bucket| bucket.take(now));
        check(has_room, || {
            format!("e{endpoint} gets more than its rate limit allows")
        })
    }

    /// A message is in a request that arrives.
    pub(super) fn message_came(
        &mut self,
        endpoint: usize,
        wire_id: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Kept {
        let steady = moved(now, self.skew_ms);
        let id = self
            .by_wire_id
            .get(wire_id)
            .ok_or_else(|| format!("{wire_id} was sent before its event was durable"))?;
        let (Some(duty), Some(side)) = (self.duties.get_mut(id), self.sides.get_mut(endpoint)) else {
            return Err(format!("{wire_id} was sent to nobody"));
        };
        let before = duty.attempt.replace(Unrecorded {
            terms: Arc::clone(&side.terms),
            began_at: now,
            is_under_way: true,
            answer: None,
        });
        check(duty.endpoint == endpoint, || {
            format!("{id} was sent to e{endpoint}")
        })?;
        check(before.is_none(), || {
            format!("{id} was sent again before its attempt was recorded")
        })?;
        check(duty.state == State::Pending, || {
            format!("{id} was sent although it is {}", duty.state)
        })?;
        // Without a row it is a first attempt, which is due whatever the clock says.
        check(steady >= duty.due || !duty.has_row, || {
            format!("{id} was sent at {steady}, but is due at {}", duty.due)
        })?;
        let mut digest = DefaultHasher::new();
        body.hash(&mut digest);
        let digest = digest.finish();
        check(*duty.body.get_or_insert(digest) == digest, || {
            format!("{id} was sent with other bytes")
        })
    }

    /// A receiver answers, and the relay hears it.
    pub(super) fn answered(&mut self, wire_id: &str, status: u16, retry_after: Option<u64>) {
        let asked = retry_after.map(Duration::from_secs);
        if let Some(attempt) = self.attempt(wire_id) {
            attempt.answer = Some((status, asked));
        }
    }

    /// A request is over, answered or not; known by its first message.
    pub(super) fn request_ended(&mut self, endpoint: usize, wire_id: &str) {
        if let Some(attempt) = self.attempt(wire_id).filter(|attempt| attempt.is_under_way) {
            attempt.is_under_way = false;
            self.sides[endpoint].under_way -= 1;
        }
    }

    fn attempt(&mut self, wire_id: &str) -> Option<&mut Unrecorded> {
        let id = self.by_wire_id.get(wire_id)?;
        self.duties.get_mut(id)?.attempt.as_mut()
    }
}

// ---- what it all comes to ------------------------------------------------------------------

impl Ledger {
    /// Deliveries that are not over, and timers that are to fire.
    pub(super) fn pending(&self) -> usize {
        self.pending.len() + self.armed.len()
    }

    /// Every delivery, and where it stands: state and attempts.
    pub(super) fn all(&self) -> Vec<(DeliveryId, State, u32)> {
        let stands = |(id, duty): (&DeliveryId, &Duty)| (*id, duty.state, duty.attempts);
        self.duties.iter().map(stands).collect()
    }

    /// The delivery that was recorded last: the relay may just be hearing of it.
    pub(super) const fn recorded_last(&self) -> Option<DeliveryId> {
        self.recorded_last
    }

    /// The delivery with that number among all, counted round.
    pub(super) fn any(&self, number: usize) -> Option<DeliveryId> {
        let count = self.duties.len().max(1);
        self.duties.keys().nth(number % count).copied()
    }

    /// The longest wait between two attempts, and what a wall clock set while the relay was down
    /// adds to it, each time.
    pub(super) fn wait_max(&self) -> Duration {
        let waits = self.sides.iter().map(|side| side.terms.wait_max());
        waits.max().unwrap_or_default() + self.skewed
    }

    /// What the store knows of how far the wall clock is ahead.
    pub(super) const fn ahead_known_ms(&self) -> i64 {
        self.ahead_known_ms
    }

    /// Nothing waits for long after it was due. All has been well since `since`: what is due may
    /// be late by `slack`, and by the time that what is due beside it takes.
    pub(super) fn nothing_is_late(&mut self, since: Timestamp, slack: Duration, now: Timestamp) -> Kept {
        let (since, now) = (moved(since, self.skew_ms), moved(now, self.skew_ms));
        let due: Vec<_> = self
            .pending
            .iter()
            .filter_map(|id| Some((id, self.duties.get(id)?)))
            .filter(|(_, duty)| duty.due <= now)
            .collect();
        let mut waiting = vec![0; self.sides.len()];
        for (_, duty) in &due {
            waiting[duty.endpoint] += 1;
        }
        for (side, waiting) in self.sides.iter_mut().zip(waiting) {
            side.waiting_max = side.waiting_max.max(waiting);
        }
        let all: usize = self.sides.iter().map(|side| side.waiting_max).sum();
        // A receiver that is well answers within a fifth of a second.
        let turns = Duration::from_millis(250) * u32::try_from(all).unwrap_or(u32::MAX);
        for (id, duty) in due.into_iter().filter(|(_, duty)| duty.attempt.is_none()) {
            let side = &self.sides[duty.endpoint];
            let latest = duty.due.max(since) + slack + turns + side.terms.drain(side.waiting_max);
            let latest = latest + side.terms.together;
            check(now <= latest, || {
                format!(
                    "{id} for e{} was due at {} and still waits",
                    duty.endpoint, duty.due
                )
            })?;
        }
        Ok(())
    }
}

fn check(is_kept: bool, otherwise: impl FnOnce() -> String) -> Kept {
    if is_kept { Ok(()) } else { Err(otherwise()) }
}
