//! Which delivery goes next: a bounded lane for each endpoint, in fair turn, with a permit.
//!
//! Fresh deliveries go straight from the commit into their endpoint's lane in memory. A lane
//! is bounded: past the bound, deliveries wait in the store as pending rows and are read
//! back in order. So are those that wait for a retry. Whoever takes a delivery holds a
//! permit of its lane until it gives it back, so one endpoint's trouble stays its own.
//!
//! Nothing here does I/O under the lock: [`Queue::take`], [`Queue::admit`] and the like only
//! move entries; [`Queue::tend`] is the one loop that reads the store.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::model::attempt::Trigger;
use crate::model::endpoint::RateLimit;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId};
use crate::model::message::Messages;
use crate::model::time::Timestamp;
use crate::store::{Disabled, Due, Store};

mod along;
mod breaker;
mod call_off;
mod callers;
mod checkpoint;
pub mod health;
mod lane;
mod load;
mod retire;
mod tend;
mod terms;
mod throttle;

pub use along::TOGETHER_BYTES_MAX;
pub use call_off::Backlog;
pub use callers::Denied;
use checkpoint::Checkpoint;
use health::Verdict;
use lane::{Given, Lane};
pub use load::{Condition, Held, LaneLoad, Load};
pub use terms::Terms;

/// The bounds of the queue.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Deliveries of one endpoint held in memory.
    pub endpoint_deliveries_max: usize,
    /// Bytes of events held in memory for all lanes together.
    pub memory_bytes_max: usize,
    /// Attempts under way at once, for all lanes together.
    pub concurrency_max: usize,
}

/// A delivery in memory.
#[derive(Debug)]
pub struct Job {
    pub delivery: DeliveryId,
    pub endpoint: EndpointId,
    pub event: Arc<Event>,
    /// Attempts so far.
    pub attempts: u32,
    /// What sets this attempt off.
    pub trigger: Trigger,
    /// Since when it has been owed: the event came in, or a replay was asked for.
    pub owed_since: Timestamp,
    /// What to send, if an earlier attempt froze it.
    pub messages: Option<Messages>,
    /// Whether the store has a pending row for it.
    has_row: bool,
    leads: bool,
    /// When it came into memory.
    since: Timestamp,
}

impl Job {
    /// Whether the store has a pending row for it.
    pub const fn has_row(&self) -> bool {
        self.has_row
    }

    /// Whether others go with it: see [`Queue::take_along`].
    pub const fn leads(&self) -> bool {
        self.leads
    }
}

/// Where a fresh delivery waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// In memory; room is reserved. Ends with [`Queue::push`] or [`Queue::cancel`].
    Memory,
    /// In the store, with a pending row written in the event's own commit. No room is reserved;
    /// [`Queue::push`] notes that the row is there.
    Store,
    /// Nowhere: its sender waits for the answer and asks for a permit by [`Queue::permit`].
    Caller,
}

/// Whether the endpoints of an event were still there when it was durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    InTime,
    /// One of them was [retired](Queue::retire) meanwhile.
    TooLate,
}

/// What an attempt said of its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It took the message: more may be under way at once again.
    Took,
    /// It answered in time, but did not take the message.
    Declined,
    /// It answered that it is gone.
    Gone,
    /// It asked for fewer, and to be left alone for so long.
    Busy(Duration),
    /// It did not answer: fewer at once, so that a dead receiver holds few permits, and in the
    /// end none but a probe.
    Silent,
    /// Says nothing about the receiver.
    Nothing,
}

/// What an attempt changed in how its endpoint is treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turned {
    pub breaker: Option<Turn>,
    /// Its receiver asked for fewer, for the first time since it bore what came.
    pub slowed: bool,
    pub health: Option<Verdict>,
}

/// How an endpoint's breaker turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Its receiver does not answer: deliveries wait for a probe that does arrive.
    Opened,
    /// It answers again: deliveries go on.
    Closed,
}

/// See the module.
pub struct Queue {
    inner: Mutex<Inner>,
    /// Rung when a lane may have become ready: a push, a timer, a refill.
    bell: Notify,
    /// Rung when [`Queue::tend`] has to look again.
    chores: Notify,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

/// Hashed without a random key: the relay makes these ids itself, and a lane's turn must not
/// differ from one run to the next.
type Lanes = HashMap<EndpointId, Lane, BuildHasherDefault<DefaultHasher>>;

struct Inner {
    lanes: Lanes,
    /// Endpoints that the relay or a person has disabled, and why.
    disabled: HashMap<EndpointId, Disabled>,
    /// Lanes that have something to give, in turn.
    ring: VecDeque<EndpointId>,
    /// When something changes in a lane by itself, each lane's earliest moment.
    alarms: BTreeSet<(Timestamp, EndpointId)>,
    /// How many deliveries a lane holds in memory.
    lane_deliveries_max: usize,
    in_flight: usize,
    /// Lanes with something under way.
    busy: usize,
    bytes: usize,
    /// Fresh deliveries for which there was no place in memory.
    parked: u64,
    checkpoint: Checkpoint,
    /// Set when the relay stops: nothing is given out any more.
    closed: bool,
}

impl Queue {
    /// An empty queue. Everything up to `checkpoint` has a row in the store; what lies
    /// between it and [`Queue::recovered`] may not have.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, checkpoint: EventId) -> Self {
        let inner = Inner {
            lanes: Lanes::default(),
            disabled: HashMap::new(),
            lane_deliveries_max: settings.endpoint_deliveries_max,
            ring: VecDeque::new(),
            alarms: BTreeSet::new(),
            in_flight: 0,
            busy: 0,
            bytes: 0,
            parked: 0,
            checkpoint: Checkpoint::at(checkpoint),
            closed: false,
        };
        Self {
            inner: Mutex::new(inner),
            bell: Notify::new(),
            chores: Notify::new(),
            settings,
            clock,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every section under the lock leaves the lanes consistent, so a poisoned lock, which
        // means a panic in one of them, is still good to use.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the receiver of an endpoint has consented, to no more than that pace if it named
    /// one. From now on its deliveries need not wait for each other.
    pub fn consented(&self, endpoint: EndpointId, pace: Option<RateLimit>) {
        let mut inner = self.lock();
        let lane = inner.lanes.get_mut(&endpoint);
        if !lane.is_some_and(|lane| lane.consented(pace)) {
            return;
        }
        inner.update(endpoint);
        drop(inner);
        self.ring_both();
    }

    fn ring_both(&self) {
        self.bell.notify_one();
        self.chores.notify_one();
    }

    /// Decides where the deliveries of an event of that weight wait, and reserves room for those
    /// that go into memory. The event gets its id under the queue's lock: were it made before, the
    /// checkpoint could pass it before its deliveries are counted.
    pub fn admit(
        &self,
        id: impl FnOnce() -> EventId,
        weight: usize,
        endpoints: impl IntoIterator<Item = EndpointId>,
    ) -> (EventId, Vec<Admission>) {
        let now = self.clock.steady();
        let mut inner = self.lock();
        let id = id();
        let mut in_memory = 0;
        let admissions = endpoints
            .into_iter()
            .map(|endpoint| {
                let room = inner.bytes + weight <= self.settings.memory_bytes_max;
                let lane = inner.lane(endpoint);
                if room && lane.takes_fresh(now) {
                    lane.reserved += 1;
                    inner.bytes += weight;
                    in_memory += 1;
                    return Admission::Memory;
                }
                inner.parked += 1;
                Admission::Store
            })
            .collect();
        inner.checkpoint.open(id, in_memory);
        (id, admissions)
    }

    /// Gives back the room reserved for an event that was not accepted after all.
    pub fn cancel(&self, event: &Event, admitted: impl IntoIterator<Item = (EndpointId, Admission)>) {
        let mut inner = self.lock();
        for (endpoint, _) in admitted
            .into_iter()
            .filter(|(_, admission)| *admission == Admission::Memory)
        {
            inner.bytes -= event.weight();
            if let Some(lane) = inner.lanes.get_mut(&endpoint) {
                lane.reserved -= 1;
            }
            inner.update(endpoint);
            inner.checkpoint.settle(event.id);
        }
        drop(inner);
        self.chores.notify_one();
    }

    /// Lets the deliveries of an event go on, now that it is durable.
    pub fn push(
        &self,
        event: &Arc<Event>,
        admitted: impl IntoIterator<Item = (DeliveryId, EndpointId, Admission)>,
    ) -> Pushed {
        let now = self.clock.steady();
        let mut inner = self.lock();
        let mut pushed = Pushed::InTime;
        for (delivery, endpoint, admission) in admitted {
            let Some(lane) = inner.lanes.get_mut(&endpoint) else {
                continue;
            };
            match admission {
                Admission::Caller => {}
                Admission::Store => {
                    lane.note_stored(now);
                    if lane.wants_refill(now) {
                        self.chores.notify_one();
                    }
                }
                Admission::Memory => {
                    lane.reserved -= 1;
                    lane.ready.push_back(Job {
                        delivery,
                        endpoint,
                        event: Arc::clone(event),
                        attempts: 0,
                        trigger: Trigger::Scheduled,
                        owed_since: event.received_at,
                        messages: None,
                        has_row: false,
                        leads: false,
                        since: now,
                    });
                    // The first of several sets an alarm, which the queue's own loop keeps.
                    if lane.batch().is_some() {
                        self.chores.notify_one();
                    }
                }
            }
            if lane.is_retired() {
                pushed = Pushed::TooLate;
            }
            inner.update(endpoint);
        }
        pushed
    }

    /// Notes that the store has a pending row of that endpoint, due then.
    pub fn stored(&self, endpoint: EndpointId, due: Timestamp) {
        let mut inner = self.lock();
        inner.lane(endpoint).note_stored(due);
        inner.update(endpoint);
        drop(inner);
        self.chores.notify_one();
    }

    /// As [`Queue::stored`], because someone asked for an attempt: it does not wait for the
    /// breaker's next probe.
    pub fn asked_for(&self, endpoint: EndpointId, due: Timestamp) {
        if let Some(lane) = self.lock().lanes.get_mut(&endpoint) {
            lane.try_again(due);
        }
        self.stored(endpoint, due);
    }

    /// The next delivery in fair turn, with a permit that ends with [`Queue::release`];
    /// `None` if nothing can go now.
    pub fn take(&self) -> Option<Job> {
        let now = self.clock.steady();
        let mut inner = self.lock();
        if inner.closed || inner.in_flight >= self.settings.concurrency_max {
            return None;
        }
        // Each lane in the ring is looked at once: those over their share stay in it.
        for _ in 0..inner.ring.len() {
            let endpoint = inner.ring.pop_front()?;
            let share = inner.share(self.settings.concurrency_max);
            let lane = inner.lanes.get_mut(&endpoint)?;
            if lane.in_flight() >= share {
                inner.ring.push_back(endpoint);
                continue;
            }
            lane.in_ring = false;
            let given = lane.take(now);
            if lane.needs_tending(now) {
                self.chores.notify_one();
            }
            let is_first = lane.in_flight() == 1;
            inner.update(endpoint);
            let Some(given) = given else { continue };
            inner.busy += usize::from(is_first);
            inner.in_flight += 1;
            match given {
                Given::Delivery(job) => return Some(job),
                Given::Permit => {}
            }
        }
        None
    }

    /// Gives the permit back as soon as the attempt is over. The delivery itself stays known
    /// until [`Queue::settle`], so that it is not read back before its record is written. Says
    /// what that turned.
    pub fn release(&self, endpoint: EndpointId, sign: Sign) -> Turned {
        let now = self.clock.steady();
        let mut inner = self.lock();
        let mut turned = Turned::default();
        inner.in_flight -= 1;
        if let Some(lane) = inner.lanes.get_mut(&endpoint) {
            turned = lane.release(sign, now);
            inner.busy -= usize::from(lane.in_flight() == 0);
        }
        inner.update(endpoint);
        if turned.breaker.is_some() || matches!(sign, Sign::Busy(_)) {
            self.chores.notify_one();
        }
        turned
    }

    /// Forgets a delivery whose record is written. `due` is when it goes on, if it does.
    pub fn settle(&self, job: &Job, due: Option<Timestamp>) {
        let mut inner = self.lock();
        inner.bytes -= job.event.weight();
        if !job.has_row {
            inner.checkpoint.settle(job.event.id);
        }
        let mut is_hungry = false;
        if let Some(lane) = inner.lanes.get_mut(&job.endpoint) {
            is_hungry = lane.is_hungry();
            lane.settle(job.delivery);
            if let Some(due) = due {
                lane.note_stored(due);
            }
        }
        inner.update(job.endpoint);
        drop(inner);
        if due.is_some() || is_hungry {
            self.chores.notify_one();
        }
    }

    /// Puts a delivery back that could not go on, to be tried again; hands it back if its endpoint
    /// was [retired](Queue::retire) meanwhile.
    pub fn put_back(&self, job: Job) -> Option<Job> {
        let mut inner = self.lock();
        let endpoint = job.endpoint;
        let lane = inner.lane(endpoint);
        if lane.is_retired() {
            return Some(job);
        }
        lane.ready.push_back(job);
        inner.update(endpoint);
        None
    }

    /// Says that there is something to take: after a push.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits until [`Queue::take`] may have something.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// The largest event up to which every delivery has a row in the store.
    pub fn checkpoint(&self) -> EventId {
        self.lock().checkpoint.reached()
    }

    /// Says that everything in flight at the last stop is known again, so that the
    /// checkpoint may move.
    pub fn recovered(&self) {
        self.lock().checkpoint.recovered();
    }

    /// Gives nothing out any more, and lets [`Queue::tend`] end.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.lanes.values_mut().for_each(Lane::dismiss_callers);
        drop(inner);
        self.ring_both();
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// Its bounds.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Inner {
    /// How many one lane may have under way. While half of all permits are free, as many as
    /// its terms allow; from then on an even part of the first half, so that however many
    /// endpoints hang, another one's delivery finds a permit.
    fn share(&self, concurrency_max: usize) -> usize {
        if self.in_flight < concurrency_max / 2 {
            return usize::MAX;
        }
        (concurrency_max / (2 * self.busy.max(1))).max(1)
    }

    /// The lane of an endpoint; a new one gives nothing until someone sets its terms.
    fn lane(&mut self, endpoint: EndpointId) -> &mut Lane {
        let deliveries_max = self.lane_deliveries_max;
        self.lanes
            .entry(endpoint)
            .or_insert_with(|| Lane::new(deliveries_max))
    }

    /// After any change of a lane: puts it into the ring if it has something to give and is
    /// not in it, and sets its alarm.
    fn update(&mut self, endpoint: EndpointId) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        if !lane.in_ring && lane.can_give() {
            lane.in_ring = true;
            self.ring.push_back(endpoint);
        }
        let alarm = lane.wakes_at();
        if alarm != lane.alarm {
            let old = std::mem::replace(&mut lane.alarm, alarm);
            if let Some(old) = old {
                self.alarms.remove(&(old, endpoint));
            }
            self.alarms.extend(alarm.map(|at| (at, endpoint)));
        }
    }
}

#[cfg(test)]
mod tests;
