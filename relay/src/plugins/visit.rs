//! One visit to a plugin: what it may see and use, and what it left behind.
//!
//! The data of a wasmtime store. Powers are implemented on it, in `v0_1/powers`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::fault::Fault;
use super::keys::KeysAway;
use super::limits::{HOST_CALLS_MAX, LOG_LINE_BYTES_MAX, Meter};
use super::rooms::{Room, Taken};
use super::services::Services;
use super::subject::Subject;
use super::turns::{Turn, Turns};
use super::wasi::Wasi;
use super::{BindError, Call, Owner};
use crate::clock::Clock;
use crate::model::attempt::FaultKind;
use crate::model::id::DeliveryId;
use crate::model::plugin::{Granted, Limits, Power};
use crate::model::secret::Secret;
use crate::store::{PluginState, Scope};

/// What an owner gives a plugin; the same for all its calls.
#[derive(Clone)]
pub(super) struct Grants {
    pub(super) plugin: String,
    pub(super) owner: Owner,
    pub(super) scope: Scope,
    /// JSON text, defaults filled in.
    pub(super) config: String,
    pub(super) secrets: Vec<(String, Secret)>,
    pub(super) keys: KeysAway,
    pub(super) granted: Granted,
    pub(super) services: Services,
    pub(super) limits: Limits,
    pub(super) turns: Turns,
    /// Where calls may wait for others, if they ever do.
    pub(super) room: Option<Arc<Room>>,
    pub(super) store: Arc<dyn PluginState>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Grants {
    /// The text of a secret; an empty one counts as absent, so that checks fail closed.
    pub(super) fn secret(&self, name: &str) -> Option<&str> {
        let (_, secret) = self.secrets.iter().find(|(known, _)| known == name)?;
        (!secret.is_empty()).then(|| secret.reveal())
    }

    /// Why a power may not be used; `None` if it may.
    pub(super) fn denied(&self, power: Power) -> Option<String> {
        let refused = || BindError::NotGranted {
            name: self.plugin.clone(),
            powers: vec![power.name()],
            line: self.granted.line_with(&[power]),
        };
        (!self.granted.has(power)).then(|| refused().to_string())
    }

    /// Takes room for a visit, if it may wait for others.
    pub(super) async fn enter(&self, subject: &Subject) -> Result<Option<Taken>, Fault> {
        match (&self.room, subject) {
            // What has no subject looks at its configuration, and is given no answers to wait for.
            (None, _) | (_, Subject::None) => Ok(None),
            (Some(room), _) => room.enter().await.map(Some),
        }
    }

    /// `text` without any secret in it.
    pub(super) fn redact(&self, mut text: String) -> String {
        for (_, secret) in &self.secrets {
            if secret.reveal().len() >= REDACTED_LEN_MIN && text.contains(secret.reveal()) {
                text = text.replace(secret.reveal(), "***");
            }
        }
        text
    }
}

/// Shorter secrets are not looked for in logs: they would be found by chance.
const REDACTED_LEN_MIN: usize = 6;

/// Why the plugin runs.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) source: Option<String>,
    pub(super) delivery: Option<DeliveryId>,
    pub(super) attempt: u32,
    /// How long earlier visits of the chain have waited for others' answers.
    pub(super) waited_elsewhere: Duration,
    /// The number of the call, in a worker.
    pub(super) call: u64,
}

impl Origin {
    pub(super) fn of(call: &Call<'_>) -> Self {
        Self {
            source: call.source.map(str::to_owned),
            delivery: call.delivery,
            attempt: call.attempt,
            waited_elsewhere: Duration::ZERO,
            call: 0,
        }
    }
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Whether anyone keeps a line: a delivery's log takes `info` and up, the relay's own
    /// what it is set to.
    pub(super) fn is_kept(self) -> bool {
        match self {
            Self::Trace => tracing::enabled!(tracing::Level::TRACE),
            Self::Debug => tracing::enabled!(tracing::Level::DEBUG),
            _ => true,
        }
    }
}

/// What is kept of a visit, or of several.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) log: Vec<String>,
    /// Time in which others ran, which is not the plugin's.
    pub(super) waited: Duration,
    /// How much of it answers from elsewhere took.
    pub(super) waited_elsewhere: Duration,
}

impl Notes {
    pub(super) fn add(&mut self, mut other: Self) {
        self.log.append(&mut other.log);
        self.waited += other.waited;
        self.waited_elsewhere += other.waited_elsewhere;
    }
}

/// The state of one instance during one visit.
pub(super) struct Visit {
    pub(super) grants: Arc<Grants>,
    pub(super) origin: Origin,
    pub(super) subject: Subject,
    pub(super) meter: Meter,
    pub(super) log: Vec<String>,
    pub(super) wasi: Option<Box<Wasi>>,
    /// Why the relay ended the call, if it did.
    pub(super) stopped: Option<Fault>,
    /// When it ends if it never has to wait.
    deadline: Instant,
    turn: Arc<Turn>,
    host_calls: u32,
    /// Requests of the present call.
    pub(super) requests: usize,
    /// Questions of the present call to the judge.
    pub(super) questions: usize,
    /// Bodies of the answers to them, of all calls of the visit.
    fetched: Vec<Bytes>,
    waited_elsewhere: Duration,
    /// The number of this visit's first payload: another one every time, so that a number
    /// kept from an earlier visit leads nowhere.
    first_blob: u32,
}

/// The time that a call may take.
pub(super) struct Allowance {
    deadline: Instant,
    turn: Arc<Turn>,
}

impl Allowance {
    /// When the call has to have ended, by what it has waited so far.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline + self.turn.waited()
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.turn.end();
    }
}

/// Payloads one visit can have: the event's, the answer's, and those that were fetched.
const BLOBS_MAX: u32 = 64;
/// Those that come with the subject.
const BLOBS_GIVEN: u32 = 2;
/// Bytes that may have been fetched in a visit, whatever its limits say of each answer.
const FETCHED_BYTES_MAX: usize = 32 << 20;
/// Longest body of each answer that fits so often.
const FETCHED_TIMES: usize = 4;
/// How long the calls of a chain may wait for answers from elsewhere, altogether.
pub(super) const ELSEWHERE_MAX: Duration = Duration::from_secs(60);
/// Payload numbers stay below this: above, QuickJS takes them for negative.
const BLOB_NUMBER_MAX: u32 = 1 << 30;

impl Visit {
    /// A visit without a subject yet.
    pub(super) fn new(grants: Arc<Grants>) -> Self {
        let meter = Meter::new(&grants.limits);
        Self {
            grants,
            origin: Origin::default(),
            subject: Subject::None,
            meter,
            log: Vec::new(),
            wasi: None,
            stopped: None,
            deadline: Instant::now(),
            turn: Arc::default(),
            host_calls: 0,
            requests: 0,
            questions: 0,
            fetched: Vec::new(),
            waited_elsewhere: Duration::ZERO,
            first_blob: 1,
        }
    }

    /// Starts to look at something else.
    pub(super) fn turn_to(&mut self, subject: Subject, origin: Origin) {
        self.subject = subject;
        self.origin = origin;
        self.first_blob = (self.first_blob + BLOBS_MAX) % BLOB_NUMBER_MAX;
    }

    /// Forgets what it looked at; answers with what is kept of it. What a plugin that broke
    /// wrote to stderr stands in its fault, and not here.
    pub(super) fn leave(&mut self, is_broken: bool) -> Notes {
        self.subject = Subject::None;
        self.origin = Origin::default();
        self.stopped = None;
        self.meter.refused = None;
        self.fetched.clear();
        self.note_stdio(is_broken);
        Notes {
            log: std::mem::take(&mut self.log),
            waited: self.turn.leave(),
            waited_elsewhere: std::mem::take(&mut self.waited_elsewhere),
        }
    }

    /// Grants one call of a hook its time and its host calls.
    pub(super) fn arm(&mut self) -> Allowance {
        self.deadline = Instant::now() + self.grants.limits.time;
        self.host_calls = 0;
        self.requests = 0;
        self.questions = 0;
        self.turn.begin();
        Allowance {
            deadline: self.deadline,
            turn: self.turn.clone(),
        }
    }

    /// Lets others run after a tick.
    pub(super) fn pause(&self) -> impl Future<Output = ()> + Send + use<> {
        self.turn.clone().pause(self.grants.turns.clone())
    }

    /// Waits for an answer from elsewhere. That is not the plugin's own time, and no turn is kept for
    /// it meanwhile.
    pub(super) async fn wait_for<T>(&mut self, answer: impl Future<Output = T> + Send) -> T {
        let (turn, since) = (self.turn.clone(), Instant::now());
        turn.step_back();
        let answer = answer.await;
        turn.come_back();
        self.waited_elsewhere += since.elapsed();
        answer
    }

    /// How long it may still wait for such answers.
    pub(super) fn patience(&self) -> Duration {
        ELSEWHERE_MAX.saturating_sub(self.origin.waited_elsewhere + self.waited_elsewhere)
    }

    /// How many more bytes may be fetched.
    pub(super) fn room_to_fetch(&self) -> usize {
        let held: usize = self.fetched.iter().map(Bytes::len).sum();
        let most = self.grants.limits.http_bytes.saturating_mul(FETCHED_TIMES);
        most.min(FETCHED_BYTES_MAX).saturating_sub(held)
    }

    /// Keeps what was fetched until the visit ends; its number, if there is one left.
    pub(super) fn keep(&mut self, fetched: Bytes) -> Option<u32> {
        let index = u32::try_from(self.fetched.len()).ok()? + BLOBS_GIVEN;
        if index >= BLOBS_MAX {
            return None;
        }
        self.fetched.push(fetched);
        Some(self.first_blob + index)
    }

    /// How long the present call may still take.
    pub(super) fn time_left(&self) -> Duration {
        (self.deadline + self.turn.waited()).saturating_duration_since(Instant::now())
    }

    /// Looks at the clock; an error once the deadline has passed.
    pub(super) fn check_time(&mut self) -> wasmtime::Result<()> {
        if self.turn.gave_up() {
            Err(self.stop(Fault::new(
                FaultKind::Unavailable,
                "the relay has too many plugins that run for long".to_owned(),
            )))
        } else if self.time_left().is_zero() {
            Err(self.stop(self.overdue()))
        } else {
            Ok(())
        }
    }

    /// The fault of a call that takes too long.
    pub(super) fn overdue(&self) -> Fault {
        let allowed = self.grants.limits.time.as_millis();
        Fault::new(FaultKind::TimedOut, format!("it did not end within {allowed} ms"))
    }

    /// Counts one call of the plugin to the relay.
    pub(super) fn count_host_call(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        if self.host_calls > HOST_CALLS_MAX {
            return Err(self.stop(Fault::over_limit(format!(
                "it called the relay more than {HOST_CALLS_MAX} times"
            ))));
        }
        Ok(())
    }

    /// Remembers why the call ends, and makes the error that ends it.
    pub(super) fn stop(&mut self, fault: Fault) -> wasmtime::Error {
        let error = wasmtime::Error::msg(fault.message.clone());
        self.stopped.get_or_insert(fault);
        error
    }

    /// The number of the payload that came with the subject.
    pub(super) const fn data_number(&self) -> u32 {
        self.first_blob
    }

    /// The number of the answer's body.
    pub(super) const fn answer_number(&self) -> u32 {
        self.first_blob + 1
    }

    /// The payload with that number in this visit.
    pub(super) fn blob(&self, number: u32) -> Option<&Bytes> {
        match number.checked_sub(self.first_blob)? {
            0 => self.subject.data(),
            1 => self.subject.answer_body(),
            index => self.fetched.get((index - BLOBS_GIVEN) as usize),
        }
    }

    /// Writes a line to the relay's log and, if it matters enough, to the delivery's.
    pub(super) fn note(&mut self, severity: Severity, line: &str) -> wasmtime::Result<()> {
        let line = self.grants.redact(shorten(line));
        trace(severity, &self.grants, &line);
        if severity < Severity::Info {
            return Ok(());
        }
        let lines_max = self.grants.limits.log_lines;
        if self.log.len() >= lines_max {
            return Err(self.stop(Fault::over_limit(format!(
                "it logged more than {lines_max} lines"
            ))));
        }
        self.log
            .push(format!("{} {}: {line}", self.grants.plugin, severity.as_str()));
        Ok(())
    }

    /// Writes a line of the relay's own about the plugin, if there is room for one.
    pub(super) fn remark(&mut self, line: &str) {
        self.remark_at(Severity::Info, line);
    }

    fn remark_at(&mut self, severity: Severity, line: &str) {
        if self.log.len() < self.grants.limits.log_lines {
            // There is room, so this cannot fail.
            drop(self.note(severity, line));
        }
    }

    /// What was written to stderr so far.
    pub(super) fn stderr(&self) -> String {
        self.wasi
            .as_ref()
            .map(|wasi| wasi.stderr.text())
            .unwrap_or_default()
    }

    /// Moves what was written to stdout and stderr into the log, as far as there is room.
    fn note_stdio(&mut self, is_broken: bool) {
        let Some(wasi) = &self.wasi else { return };
        let stderr = if is_broken {
            String::new()
        } else {
            wasi.stderr.take()
        };
        let written = [(Severity::Info, wasi.stdout.take()), (Severity::Warn, stderr)];
        for (severity, text) in written {
            for line in text.lines().filter(|line| !line.is_empty()) {
                self.remark_at(severity, line);
            }
        }
    }
}

/// One line, and not too long a one.
fn shorten(line: &str) -> String {
    let end = line.floor_char_boundary(LOG_LINE_BYTES_MAX);
    without_controls(&line[..end])
}

/// Nothing that ends a line or that a terminal would obey.
pub(super) fn without_controls(line: &str) -> String {
    line.replace(char::is_control, " ")
}

/// Repeats in the relay's own log what a worker has kept of a visit.
pub(super) fn retell(grants: &Grants, line: &str) {
    trace(Severity::Info, grants, line);
}

/// The delivery's log keeps what matters; the relay's own repeats it only when asked to, for
/// there may be a line for every event.
fn trace(severity: Severity, grants: &Grants, line: &str) {
    let (plugin, owner) = (grants.plugin.as_str(), grants.owner.name.as_str());
    match severity {
        Severity::Trace => tracing::trace!(target: "relay::plugin", plugin, owner, "{line}"),
        _ => {
            tracing::debug!(target: "relay::plugin", plugin, owner, level = severity.as_str(), "{line}")
        }
    }
}
