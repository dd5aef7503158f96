//! Many simulations side by side: they share nothing, so each processor takes the next seed.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;

use super::{Broken, Flaw, Passed, run, trace};

/// Broken seeds that are told of in a line each.
const BROKEN_SHOWN: usize = 20;

/// Simulates the whole relay, once for each seed.
#[derive(Debug, Parser)]
#[command(name = "relay-simulate")]
struct Asked {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// Only this one, with every line of its trace.
    #[arg(long)]
    seed: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
}

/// What many simulations came to.
#[derive(Debug, Default)]
pub struct Sum {
    pub seeds: u64,
    pub passed: Passed,
    /// The broken seeds, in order.
    pub broken: Vec<Broken>,
}

/// The program `relay-simulate`.
#[expect(clippy::print_stdout, reason = "a program for people")]
pub fn main() -> ExitCode {
    let asked = Asked::parse();
    if let Some(seed) = asked.seed {
        return match run(seed, Flaw::None, true) {
            Ok(passed) => {
                println!("seed {seed} passed: {passed:?}");
                ExitCode::SUCCESS
            }
            Err(broken) => {
                println!("{broken}");
                ExitCode::FAILURE
            }
        };
    }
    let began = Instant::now();
    let sum = all(asked.from..asked.from.saturating_add(asked.seeds), Flaw::None);
    for broken in sum.broken.iter().take(BROKEN_SHOWN) {
        println!(
            "seed {} at {}: {}",
            broken.seed,
            trace::shown(broken.at),
            broken.promise
        );
    }
    if let Some(first) = sum.broken.first() {
        println!("\n{first}\n");
    }
    println!("{} in {:.1?}", sum.line(), began.elapsed());
    match sum.broken.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Simulates every seed of a range, on all processors.
pub fn all(seeds: std::ops::Range<u64>, flaw: Flaw) -> Sum {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Sum::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let verdict = run(seed, flaw, false);
            sum.lock().unwrap_or_else(PoisonError::into_inner).add(verdict);
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(work);
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.broken.sort_by_key(|broken| broken.seed);
    sum
}

impl Sum {
    fn add(&mut self, verdict: Result<Passed, Box<Broken>>) {
        self.seeds += 1;
        match verdict {
            Ok(passed) => {
                self.passed.span += passed.span;
                self.passed.events += passed.events;
                self.passed.attempts += passed.attempts;
                self.passed.together += passed.together;
                self.passed.timers += passed.timers;
                self.passed.crashes += passed.crashes;
                self.passed.clock_jumps += passed.clock_jumps;
            }
            Err(broken) => self.broken.push(*broken),
        }
    }

    /// All in one line.
    pub fn line(&self) -> String {
        let Passed {
            span,
            events,
            attempts,
            together,
            timers,
            crashes,
            clock_jumps,
            ..
        } = self.passed;
        let days = span.as_secs() / Duration::from_secs(86400).as_secs();
        format!(
            "{} seeds, {} broken: {days} simulated days, {events} events, {attempts} attempts, \
             {together} of them together, {timers} timers, {crashes} crashes, {clock_jumps} clock jumps",
            self.seeds,
            self.broken.len()
        )
    }
}
