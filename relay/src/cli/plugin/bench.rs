//! `relay plugin bench`

use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;

use super::given::{Given, tell_lacking};
use super::host::Host;
use super::run::owner;
use super::subject::{Component, Subject};
use super::timings::Timings;
use crate::config::parse_duration;
use crate::model::event::{Event, Header};
use crate::model::id::DeliveryId;
use crate::model::plugin::{Limits, OnFault, PluginUse};
use crate::model::reply::Answer;
use crate::model::secret::Secret;
use crate::plugins::fixtures::{Fixture, Hook, Replies};
use crate::plugins::{AuthRequest, Authenticated, Bound, Call, Chain, Chained, Plugins, stock};

/// Calls before those that count.
const WARM_UP: u32 = 100;
/// How long a call may take: it is to be measured, not to be cut off.
const TIME_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(in crate::cli) struct Bench {
    /// The folder of a plugin's source, a component, or a stock plugin's name
    #[arg(default_value = ".")]
    plugin: String,
    /// The file with the event or fixture, in place of the plugin's first fixture
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    /// How long each row is measured
    #[arg(long = "for", value_name = "DURATION", default_value = "1s", value_parser = duration)]
    span: Duration,
    /// For machines
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text:?} is no duration; write one such as 5s"))
}

/// What is measured, and with what.
struct Scene {
    fixture: Fixture,
    hook: Hook,
    event: Option<Arc<Event>>,
    headers: Vec<Header>,
}

/// What came of one plugin in one way.
#[derive(Debug, Serialize)]
struct Row {
    plugin: &'static str,
    /// Empty where there is none.
    instance: &'static str,
    calls: usize,
    calls_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    memory_bytes: Option<usize>,
    fuel: Option<u64>,
}

impl Bench {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let subject = Subject::of(&self.plugin)?;
        let component = subject.component().await?;
        let scene = self.scene(&subject)?;
        if let Ok(found) = Plugins::inspect(&component.bytes, &component.name) {
            tell_lacking(&found.manifest, &scene.fixture);
        }
        let mut contenders = vec![("this one", component.clone())];
        if let Some(bytes) = previous(&subject) {
            contenders.push(("previous", Component { bytes, ..component }));
        }
        let nothing = Component {
            name: "nothing".to_owned(),
            bytes: Bytes::from_static(stock::NOTHING),
        };
        contenders.push(("nothing", nothing));
        let (host, counting) = (Host::new()?, Host::counting()?);
        let mut rows = Vec::new();
        for (label, component) in contenders {
            rows.extend(self.measure(&host, &counting, label, component, &scene).await?);
        }
        rows.extend(scene.time_natively(self.span));
        match self.json {
            true => println!("{}", serde_json::to_string_pretty(&rows)?),
            false => println!("{}", table(&rows)),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn scene(&self, subject: &Subject) -> anyhow::Result<Scene> {
        let mut fixture = match (&self.event, subject) {
            (Some(path), _) => Fixture::read_scene(path)?,
            (None, Subject::Project(project)) => {
                let fixtures = Fixture::read_all(&project.fixtures())?;
                let is_call = |fixture: &Fixture| fixture.hook != Some(Hook::Check);
                let first = fixtures.into_iter().map(|(_, fixture)| fixture).find(is_call);
                first.context("the plugin has no fixture to measure it with: name a file with --event")?
            }
            (None, Subject::Component { .. }) => bail!("name what to measure it with: --event FILE"),
        };
        self.given.put_into(&mut fixture)?;
        let hook = match (fixture.hook, &fixture.request, &fixture.answer) {
            (Some(hook), ..) => hook,
            (None, Some(_), _) => Hook::Authenticate,
            (None, None, Some(_)) => Hook::Respond,
            (None, None, None) => Hook::Transform,
        };
        Ok(Scene {
            hook,
            event: fixture.event.as_ref().map(|given| Arc::new(given.event())),
            headers: fixture
                .request
                .as_ref()
                .map(|given| given.headers())
                .unwrap_or_default(),
            fixture,
        })
    }

    async fn measure(
        &self,
        host: &Host,
        counting: &Host,
        label: &'static str,
        component: Component,
        scene: &Scene,
    ) -> anyhow::Result<Vec<Row>> {
        let inspection = Plugins::inspect(&component.bytes, &component.name)
            .map_err(|why| anyhow::anyhow!("{} {why}", component.name))?;
        let is_plain = label == "nothing";
        let bind = async |host: &Host, reuse| {
            let used = PluginUse {
                granted: inspection.manifest.all_granted(),
                ..scene.used(&component.name, is_plain, reuse)
            };
            let component = component.bytes.clone();
            let plugins = host.plugins.with_services(Replies::repeated(
                &scene.fixture.http,
                scene.fixture.judge.as_deref(),
            ));
            plugins.bind_component(component, &used, owner()).await
        };
        let weight = scene.weigh(&bind(counting, false).await?).await?;
        let mut rows = Vec::new();
        for (instance, reuse) in [("fresh", false), ("reused", true)] {
            if reuse && !inspection.manifest.reuse {
                continue;
            }
            let bound = bind(host, reuse).await?;
            let timed = scene.time(&bound, self.span).await?;
            rows.push(Row {
                memory_bytes: weight.map(|(memory, _)| memory),
                fuel: weight.and_then(|(_, fuel)| fuel),
                ..Row::of(label, instance, timed)
            });
        }
        Ok(rows)
    }
}

impl Row {
    fn of(plugin: &'static str, instance: &'static str, (mut timings, took): (Timings, Duration)) -> Self {
        let calls = timings.count();
        Self {
            plugin,
            instance,
            calls,
            calls_per_second: calls as f64 / took.as_secs_f64(),
            p50_us: timings.at(0.5).as_secs_f64() * 1e6,
            p99_us: timings.at(0.99).as_secs_f64() * 1e6,
            memory_bytes: None,
            fuel: None,
        }
    }
}

/// The build before this one, if there was one.
fn previous(subject: &Subject) -> Option<Bytes> {
    match subject {
        Subject::Project(project) => std::fs::read(project.previous()).ok().map(Bytes::from),
        Subject::Component { .. } => None,
    }
}

const CALL: Call<'_> = Call {
    source: None,
    delivery: Some(DeliveryId::from_raw(1)),
    attempt: 1,
};

impl Scene {
    /// What does nothing takes no configuration.
    fn used(&self, name: &str, is_plain: bool, reuse: bool) -> PluginUse {
        let secret = |(name, value): (&String, &String)| (name.clone(), Secret::new(value.clone()));
        PluginUse {
            name: name.to_owned(),
            pin: None,
            config: match is_plain {
                true => serde_json::json!({}),
                false => self.fixture.config.clone(),
            },
            secrets: self.fixture.secrets.iter().map(secret).collect(),
            granted: Default::default(),
            limits: Limits {
                time: TIME_MAX,
                ..Limits::default()
            },
            reuse,
        }
    }

    /// Memory, and instructions of the call; of hooks that look at an event by itself.
    async fn weigh(&self, bound: &Bound) -> anyhow::Result<Option<(usize, Option<u64>)>> {
        let (Hook::Filter | Hook::Transform, Some(event)) = (self.hook, &self.event) else {
            return Ok(None);
        };
        let bound = bound.only(self.hook.hooks());
        let weighed = bound.weigh(event, CALL).await;
        let (before, after) =
            weighed.map_err(|fault| anyhow::anyhow!("the plugin broke: {}", fault.message))?;
        let fuel = after.fuel.zip(before.fuel).map(|(after, before)| after - before);
        Ok(Some((after.memory_bytes, fuel)))
    }

    /// How long calls take, one after the other.
    async fn time(&self, bound: &Bound, span: Duration) -> anyhow::Result<(Timings, Duration)> {
        let chain = Chain::new(vec![bound.only(self.hook.hooks())], OnFault::DeadLetter);
        for _ in 0..WARM_UP {
            self.call(bound, &chain).await?;
        }
        let mut timings = Timings::default();
        let started = Instant::now();
        while started.elapsed() < span {
            let called = Instant::now();
            self.call(bound, &chain).await?;
            timings.add(called.elapsed());
        }
        Ok((timings, started.elapsed()))
    }

    /// How long it takes to parse the event's payload and to write it again, without any plugin: how fast this
    /// machine is just now. `None`: it is no JSON.
    fn time_natively(&self, span: Duration) -> Option<Row> {
        let data = &self.event.as_ref()?.data;
        let pass = || serde_json::to_vec(&serde_json::from_slice::<serde_json::Value>(black_box(data))?);
        pass().ok()?;
        let mut timings = Timings::default();
        let started = Instant::now();
        while started.elapsed() < span {
            let called = Instant::now();
            drop(black_box(pass()));
            timings.add(called.elapsed());
        }
        Some(Row::of("natively", "", (timings, started.elapsed())))
    }

    async fn call(&self, bound: &Bound, chain: &Chain) -> anyhow::Result<()> {
        let broke = match (
            self.hook,
            &self.event,
            &self.fixture.request,
            &self.fixture.answer,
        ) {
            (Hook::Filter | Hook::Transform, Some(event), ..) => match chain.run(event, CALL).await.result {
                Chained::Fault { fault, message, .. } if fault.follows_policy() => Some(message),
                _ => None,
            },
            (Hook::Authenticate, _, Some(request), _) => {
                let asked = AuthRequest {
                    method: &request.method,
                    path: &request.path,
                    query: &request.query,
                    remote: None,
                    headers: &self.headers,
                    body: request.body(),
                };
                match bound.authenticate(&asked).await {
                    Authenticated::Fault(fault) if fault.kind.follows_policy() => Some(fault.message),
                    _ => None,
                }
            }
            (Hook::Respond, Some(event), _, Some(answer)) => {
                let answer: Answer = answer.answer();
                let replied = bound.respond(event, answer, CALL).await;
                replied
                    .err()
                    .filter(|fault| fault.kind.follows_policy())
                    .map(|fault| fault.message)
            }
            _ => bail!("the fixture holds nothing that the hook looks at"),
        };
        match broke {
            Some(message) => bail!("the plugin broke: {message}"),
            None => Ok(()),
        }
    }
}

fn table(rows: &[Row]) -> String {
    let mut lines = vec![format!(
        "{:10} {:8} {:>10} {:>10} {:>10} {:>10} {:>12}",
        "plugin", "instance", "calls/s", "p50 µs", "p99 µs", "memory", "fuel"
    )];
    for row in rows {
        let memory = row.memory_bytes.map(|bytes| HumanBytes(bytes as u64).to_string());
        let fuel = row.fuel.map(|fuel| fuel.to_string());
        lines.push(format!(
            "{:10} {:8} {:>10.0} {:>10.1} {:>10.1} {:>10} {:>12}",
            row.plugin,
            row.instance,
            row.calls_per_second,
            row.p50_us,
            row.p99_us,
            memory.as_deref().unwrap_or("–"),
            fuel.as_deref().unwrap_or("–")
        ));
    }
    lines.join("\n")
}
