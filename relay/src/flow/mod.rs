//! The path of an event, in order, with no logic of its own.
//!
//! [`Flow::accept`] takes an event from a post to the disk; [`Flow::work`] takes a delivery
//! from the queue to a recorded attempt.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use crate::clock::Clock;
use crate::deliver::decide::{self, Next};
use crate::deliver::send::Sender;
use crate::directory::{Directories, Directory, Target};
use crate::feed::Feed;
use crate::ingest::Post;
use crate::metrics::Metrics;
use crate::model::attempt::{Attempt, FaultKind, Outcome, PluginCost};
use crate::model::delivery::{Progress, State};
use crate::model::endpoint::Endpoint;
use crate::model::event::Event;
use crate::model::event_type;
use crate::model::id::{AttemptId, EndpointId, EventId, IdMaker, SourceId, TenantId};
use crate::model::message::Messages;
use crate::model::source::Source;
use crate::model::time::Timestamp;
use crate::notices::{self, Notices};
use crate::otlp::{Begun, Step, Traces};
use crate::plugins::Call;
use crate::queue::{Admission, Job, Pushed, Queue, Sign, Turned};
use crate::record::{Finished, Recorder};
use crate::reply::cache::Cache;
use crate::rules::alarm::Alarm;
use crate::stats::Stats;
use crate::store::{self, Accepted, Begins, NewEvent, Planned, Record, RuleEffects, Store};

mod batch;
pub mod call;
pub mod capture;
pub mod conform;
mod disable;
pub mod end;
pub mod fetch;
mod prepare;
mod timers;
mod traced;
pub mod trial;
mod turned;
mod watch;

use call::{Asked, Places, UnderWay};
use capture::Captures;
use prepare::{Prepared, prepare};
use traced::{Timed, hide, show};
use turned::{changes, say, sign};
pub use watch::BY_HAND;

/// See the module.
pub struct Flow {
    pub store: Arc<dyn Store>,
    pub queue: Arc<Queue>,
    pub directories: Arc<Directories>,
    pub sender: Arc<Sender>,
    pub recorder: Recorder<Settled>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Where spans go, if a collector gets any.
    pub traces: Option<Traces>,
    pub stats: Arc<Stats>,
    pub feed: Arc<Feed>,
    pub notices: Notices,
    pub ids: Arc<IdMaker>,
    /// When the next timer of a rule is due.
    pub alarm: Alarm,
    pub random: Mutex<StdRng>,
    /// Held while an endpoint is disabled or enabled.
    pub disabling: tokio::sync::Mutex<()>,
    /// Answers that are good for a while.
    pub replies: Cache<Endpoint>,
    /// Exchanges that somebody wants to look at.
    pub captures: Captures,
    /// How many calls may be under way, and which are.
    pub calls: Places,
    pub under_way: UnderWay,
    /// Every task of the path, so that a stop can wait for them.
    pub tasks: TaskTracker,
}

/// Who wants to know that an attempt is recorded.
#[derive(Debug)]
pub enum Settled {
    /// The queue, and when the delivery goes on, if it does.
    Delivery(Job, Option<Timestamp>),
    /// Whoever made a call.
    Call(oneshot::Sender<()>),
}

/// What a sender is told of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Receipt {
    pub id: EventId,
    /// Whether it was accepted before, and nothing is sent twice.
    pub duplicate: bool,
}

impl Receipt {
    /// Whether it was accepted only now.
    pub const fn is_new(&self) -> bool {
        !self.duplicate
    }
}

/// Where an event comes from.
#[derive(Clone, Copy)]
struct Arrival<'a> {
    tenant: TenantId,
    /// The source and its name as they are now, whatever becomes of it.
    origin: Option<(SourceId, &'a str)>,
    /// How many rules have emitted what led to it, one after the other.
    hops: u8,
    now: Timestamp,
}

impl<'a> Arrival<'a> {
    fn of(tenant: TenantId, source: Option<&'a Source>, now: Timestamp) -> Self {
        Self {
            tenant,
            origin: source.map(|source| (source.id, source.name.as_str())),
            hops: 0,
            now,
        }
    }
}

/// An event on its way to the disk, and where its deliveries will wait.
struct Offered {
    event: Arc<Event>,
    waits: Vec<(EndpointId, Admission)>,
    dedupe: Option<store::DedupeKey>,
    /// What rules make of it.
    rules: Option<Box<RuleEffects>>,
    /// Its span, if it is sampled.
    begun: Option<Box<Begun>>,
}

/// What came of one attempt.
struct Attempted {
    outcome: Outcome,
    /// What was sent, or would have been; `None` if the chain made nothing to send.
    messages: Option<Messages>,
    plugins: Vec<PluginCost>,
    log: Vec<String>,
}

// ---- from a post to the disk -----------------------------------------------------------

impl Flow {
    /// Accepts events, all or none; they are durable when it returns.
    ///
    /// # Errors
    /// If the store cannot take them; then nothing was accepted.
    pub async fn accept(
        self: &Arc<Self>,
        tenant: TenantId,
        source: Option<&Source>,
        posts: Vec<Post>,
    ) -> Result<Vec<Receipt>, store::Error> {
        let watch = Instant::now();
        let directory = self.directories.current();
        let arrival = Arrival::of(tenant, source, self.clock.now());
        let is_own = source.is_none() && posts.iter().any(notices::is_own);
        let offered = posts
            .into_iter()
            .map(|post| self.offer(&directory, arrival, post, None))
            .collect();
        // In a task of its own: a caller who hangs up now must not leave half an event. It
        // also lets the answer go out before the delivery, which is the better order: work
        // done in the caller's task measured a tenth slower.
        let flow = Arc::clone(self);
        let committed = self.tasks.spawn(async move { flow.commit(offered).await }).await;
        let receipts = committed.unwrap_or_else(|error| Err(store::Error::Unavailable(error.to_string())))?;
        let own = is_own.then_some(notices::SOURCE);
        let source = source.map(|source| source.name.as_str()).or(own);
        self.count(watch.elapsed(), tenant, source, &receipts);
        Ok(receipts)
    }

    fn count(&self, took: Duration, tenant: TenantId, source: Option<&str>, receipts: &[Receipt]) {
        self.metrics.accepted_in(took);
        for receipt in receipts {
            self.metrics.accepted(tenant, source, receipt.duplicate);
        }
    }

    fn offer(
        &self,
        directory: &Directory,
        arrival: Arrival<'_>,
        post: Post,
        asked: Option<&Asked>,
    ) -> Offered {
        let mut event = Event {
            id: EventId::from_raw(0),
            tenant: arrival.tenant,
            source: arrival.origin.map(|(source, _)| source),
            received_at: arrival.now,
            envelope: post.envelope,
            headers: post.headers,
            data: post.data,
        };
        // As the source was called when the post came, whatever became of it since.
        let source_name = arrival.origin.map(|(_, name)| name);
        let routed = || -> Vec<EndpointId> {
            let wanted = directory.table.route(&event, source_name);
            wanted.iter().map(|endpoint| endpoint.id).collect()
        };
        let (mut endpoints, called) = match asked {
            None => (routed(), None),
            Some(asked) => asked.part(routed),
        };
        if arrival.origin.is_none() && event_type::is_own(&event.envelope.kind) {
            notices::address(&event, &mut endpoints);
        }
        let rules = self.apply_rules(directory, &event, source_name, arrival.hops);
        let make_id = || {
            self.ids
                .event(arrival.now, endpoints.len() + usize::from(called.is_some()))
        };
        let (id, admissions) = self
            .queue
            .admit(make_id, event.weight(), endpoints.iter().copied());
        event.id = id;
        let begun = self.begin_span(&mut event, arrival);
        Offered {
            event: Arc::new(event),
            waits: endpoints
                .into_iter()
                .zip(admissions)
                .chain(called.map(|endpoint| (endpoint, Admission::Caller)))
                .collect(),
            dedupe: post.dedupe,
            rules,
            begun,
        }
    }

    async fn commit(self: &Arc<Self>, mut offered: Vec<Offered>) -> Result<Vec<Receipt>, store::Error> {
        let steady = self.clock.steady();
        let timer = offered.iter().filter_map(Offered::timer).min();
        let new = offered.iter_mut().map(Offered::take_new_event).collect();
        let accepted = match self.store.accept(new, steady).await {
            Ok(accepted) => accepted,
            Err(error) => {
                for offered in &offered {
                    self.queue.cancel(&offered.event, offered.waits.iter().copied());
                }
                return Err(error);
            }
        };
        if let Some(after) = timer {
            self.alarm.set(steady + after);
        }
        let receipts = offered
            .into_iter()
            .zip(accepted)
            .map(|(offered, accepted)| self.release(offered, accepted))
            .collect();
        self.queue.ring();
        Ok(receipts)
    }

    /// Lets an accepted event's deliveries go on; gives the room of a duplicate's back.
    fn release(self: &Arc<Self>, offered: Offered, accepted: Accepted) -> Receipt {
        match accepted {
            Accepted::New => {
                let id = offered.event.id;
                self.saw_event(&offered);
                let deliveries = offered.waits.iter().enumerate();
                let deliveries =
                    deliveries.map(|(index, (endpoint, waits))| (id.delivery(index), *endpoint, *waits));
                if self.queue.push(&offered.event, deliveries) == Pushed::TooLate {
                    self.cancel_late(&offered);
                }
                Receipt { id, duplicate: false }
            }
            Accepted::Duplicate(id) => {
                self.queue.cancel(&offered.event, offered.waits);
                Receipt { id, duplicate: true }
            }
            Accepted::Outdated => {
                let id = offered.event.id;
                self.queue.cancel(&offered.event, offered.waits);
                Receipt { id, duplicate: true }
            }
        }
    }
}

impl Offered {
    /// After how long a timer may be due because of it.
    fn timer(&self) -> Option<Duration> {
        let effects = self.rules.as_ref()?.effects.iter();
        effects.filter_map(|effect| effect.act.due_after()).min()
    }

    fn take_new_event(&mut self) -> NewEvent {
        let planned = |(endpoint, waits): &(EndpointId, Admission)| Planned {
            endpoint: *endpoint,
            begins: match waits {
                Admission::Memory => Begins::InMemory,
                Admission::Store => Begins::Waiting,
                Admission::Caller => Begins::Called,
            },
        };
        NewEvent {
            event: Arc::clone(&self.event),
            deliveries: self.waits.iter().map(planned).collect(),
            dedupe: self.dedupe,
            rules: self.rules.take(),
        }
    }
}

// ---- from the queue to a recorded attempt ----------------------------------------------

impl Flow {
    /// Starts a worker for each delivery that can go now.
    fn start_workers(self: &Arc<Self>) {
        while let Some(job) = self.queue.take() {
            self.tasks.spawn(Arc::clone(self).work(job));
        }
    }

    /// Starts workers whenever the queue's bell rings, until `stop`. One loop does it for all
    /// commits, so that what was committed together is started together, after its answers.
    pub async fn run(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
        while !stop.is_cancelled() {
            self.start_workers();
            tokio::select! {
                biased;
                () = self.queue.rung() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Works on one delivery after the other until none is ready.
    async fn work(self: Arc<Self>, first: Job) {
        let mut next = Some(first);
        while let Some(job) = next {
            self.deliver(job).await;
            next = self.queue.take();
        }
    }

    async fn deliver(self: &Arc<Self>, mut job: Job) {
        let endpoint = job.endpoint;
        let directory = self.directories.current();
        let target = directory.target(endpoint);
        if job.leads() && target.is_none_or(|target| target.endpoint.batch.is_none()) {
            // It wants them otherwise since just now.
            Box::pin(self.scatter(&job)).await;
        }
        let Some(target) = target else {
            // Taken out of the configuration just now: it waits, as for any lane without terms.
            self.queue.release(endpoint, Sign::Nothing);
            if let Some(job) = self.queue.put_back(job) {
                self.cancel(job, end::DELETED).await;
            }
            return;
        };
        if target.endpoint.batch.is_some() {
            return Box::pin(self.deliver_batch(&directory, target, job)).await;
        }
        if job.event.is_test() {
            self.queue.release(endpoint, Sign::Nothing);
            return self.recorder.hand_in(end::of_a_test(job)).await;
        }
        if self.is_too_old(target, &job) {
            self.queue.release(endpoint, Sign::Nothing);
            return self.recorder.hand_in(self.too_old(target, job)).await;
        }
        let step = self.step(&job.event);
        let started_at = self.clock.now();
        let watch = Instant::now();
        // A panic is our fault, not the event's: it is recorded and tried again.
        let attempted =
            std::panic::AssertUnwindSafe(self.attempt(&directory, target, &mut job, step.as_deref()))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Attempted::panicked());
        let timed = Timed::new(started_at, watch, step);
        if let Some(grant) = target.outlet.granted() {
            self.queue.consented(endpoint, grant.pace);
        }
        let turned = self.queue.release(endpoint, sign(&attempted.outcome));
        let disabled = turned != Turned::default()
            && self
                .turn(target, turned, &attempted.outcome)
                .instrument(about(&job))
                .await;
        let finished = self.conclude(target, job, attempted, disabled, timed, self.jitter());
        self.recorder.hand_in(finished).await;
    }

    /// Chain, messages, signature, request: up to what came back.
    async fn attempt(
        &self,
        directory: &Directory,
        target: &Target,
        job: &mut Job,
        step: Option<&Step>,
    ) -> Attempted {
        let prepared = match job.messages.take() {
            Some(messages) => Prepared {
                messages,
                plugins: Vec::new(),
                log: Vec::new(),
            },
            None => match prepare(target, &job.event, job.delivery, call(directory, job)).await {
                Ok(prepared) => prepared,
                Err(ended) => return ended,
            },
        };
        let Prepared {
            mut messages,
            plugins,
            log,
        } = prepared;
        show(step, job.delivery, &mut messages);
        let policy = directory.policy(job.event.tenant);
        let outcome = self.dispatch(target, &mut messages, job, policy).await;
        hide(step, job.delivery, &mut messages);
        Attempted {
            outcome,
            messages: Some(messages),
            plugins,
            log,
        }
    }

    /// From what came back to what is written. Where the endpoint was `disabled` over it, the
    /// delivery waits like all others.
    fn conclude(
        &self,
        target: &Target,
        job: Job,
        attempted: Attempted,
        disabled: bool,
        timed: Timed,
        jitter: f64,
    ) -> Finished<Settled> {
        let (now, steady) = (self.clock.now(), self.clock.steady());
        let attempts = job.attempts + 1;
        let endpoint = &target.endpoint;
        let next = if disabled {
            Next::Disable
        } else {
            decide::decide(
                &endpoint.retry,
                attempts,
                &attempted.outcome,
                endpoint.on_fault,
                self.expiry(target, &job),
                steady,
                jitter,
            )
        };
        let next = match next.state() {
            State::Pending if self.queue.is_retired(job.endpoint) => Next::Cancelled,
            _ => next,
        };
        let failed = !attempted.outcome.is_success();
        let mut reason = failed.then(|| attempted.outcome.summary());
        if next == Next::Expired {
            self.metrics.expired((&**endpoint).into());
            reason = reason.map(|reason| format!("{reason}; it would be too old for another attempt"));
        }
        let due = next.due(steady);
        let attempt = Attempt {
            id: AttemptId::from_raw(self.ids.next(now)),
            number: attempts,
            trigger: job.trigger,
            started_at: timed.started_at,
            duration_us: timed.duration_us,
            outcome: attempted.outcome,
            plugins: attempted.plugins,
            log: attempted.log,
        };
        self.metrics.attempted((&**endpoint).into(), &attempt);
        if next.state() != State::Pending {
            self.metrics.ended((&**endpoint).into(), next.state());
        }
        self.saw_attempt(target, &job, &attempt, next.state());
        self.end_span(
            timed.step,
            target,
            (&job.event, job.delivery),
            &attempt,
            next.state(),
        );
        // Frozen the first time an attempt fails, so that every later one sends the same bytes.
        let messages = attempted.messages.filter(|_| failed);
        let record = Record {
            delivery: job.delivery,
            event: job.event.id,
            endpoint: job.endpoint,
            tenant: job.event.tenant,
            attempts,
            progress: Progress {
                state: next.state(),
                due,
                reason,
                attempt: Some(attempt),
                messages,
            },
        };
        Finished {
            record,
            held: Settled::Delivery(job, due),
        }
    }

    /// When a delivery will be older than its endpoint wants, by the steady clock. Its age is the
    /// lesser by the two clocks, so that setting one of them makes nothing too old.
    fn expiry(&self, target: &Target, job: &Job) -> Option<Timestamp> {
        let (now, steady) = (self.clock.now(), self.clock.steady());
        let age = now.since(job.owed_since).min(steady.since(job.owed_since));
        decide::expiry(&target.endpoint.retry, age, steady)
    }

    /// Says and counts what an attempt turned in how its endpoint is treated; whether it
    /// disabled the endpoint.
    async fn turn(&self, target: &Target, turned: Turned, outcome: &Outcome) -> bool {
        for change in changes(turned) {
            self.metrics.changed((&*target.endpoint).into(), change);
            say(change, target, turned, outcome);
        }
        let Some(verdict) = turned.health else {
            return false;
        };
        self.tell_verdict(target, verdict, &outcome.summary());
        if !verdict.is_enough() {
            return false;
        }
        Box::pin(self.disable(target, verdict, outcome)).await;
        true
    }
}

impl Attempted {
    fn panicked() -> Self {
        let outcome = Outcome::PluginFault {
            plugin: "relay".to_owned(),
            fault: FaultKind::Unavailable,
            message: "the relay itself panicked in this attempt; its log says where".to_owned(),
            stderr: String::new(),
            retry_after_ms: None,
        };
        Self {
            outcome,
            messages: None,
            plugins: Vec::new(),
            log: Vec::new(),
        }
    }
}

fn call<'a>(directory: &'a Directory, job: &Job) -> Call<'a> {
    Call {
        source: job.event.source.and_then(|id| directory.source_name(id)),
        delivery: Some(job.delivery),
        attempt: job.attempts + 1,
    }
}

/// What log lines about an attempt are told beside what they say.
fn about(job: &Job) -> Span {
    let event = &job.event;
    tracing::info_span!("attempt", delivery = %job.delivery, event = %event.id, trace = event.trace_id())
}
