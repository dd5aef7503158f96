//! What the writer's transactions were like, for whoever watches the store.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds of the buckets for the time of a commit, in seconds.
const SECONDS: [f64; 11] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5,
];
/// Upper bounds of the buckets for the calls of a commit.
const CALLS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1024.0];

/// Observed once for each transaction, not for each event; clones share it.
#[derive(Debug, Clone)]
pub struct Commits {
    /// From its begin to the end of its sync.
    pub seconds: Histogram,
    /// Calls that shared one.
    pub calls: Histogram,
    /// Those that failed, whoever was to blame.
    pub failures: Counter,
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            seconds: Histogram::new(SECONDS),
            calls: Histogram::new(CALLS),
            failures: Counter::default(),
        }
    }
}
