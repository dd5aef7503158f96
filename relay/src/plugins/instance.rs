//! One instance of a plugin, from its start to the end of its last call.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{self, InstancePre};
use wasmtime::{Store, Trap, UpdateDeadline};

use super::doors::{Authenticated, Problem};
use super::engine::Runtime;
use super::fault::{self, Fault};
use super::limits::{Meter, Refused};
use super::manifest::Hooks;
use super::subject::{Stamps, Subject, Working};
use super::ticker::TICK;
use super::v0_1::{Called, EventRecord, HookIndices, Reply, RequestLine, Transformed};
use super::visit::{Allowance, Grants, Notes, Origin, Visit};
use super::weigh::Weight;
use crate::model::attempt::FaultKind;

/// Visits after which an instance is replaced.
const VISITS_MAX: u32 = 1000;
/// How many times its first size an instance's memory may grow to before it is replaced.
const GROWTH_MAX: usize = 2;
/// Ticks after which a running plugin lets others run and looks at its deadline.
const TICKS_PER_LOOK: u64 = 1;
/// Bytes that may cross to the relay at once beyond the output: keys, names, log lines.
pub(super) const EXTRA_BYTES: usize = 128 << 10;
/// How many times its length JSON takes at most that is written as a string within JSON.
const QUOTED: usize = 2;
/// Longest message of a fault, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 10;

/// A plugin, compiled and linked.
pub(super) struct Code {
    pub(super) pre: InstancePre<Visit>,
    pub(super) hooks: HookIndices,
}

/// A plugin, running or waiting for its next visit.
pub(super) struct Instance {
    store: Store<Visit>,
    instance: component::Instance,
    code: Arc<Code>,
    visits: u32,
    memory_first: usize,
    last_used: Instant,
    /// Whether it broke, and so cannot be used again.
    is_spoiled: bool,
    _slot: OwnedSemaphorePermit,
}

impl Instance {
    /// Starts one.
    pub(super) async fn start(
        runtime: &Runtime,
        code: &Arc<Code>,
        grants: &Arc<Grants>,
    ) -> Result<Self, Fault> {
        let slot = runtime.slot().await?;
        let mut store = Store::new(&runtime.engine, Visit::new(grants.clone()));
        if runtime.has_fuel {
            store.set_fuel(u64::MAX).map_err(no_count)?;
        }
        // Armed before anything of the plugin runs.
        let allowance = arm(&mut store);
        store.limiter(|visit| &mut visit.meter);
        store.epoch_deadline_callback(|mut store| {
            store.data_mut().check_time()?;
            let pause = store.data().pause();
            Ok(UpdateDeadline::YieldCustom(TICKS_PER_LOOK, Box::pin(pause)))
        });
        let output = match code.hooks.has_lean_transform() {
            true => QUOTED * grants.limits.output_bytes,
            false => grants.limits.output_bytes,
        };
        store.set_hostcall_fuel(output + EXTRA_BYTES);
        let started = within(allowance, code.pre.instantiate_async(&mut store)).await;
        let checked = match started {
            Some(Ok(instance)) => Some(code.hooks.check(&mut store, instance).map(|()| instance)),
            other => other,
        };
        match settle(&store, checked) {
            Ok(instance) => Ok(Self {
                memory_first: store.data().meter.memory(),
                store,
                instance,
                code: code.clone(),
                visits: 0,
                last_used: Instant::now(),
                is_spoiled: false,
                _slot: slot,
            }),
            Err(fault) => Err(fault),
        }
    }

    /// Turns to what the next calls are about.
    pub(super) fn turn_to(&mut self, subject: Subject, origin: Origin) {
        self.visits += 1;
        self.store.data_mut().turn_to(subject, origin);
    }

    /// Ends the visit; answers with what is kept of it, and whether the instance may be used again.
    pub(super) fn leave(&mut self) -> (Notes, bool) {
        self.last_used = Instant::now();
        let notes = self.store.data_mut().leave(self.is_spoiled);
        let is_fit = !self.is_spoiled && self.visits < VISITS_MAX && self.has_room();
        (notes, is_fit)
    }

    /// Whether its memory has grown so little that another call will hardly burst its limit: runtimes
    /// lose some in each.
    fn has_room(&self) -> bool {
        let meter = &self.store.data().meter;
        let (first, now) = (self.memory_first, meter.memory());
        let half = first + meter.memory_max().saturating_sub(first) / 2;
        now <= half.min(first * GROWTH_MAX)
    }

    /// Whether these of `filter` and `transform` are lean.
    pub(super) fn is_lean(&self, hooks: Hooks) -> bool {
        self.code.hooks.are_lean(hooks)
    }

    /// What it has taken so far.
    pub(super) fn weight(&self) -> Weight {
        Weight {
            memory_bytes: self.store.data().meter.memory(),
            fuel: self.store.get_fuel().ok().map(|left| u64::MAX - left),
        }
    }

    /// How long it has waited.
    pub(super) fn idle(&self) -> Duration {
        self.last_used.elapsed()
    }

    /// The reason to drop the event, or `None` to keep it.
    pub(super) async fn filter(&mut self, event: &Working, stamps: &Stamps) -> Result<Option<String>, Fault> {
        let (allowance, record) = self.prepare(event, stamps);
        let called = within(
            allowance,
            self.code.hooks.filter(&mut self.store, self.instance, record),
        )
        .await;
        self.conclude(called)
    }

    /// How long a call of `filter` takes, and wasmtime's part of it: the mean of many each, since to look
    /// at the clock takes as long as some of it.
    #[cfg(feature = "testing")]
    pub(super) async fn time_filter(
        &mut self,
        event: &Working,
        stamps: &Stamps,
    ) -> Result<[Duration; 2], Fault> {
        const TIMES: u32 = 64;
        let started = Instant::now();
        for _ in 0..TIMES {
            if let Some(reason) = self.filter(event, stamps).await? {
                return Err(Fault::bad_answer(format!("it dropped the event: {reason}")));
            }
        }
        let called = Instant::now();
        let (_allowance, record) = self.prepare(event, stamps);
        for _ in 0..TIMES {
            let hooks = &self.code.hooks;
            let answer = hooks.filter(&mut self.store, self.instance, record).await;
            std::hint::black_box(answer).map_err(Fault::bad_answer)??;
        }
        Ok([called - started, called.elapsed()].map(|all| all / TIMES))
    }

    pub(super) async fn transform(&mut self, event: &Working, stamps: &Stamps) -> Result<Transformed, Fault> {
        let (allowance, record) = self.prepare(event, stamps);
        let called = within(
            allowance,
            self.code.hooks.transform(&mut self.store, self.instance, record),
        )
        .await;
        self.conclude(called)
    }

    pub(super) async fn respond(
        &mut self,
        event: &Working,
        stamps: &Stamps,
        status: u16,
    ) -> Result<Reply, Fault> {
        let (allowance, record) = self.prepare(event, stamps);
        let called = within(
            allowance,
            self.code
                .hooks
                .respond(&mut self.store, self.instance, record, status),
        )
        .await;
        self.conclude(called)
    }

    pub(super) async fn authenticate(&mut self, request: RequestLine) -> Result<Authenticated, Fault> {
        let allowance = arm(&mut self.store);
        let called = within(
            allowance,
            self.code
                .hooks
                .authenticate(&mut self.store, self.instance, request),
        )
        .await;
        self.conclude(called)
    }

    pub(super) async fn check_config(&mut self, config: &str) -> Result<Vec<Problem>, Fault> {
        let allowance = arm(&mut self.store);
        let called = within(
            allowance,
            self.code
                .hooks
                .check_config(&mut self.store, self.instance, config),
        )
        .await;
        self.conclude(called.map(|called| called.map(Ok)))
    }

    fn prepare<'e>(&mut self, event: &'e Working, stamps: &'e Stamps) -> (Allowance, EventRecord<'e>) {
        let allowance = arm(&mut self.store);
        let envelope = event.envelope();
        let record = EventRecord {
            id: &stamps.id,
            source: &envelope.source,
            kind: &envelope.kind,
            subject: envelope.subject.as_deref(),
            time: Some(&stamps.time),
            content_type: envelope.content_type.as_deref(),
            data: self.store.data().data_number(),
        };
        (allowance, record)
    }

    /// Sorts out how a call ended; a plugin that did not return cannot be called again.
    fn conclude<T>(&mut self, called: Option<Called<T>>) -> Result<T, Fault> {
        match settle(&self.store, called) {
            Ok(Ok(answer)) => Ok(answer),
            // What it wrote to stderr is an ordinary part of the log then.
            Ok(Err(stated)) => Err(Fault {
                stderr: String::new(),
                ..tidy(stated, self.store.data())
            }),
            Err(fault) => {
                self.is_spoiled = true;
                Err(fault)
            }
        }
    }
}

fn no_count(error: wasmtime::Error) -> Fault {
    Fault::new(
        FaultKind::Unloadable,
        format!("its instructions cannot be counted: {error:#}"),
    )
}

fn arm(store: &mut Store<Visit>) -> Allowance {
    store.set_epoch_deadline(TICKS_PER_LOOK);
    store.data_mut().arm()
}

/// Runs a call up to its deadline; `None` if it did not end. Most calls end at once, so the
/// timer is set only for one that has to wait.
async fn within<T>(allowance: Allowance, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    let first = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
    match first {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => until(&allowance, call).await,
    }
}

/// The deadline moves while the call waits for its turn.
async fn until<T>(allowance: &Allowance, mut call: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    loop {
        let deadline = allowance.deadline().max(Instant::now() + TICK);
        match tokio::time::timeout_at(deadline.into(), call.as_mut()).await {
            Ok(answer) => return Some(answer),
            Err(_) if allowance.deadline() > Instant::now() => {}
            Err(_) => return None,
        }
    }
}

fn settle<T>(store: &Store<Visit>, called: Option<wasmtime::Result<T>>) -> Result<T, Fault> {
    match called {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(error)) => Err(tidy(classify(&error, store.data()), store.data())),
        None => Err(tidy(store.data().overdue(), store.data())),
    }
}

/// What a call's error means.
fn classify(error: &wasmtime::Error, visit: &Visit) -> Fault {
    if let Some(fault) = &visit.stopped {
        return fault.clone();
    }
    if let Some(refused) = visit.meter.refused {
        return Fault::new(FaultKind::OutOfMemory, too_much(refused, &visit.meter));
    }
    let cause = error.root_cause().to_string();
    if cause.contains(FUEL_EXHAUSTED) {
        return Fault::over_limit("it gave the relay more bytes at once than its output may have");
    }
    let said = fault::panic_message(&fault::trim_stderr(&visit.stderr()));
    let message = said.unwrap_or_else(|| match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => "it overflowed its stack".to_owned(),
        Some(Trap::UnreachableCodeReached) => {
            "it gave up without a message (unreachable code reached)".to_owned()
        }
        Some(trap) => trap.to_string(),
        None => cause,
    });
    Fault::new(FaultKind::Trapped, message)
}

/// What wasmtime says when a plugin hands over too much; it has no type for it.
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

fn too_much(refused: Refused, meter: &Meter) -> String {
    match refused {
        Refused::Memory { asked } => {
            format!(
                "it asked for {asked} bytes of memory in all, {} are allowed",
                meter.memory_max()
            )
        }
        Refused::Elements { asked } => {
            format!(
                "it asked for {asked} table elements in all, {} are allowed",
                meter.elements_max()
            )
        }
    }
}

/// The fault with what was written to stderr, bounded and without secrets.
fn tidy(fault: Fault, visit: &Visit) -> Fault {
    let end = fault.message.floor_char_boundary(MESSAGE_BYTES_MAX);
    let message = visit.grants.redact(fault.message[..end].to_owned());
    let stderr = visit.grants.redact(fault::trim_stderr(&visit.stderr()));
    Fault {
        message,
        stderr,
        ..fault
    }
}
