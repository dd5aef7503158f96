//! Writes how attempts went, many in one commit, and only then lets the queue forget them.
//!
//! A crash before the commit means that an attempt is made again, never that one is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::store::{Error, Record, Store};

pub mod expire;
pub mod retain;

/// Records that may wait to be written; beyond that, attempts wait.
const WAITING_MAX: usize = 4096;
/// Records of one commit.
const BATCH_MAX: usize = 256;
/// A batch of fewer waits a moment for others to share its commit.
const BATCH_SMALL: usize = 64;
/// How long it waits.
const LINGER: Duration = Duration::from_millis(2);
/// How long a failed write waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// An attempt that is over: what is to be written, and what the caller wants back then.
#[derive(Debug)]
pub struct Finished<T> {
    pub record: Record,
    pub held: T,
}

/// Where finished attempts are handed in.
#[derive(Debug)]
pub struct Recorder<T>(mpsc::Sender<Finished<T>>);

impl<T: Send + 'static> Recorder<T> {
    /// A recorder and the task that writes for it; `written` gets back what was held, once
    /// its record is durable. The task ends when the recorder is gone and everything handed
    /// in is written.
    pub fn new(
        store: Arc<dyn Store>,
        written: impl Fn(T) + Send + 'static,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), write(receiver, store, written))
    }

    /// Hands in a finished attempt; waits while too many are unwritten.
    pub async fn hand_in(&self, finished: Finished<T>) {
        // The task outlives every recorder, so there is always someone to take it.
        if self.0.send(finished).await.is_err() {
            tracing::error!("an attempt was finished after its recorder had ended; it will be made again");
        }
    }
}

async fn write<T>(mut waiting: mpsc::Receiver<Finished<T>>, store: Arc<dyn Store>, written: impl Fn(T)) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        if batch.len() < BATCH_SMALL {
            tokio::time::sleep(LINGER).await;
            while batch.len() < BATCH_MAX {
                let Ok(more) = waiting.try_recv() else { break };
                batch.push(more);
            }
        }
        let (records, held): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(|finished| (finished.record, finished.held))
            .unzip();
        commit(&records, &store).await;
        held.into_iter().for_each(&written);
    }
}

/// Tries until it is written: to give up would mean to send again what was sent. Only where the
/// store is damaged it gives up, alone for those that it concerns.
async fn commit(records: &[Record], store: &Arc<dyn Store>) {
    let mut is_failing = false;
    while let Err(error) = store.record(records).await {
        match (&error, records) {
            (Error::Corrupt(_), [record]) => {
                let delivery = record.delivery;
                tracing::error!(%error, %delivery, "an attempt cannot be recorded where it belongs; it may be made again after the next start");
                return;
            }
            (Error::Corrupt(_), _) => {
                let (some, others) = records.split_at(records.len() / 2);
                Box::pin(commit(some, store)).await;
                Box::pin(commit(others, store)).await;
                return;
            }
            _ if is_failing => {}
            _ => {
                tracing::error!(%error, attempts = records.len(), "attempts cannot be recorded; trying until they can")
            }
        }
        is_failing = true;
        tokio::time::sleep(PAUSE).await;
    }
    if is_failing {
        tracing::info!("attempts are recorded again");
    }
}
