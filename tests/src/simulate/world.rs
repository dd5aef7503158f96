//! What everybody in a simulation shares.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Notify;

use super::clock::Time;
use super::fate::{Fate, Weather};
use super::ledger::Ledger;
use super::receivers::Mood;
use super::trace::Trace;
use super::{Broken, Flaw, Passed};

/// See the module.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) flaw: Flaw,
    pub(super) time: Arc<Time>,
    state: Mutex<State>,
    ledger: Mutex<Ledger>,
}

struct State {
    trace: Trace,
    broken: Option<Broken>,
    weather: Weather,
    moods: Vec<Mood>,
    /// Randomness for the store and for receivers, each by itself, so that a call more of the one
    /// leaves the other as it was.
    of_store: StdRng,
    of_receivers: StdRng,
    crash: Arc<Notify>,
    counts: Passed,
}

impl World {
    pub(super) fn new(seed: u64, flaw: Flaw, endpoints: usize, is_loud: bool) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ 0x57a7_e0f7_4e57_04e5);
        Self {
            seed,
            flaw,
            time: Arc::default(),
            state: Mutex::new(State {
                trace: Trace::new(is_loud),
                broken: None,
                weather: Weather::FINE,
                moods: vec![Mood::Well; endpoints],
                of_store: StdRng::seed_from_u64(random.random()),
                of_receivers: StdRng::seed_from_u64(random.random()),
                crash: Arc::default(),
                counts: Passed::default(),
            }),
            ledger: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line of the trace.
    pub(super) fn trace(&self, text: std::fmt::Arguments<'_>) {
        let at = self.time.since_start();
        self.state().trace.add(at, text);
    }

    // ---- promises ------------------------------------------------------------------------

    /// A promise is broken: the first one counts, and ends the simulation.
    pub(super) fn broken(&self, promise: String) {
        let at = self.time.since_start();
        let mut state = self.state();
        if state.broken.is_none() {
            state.broken = Some(Broken {
                seed: self.seed,
                at,
                promise,
                trace: state.trace.end(),
            });
        }
        state.crash.notify_one();
    }

    /// Notes it if the ledger found a promise broken.
    pub(super) fn expect(&self, kept: Result<(), String>) {
        if let Err(promise) = kept {
            self.broken(promise);
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state().broken.is_some()
    }

    /// How it all ended.
    pub(super) fn verdict(&self) -> Result<Passed, Box<Broken>> {
        let state = self.state();
        match &state.broken {
            Some(broken) => Err(Box::new(broken.clone())),
            None => Ok(Passed {
                digest: state.trace.digest(),
                span: self.time.since_start(),
                ..state.counts
            }),
        }
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut Passed)) {
        add(&mut self.state().counts);
    }

    /// Attempts so far.
    pub(super) fn attempts(&self) -> u64 {
        self.state().counts.attempts
    }

    // ---- crashes -------------------------------------------------------------------------

    /// A run begins; tells when it crashes.
    pub(super) fn begin_run(&self) -> Arc<Notify> {
        self.time.begin_run();
        let crash = Arc::new(Notify::new());
        self.state().crash = Arc::clone(&crash);
        crash
    }

    /// The process ends here and now.
    pub(super) fn crash(&self) {
        self.state().crash.notify_one();
    }

    // ---- store and receivers -------------------------------------------------------------

    pub(super) fn fate(&self, writes: bool) -> Fate {
        let state = &mut *self.state();
        Fate::draw(&state.weather, writes, &mut state.of_store)
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        self.trace(format_args!("the store turns {weather:?}"));
        self.state().weather = weather;
    }

    pub(super) fn set_mood(&self, endpoint: usize, mood: Mood) {
        self.trace(format_args!("receiver e{endpoint} turns {mood:?}"));
        self.state().moods[endpoint] = mood;
    }

    /// What a receiver does with a request, and after how long.
    pub(super) fn answer(
        &self,
        endpoint: usize,
        timeout: Duration,
    ) -> (super::receivers::Answering, Duration) {
        let state = &mut *self.state();
        state.moods[endpoint].draw(timeout, &mut state.of_receivers)
    }

    /// A number for whoever simulates the ground.
    pub(super) fn chance(&self, share: f64) -> bool {
        self.state().of_store.random_bool(share)
    }
}
