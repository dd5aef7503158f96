//! What was accepted and what has arrived, by the number that each event bears.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The books of both sides.
#[derive(Debug)]
pub(super) struct Ledger {
    pages: Mutex<Pages>,
    accepted: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Pages {
    /// Each event that was answered 202, and its id.
    accepted: BTreeMap<u64, String>,
    arrived: BTreeSet<u64>,
    /// How often each message was taken, by its `webhook-id`.
    taken: HashMap<String, u64>,
    duplicates: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            pages: Mutex::default(),
            accepted: watch::Sender::new(0),
        }
    }
}

impl Ledger {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event was answered 202 with that id.
    pub(super) fn accept(&self, number: u64, id: String) {
        let mut pages = self.pages();
        pages.accepted.insert(number, id);
        self.accepted.send_replace(pages.accepted.len());
    }

    /// A delivery was answered 200.
    pub(super) fn take(&self, number: u64, message: String) {
        let mut pages = self.pages();
        pages.arrived.insert(number);
        let times = pages.taken.entry(message).or_default();
        *times += 1;
        let is_repeated = *times > 1;
        pages.duplicates += u64::from(is_repeated);
    }

    pub(super) fn accepted_count(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Deliveries that were answered 200 more than once.
    pub(super) fn duplicates(&self) -> u64 {
        self.pages().duplicates
    }

    /// Accepted events that have not arrived, with their ids.
    pub(super) fn missing(&self) -> BTreeMap<u64, String> {
        let pages = self.pages();
        let missing = pages
            .accepted
            .iter()
            .filter(|(number, _)| !pages.arrived.contains(number));
        missing.map(|(number, id)| (*number, id.clone())).collect()
    }

    /// Waits until so many more are accepted.
    pub(super) async fn accepts(&self, count: usize) {
        let mut accepted = self.accepted.subscribe();
        let wanted = *accepted.borrow() + count;
        // The sender lives as long as we do.
        accepted.wait_for(|accepted| *accepted >= wanted).await.ok();
    }
}
