//! Instances that wait for their next call, for plugins whose authors allow it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::instance::Instance;
use super::threads::own_number;

/// How long an instance may wait for its next call.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Instances that wait at one place.
const WAITING_MAX: usize = 8;

/// The waiting instances of one plugin at one endpoint or source: never shared with another,
/// whose secrets and state they must not carry.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Waiting>>);

struct Waiting {
    instance: Instance,
    /// Where it last ran: its memory is near that processor.
    thread: usize,
}

impl Waiting {
    fn is_old(&self) -> bool {
        self.instance.idle() >= IDLE_MAX
    }
}

impl Pool {
    /// The one that waited shortest, of those that ran on this thread if there are any.
    pub(super) fn take(&self) -> Option<Instance> {
        let own = own_number();
        let mut list = self.list();
        let last = |is_near: bool| {
            list.iter()
                .rposition(|waiting| !waiting.is_old() && (!is_near || waiting.thread == own))
        };
        let place = last(true).or_else(|| last(false))?;
        Some(list.remove(place).instance)
    }

    /// Keeps an instance for the next call, if there is room.
    pub(super) fn put(&self, instance: Instance) {
        let waiting = Waiting {
            instance,
            thread: own_number(),
        };
        let mut list = self.list();
        if list.len() < WAITING_MAX {
            list.push(waiting);
        }
    }

    fn take_old(&self) -> Vec<Waiting> {
        self.list().extract_if(.., |waiting| waiting.is_old()).collect()
    }

    fn clear(&self) {
        let all = std::mem::take(&mut *self.list());
        drop(all);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Waiting>> {
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
        let old: Vec<_> = self.all().flat_map(|pool| pool.take_old()).collect();
        if old.is_empty() {
            return;
        }
        // Taking instances down takes a while, and whoever tidies up has deadlines to see to.
        let named = thread::Builder::new().name("plugin-tidier".to_owned());
        if let Err(error) = named.spawn(move || drop(old)) {
            tracing::debug!(%error, "old instances of plugins were taken down without a thread of their own");
        }
    }

    /// Takes down all that wait.
    pub(super) fn clear(&self) {
        self.all().for_each(|pool| pool.clear());
    }

    fn all(&self) -> impl Iterator<Item = Arc<Pool>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.into_iter().filter_map(|pool| pool.upgrade())
    }
}
