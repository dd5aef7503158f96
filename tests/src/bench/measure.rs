//! One load on one rig: what was sent, what came of it, and what it cost.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::generate::{Finished, Started};
use super::load::Load;
use super::process::Memory;
use super::receiver::Status;
use super::rig::Rig;
use super::trace::{self, Exchange};
use super::worker::Worker;

/// The receiver may go without anything new for so long before what is missing counts as lost.
const STALL_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);
/// Outcomes are recorded in batches after the delivery; their cost belongs to the events.
const RECORDING: Duration = Duration::from_millis(200);

/// The middle and the end of a distribution.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Latency {
    pub p50: Duration,
    pub p99: Duration,
}

/// What a load came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    /// Events accepted in the measured time.
    pub events: u64,
    /// From the start of the measured time until the last of them had arrived.
    pub span: Duration,
    pub accept: Latency,
    /// From the answer to the arrival; zero where the arrival comes first.
    pub accept_to_receiver: Option<Latency>,
    pub sent_to_receiver: Option<Latency>,
    /// Processor time of the target, and of generator and receiver.
    pub cpu: Duration,
    pub harness_cpu: Duration,
    pub memory: Memory,
    /// Deliveries that came more than once.
    pub repeated: u64,
    /// Why the figures are not to be believed.
    pub faults: Vec<String>,
}

/// A generator under way.
#[derive(Debug)]
pub(super) struct Running {
    generator: Worker,
    started: Started,
    target_cpu: Duration,
    harness_cpu: Duration,
    before: Status,
}

/// Puts `load` on `rig` and waits until everything that was accepted has arrived.
pub(super) async fn measure(rig: &mut Rig, load: &Load) -> anyhow::Result<Measured> {
    let mut running = begin(rig, load).await?;
    let finished: Finished = running.generator.hear().await?;
    let status = drain(rig, load, &running.before, finished.accepted).await?;
    tokio::time::sleep(RECORDING).await;
    let mut measured = Measured {
        cpu: rig.process().cpu().saturating_sub(running.target_cpu),
        harness_cpu: harness_cpu(rig, &running.generator).saturating_sub(running.harness_cpu),
        memory: rig.process().memory(),
        ..Measured::default()
    };
    measured.join(&exchanges(rig)?, &arrivals(rig, load).await?, running.started);
    measured.judge(&finished, &status, &running.before, load);
    Ok(measured)
}

/// Starts the generator and waits until the measured time begins.
pub(super) async fn begin(rig: &mut Rig, load: &Load) -> anyhow::Result<Running> {
    let before = rig.received().await?;
    let mut generator = Worker::start("generator", &load.arguments(&rig.address, &rig.trace("sent")))?;
    let started = generator.hear().await?;
    let (target_cpu, harness_cpu) = (rig.process().cpu(), harness_cpu(rig, &generator));
    Ok(Running {
        generator,
        started,
        target_cpu,
        harness_cpu,
        before,
    })
}

impl Running {
    /// Waits for the generator's last word.
    pub(super) async fn finish(mut self) -> anyhow::Result<Finished> {
        self.generator.hear().await
    }
}

fn harness_cpu(rig: &Rig, generator: &Worker) -> Duration {
    rig.receiver.process.cpu() + generator.process.cpu()
}

/// Waits until the receiver has all that was accepted, or nothing comes any more.
pub(super) async fn drain(
    rig: &mut Rig,
    load: &Load,
    before: &Status,
    accepted: u64,
) -> anyhow::Result<Status> {
    let due = accepted * load.lanes.len() as u64;
    let (mut progress, mut last) = (Instant::now(), 0);
    loop {
        let status = rig.received().await?;
        let arrived = load.arrived(&status) - load.arrived(before);
        if arrived > last {
            (progress, last) = (Instant::now(), arrived);
        }
        if arrived >= due || progress.elapsed() > STALL_MAX {
            return Ok(status);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What the generator wrote down.
pub(super) fn exchanges(rig: &Rig) -> anyhow::Result<Vec<Exchange>> {
    trace::read_exchanges(&rig.trace("sent")).context("reading the generator's trace")
}

/// When events came, by sequence number, for each lane of the load.
pub(super) async fn arrivals(rig: &mut Rig, load: &Load) -> anyhow::Result<Vec<Vec<u64>>> {
    let path = rig.trace("arrived");
    rig.receiver
        .ask::<Status>(&format!("dump {}", path.display()))
        .await?;
    let read = |lane: usize| trace::read(&path.with_extension(lane.to_string())).unwrap_or_default();
    Ok(load.lanes.clone().map(read).collect())
}

impl Measured {
    /// Events a second that were accepted and arrived.
    pub(super) fn events_per_s(&self) -> f64 {
        self.events as f64 / self.span.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Microseconds of the target's processor time for each event.
    pub(super) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.events.max(1) as f64
    }

    /// Microseconds that generator and receiver took for each event.
    pub(super) fn harness_cpu_us(&self) -> f64 {
        self.harness_cpu.as_secs_f64() * 1e6 / self.events.max(1) as f64
    }

    /// Joins what was sent in the measured time with when it arrived.
    fn join(&mut self, exchanges: &[Exchange], lanes: &[Vec<u64>], window: Started) {
        let measured = exchanges
            .iter()
            .filter(|exchange| exchange.accepted && (window.from..window.until).contains(&exchange.sent));
        let (mut accept, mut after, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        let mut last = 0;
        for exchange in measured {
            accept.push(exchange.answered - exchange.sent);
            last = last.max(exchange.answered);
            for arrived in lanes.iter().filter_map(|lane| arrival(lane, exchange.sequence)) {
                after.push(arrived.saturating_sub(exchange.answered));
                whole.push(arrived.saturating_sub(exchange.sent));
                last = last.max(arrived);
            }
        }
        let end = if window.until == u64::MAX {
            last
        } else {
            last.max(window.until)
        };
        self.events = accept.len() as u64;
        self.span = Duration::from_nanos(end.saturating_sub(window.from));
        self.accept = latency(accept).unwrap_or_default();
        self.accept_to_receiver = latency(after);
        self.sent_to_receiver = latency(whole);
        self.count_missing(exchanges, lanes);
    }

    fn count_missing(&mut self, exchanges: &[Exchange], lanes: &[Vec<u64>]) {
        let missing = missing(exchanges, lanes);
        if missing > 0 {
            self.faults
                .push(format!("{missing} deliveries of accepted events did not arrive"));
        }
    }

    /// Notes whatever makes the figures worthless.
    fn judge(&mut self, finished: &Finished, status: &Status, before: &Status, load: &Load) {
        if finished.accepted < finished.sent {
            let refused = finished.sent - finished.accepted;
            let fault = finished.fault.as_deref().unwrap_or("unknown");
            self.faults.push(format!(
                "{refused} of {} events were not accepted; {fault}",
                finished.sent
            ));
        }
        if self.events == 0 {
            self.faults
                .push("no event was accepted in the measured time".to_owned());
        }
        if let Some(fault) = &status.fault {
            self.faults
                .push(format!("{} faulty deliveries; {fault}", status.faulty));
        }
        let arrived = load.arrived(status) - load.arrived(before);
        self.repeated = (status.requests - before.requests).saturating_sub(arrived);
    }
}

/// Deliveries of accepted events that never came.
pub(super) fn missing(exchanges: &[Exchange], lanes: &[Vec<u64>]) -> usize {
    let accepted = exchanges.iter().filter(|exchange| exchange.accepted);
    accepted
        .map(|exchange| {
            lanes
                .iter()
                .filter(|lane| arrival(lane, exchange.sequence).is_none())
                .count()
        })
        .sum()
}

/// When an event came, if it has.
pub(super) fn arrival(lane: &[u64], sequence: u64) -> Option<u64> {
    let index = usize::try_from(sequence).ok()?;
    lane.get(index).copied().filter(|moment| *moment > 0)
}

/// The nearest ranks of p50 and p99; `None` of nothing.
fn latency(mut nanos: Vec<u64>) -> Option<Latency> {
    nanos.sort_unstable();
    let rank = |percent: usize| {
        let index = (nanos.len() * percent).div_ceil(100).checked_sub(1)?;
        nanos.get(index).map(|nanos| Duration::from_nanos(*nanos))
    };
    Some(Latency {
        p50: rank(50)?,
        p99: rank(99)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn exchange(sequence: u64, sent: u64, accepted: bool) -> Exchange {
        Exchange {
            sequence,
            sent: sent * MS,
            answered: (sent + 2) * MS,
            accepted,
        }
    }

    #[test]
    fn ranks_are_the_nearest_above() {
        let hundred = latency((1..=100).rev().collect()).expect("some");
        assert_eq!(
            (hundred.p50, hundred.p99),
            (Duration::from_nanos(50), Duration::from_nanos(99))
        );
        let one = latency(vec![7]).expect("one");
        assert_eq!(
            (one.p50, one.p99),
            (Duration::from_nanos(7), Duration::from_nanos(7))
        );
        assert_eq!(latency(Vec::new()), None);
    }

    #[test]
    fn only_what_was_sent_in_the_measured_time_counts_until_the_last_has_arrived() {
        let exchanges = [
            exchange(0, 5, true),
            exchange(1, 10, true),
            exchange(2, 19, true),
            exchange(3, 20, true),
        ];
        let lane = vec![7 * MS, 15 * MS, 110 * MS, 120 * MS];
        let mut measured = Measured::default();
        measured.join(
            &exchanges,
            &[lane],
            Started {
                from: 10 * MS,
                until: 20 * MS,
            },
        );
        assert_eq!((measured.events, measured.span), (2, Duration::from_millis(100)));
        assert_eq!(measured.accept.p99, Duration::from_millis(2));
        assert_eq!(
            measured.accept_to_receiver.expect("arrived").p50,
            Duration::from_millis(3)
        );
        assert_eq!(
            measured.sent_to_receiver.expect("arrived").p99,
            Duration::from_millis(91)
        );
        assert!(measured.faults.is_empty());
    }

    #[test]
    fn an_accepted_event_that_misses_one_lane_is_a_fault_and_a_refused_one_is_not_missed() {
        let exchanges = [
            exchange(0, 5, true),
            exchange(1, 10, true),
            exchange(2, 15, false),
        ];
        let lanes = [vec![6 * MS, 11 * MS], vec![6 * MS]];
        let mut measured = Measured::default();
        measured.join(
            &exchanges,
            &lanes,
            Started {
                from: 0,
                until: 20 * MS,
            },
        );
        assert_eq!(
            measured.faults,
            ["1 deliveries of accepted events did not arrive"]
        );
    }
}
