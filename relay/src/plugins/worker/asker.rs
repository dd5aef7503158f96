//! Asks the relay for what a worker does not have.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::calls::HELD;
use super::frame::frame;
use super::message::{Answer, Ask, FromWorker, PieceSent, StateAnswer, StateAsk, StateTrouble};
use crate::model::attempt::FaultKind;
use crate::model::time::Timestamp;
use crate::plugins::fault::Fault;
use crate::plugins::keys::{Keys, Piece, Work, Worked};
use crate::store::{self, PluginState, Scope, Written};

/// What a worker says, ready to be written.
pub(super) type Out = mpsc::UnboundedSender<Vec<u8>>;

/// Says something to the relay.
pub(super) fn say(out: &Out, message: &FromWorker) {
    // Both fail only when there is nobody to tell: the relay has gone, and the worker goes too.
    if let Ok(frame) = frame(message) {
        out.send(frame).ok();
    }
}

/// What is asked and not answered yet.
pub(super) struct Asker {
    out: Out,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
}

impl Asker {
    pub(super) fn new(out: Out) -> Arc<Self> {
        Arc::new(Self {
            out,
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
        })
    }

    /// The relay has answered.
    pub(super) fn hear(&self, ask: u64, answer: Answer) {
        if let Some(waiting) = self.waiting().remove(&ask) {
            // Who does not wait any more has withdrawn.
            waiting.send(answer).ok();
        }
    }

    pub(super) async fn ask(&self, place: u64, what: Ask) -> Answer {
        let ask = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting().insert(ask, sender);
        let asked = Asked { asker: self, ask };
        say(&self.out, &FromWorker::Ask { ask, place, what });
        let answer = answer.await.unwrap_or(Answer::Refused);
        drop(asked);
        answer
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question; dropped before it is answered, it is withdrawn.
struct Asked<'a> {
    asker: &'a Asker,
    ask: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.asker.waiting().remove(&self.ask).is_some() {
            say(&self.asker.out, &FromWorker::Withdraw(self.ask));
        }
    }
}

/// What the plugin at one place has with the relay.
pub(super) struct WithRelay {
    pub(super) asker: Arc<Asker>,
    pub(super) place: u64,
}

#[async_trait]
impl Keys for WithRelay {
    async fn work(
        &self,
        call: u64,
        name: String,
        work: Work,
        message: Vec<Piece>,
    ) -> Result<Option<Worked>, Fault> {
        let sent = |piece: Piece| match piece.held {
            Some(number) if number < HELD => PieceSent::Held(number),
            _ => PieceSent::Given(piece.bytes),
        };
        let what = Ask::Keys {
            call,
            name,
            work,
            message: message.into_iter().map(sent).collect(),
        };
        match self.asker.ask(self.place, what).await {
            Answer::Keys(worked) => Ok(worked),
            _ => Err(Fault::new(FaultKind::Unavailable, REFUSED.to_owned())),
        }
    }
}

const REFUSED: &str = "the relay did not answer what was asked of it";

impl WithRelay {
    async fn state(&self, asked: StateAsk) -> Result<StateAnswer, store::Error> {
        match self.asker.ask(self.place, Ask::State(asked)).await {
            Answer::State(Ok(answer)) => Ok(answer),
            Answer::State(Err(StateTrouble::Unavailable(why))) => Err(store::Error::Unavailable(why)),
            Answer::State(Err(StateTrouble::Full(why))) => Err(store::Error::Full(why)),
            Answer::State(Err(StateTrouble::Corrupt(why))) => Err(store::Error::Corrupt(why)),
            _ => Err(refused()),
        }
    }
}

fn refused() -> store::Error {
    store::Error::Unavailable(REFUSED.to_owned())
}

fn span(until: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    until.map(|until| until.since(now))
}

/// What was written, if it is what was asked for.
fn written<T>(
    answer: StateAnswer,
    take: impl FnOnce(StateAnswer) -> Option<T>,
) -> Result<Written<T>, store::Error> {
    match answer {
        StateAnswer::QuotaExceeded => Ok(Written::QuotaExceeded),
        other => take(other).map(Written::Done).ok_or_else(refused),
    }
}

fn verdict(answer: StateAnswer) -> Option<bool> {
    match answer {
        StateAnswer::Verdict(is_so) => Some(is_so),
        _ => None,
    }
}

#[async_trait]
impl PluginState for WithRelay {
    async fn state_value(&self, _: &Scope, key: &str, _: Timestamp) -> Result<Option<Vec<u8>>, store::Error> {
        match self.state(StateAsk::Value(key.to_owned())).await? {
            StateAnswer::Value(value) => Ok(value),
            _ => Err(refused()),
        }
    }

    async fn set_state(
        &self,
        _: &Scope,
        key: &str,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<()>, store::Error> {
        let (key, ttl) = (key.to_owned(), span(expires, now));
        let answer = self.state(StateAsk::Set { key, value, ttl }).await?;
        written(answer, |answer| matches!(answer, StateAnswer::Done).then_some(()))
    }

    async fn delete_state(&self, _: &Scope, key: &str) -> Result<(), store::Error> {
        match self.state(StateAsk::Delete(key.to_owned())).await? {
            StateAnswer::Done => Ok(()),
            _ => Err(refused()),
        }
    }

    async fn claim_state(
        &self,
        _: &Scope,
        key: &str,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Written<bool>, store::Error> {
        let (key, ttl) = (key.to_owned(), expires.since(now));
        written(self.state(StateAsk::Claim { key, ttl }).await?, verdict)
    }

    async fn add_state(
        &self,
        _: &Scope,
        key: &str,
        delta: i64,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<i64>, store::Error> {
        let (key, ttl) = (key.to_owned(), span(expires, now));
        let answer = self.state(StateAsk::Add { key, delta, ttl }).await?;
        written(answer, |answer| match answer {
            StateAnswer::Sum(sum) => Some(sum),
            _ => None,
        })
    }

    async fn swap_state(
        &self,
        _: &Scope,
        key: &str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<bool>, store::Error> {
        let asked = StateAsk::Swap {
            key: key.to_owned(),
            expected,
            value,
            ttl: span(expires, now),
        };
        written(self.state(asked).await?, verdict)
    }

    async fn state_keys(
        &self,
        _: &Scope,
        prefix: &str,
        after: Option<String>,
        limit: usize,
        _: Timestamp,
    ) -> Result<Vec<String>, store::Error> {
        let prefix = prefix.to_owned();
        let asked = StateAsk::Keys { prefix, after, limit };
        match self.state(asked).await? {
            StateAnswer::Keys(keys) => Ok(keys),
            _ => Err(refused()),
        }
    }
}
