//! The thread that lets time pass for plugins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use wasmtime::Engine;

use super::threads::PerThread;

/// How often a running plugin looks at its deadline.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// Ticks without a call before the thread goes to sleep: under load it never does, so a
/// call seldom pays for waking it.
const LINGER_TICKS: u32 = 100;
/// How often the thread looks after what plugins left behind.
const REST: Duration = Duration::from_secs(10);

/// Advances an engine's epoch while a call is in progress; sleeps when none is.
#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    /// In progress, by the thread that they began on.
    calls: PerThread<AtomicUsize>,
    is_asleep: AtomicBool,
    must_stop: AtomicBool,
}

/// While it lives, time passes.
#[derive(Debug)]
pub(super) struct Ticking<'t>(&'t AtomicUsize);

impl Ticker {
    /// Starts the thread; `tidy` runs in it every now and then.
    pub(super) fn start(engine: Engine, tidy: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = shared.clone();
        let handle = thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || seen.run(&engine, tidy))?;
        let thread = handle.thread().clone();
        Ok(Self {
            shared,
            handle: Some(handle),
            thread,
        })
    }

    /// Lets time pass until the guard is dropped.
    pub(super) fn enter(&self) -> Ticking<'_> {
        // Counted before the look at `is_asleep`; the thread does it the other way round.
        let calls = self.shared.calls.own();
        calls.fetch_add(1, Ordering::SeqCst);
        if self.shared.is_asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Ticking(calls)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.must_stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
        // Tidying up may drop the last owner, and no thread can wait for itself.
        if let Some(handle) = self.handle.take()
            && thread::current().id() != self.thread.id()
        {
            // A panic in the thread was reported when it happened.
            drop(handle.join());
        }
    }
}

impl Shared {
    fn run(&self, engine: &Engine, tidy: impl Fn()) {
        let (mut idle, mut tidied) = (0, Instant::now());
        while !self.must_stop.load(Ordering::SeqCst) {
            thread::sleep(TICK);
            engine.increment_epoch();
            if tidied.elapsed() >= REST {
                tidy();
                tidied = Instant::now();
            }
            idle = if self.is_idle() { idle + 1 } else { 0 };
            if idle > LINGER_TICKS {
                tidy();
                self.sleep(&tidy);
                idle = 0;
            }
        }
    }

    fn sleep(&self, tidy: &impl Fn()) {
        self.is_asleep.store(true, Ordering::SeqCst);
        while self.is_idle() && !self.must_stop.load(Ordering::SeqCst) {
            thread::park_timeout(REST);
            tidy();
        }
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    fn is_idle(&self) -> bool {
        self.calls.all().all(|calls| calls.load(Ordering::SeqCst) == 0)
    }
}
