//! What happens to the relay from outside, one thing after the other.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use relay::app::App;
use relay::flow::Flow;
use relay::model::id::TenantId;
use relay::model::time::Timestamp;
use relay::store::memory::MemoryStore;
use relay::store::{DeliveryQueue as _, Retried};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::clock::START;
use super::fate::Weather;
use super::plan::Plan;
use super::receivers::Mood;
use super::sender::{Saying, Senders};
use super::world::World;

const HOUR_MS: i64 = 3600 * 1000;
/// By how much a wall clock is set.
const JUMPS_MS: [i64; 6] = [HOUR_MS, -HOUR_MS, 24 * HOUR_MS, -24 * HOUR_MS, 1500, -90_000];
/// How late a delivery may be when all is well: a circuit breaker's longest pause, and what
/// takes its turn meanwhile.
const SLACK: Duration = Duration::from_secs(300);
/// For how long a receiver can hold its endpoint's deliveries by `Retry-After`, and what the pace
/// takes that it has them go at afterwards.
const HELD_MAX: Duration = Duration::from_secs(3600 + 600);
/// The store knows so soon that the wall clock was set.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
/// How long an idle relay is watched.
const IDLE: Duration = Duration::from_secs(300);
/// The wall clock's jumps may make an event look so much older than it is.
const TWO_DAYS: Duration = Duration::from_secs(2 * 86400);

/// See the module.
pub(super) struct Script {
    pub(super) world: Arc<World>,
    pub(super) senders: Arc<Senders>,
    pub(super) random: StdRng,
    /// The configuration file, as it stands.
    pub(super) plan: Plan,
    /// What is in the store, without its faults.
    pub(super) store: Arc<MemoryStore>,
    /// When the wall clock was set last.
    pub(super) set_at: Option<Timestamp>,
    /// All is well since then, for good.
    pub(super) settling_since: Option<Timestamp>,
}

/// Why a run ends without a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The relay is to be stopped, and started again.
    Stop,
    /// Everything has been said and checked.
    Over,
}

impl Script {
    /// Plays on until the relay is to stop.
    pub(super) async fn play(&mut self, app: &App) -> Ended {
        if self.settling_since.is_some() {
            self.stays_over().await;
            return Ended::Over;
        }
        let mut posts = JoinSet::new();
        while self.world.time.since_start() < self.plan.traffic {
            let mean = self.plan.pause.as_secs_f64();
            let pause = -mean * (1.0 - self.random.random::<f64>()).ln();
            sleep(Duration::from_secs_f64(pause)).await;
            if self.step(app, &mut posts).await == Some(Ended::Stop) {
                return self.stop(posts).await;
            }
            while posts.try_join_next().is_some() {}
            self.look(app);
        }
        self.settle(app, &mut posts).await;
        Ended::Stop
    }

    /// A relay that is started again has nothing left to do.
    async fn stays_over(&self) {
        let before = self.world.attempts();
        sleep(IDLE).await;
        if self.world.attempts() != before {
            self.world
                .broken("something was sent again after a restart".to_owned());
        }
    }

    /// One thing happens.
    async fn step(&mut self, app: &App, posts: &mut JoinSet<()>) -> Option<Ended> {
        let Some(flow) = app.flow() else {
            return Some(Ended::Stop);
        };
        let endpoint = self.random.random_range(0..self.plan.endpoints.len());
        match self.random.random_range(0..1000) {
            0..550 => self.say(flow, 1, posts),
            550..600 => {
                let many = self.random.random_range(2..30);
                self.say(flow, many, posts);
            }
            600..620 => {
                for _ in 0..self.random.random_range(5..60) {
                    self.say(flow, 1, posts);
                }
            }
            620..700 => self.say_again(flow, posts),
            700..780 => self.turn_receiver(endpoint),
            780..800 => {
                self.set_wall_clock();
            }
            800..830 => {
                let minutes = self.random.random_range(1..15);
                sleep(Duration::from_secs(60 * minutes)).await;
            }
            830..1000 if self.plan.is_calm => {}
            830..880 => self.ask_for(flow).await,
            880..930 => self.enable(flow, endpoint).await,
            930..960 => {
                self.plan.endpoints[endpoint].change(&mut self.random);
                self.reload(app).await;
            }
            960..990 => {
                let weather = Weather::draw(&mut self.random);
                self.world.set_weather(weather);
            }
            990..995 => {
                self.world.trace(format_args!("crash"));
                self.world.crash();
                std::future::pending::<()>().await;
            }
            _ => return Some(Ended::Stop),
        }
        None
    }

    fn say(&mut self, flow: &Arc<Flow>, many: usize, posts: &mut JoinSet<()>) {
        let sayings = std::iter::from_fn(|| self.senders.new_saying(self.plan.bytes_max, &mut self.random));
        let sayings: Vec<_> = sayings.take(many).collect();
        self.post(flow, sayings, posts);
    }

    fn say_again(&self, flow: &Arc<Flow>, posts: &mut JoinSet<()>) {
        self.post(
            flow,
            self.senders.any_unacknowledged().into_iter().collect(),
            posts,
        );
    }

    fn post(&self, flow: &Arc<Flow>, sayings: Vec<Saying>, posts: &mut JoinSet<()>) {
        if !sayings.is_empty() {
            let senders = Arc::clone(&self.senders);
            posts.spawn(senders.say(Arc::clone(&self.world), Arc::clone(flow), sayings));
        }
    }

    fn turn_receiver(&mut self, endpoint: usize) {
        let mood = match self.plan.is_calm {
            true => Mood::draw_answering(&mut self.random),
            false => Mood::draw_any(&mut self.random),
        };
        self.world.set_mood(endpoint, mood);
    }

    /// The wall clock is set, forward or back.
    pub(super) fn set_wall_clock(&mut self) {
        let jump = JUMPS_MS[self.random.random_range(0..JUMPS_MS.len())];
        self.world
            .trace(format_args!("the wall clock is set forward by {jump} ms"));
        self.world.count(|counts| counts.clock_jumps += 1);
        self.world.time.set_forward_ms(jump);
        self.set_at = Some(self.world.time.now());
    }

    /// Someone asks for one more attempt, as `POST /v1/deliveries/{id}/retry` does.
    async fn ask_for(&mut self, flow: &Arc<Flow>) {
        let number = self.random.random_range(0..1 << 20);
        let asked_for = match self.random.random_bool(0.5) {
            true => self.world.ledger().recorded_last(),
            false => self.world.ledger().any(number),
        };
        let Some(id) = asked_for else { return };
        let now = flow.clock.steady();
        if let Ok(Retried::Waits(endpoint)) = flow.store.retry(TenantId::DEFAULT, id, now).await {
            flow.queue.asked_for(endpoint, now);
        }
    }

    /// An operator enables an endpoint that a 410 disabled, as `PATCH /v1/endpoints/{id}` does.
    async fn enable(&self, flow: &Arc<Flow>, endpoint: usize) {
        let directory = flow.directories.current();
        let Some(target) = directory.endpoint_named(TenantId::DEFAULT, &format!("e{endpoint}")) else {
            return;
        };
        let id = target.endpoint.id;
        if flow.set_disabled(id, None).await.is_ok() {
            self.world.trace(format_args!("e{endpoint} is enabled"));
        }
    }

    async fn reload(&self, app: &App) {
        match app.configure(self.plan.config()).await {
            Ok(_) => {
                self.world
                    .trace(format_args!("reloaded {:?}", self.plan.endpoints));
                self.senders.put_in_force(self.plan.endpoints.clone());
                let now = self.world.time.now();
                self.world.ledger().configured(self.plan.terms(), now);
            }
            Err(error) => self.world.trace(format_args!("not reloaded: {error:#}")),
        }
    }

    /// The relay is told to stop; who still posts hangs up.
    async fn stop(&self, mut posts: JoinSet<()>) -> Ended {
        self.world.trace(format_args!("stopping"));
        posts.shutdown().await;
        Ended::Stop
    }
}

// ---- looking at what the relay does --------------------------------------------------------

impl Script {
    /// Bounds of memory are kept; in a calm simulation nothing is late.
    fn look(&self, app: &App) {
        let Some(flow) = app.flow() else { return };
        let load = flow.queue.load();
        let (deliveries_max, bytes_max) = self.plan.memory();
        if load.deliveries - load.in_flight > deliveries_max || load.bytes > bytes_max {
            let bounds = format!("{deliveries_max} deliveries and {bytes_max} bytes");
            self.world
                .broken(format!("the queue may hold {bounds}, and holds {load:?}"));
        }
        let now = self.world.time.now();
        if self.plan.is_calm {
            let kept = self.world.ledger().nothing_is_late(START, SLACK, now);
            self.world.expect(kept);
            self.clock_is_known(now);
        }
        if let Some(since) = self.settling_since {
            let kept = self.world.ledger().nothing_is_late(since, HELD_MAX + SLACK, now);
            self.world.expect(kept);
        }
    }

    /// Soon after the wall clock was set, the store knows.
    fn clock_is_known(&self, now: Timestamp) {
        let known = self.world.ledger().ahead_known_ms();
        let ahead = self.world.time.ahead_ms();
        if self.set_at.is_some_and(|at| now > at + KNOWN_WITHIN) && known.abs_diff(ahead) > 1000 {
            let promise = format!("the wall clock is {ahead} ms ahead, the store knows of {known}");
            self.world.broken(promise);
        }
    }

    /// Faults end, receivers are well, everything is enabled: now every delivery has to end, in
    /// the time that its schedule takes.
    async fn settle(&mut self, app: &App, posts: &mut JoinSet<()>) {
        let Some(flow) = app.flow() else { return };
        self.world.set_weather(Weather::FINE);
        for endpoint in 0..self.plan.endpoints.len() {
            self.world.set_mood(endpoint, Mood::Well);
            self.plan.endpoints[endpoint].restore();
        }
        sleep(KNOWN_WITHIN).await;
        self.reload(app).await;
        for endpoint in 0..self.plan.endpoints.len() {
            self.enable(flow, endpoint).await;
        }
        let since = self.world.time.now();
        self.settling_since = Some(since);
        let latest = since + self.world.ledger().wait_max() + Duration::from_secs(4 * 3600);
        loop {
            self.say_again(flow, posts);
            sleep(Duration::from_secs(2)).await;
            self.look(app);
            let pending = self.world.ledger().pending();
            if pending == 0 && self.senders.are_content() {
                break;
            }
            if self.world.time.now() > latest {
                self.world
                    .broken(format!("{pending} deliveries or timers never end"));
                return;
            }
        }
        while posts.join_next().await.is_some() {}
        self.is_idle(flow).await;
        self.is_on_record().await;
    }

    /// With nothing to do, nothing is done.
    async fn is_idle(&self, flow: &Flow) {
        sleep(IDLE).await;
        let load = flow.queue.load();
        if load.deliveries > 0 || load.bytes > 0 || load.in_flight > 0 {
            self.world
                .broken(format!("everything is over, but the queue holds {load:?}"));
        }
        let before = self.world.time.readings();
        sleep(IDLE).await;
        let readings = self.world.time.readings() - before;
        if readings > 10 * IDLE.as_secs() {
            let promise = format!("an idle relay read the clock {readings} times in {IDLE:?}");
            self.world.broken(promise);
        }
    }

    /// The log says what was promised and seen.
    async fn is_on_record(&self) {
        let tenant = TenantId::DEFAULT;
        let all = self.world.ledger().all();
        for (id, state, attempts) in all {
            let found = self.store.delivery(tenant, id).await.ok().flatten();
            let Some(found) = found else {
                let age = self.world.time.now().since(id.made_at());
                if age + TWO_DAYS < self.plan.retention() {
                    self.world.broken(format!("{id} was removed after {age:?}"));
                }
                continue;
            };
            let history = self.store.attempts(tenant, id).await.unwrap_or_default();
            let numbers: Vec<u32> = history.iter().map(|attempt| attempt.number).collect();
            let is_whole = numbers == (1..=attempts).collect::<Vec<_>>();
            if (found.state, found.attempts) != (state, attempts) || !is_whole {
                let promise = format!("{id} is {state} after {attempts}, the log says {found:?} {numbers:?}");
                self.world.broken(promise);
            }
        }
    }
}
