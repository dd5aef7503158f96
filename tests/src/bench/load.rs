//! What is sent to a rig: which events, how fast, how many.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::receiver::Status;
use super::relay;

/// A load to put on a rig.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// The event type before its number.
    pub prefix: &'static str,
    /// How many event types take turns.
    pub kinds: u64,
    pub pace: Pace,
    pub connections: usize,
    /// The first sequence number: no two loads on one rig may share any.
    pub first: u64,
    /// Lanes of the receiver on which every event has to arrive; none: it cannot.
    pub lanes: std::ops::Range<usize>,
}

/// How fast, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// As fast as it goes.
    Closed { warm_up: Duration, duration: Duration },
    /// At a fixed rate, events a second.
    Open {
        rate: f64,
        warm_up: Duration,
        duration: Duration,
    },
    /// So many events, as fast as it goes.
    Count(u64),
}

impl Load {
    /// The command line of the generator that puts it on `target`.
    pub(super) fn arguments(&self, target: &str, trace: &Path) -> Vec<OsString> {
        let mut words: Vec<String> = vec!["generate".into()];
        let mut add = |name: &str, value: &dyn std::fmt::Display| {
            words.extend([format!("--{name}"), value.to_string()])
        };
        add("target", &target);
        add("key", &relay::KEY);
        add("prefix", &self.prefix);
        add("kinds", &self.kinds);
        add("connections", &self.connections);
        add("first", &self.first);
        match self.pace {
            Pace::Count(count) => add("count", &count),
            Pace::Closed { warm_up, duration } => {
                add("warm-up-ms", &warm_up.as_millis());
                add("duration-ms", &duration.as_millis());
            }
            Pace::Open {
                rate,
                warm_up,
                duration,
            } => {
                add("rate", &rate);
                add("warm-up-ms", &warm_up.as_millis());
                add("duration-ms", &duration.as_millis());
            }
        }
        words
            .into_iter()
            .map(OsString::from)
            .chain(["--trace".into(), trace.into()])
            .collect()
    }

    /// Different deliveries of its lanes that have come so far.
    pub(super) fn arrived(&self, status: &Status) -> u64 {
        status.distinct[self.lanes.clone()].iter().sum()
    }
}
