//! Instances that wait for their next call, for plugins whose authors allow it.

use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::instance::Instance;

/// How long an instance may wait for its next call.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Instances that wait at one place.
const WAITING_MAX: usize = 8;

/// The waiting instances of one plugin at one endpoint or source: never shared with another,
/// whose secrets and state they must not carry.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Instance>>);

impl Pool {
    /// The one that waited shortest.
    pub(super) fn take(&self) -> Option<Instance> {
        self.list().pop().filter(|instance| instance.idle() < IDLE_MAX)
    }

    /// Keeps an instance for the next call, if there is room.
    pub(super) fn put(&self, instance: Instance) {
        let mut list = self.list();
        if list.len() < WAITING_MAX {
            list.push(instance);
        }
    }

    fn tidy(&self) {
        // Dropped after the lock is released: taking an instance down takes a while.
        let old: Vec<_> = self
            .list()
            .extract_if(.., |instance| instance.idle() >= IDLE_MAX)
            .collect();
        drop(old);
    }

    fn clear(&self) {
        let all = std::mem::take(&mut *self.list());
        drop(all);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All pools of a relay.
#[derive(Default)]
pub(super) struct Pools(Mutex<Vec<Weak<Pool>>>);

impl Pools {
    pub(super) fn add(&self, pool: Weak<Pool>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|pool| pool.strong_count() > 0);
        all.push(pool);
    }

    /// Takes down what waited for too long.
    pub(super) fn tidy(&self) {
        self.each(Pool::tidy);
    }

    /// Takes down all that wait.
    pub(super) fn clear(&self) {
        self.each(Pool::clear);
    }

    fn each(&self, act: impl Fn(&Pool)) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.iter().filter_map(Weak::upgrade).for_each(|pool| act(&pool));
    }
}
