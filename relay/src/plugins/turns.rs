//! Long calls take turns, so that plugins that compute for long leave the processors to
//! everything else.
//!
//! A call that ends within a few ticks never notices. One that goes on waits for a turn: half
//! of the processors are for long calls, and one use of a plugin has one turn at a time, so
//! that its flood queues behind itself and not before its neighbours. What a call waits does
//! not count against its deadline.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Ticks that a call may take without a turn.
const TICKS_FREE: u32 = 2;
/// How long a call may wait for its turn.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The turns there are for the calls of one use of a plugin.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    of_all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

impl Turns {
    /// For half of the machine's processors, and at least one.
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            of_all: Arc::new(Semaphore::new((processors / 2).max(1))),
            own: Arc::new(Semaphore::new(1)),
        }
    }

    /// Those of another use.
    pub(super) fn for_another(&self) -> Self {
        Self {
            of_all: self.of_all.clone(),
            own: Arc::new(Semaphore::new(1)),
        }
    }
}

/// How far a call has come with its turn.
#[derive(Debug, Default)]
pub(super) struct Turn(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    ticks: u32,
    held: Option<[OwnedSemaphorePermit; 2]>,
    waits_since: Option<Instant>,
    waited: Duration,
    /// The same of earlier calls of the visit.
    waited_before: Duration,
    gave_up: bool,
}

impl Turn {
    /// A call begins.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        *state = State {
            waited_before: state.waited_before + state.waited,
            ..State::default()
        };
    }

    /// The visit has ended; how long all its calls have waited.
    pub(super) fn leave(&self) -> Duration {
        let state = std::mem::take(&mut *self.state());
        state.waited_before + state.waited
    }

    /// The call has ended; whoever waits is next.
    pub(super) fn end(&self) {
        self.state().held = None;
    }

    /// Time that the call has waited for others so far.
    pub(super) fn waited(&self) -> Duration {
        let state = self.state();
        state.waited + state.waits_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether its turn never came.
    pub(super) fn gave_up(&self) -> bool {
        self.state().gave_up
    }

    /// The call waits for an answer from elsewhere: its turn is for others until it is back.
    pub(super) fn step_back(&self) {
        let mut state = self.state();
        state.held = None;
        state.waits_since = Some(Instant::now());
    }

    /// The answer is there.
    pub(super) fn come_back(&self) {
        let mut state = self.state();
        let since = state.waits_since.take();
        state.waited += since.map_or(Duration::ZERO, |since| since.elapsed());
    }

    /// Lets others run after one tick of the call; waits for a turn if it has taken many.
    pub(super) async fn pause(self: Arc<Self>, turns: Turns) {
        let needs_turn = self.tick();
        let held = if needs_turn {
            tokio::time::timeout(WAIT_MAX, turns.take()).await
        } else {
            Ok(None)
        };
        // Tokio's own way to yield: it looks at timers and sockets before it comes back.
        tokio::task::yield_now().await;
        let mut state = self.state();
        let since = state.waits_since.take();
        state.waited += since.map_or(Duration::ZERO, |since| since.elapsed());
        match held {
            Ok(held) if needs_turn => state.held = held,
            Ok(_) => {}
            Err(_) => state.gave_up = true,
        }
    }

    /// Counts a tick; whether the next needs a turn.
    fn tick(&self) -> bool {
        let mut state = self.state();
        state.ticks += 1;
        state.waits_since = Some(Instant::now());
        state.ticks > TICKS_FREE && state.held.is_none()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    /// One's own turn first: so of each use one call at most waits for a turn of all.
    async fn take(self) -> Option<[OwnedSemaphorePermit; 2]> {
        let own = self.own.acquire_owned().await.ok()?;
        let of_all = self.of_all.acquire_owned().await.ok()?;
        Some([own, of_all])
    }
}
