//! One simulation: process after process on what the one before left in the store.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use relay::app::{App, Ground};
use relay::clock::SystemClock;
use relay::plugins::services::Services;
use relay::plugins::{self, Plugins};
use relay::store::memory::MemoryStore;
use tokio::runtime::Builder;

use super::clock::ProcessClock;
use super::plan::Plan;
use super::receivers::Receivers;
use super::script::{Ended, Script};
use super::sender::Senders;
use super::store::FaultyStore;
use super::world::World;
use super::{Broken, Flaw, Passed, panics};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Crashed,
    NotStarted,
    Stopped,
    Over,
}

/// Runs the simulation of a seed.
///
/// # Errors
/// The promise that the relay broke.
pub fn run(seed: u64, flaw: Flaw, is_loud: bool) -> Result<Passed, Box<Broken>> {
    let mut random = StdRng::seed_from_u64(seed);
    let plan = Plan::draw(&mut random);
    let world = Arc::new(World::new(seed, flaw, plan.endpoints.len(), is_loud));
    let _watching = panics::watch(Arc::clone(&world));
    let mut script = Script {
        world: Arc::clone(&world),
        senders: Arc::new(Senders::default()),
        random,
        plan,
        store: Arc::default(),
        set_at: None,
        settling_since: None,
    };
    while process(&mut script) != End::Over && !world.is_broken() {}
    world.verdict()
}

/// A process from its start to its end, and the time until the next one starts.
fn process(script: &mut Script) -> End {
    let world = Arc::clone(&script.world);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("a runtime without I/O can always be made");
    let end = runtime.block_on(async {
        let crash = world.begin_run();
        tokio::select! {
            biased;
            () = crash.notified() => End::Crashed,
            end = live(script) => end,
        }
    });
    let down = match end {
        End::Over => Duration::ZERO,
        _ => Duration::from_millis(script.random.random_range(1..30_000)),
    };
    runtime.block_on(async { world.trace(format_args!("{end:?}")) });
    world.count(|counts| counts.crashes += u64::from(end == End::Crashed));
    runtime.block_on(async { world.time.end_run(down) });
    // Whatever was under way is gone with it.
    drop(runtime);
    if end != End::Over && !script.plan.is_calm && script.settling_since.is_none() {
        befall(script, end);
    }
    end
}

/// What may happen while the relay is down.
fn befall(script: &mut Script, end: End) {
    if script.random.random_bool(0.03) {
        script.set_wall_clock();
    }
    if end == End::NotStarted || script.random.random_bool(0.2) {
        let weather = super::fate::Weather::draw(&mut script.random);
        script.world.set_weather(weather);
    }
}

async fn live(script: &mut Script) -> End {
    let world = &script.world;
    script.senders.hang_up();
    script.senders.put_in_force(script.plan.endpoints.clone());
    world.ledger().run_begins(
        script.plan.terms(),
        script.plan.limits(),
        world.time.ahead_ms(),
        world.time.now(),
    );
    let ground = Ground::new(
        Arc::new(FaultyStore::new(Arc::clone(world), Arc::clone(&script.store))),
        no_plugins(),
        Arc::new(ProcessClock::start(
            Arc::clone(&world.time),
            world.flaw == Flaw::FollowsTheWallClock,
        )),
        Arc::new(Receivers(Arc::clone(world))),
        StdRng::seed_from_u64(script.random.random()),
    );
    let app = match App::start_on(ground, script.plan.config(), Vec::new()).await {
        Ok(app) => app,
        Err(error) => {
            world.trace(format_args!("not started: {error:#}"));
            return End::NotStarted;
        }
    };
    let ended = script.play(&app).await;
    app.stop().await;
    match ended {
        Ended::Stop => End::Stopped,
        Ended::Over => End::Over,
    }
}

/// A plugin host that is asked for nothing: one for all simulations, since it is dear to make.
fn no_plugins() -> Plugins {
    static HOST: LazyLock<Plugins> = LazyLock::new(|| {
        let settings = plugins::Settings::new(std::env::temp_dir());
        Plugins::new(
            settings,
            Arc::new(MemoryStore::default()),
            Services::default(),
            Arc::new(SystemClock),
        )
        .expect("a plugin host can be made")
    });
    HOST.clone()
}
