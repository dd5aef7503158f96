//! One life of a worker, as the relay sees it: what is under way and what is said.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::answers;
use super::calls::CallSent;
use super::frame::{self, TO_WORKER_MAX, frame};
use super::message::{Ask, Finished, FromWorker, Terms, ToWorker};
use super::seat::Seat;
use crate::model::attempt::FaultKind;
use crate::plugins::fault::Fault;
use crate::plugins::subject::Subject;

/// How long a worker may take until it says that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How often one with calls under way is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(1);
/// How long it may take to say so.
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that may wait for a worker to read them.
const QUEUE_BYTES_MAX: usize = 512 << 20;
/// What it may ask for at once: an instance asks for one thing at a time.
const ASKS_BEYOND_INSTANCES: usize = 64;
/// Bytes of bodies and files that may come along with all that it asks for at once.
const ASKED_BYTES_MAX: usize = 512 << 20;
/// Bytes of a message from it beyond what a plugin's answer may have, written at most twice as long.
const EXTRA_BYTES: usize = 1 << 20;

/// Why a worker's life ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It closed its end, most likely by dying.
    Stream,
    Unready,
    Silent,
    Full,
    /// It said what it may not say.
    Lied(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => f.write_str("it closed its end"),
            Self::Unready => f.write_str("it did not get ready in time"),
            Self::Silent => f.write_str("it did not answer any more"),
            Self::Full => f.write_str("it did not read what it was sent"),
            Self::Lied(how) => write!(f, "it is not to be trusted: {how}"),
        }
    }
}

/// See the module.
pub(super) struct Session {
    out: mpsc::UnboundedSender<Vec<u8>>,
    /// Bytes in it.
    queued: AtomicUsize,
    is_full: Notify,
    state: Mutex<State>,
    next_call: AtomicU64,
    /// The most that any plugin of it may have in one message.
    bytes_max: AtomicUsize,
    asks_max: usize,
    heard: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    is_over: bool,
    /// Places that it knows, and their code.
    places: HashMap<u64, [u8; 32]>,
    calls: HashMap<u64, Pending>,
    asks: HashMap<u64, Asking>,
}

/// A question that is being answered.
struct Asking {
    task: AbortHandle,
    /// What came along with it.
    bytes: usize,
}

/// A call under way.
struct Pending {
    seat: Arc<Seat>,
    subject: Subject,
    done: oneshot::Sender<Result<Box<Finished>, Fault>>,
}

impl Session {
    /// Speaks with a worker that has just been started. The future is all that happens until its end.
    pub(super) async fn begin(
        stream: UnixStream,
        terms: Terms,
    ) -> Result<(Arc<Self>, impl Future<Output = Ended> + Send), Ended> {
        let (input, output) = stream.into_split();
        let mut input = BufReader::with_capacity(frame::BUFFER_BYTES, input);
        let (out, queue) = mpsc::unbounded_channel();
        let session = Arc::new(Self {
            out,
            queued: AtomicUsize::new(0),
            is_full: Notify::new(),
            state: Mutex::default(),
            next_call: AtomicU64::new(1),
            bytes_max: AtomicUsize::new(0),
            asks_max: terms.instances_max as usize + ASKS_BEYOND_INSTANCES,
            heard: watch::Sender::new(0),
        });
        session.say(&ToWorker::Begin(terms)).map_err(|_| Ended::Unready)?;
        let writing = write(session.clone(), queue, output);
        let mut writing = Box::pin(writing);
        let ready = frame::read(&mut input, || EXTRA_BYTES);
        let ready = tokio::select! {
            ended = &mut writing => return Err(ended),
            ready = tokio::time::timeout(READY_WITHIN, ready) => ready,
        };
        match ready {
            Ok(Ok(FromWorker::Ready { is_walled: true })) => {}
            Ok(Ok(FromWorker::Ready { is_walled: false })) => tracing::warn!(
                "the process that runs plugins is kept from files only by what its user may open: this system has no Landlock"
            ),
            Ok(Ok(_)) => return Err(Ended::Lied("it spoke before it was ready".to_owned())),
            Ok(Err(error)) => return Err(ended(error)),
            Err(_) => return Err(Ended::Unready),
        }
        let running = {
            let session = session.clone();
            async move {
                tokio::select! {
                    ended = writing => ended,
                    ended = session.listen(input) => ended,
                    ended = session.watch() => ended,
                    () = session.is_full.notified() => Ended::Full,
                }
            }
        };
        Ok((session, running))
    }

    /// Sends a call.
    pub(super) fn call(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        subject: Subject,
        make: impl FnOnce(u64) -> CallSent,
    ) -> Result<Called, Fault> {
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        let frame = frame(&ToWorker::Call(Box::new(make(call)))).map_err(unsendable)?;
        if frame.len() > TO_WORKER_MAX {
            return Err(unsendable("it is too large"));
        }
        let (done, finished) = oneshot::channel();
        let mut state = self.state();
        if state.is_over {
            return Err(died());
        }
        self.acquaint(&mut state, seat)?;
        let pending = Pending {
            seat: seat.clone(),
            subject,
            done,
        };
        state.calls.insert(call, pending);
        self.push(frame);
        drop(state);
        Ok(Called {
            session: self.clone(),
            call,
            finished,
        })
    }

    /// Tells the worker of a place that it does not know yet.
    fn acquaint(&self, state: &mut State, seat: &Seat) -> Result<(), Fault> {
        if state.places.contains_key(&seat.place) {
            return Ok(());
        }
        if !state.places.values().any(|digest| *digest == seat.digest) {
            let code = seat.compiled().map_err(unsendable)?;
            self.say(&code).map_err(unsendable)?;
        }
        self.say(&seat.described()).map_err(unsendable)?;
        self.bytes_max.fetch_max(seat.bytes_max(), Ordering::Relaxed);
        state.places.insert(seat.place, seat.digest);
        Ok(())
    }

    /// Has a place forgotten, and its code with the last place that has it.
    pub(super) fn forget(&self, place: u64) {
        if self.state().places.remove(&place).is_some() {
            // A number can always be written.
            self.say(&ToWorker::Forget(place)).ok();
        }
    }

    /// Whoever waits is told.
    pub(super) fn end(&self) {
        let (calls, asks) = {
            let mut state = self.state();
            state.is_over = true;
            (std::mem::take(&mut state.calls), std::mem::take(&mut state.asks))
        };
        for (_, pending) in calls {
            // Who does not wait any more need not be told.
            pending.done.send(Err(died())).ok();
        }
        asks.into_values().for_each(|asking| asking.task.abort());
    }

    fn say(&self, message: &ToWorker) -> Result<(), postcard::Error> {
        self.push(frame(message)?);
        Ok(())
    }

    fn push(&self, frame: Vec<u8>) {
        let queued = self.queued.fetch_add(frame.len(), Ordering::Relaxed);
        if queued > QUEUE_BYTES_MAX {
            self.is_full.notify_one();
            return;
        }
        // Fails only when the life is over, of which whoever waits is told.
        self.out.send(frame).ok();
    }

    async fn listen(self: &Arc<Self>, mut input: BufReader<OwnedReadHalf>) -> Ended {
        let bytes_max = || 2 * self.bytes_max.load(Ordering::Relaxed) + EXTRA_BYTES;
        loop {
            let heard = match frame::read(&mut input, bytes_max).await {
                Ok(message) => self.hear(message),
                Err(error) => return ended(error),
            };
            if let Err(how) = heard {
                return Ended::Lied(how);
            }
        }
    }

    fn hear(self: &Arc<Self>, message: FromWorker) -> Result<(), String> {
        match message {
            FromWorker::Ready { .. } => return Err("it got ready twice".to_owned()),
            FromWorker::Pong(number) => {
                self.heard.send_replace(number);
            }
            FromWorker::Done(finished) => {
                let pending = self.state().calls.remove(&finished.call);
                match pending {
                    Some(pending) => drop(pending.done.send(Ok(finished))),
                    // Called off meanwhile.
                    None if finished.call < self.next_call.load(Ordering::Relaxed) => {}
                    None => return Err(format!("it ended a call {} that never began", finished.call)),
                }
            }
            FromWorker::Ask { ask, place, what } => return self.asked(ask, place, what),
            FromWorker::Withdraw(ask) => {
                if let Some(asking) = self.state().asks.remove(&ask) {
                    asking.task.abort();
                }
            }
        }
        Ok(())
    }

    /// Answers for a place with a call under way, and for no other.
    fn asked(self: &Arc<Self>, ask: u64, place: u64, what: Ask) -> Result<(), String> {
        let mut state = self.state();
        if state.asks.len() >= self.asks_max || state.asks.contains_key(&ask) {
            return Err("it asks for more at once than its plugins can".to_owned());
        }
        let by_call = |call: &u64| {
            state
                .calls
                .get(call)
                .filter(|pending| pending.seat.place == place)
        };
        let pending = match &what {
            Ask::Keys { call, .. } => by_call(call),
            _ => state.calls.values().find(|pending| pending.seat.place == place),
        };
        let bytes = what.bytes();
        let held: usize = state.asks.values().map(|asking| asking.bytes).sum();
        let pending = pending.filter(|_| held + bytes <= ASKED_BYTES_MAX);
        let asking = pending.map(|pending| (pending.seat.clone(), pending.subject.clone()));
        let session = self.clone();
        let task = tokio::spawn(async move {
            let answer = match asking {
                Some((seat, subject)) => answers::answer(&seat.grants, &subject, what).await,
                None => super::message::Answer::Refused,
            };
            // Counted until it is on its way, so that one who asks without reading ends.
            session.say(&ToWorker::Answer { ask, answer }).ok();
            session.state().asks.remove(&ask);
        });
        let task = task.abort_handle();
        state.asks.insert(ask, Asking { task, bytes });
        Ok(())
    }

    /// Ends when a worker with calls under way says nothing any more.
    async fn watch(&self) -> Ended {
        let mut heard = self.heard.subscribe();
        for number in 1.. {
            tokio::time::sleep(PING_EVERY).await;
            if self.state().calls.is_empty() {
                continue;
            }
            self.say(&ToWorker::Ping(number)).ok();
            let pong = heard.wait_for(|heard| *heard >= number);
            if tokio::time::timeout(PONG_WITHIN, pong).await.is_err() {
                break;
            }
        }
        Ended::Silent
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way; dropped, it is called off.
pub(super) struct Called {
    session: Arc<Session>,
    call: u64,
    finished: oneshot::Receiver<Result<Box<Finished>, Fault>>,
}

impl Called {
    pub(super) async fn finished(mut self) -> Result<Box<Finished>, Fault> {
        (&mut self.finished).await.unwrap_or_else(|_| Err(died()))
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        // Its seat may be the last of its place, which locks the state in turn.
        let pending = self.session.state().calls.remove(&self.call);
        if pending.is_some() {
            self.session.say(&ToWorker::CallOff(self.call)).ok();
        }
    }
}

/// Writes what is queued.
async fn write(
    session: Arc<Session>,
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    mut output: OwnedWriteHalf,
) -> Ended {
    while let Some(frame) = queue.recv().await {
        if output.write_all(&frame).await.is_err() {
            break;
        }
        session.queued.fetch_sub(frame.len(), Ordering::Relaxed);
    }
    Ended::Stream
}

fn ended(error: frame::Error) -> Ended {
    match error {
        frame::Error::End | frame::Error::Io(_) => Ended::Stream,
        lied => Ended::Lied(lied.to_string()),
    }
}

fn died() -> Fault {
    Fault::new(
        FaultKind::Unavailable,
        "the process that runs plugins ended in the middle of the call".to_owned(),
    )
}

fn unsendable(why: impl fmt::Display) -> Fault {
    Fault::new(
        FaultKind::Unloadable,
        format!("it cannot be given to the process that runs plugins: {why}"),
    )
}

#[cfg(test)]
mod tests;
