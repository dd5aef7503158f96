//! Whether the store takes writes, as the last of them showed; the log has one line for each
//! change.

use std::mem::discriminant;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Error;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Looked at for every commit, so that the lock is not.
    is_ill: AtomicBool,
    /// Why no write goes through.
    error: Mutex<Option<Error>>,
}

impl Health {
    /// Whether the last write went through.
    pub(super) fn is_well(&self) -> bool {
        !self.is_ill.load(Ordering::Relaxed)
    }

    /// Why the last write did not go through.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.error().clone().map_or(Ok(()), Err)
    }

    /// A write went through.
    pub(super) fn recover(&self) {
        if !self.is_well() {
            *self.error() = None;
            self.is_ill.store(false, Ordering::Relaxed);
            tracing::info!("the store takes writes again");
        }
    }

    /// A write did not go through, and it was not the write's own fault.
    pub(super) fn fall_ill(&self, error: &Error) {
        let mut known = self.error();
        if known.as_ref().map(discriminant) != Some(discriminant(error)) {
            tracing::error!(%error, "the store takes no writes; events are refused until it does again");
        }
        *known = Some(error.clone());
        self.is_ill.store(true, Ordering::Relaxed);
    }

    fn error(&self) -> MutexGuard<'_, Option<Error>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
