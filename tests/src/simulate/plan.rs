//! What one seed makes of a simulation: configuration, traffic, trouble.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use relay::config::reader::Surroundings;
use relay::config::{self, Config};

use super::terms::Terms;

/// Types of events.
pub(super) const KINDS: [&str; 4] = ["order.paid", "order.sent", "user.made", "user.gone"];
/// What endpoints ask for: a pattern, and the kinds that match it.
const PATTERNS: [(&str, &[usize]); 5] = [
    ("", &[0, 1, 2, 3]),
    ("order.*", &[0, 1]),
    ("user.gone", &[3]),
    ("order.paid\", \"user.made", &[0, 2]),
    ("nobody.*", &[]),
];
/// Schedules from quick to that of many days.
const SCHEDULES: [&[&str]; 7] = [
    &["1s", "5s", "30s"],
    &["100ms", "100ms"],
    &["5s", "1m", "5m"],
    &["2s", "2s", "2s", "2s", "2s", "2s"],
    &["30s", "10m"],
    &["1m", "1h"],
    &["5s", "5m", "30m", "2h", "5h"],
];
/// Things that happen in one simulation, on average at most.
const STEPS_MAX: u32 = 900;
/// How much later a rule emits each order again, if there is one.
const AGAIN: [Option<&str>; 4] = [None, Some("1s"), Some("90s"), Some("15m")];
const RATES: [&str; 5] = ["1/s", "5/s", "10/m", "3/10s", "100/s"];

/// See the module.
pub(super) struct Plan {
    pub(super) endpoints: Vec<Side>,
    queue: config::QueueSettings,
    retention: Duration,
    dedupe_window: Duration,
    /// How long events come in.
    pub(super) traffic: Duration,
    /// The mean pause between two things that happen.
    pub(super) pause: Duration,
    /// Nothing but slow receivers, retries and clocks that are set: then nothing may be late at any
    /// time.
    pub(super) is_calm: bool,
    /// The largest payload.
    pub(super) bytes_max: usize,
    again: Option<&'static str>,
}

/// An endpoint, as it may be reloaded.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pattern: usize,
    /// Wants only events whose number is even.
    wants_even: bool,
    schedule: &'static [&'static str],
    jitter: f64,
    timeout_s: u64,
    concurrency: u32,
    rate: Option<&'static str>,
    is_enabled: bool,
    is_removed: bool,
}

impl Plan {
    pub(super) fn draw(random: &mut StdRng) -> Self {
        let is_calm = random.random_bool(0.25);
        // Long schedules make long simulations, so they are rarer.
        let slowest = [2, 4, 5, 6, 7][[0, 1, 1, 2, 2, 2, 3, 4][random.random_range(0..8)]];
        let endpoints = (0..random.random_range(1..=8))
            .map(|_| Side::draw(slowest, random))
            .collect();
        let pause = Duration::from_millis([300, 2_000, 8_000][random.random_range(0..3)]);
        let minutes = match slowest {
            2 | 4 => random.random_range(2..30),
            _ => random.random_range(2..120),
        };
        Self {
            endpoints,
            queue: config::QueueSettings {
                endpoint_deliveries_max: [1, 4, 16, 1024][random.random_range(0..4)],
                memory_bytes_max: [5_000, 50_000, 1 << 20][random.random_range(0..3)],
                concurrency_max: [1, 4, 32, 4096][random.random_range(0..4)],
            },
            retention: [Duration::from_secs(600), Duration::from_secs(30 * 86400)][random.random_range(0..2)],
            dedupe_window: [Duration::from_secs(300), Duration::from_secs(7 * 86400)]
                [random.random_range(0..2)],
            traffic: Duration::from_secs(60 * minutes).min(pause * STEPS_MAX),
            pause,
            is_calm,
            bytes_max: [10, 300, 4_000][random.random_range(0..3)],
            again: AGAIN[random.random_range(0..AGAIN.len())],
        }
    }

    /// The configuration as it stands.
    pub(super) fn config(&self) -> Config {
        let mut text = String::from("[outbound]\nhttps_only = false\n");
        for (number, side) in self
            .endpoints
            .iter()
            .enumerate()
            .filter(|(_, side)| !side.is_removed)
        {
            side.write(number, &mut text);
        }
        if let Some(delay) = self.again {
            let written = write!(
                text,
                "[[rule]]\nname = \"again\"\nevent_types = [\"order.paid\"]\n\
                 delay = \"{delay}\"\nemit = {{ type = \"order.again\" }}\n"
            );
            written.expect("strings can be written to");
        }
        let mut config =
            config::load(&text, &Nowhere).unwrap_or_else(|faults| panic!("{faults:#?} in\n{text}"));
        config.server.listen.clear();
        config.queue.clone_from(&self.queue);
        config.store.retention = self.retention;
        config.store.dedupe_window = self.dedupe_window;
        config
    }

    /// What the ledger has to know of the configuration.
    pub(super) fn terms(&self) -> Vec<Terms> {
        // Those that are removed are described too: they keep their rate limit.
        let described = Self {
            endpoints: self
                .endpoints
                .iter()
                .map(|side| Side {
                    is_removed: false,
                    ..side.clone()
                })
                .collect(),
            queue: self.queue.clone(),
            ..*self
        };
        let config = described.config();
        config
            .endpoints
            .iter()
            .map(|declared| Terms::of(&declared.item))
            .collect()
    }

    pub(super) const fn limits(&self) -> (usize, Duration) {
        (self.queue.concurrency_max, self.dedupe_window)
    }

    /// What the queue may hold: deliveries that wait, and bytes.
    pub(super) fn memory(&self) -> (usize, usize) {
        let lanes = self.endpoints.len();
        // Each lane may read one delivery more than there is memory for.
        let surplus = lanes * (self.bytes_max + 1024);
        (
            lanes * self.queue.endpoint_deliveries_max,
            self.queue.memory_bytes_max + surplus,
        )
    }

    pub(super) const fn retention(&self) -> Duration {
        self.retention
    }
}

/// Which of these endpoints want an event of this kind and number.
pub(super) fn wanting(sides: &[Side], kind: usize, n: u64) -> BTreeSet<usize> {
    let sides = sides.iter().enumerate();
    let wanting = sides.filter(|(_, side)| side.wants(kind, n));
    wanting.map(|(number, _)| number).collect()
}

impl Side {
    fn draw(slowest: usize, random: &mut StdRng) -> Self {
        Self {
            pattern: random.random_range(0..PATTERNS.len() + 3).saturating_sub(3),
            wants_even: random.random_bool(0.2),
            schedule: SCHEDULES[random.random_range(0..slowest)],
            jitter: [0.0, 0.2, 0.2, 0.5][random.random_range(0..4)],
            timeout_s: [1, 5, 15][random.random_range(0..3)],
            concurrency: [1, 2, 8, 64][random.random_range(0..4)],
            rate: random
                .random_bool(0.4)
                .then(|| RATES[random.random_range(0..RATES.len())]),
            is_enabled: true,
            is_removed: false,
        }
    }

    /// Changes one thing, as an operator would.
    pub(super) fn change(&mut self, random: &mut StdRng) {
        match random.random_range(0..7) {
            0 => self.concurrency = [1, 2, 8, 64][random.random_range(0..4)],
            1 => {
                self.rate = random
                    .random_bool(0.5)
                    .then(|| RATES[random.random_range(0..RATES.len())])
            }
            2 => self.is_enabled = !self.is_enabled,
            3 => self.is_removed = !self.is_removed,
            4 => self.pattern = random.random_range(0..PATTERNS.len()),
            5 => self.timeout_s = [1, 5, 15][random.random_range(0..3)],
            _ => self.wants_even = !self.wants_even,
        }
    }

    /// As everything ends: it takes what there is for it.
    pub(super) const fn restore(&mut self) {
        self.is_enabled = true;
        self.is_removed = false;
    }

    fn wants(&self, kind: usize, n: u64) -> bool {
        !self.is_removed
            && PATTERNS[self.pattern].1.contains(&kind)
            && (!self.wants_even || n.is_multiple_of(2))
    }

    /// Whether it wants several events in one request: told by what is drawn for other reasons, so
    /// that seeds go on drawing what they did.
    const fn is_batched(&self) -> bool {
        self.concurrency == 8 && self.timeout_s != 5
    }

    fn write(&self, number: usize, text: &mut String) {
        let pattern = match PATTERNS[self.pattern].0 {
            "" => String::new(),
            pattern => format!("event_types = [\"{pattern}\"]"),
        };
        let filter = match self.wants_even {
            true => "filter = { data = { even = [true] } }",
            false => "",
        };
        let batch = match self.is_batched() {
            true => "batch = { events_max = 3, wait = \"2s\" }",
            false => "",
        };
        let rate = self
            .rate
            .map_or_else(String::new, |rate| format!("rate_limit = \"{rate}\""));
        let Self {
            schedule,
            jitter,
            timeout_s,
            concurrency,
            is_enabled,
            ..
        } = self;
        let written = write!(
            text,
            "[[endpoint]]\nname = \"e{number}\"\nurl = \"http://e{number}.test/hook\"\n\
             secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n\
             {pattern}\n{filter}\n{rate}\n{batch}\n\
             retry = {{ schedule = {schedule:?}, jitter = {jitter} }}\n\
             timeout = \"{timeout_s}s\"\nconcurrency = {concurrency}\nenabled = {is_enabled}\n"
        );
        written.expect("strings can be written to");
    }
}

/// No environment and no files.
struct Nowhere;

impl Surroundings for Nowhere {
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("there are no files in a simulation".to_owned())
    }
}
