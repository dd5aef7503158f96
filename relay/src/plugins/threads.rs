//! One of something for each thread: what several write to, a processor has to fetch from the others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// As many as threads run at once. A thread beyond that shares the one of another.
#[derive(Debug)]
pub(super) struct PerThread<T>(Box<[Apart<T>]>);

/// As far from its neighbour as processors fetch at once.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T: Default> Default for PerThread<T> {
    fn default() -> Self {
        let count = available_parallelism().map_or(1, usize::from);
        Self((0..count).map(|_| Apart::default()).collect())
    }
}

impl<T> PerThread<T> {
    /// This thread's.
    pub(super) fn own(&self) -> &T {
        &self.0[own_number() % self.0.len()].0
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|apart| &apart.0)
    }
}

/// What tells this thread from others, counted from the first that asked.
pub(super) fn own_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}
