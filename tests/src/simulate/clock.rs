//! Simulated time. It passes only while everybody waits, from one timer to the next, and goes on
//! over crashes; the wall clock can be set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use relay::clock::Clock;
use relay::model::time::Timestamp;
use tokio::time::Instant;

/// When every simulation starts.
pub(super) const START: Timestamp = Timestamp::from_millis(1_750_000_000_000);
/// So many readings without a millisecond passing mean that the relay runs in circles.
const READINGS_MAX: u64 = 3_000_000;

/// The time of one simulation.
#[derive(Debug)]
pub(super) struct Time {
    /// When the present run began, in simulated milliseconds.
    run_began_ms: AtomicI64,
    /// The present run's zero.
    zero: std::sync::Mutex<Option<Instant>>,
    ahead_ms: AtomicI64,
    readings: AtomicU64,
    readings_total: AtomicU64,
    read_last_ms: AtomicI64,
}

impl Default for Time {
    fn default() -> Self {
        Self {
            run_began_ms: AtomicI64::new(0),
            zero: std::sync::Mutex::default(),
            ahead_ms: AtomicI64::new(0),
            readings: AtomicU64::new(0),
            readings_total: AtomicU64::new(0),
            read_last_ms: AtomicI64::new(0),
        }
    }
}

impl Time {
    /// A run begins: within its runtime, whose time is paused.
    pub(super) fn begin_run(&self) {
        *self.zero.lock().expect("nothing panics here") = Some(Instant::now());
    }

    /// The run ends; its runtime is about to go. The relay then stays down for so long.
    pub(super) fn end_run(&self, down: Duration) {
        let now = self.since_start() + down;
        *self.zero.lock().expect("nothing panics here") = None;
        self.run_began_ms.store(millis(now), Ordering::Relaxed);
    }

    /// How long the simulation has gone on.
    pub(super) fn since_start(&self) -> Duration {
        let zero = *self.zero.lock().expect("nothing panics here");
        let in_run = zero.map_or(Duration::ZERO, |zero| Instant::now() - zero);
        let before = u64::try_from(self.run_began_ms.load(Ordering::Relaxed)).unwrap_or_default();
        Duration::from_millis(before) + in_run
    }

    /// The true time: what a clock would show that nobody ever set.
    pub(super) fn now(&self) -> Timestamp {
        START + self.since_start()
    }

    /// By how much the wall clock is ahead of the true time.
    pub(super) fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Sets the wall clock forward, or with a negative number back.
    pub(super) fn set_forward_ms(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// How often clocks were read.
    pub(super) fn readings(&self) -> u64 {
        self.readings_total.load(Ordering::Relaxed)
    }

    fn count_reading(&self, now: Timestamp) {
        self.readings_total.fetch_add(1, Ordering::Relaxed);
        if self.read_last_ms.swap(now.as_millis(), Ordering::Relaxed) != now.as_millis() {
            self.readings.store(0, Ordering::Relaxed);
        }
        let readings = self.readings.fetch_add(1, Ordering::Relaxed);
        assert!(
            readings < READINGS_MAX,
            "the relay runs in circles: time does not pass"
        );
    }
}

/// The clock of one process: like a machine's, steady from what the wall clock showed at its start.
#[derive(Debug)]
pub(super) struct ProcessClock {
    time: Arc<Time>,
    ahead_at_start_ms: i64,
    /// See [`super::Flaw::FollowsTheWallClock`].
    follows_wall: bool,
}

impl ProcessClock {
    pub(super) fn start(time: Arc<Time>, follows_wall: bool) -> Self {
        Self {
            ahead_at_start_ms: time.ahead_ms(),
            time,
            follows_wall,
        }
    }
}

impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        let now = self.time.now();
        self.time.count_reading(now);
        moved(now, self.time.ahead_ms())
    }

    fn steady(&self) -> Timestamp {
        if self.follows_wall {
            return self.now();
        }
        let now = self.time.now();
        self.time.count_reading(now);
        moved(now, self.ahead_at_start_ms)
    }
}

pub(super) const fn moved(time: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_millis(time.as_millis() + ms)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
