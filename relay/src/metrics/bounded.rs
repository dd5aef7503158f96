//! Counters by labels, as many as there is room for.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::family::{Family, MetricConstructor};

/// Sets of labels that one family may have: whoever makes and deletes endpoints all day must not
/// fill the memory.
const LABELS_MAX: usize = 5000;
/// What a name is called that came when there was no room for its own.
const OTHER: &str = "other";

/// Labels with a name in them that people choose.
pub(super) trait Named: Clone + Hash + Eq {
    /// The same labels under another name.
    fn under(self, name: &str) -> Self;
}

/// A family of metrics by labels; what comes once it is full counts under the name `other`.
pub(super) struct Bounded<S, M, C = fn() -> M> {
    pub(super) family: Family<S, M, C>,
    count: Arc<AtomicUsize>,
    max: usize,
}

impl<S: Named, M: Default> Default for Bounded<S, M> {
    fn default() -> Self {
        Self::of(Family::default())
    }
}

impl<S: Named, M, C> Bounded<S, M, C> {
    pub(super) fn of(family: Family<S, M, C>) -> Self {
        Self {
            family,
            count: Arc::default(),
            max: LABELS_MAX,
        }
    }
}

impl<S: Named, M: Clone, C: MetricConstructor<M>> Bounded<S, M, C> {
    /// Does something with the metric of these labels.
    pub(super) fn with(&self, labels: S, count: impl FnOnce(&M)) {
        if let Some(metric) = self.family.get(&labels) {
            return count(&metric);
        }
        // Two at the same moment may both be new and the same: then there is room for one less.
        let labels = if self.count.fetch_add(1, Ordering::Relaxed) < self.max {
            labels
        } else {
            labels.under(OTHER)
        };
        count(&self.family.get_or_create(&labels));
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    impl Named for String {
        fn under(self, name: &str) -> Self {
            name.to_owned()
        }
    }

    #[test]
    fn what_comes_when_it_is_full_counts_as_other() {
        let counters = Bounded::<String, Counter> {
            max: 2,
            ..Bounded::default()
        };
        for name in ["a", "b", "c", "d", "a"] {
            counters.with(name.to_owned(), |counter| {
                counter.inc();
            });
        }
        let count = |name: &str| counters.family.get(&name.to_owned()).map(|counter| counter.get());
        assert_eq!(
            [count("a"), count("b"), count(OTHER), count("c")],
            [Some(2), Some(1), Some(2), None]
        );
    }
}
