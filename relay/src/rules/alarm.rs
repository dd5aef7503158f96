//! When the next timer is due, as far as is known, and a bell for when that changes.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

use crate::model::time::Timestamp;

/// Nothing is due, ever.
const NEVER: i64 = i64::MAX;

/// See the module.
#[derive(Debug)]
pub struct Alarm {
    /// By the steady clock, in milliseconds.
    at: AtomicI64,
    bell: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self {
            at: AtomicI64::new(NEVER),
            bell: Notify::new(),
        }
    }
}

impl Alarm {
    /// Something is due then; rings if nothing was due earlier.
    pub fn set(&self, due: Timestamp) {
        let due = due.as_millis();
        if self.at.fetch_min(due, Ordering::SeqCst) > due {
            self.bell.notify_one();
        }
    }

    /// Forgets what was set: whoever does looks for himself.
    pub fn clear(&self) {
        self.at.store(NEVER, Ordering::SeqCst);
    }

    /// When something is due.
    pub fn due(&self) -> Option<Timestamp> {
        let at = self.at.load(Ordering::SeqCst);
        (at != NEVER).then(|| Timestamp::from_millis(at))
    }

    /// Waits until it rings.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}
