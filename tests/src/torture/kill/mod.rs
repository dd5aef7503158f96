//! SIGKILL at random moments, under load, before receivers that fail; then the books are
//! closed: every event that was answered 202 has to have arrived, or to be in the log with a
//! reason.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, sleep};

use crate::instance::{Relay, Setup};
use crate::receiver::endpoint;
use ledger::Ledger;
use sender::Sender;
use target::Target;

mod ledger;
mod sender;
mod target;

/// Attempts under way at once, at most.
const CONCURRENCY: usize = 16;
/// Most attempts that one kill may have made anew: those under way, and those that were over
/// but not yet in a commit.
const REPEATED_PER_KILL_MAX: u64 = 4 * CONCURRENCY as u64;
/// How long the last deliveries may take.
const DRAIN_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(2);

/// How the relay is to be killed.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How often it is killed
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub cycles: usize,
    /// Decides when it is killed, and which deliveries fail
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Events a second, sent whether the relay is there or not
    #[arg(long, value_name = "N", default_value_t = 600)]
    pub rate: u32,
    /// Longest time between two kills, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 4000)]
    pub cycle_ms: u64,
}

/// What came of it. Its last line is `lost: 0 duplicates: N accepted: M`.
#[derive(Debug)]
pub struct Reckoning {
    pub lost: Vec<u64>,
    pub duplicates: u64,
    pub accepted: usize,
    pub faults: Vec<String>,
}

impl Reckoning {
    /// Whether nothing was lost, and no more was repeated than may be.
    pub const fn is_sound(&self) -> bool {
        self.lost.is_empty() && self.faults.is_empty()
    }
}

impl fmt::Display for Reckoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        let (lost, duplicates, accepted) = (self.lost.len(), self.duplicates, self.accepted);
        write!(f, "lost: {lost} duplicates: {duplicates} accepted: {accepted}")
    }
}

/// When in its life a relay is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After a while under load.
    Later(Duration),
    /// Before it has told where it listens, or right afterwards.
    AtStart(Duration),
    /// As soon as so many more events are accepted.
    AfterAccepting(usize),
    /// While the write-ahead log is copied into the database.
    WhileCopying,
}

impl Moment {
    fn choose(options: &Options, random: &mut StdRng) -> Self {
        let within = |ms: u64, random: &mut StdRng| Duration::from_millis(random.random_range(0..=ms));
        match random.random_range(0..10) {
            0..4 => Self::Later(within(options.cycle_ms, random)),
            4 => Self::AtStart(within(300, random)),
            5..8 => Self::AfterAccepting(random.random_range(1..=options.rate as usize)),
            _ => Self::WhileCopying,
        }
    }
}

/// Kills a relay again and again.
///
/// # Panics
/// If it does not start, or tells something of the past that cannot be.
pub async fn run(options: &Options, say: impl Fn(&str)) -> Reckoning {
    let mut random = StdRng::seed_from_u64(options.seed);
    let ledger = Arc::new(Ledger::default());
    let target = Target::start(Arc::clone(&ledger), options.seed);
    let settings = format!(
        "concurrency = {CONCURRENCY}\ntimeout = \"1s\"\nretry = {{ schedule = [{}] }}",
        vec!["\"100ms\""; 20].join(", ")
    );
    let setup = Setup::new(&endpoint("crm", &target.url(), &settings));
    let mut relay = setup.start().await;
    let sender = Sender::start(Arc::clone(&ledger), options.rate);
    let mut faults = Vec::new();
    let mut repeated_before = 0;
    for cycle in 1..=options.cycles {
        let moment = Moment::choose(options, &mut random);
        relay = live_until(relay, moment, options, &sender, &ledger).await;
        // What is repeated shows after the kill before this one.
        let repeated = ledger.duplicates();
        if repeated - repeated_before > REPEATED_PER_KILL_MAX {
            let count = repeated - repeated_before;
            faults.push(format!("cycle {cycle}: {count} deliveries were repeated"));
        }
        repeated_before = repeated;
        let accepted = ledger.accepted_count();
        say(&format!(
            "cycle {cycle}: killed {moment:?}, {accepted} accepted, {repeated} repeated so far"
        ));
    }
    sender.aim(Some(relay.address()));
    ledger.accepts(1).await;
    sender.stop().await;
    let lost = reckon(&relay, &ledger).await;
    let (duplicates, accepted) = (ledger.duplicates(), ledger.accepted_count());
    Reckoning {
        lost,
        duplicates,
        accepted,
        faults,
    }
}

/// Lets a relay live until its moment has come, kills it, and starts it again.
async fn live_until(
    mut relay: Relay,
    moment: Moment,
    options: &Options,
    sender: &Sender,
    ledger: &Ledger,
) -> Relay {
    sender.aim(Some(relay.address()));
    match moment {
        Moment::Later(span) => sleep(span).await,
        Moment::AfterAccepting(count) => ledger.accepts(count).await,
        Moment::WhileCopying => copying(&relay, Duration::from_millis(options.cycle_ms)).await,
        Moment::AtStart(span) => {
            // Two in a row: the second one before the relay is ready, or just when it is.
            ledger.accepts(1).await;
            relay.kill().await;
            sender.aim(None);
            relay.start_and_kill(span).await;
            relay.start_again().await;
            return relay;
        }
    }
    relay.kill_now();
    relay.kill().await;
    sender.aim(None);
    relay.start_again().await;
    relay
}

/// Waits until the database file itself is written, which only a copy of the log does; not
/// longer than a cycle.
async fn copying(relay: &Relay, longest: Duration) {
    let path = relay.setup().home().join("relay.db");
    let changed = || path.metadata().and_then(|metadata| metadata.modified()).ok();
    let (before, deadline) = (changed(), Instant::now() + longest);
    while changed() == before && Instant::now() < deadline {
        sleep(POLL).await;
    }
}

/// The accepted events that have not arrived and of which the log cannot say why.
async fn reckon(relay: &Relay, ledger: &Ledger) -> Vec<u64> {
    let deadline = Instant::now() + DRAIN_MAX;
    loop {
        let missing = ledger.missing();
        if missing.is_empty() || Instant::now() >= deadline {
            return unexplained(relay, missing).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn unexplained(relay: &Relay, missing: BTreeMap<u64, String>) -> Vec<u64> {
    let mut lost = Vec::new();
    for (number, id) in missing {
        let deliveries = relay.deliveries(&id).await;
        let has_reason = |delivery: &serde_json::Value| {
            delivery["status"] == "failed"
                && delivery["reason"]
                    .as_str()
                    .is_some_and(|reason| !reason.is_empty())
        };
        if deliveries.is_empty() || !deliveries.iter().all(has_reason) {
            lost.push(number);
        }
    }
    lost
}
