//! How long requests to the management API took, by kind and as a whole.

use std::ffi::OsString;
use std::ops::Range;

use anyhow::Context as _;
use serde::Serialize;

use super::ask::{Finished, Mix};
use super::cli::Options;
use super::generate::Started;
use super::relay;
use super::rig::Rig;
use super::trace::{self, Exchange};
use super::worker::Worker;

/// Requests to put on a relay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    pub mix: Mix,
    /// Requests a second.
    pub rate: f64,
    pub connections: usize,
    /// What this run is called, in names of endpoints and of the trace.
    pub run: &'static str,
    pub endpoints: u64,
}

/// Requests under way.
#[derive(Debug)]
pub(super) struct Asker {
    worker: Worker,
    window: Started,
    run: &'static str,
}

/// Where requests of one kind stand between the fastest and the slowest, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Spread {
    pub requests: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// What came of the requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub whole: Spread,
    pub kinds: Vec<(String, Spread)>,
    pub faults: Vec<String>,
}

impl Asking {
    /// Starts them, and waits until the measured time begins.
    pub(super) async fn begin(self, rig: &Rig, options: &Options) -> anyhow::Result<Asker> {
        let word = |value: &dyn std::fmt::Display| OsString::from(value.to_string());
        let arguments = [
            "ask".into(),
            "--target".into(),
            word(&rig.address),
            "--key".into(),
            relay::KEY.into(),
            "--mix".into(),
            self.mix.word().into(),
            "--rate".into(),
            word(&self.rate),
            "--connections".into(),
            word(&self.connections),
            "--run".into(),
            self.run.into(),
            "--endpoints".into(),
            word(&self.endpoints),
            "--warm-up-ms".into(),
            word(&options.warm_up().as_millis()),
            "--duration-ms".into(),
            word(&options.duration().as_millis()),
            "--trace".into(),
            rig.trace(self.run).into(),
        ];
        let mut worker = Worker::start("asker", &arguments)?;
        let window = worker.hear().await?;
        Ok(Asker {
            worker,
            window,
            run: self.run,
        })
    }
}

impl Asker {
    /// Waits for the last answer.
    pub(super) async fn finish(mut self, rig: &Rig) -> anyhow::Result<Answers> {
        let Finished { kinds, fault } = self.worker.hear().await?;
        let exchanges =
            trace::read_exchanges(&rig.trace(self.run)).context("reading the trace of the requests")?;
        let Started { from, until } = self.window;
        Ok(Answers::of(&exchanges, from..until, kinds, fault))
    }
}

impl Answers {
    fn of(exchanges: &[Exchange], window: Range<u64>, kinds: Vec<String>, fault: Option<String>) -> Self {
        let measured: Vec<&Exchange> = exchanges
            .iter()
            .filter(|exchange| window.contains(&exchange.sent))
            .collect();
        let spread = |wanted: &dyn Fn(u64) -> bool| {
            let of_kind = measured.iter().filter(|exchange| wanted(exchange.sequence));
            Spread::of(of_kind.map(|exchange| exchange.answered.saturating_sub(exchange.sent)))
        };
        let mut faults: Vec<String> = fault.into_iter().collect();
        if measured.is_empty() {
            faults.push("no request was answered in the measured time".to_owned());
        }
        Self {
            whole: spread(&|_| true),
            kinds: (0..)
                .zip(kinds)
                .map(|(number, name)| (name, spread(&|kind| kind == number)))
                .collect(),
            faults,
        }
    }

    /// The kind with the slowest request.
    pub(super) fn slowest(&self) -> Option<&(String, Spread)> {
        let slower = |a: &&(String, Spread), b: &&(String, Spread)| a.1.max_ms.total_cmp(&b.1.max_ms);
        self.kinds.iter().max_by(slower)
    }
}

impl Spread {
    /// The spread of so many nanoseconds; nearest ranks.
    pub(super) fn of(nanos: impl Iterator<Item = u64>) -> Self {
        let mut nanos: Vec<u64> = nanos.collect();
        nanos.sort_unstable();
        let rank = |thousandths: usize| {
            let index = (nanos.len() * thousandths).div_ceil(1000).saturating_sub(1);
            nanos.get(index).map_or(0.0, |nanos| *nanos as f64 / 1e6)
        };
        Self {
            requests: nanos.len(),
            p50_ms: rank(500),
            p99_ms: rank(990),
            p999_ms: rank(999),
            max_ms: rank(1000),
        }
    }

    /// From the middle to the end.
    pub(super) const fn ranks(&self) -> [f64; 4] {
        [self.p50_ms, self.p99_ms, self.p999_ms, self.max_ms]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest_above() {
        let spread = Spread::of((1..=1000).map(|ms| ms * 1_000_000));
        let ranks = (spread.p50_ms, spread.p99_ms, spread.p999_ms, spread.max_ms);
        assert_eq!(ranks, (500.0, 990.0, 999.0, 1000.0));
        assert_eq!(Spread::of(std::iter::empty()), Spread::default());
    }

    #[test]
    fn only_what_was_due_in_the_measured_time_counts() {
        let one = |kind, sent, took| Exchange {
            sequence: kind,
            sent,
            answered: sent + took,
            accepted: true,
        };
        let exchanges = [
            one(0, 5, 9),
            one(0, 10, 1_000_000),
            one(1, 15, 2_000_000),
            one(1, 20, 9),
        ];
        let kinds = vec!["a".to_owned(), "b".to_owned()];
        let answers = Answers::of(&exchanges, 10..20, kinds, None);
        assert_eq!((answers.whole.requests, answers.whole.max_ms), (2, 2.0));
        assert_eq!(answers.slowest().expect("a kind").0, "b");
        assert_eq!(answers.kinds[0].1.requests, 1);
    }
}
