//! The plugin host by itself, in this process: what calls cost, without HTTP and store around them.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use relay::model::plugin::OnFault;
use relay::plugins::{Bound, Chain, Chained, Hooks};
use serde_json::{Map, Value, json};
use tokio::runtime::{self, Runtime};

use super::cli;
use crate::guests;
use crate::host_kit::{Kit, call, event, owner, resident_bytes, resident_bytes_of, used, with_manifest};

const WARM_UP: usize = 2_000;
const CALLS: usize = 20_000;
/// Calls of one rate, all callers together.
const CALLS_OF_RATE: usize = 100_000;
/// Callers of a rate.
const AT_ONCE: usize = 16;
const ROUNDS: usize = 5;
/// How often one plugin is stopped that never ends.
const STOPS: usize = 30;
/// How often one plugin is loaded.
const LOADS: usize = 50;
/// How long after it was compiled a plugin is loaded as at any later start.
const SETTLING: Duration = Duration::from_millis(2_500);

const TRANSFORM: Hooks = Hooks {
    setup: false,
    authenticate: false,
    filter: false,
    transform: true,
    respond: false,
};

/// What is measured of the host.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Only these
    #[arg(value_name = "PART")]
    parts: Vec<Part>,
    /// A folder with components that are loaded beside the benchmark's own
    #[arg(long, value_name = "FOLDER")]
    components: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// One call after the other
    Calls,
    /// A payload taken apart in a plugin, and outside of one
    Parsing,
    /// Calls in a second, on one processor and on two
    Rates,
    /// How long after its deadline a plugin ends that never would
    Stops,
    /// Plugins that were compiled before
    Loading,
    /// Plugins in a process of their own
    Worker,
    /// What a host and its instances take
    Memory,
}

/// Measures and prints each part by itself.
pub(super) fn run(options: &Options, others: &cli::Options) -> anyhow::Result<()> {
    let parts = match options.parts.as_slice() {
        [] => Part::value_variants(),
        chosen => chosen,
    };
    for part in parts {
        match part {
            Part::Calls => on(1)?.block_on(calls())?,
            Part::Parsing => on(1)?.block_on(parsing())?,
            Part::Rates => rates()?,
            Part::Stops => on(2)?.block_on(stops())?,
            Part::Loading => on(1)?.block_on(loading(options.components.as_deref()))?,
            Part::Worker => on(2)?.block_on(worker(others.relay()?))?,
            Part::Memory => on(2)?.block_on(memory())?,
        }
    }
    Ok(())
}

/// So many threads that run tasks; what is not spawned runs on the one that waits for it.
fn on(threads: usize) -> anyhow::Result<Runtime> {
    let mut builder = runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(threads).enable_all().build()?)
}

async fn calls() -> anyhow::Result<()> {
    let kit = Kit::new();
    kit.install("edits-reused", &reused(guests::EDITS));
    kit.install("parses", guests::PARSES);
    kit.install("parses-reused", &reused(guests::PARSES));
    let keeps = Hooks {
        filter: true,
        ..Hooks::default()
    };
    let no_config = || json!({});
    tell("no plugin", &spans(None).await?);
    for (name, plugin) in [
        ("a filter that does nothing, fresh", "parses"),
        ("a filter that does nothing, reused", "parses-reused"),
    ] {
        let bound = kit.bind(plugin, no_config()).await.only(keeps);
        tell(name, &spans(Some(bound)).await?);
    }
    let keeping = kit.bind("parses-reused", no_config()).await;
    let alone = keeping.time_filter(&event(&webhook()), CALLS).await;
    let alone = alone.map_err(|fault| anyhow!("{}", fault.message))?;
    for (part, what) in ["the call alone, mean of 64", "wasmtime's part of that"]
        .iter()
        .enumerate()
    {
        tell(what, &sorted(alone.iter().map(|spans| spans[part])));
    }
    for (name, plugin) in [
        ("two edits, fresh", "edits"),
        ("two edits, reused", "edits-reused"),
    ] {
        tell(name, &spans(Some(kit.bind(plugin, no_config()).await)).await?);
    }
    Ok(())
}

/// The same work in a plugin and outside: a payload read, one member put in, one taken out, and all
/// of it written. They take turns, as the machine may change its pace.
async fn parsing() -> anyhow::Result<()> {
    let kit = Kit::new();
    kit.install("parses", &reused(guests::PARSES));
    let bound = kit.bind("parses", json!({})).await.only(TRANSFORM);
    for _ in 0..ROUNDS {
        let native = natively();
        let none = spans(None).await?;
        let guest = spans(Some(bound.clone())).await?;
        tell("parsing natively", &native);
        tell("parsing in a plugin", &guest);
        let own = at(&guest, 50).saturating_sub(at(&none, 50));
        say(&format!("{:.2} times natively", us(own) / us(at(&native, 50))));
    }
    Ok(())
}

fn natively() -> Vec<Duration> {
    let text = webhook();
    sorted((0..CALLS).map(|_| {
        let started = Instant::now();
        black_box(parse(&text));
        started.elapsed()
    }))
}

fn parse(text: &str) -> Option<String> {
    let mut members: Map<String, Value> = serde_json::from_slice(black_box(text.as_bytes())).ok()?;
    members.insert("processed_by".to_owned(), Value::from("relay"));
    members.remove("debug");
    serde_json::to_string(&members).ok()
}

/// On one thread and on two, in turns. Each call stands beside a little native work on its own
/// thread, since processors of a shared machine differ in their pace, each from one moment to the next.
fn rates() -> anyhow::Result<()> {
    let (one, two, kit) = (on(1)?, on(2)?, Kit::new());
    kit.install("parses", guests::PARSES);
    kit.install("edits-reused", &reused(guests::EDITS));
    for name in ["parses", "edits", "edits-reused"] {
        let bound = one.block_on(kit.bind(name, json!({}))).only(TRANSFORM);
        for _ in 0..ROUNDS {
            let alone = one.block_on(pace(&bound, 1))?;
            let both = two.block_on(pace(&bound, 2))?;
            let share = alone.call_by_native() / both.call_by_native();
            say(&format!(
                "{name}: {:.0} calls/s on one thread, {:.0} on two, each at {share:.2} of the pace it has alone",
                alone.rate, both.rate
            ));
        }
    }
    Ok(())
}

/// How fast callers came along, one to a thread.
struct Pace {
    /// Calls in a second of calling, of all.
    rate: f64,
    calling: Duration,
    natively: Duration,
}

impl Pace {
    /// What a call takes, in native work.
    fn call_by_native(&self) -> f64 {
        self.calling.as_secs_f64() / self.natively.as_secs_f64()
    }
}

/// Callers in a closed loop, each on a thread of its own.
async fn pace(bound: &Bound, callers: usize) -> anyhow::Result<Pace> {
    let tasks: Vec<_> = (0..callers).map(|_| tokio::spawn(paced(bound.clone()))).collect();
    let mut all = Pace {
        rate: 0.0,
        calling: Duration::ZERO,
        natively: Duration::ZERO,
    };
    for task in tasks {
        let one = task.await??;
        all.rate += one.rate;
        all.calling += one.calling;
        all.natively += one.natively;
    }
    Ok(all)
}

/// Calls, with a little native work between them, often enough to see the same moments.
async fn paced(bound: Bound) -> anyhow::Result<Pace> {
    const SLICE: usize = 100;
    const NATIVE: usize = 5;
    let chain = Chain::new(vec![bound], OnFault::Retry);
    let text = webhook();
    let event = event(&text);
    let (mut calling, mut natively) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..CALLS_OF_RATE / SLICE {
        let started = Instant::now();
        for _ in 0..SLICE {
            emitted(&chain.run(&event, call()).await.result)?;
        }
        let called = Instant::now();
        for _ in 0..NATIVE {
            black_box(parse(&text));
        }
        calling += called - started;
        natively += called.elapsed();
    }
    Ok(Pace {
        rate: CALLS_OF_RATE as f64 / calling.as_secs_f64(),
        calling,
        natively,
    })
}

async fn stops() -> anyhow::Result<()> {
    let kit = Kit::new();
    for action in ["spin", "spin-in-host"] {
        for allowed in [10, 50, 200].map(Duration::from_millis) {
            let mut wanted = used("hostile", json!({ "do": action }));
            wanted.limits.time = allowed;
            let chain = Chain::new(vec![kit.try_bind(&wanted).await?], OnFault::Retry);
            let late = stopped(&chain, allowed).await?;
            let longest = us(at(&late, 100)) / 1000.0;
            tell(&format!("{action}, later than {allowed:?}"), &late);
            say(&format!("{:42} longest {longest:.2} ms", ""));
        }
    }
    Ok(())
}

/// How long after what it was allowed a plugin has ended, each time.
async fn stopped(chain: &Chain, allowed: Duration) -> anyhow::Result<Vec<Duration>> {
    let event = event("{}");
    let mut late = Vec::with_capacity(STOPS);
    for _ in 0..STOPS {
        let started = Instant::now();
        let ran = chain.run(&event, call()).await;
        late.push(started.elapsed().saturating_sub(allowed));
        ensure!(matches!(ran.result, Chained::Fault { .. }), "it ended: {ran:?}");
    }
    Ok(sorted(late.into_iter()))
}

/// From the cache: reading the file, finding what was compiled of it, linking it, and calling `setup`
/// if there is one. Each time by a host that has loaded nothing yet; beside it what finding out which
/// component the file holds takes alone.
async fn loading(folder: Option<&Path>) -> anyhow::Result<()> {
    let kit = Kit::new();
    let mut plugins = vec![
        ("edits".to_owned(), guests::EDITS.to_vec()),
        ("everything".to_owned(), guests::EVERYTHING.to_vec()),
    ];
    for path in folder.map(components).transpose()?.unwrap_or_default() {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        plugins.push((name, std::fs::read(&path)?));
    }
    for (name, component) in plugins {
        kit.install(&name, &component);
        let wanted = used(&name, json!({ "greeting": "hi" }));
        kit.try_bind(&wanted).await?;
        // What was compiled just now is read in full each time.
        tokio::time::sleep(SETTLING).await;
        drop(kit.again().bind(&wanted, owner()).await?);
        let (mut reading, mut loading) = (Vec::with_capacity(LOADS), Vec::with_capacity(LOADS));
        for _ in 0..LOADS {
            let plugins = kit.again();
            let started = Instant::now();
            let bound = plugins.bind(&wanted, owner()).await;
            loading.push(started.elapsed());
            drop(bound?);
            let started = Instant::now();
            black_box(blake3::hash(&std::fs::read(kit.path(&name))?));
            reading.push(started.elapsed());
        }
        tell(
            &format!("{name}, reading and digest alone"),
            &sorted(reading.into_iter()),
        );
        tell(
            &format!("{name}, loaded from the cache"),
            &sorted(loading.into_iter()),
        );
    }
    Ok(())
}

fn components(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = folder
        .read_dir()
        .with_context(|| format!("no components in {}", folder.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "wasm"));
    paths.sort();
    Ok(paths)
}

/// The same plugins in this process and in one of their own.
async fn worker(program: PathBuf) -> anyhow::Result<()> {
    for (place, kit) in [("here", Kit::new()), ("in a worker", Kit::with_worker(program))] {
        kit.install("edits-reused", &reused(guests::EDITS));
        for name in ["edits", "edits-reused"] {
            let bound = kit.bind(name, json!({})).await;
            tell(&format!("{name}, {place}"), &spans(Some(bound.clone())).await?);
            say(&format!(
                "{name}, {place}: {:.0} calls/s, {AT_ONCE} at once",
                rate(bound).await?
            ));
        }
        let everything = kit.bind("everything", json!({ "greeting": "hi" })).await;
        tell(&format!("everything, {place}"), &spans(Some(everything)).await?);
        let process = kit.plugins.worker().and_then(|worker| worker.process);
        let theirs = process.map(|process| resident_bytes_of(&process.to_string()) >> 10);
        let own = resident_bytes() >> 10;
        say(&format!(
            "{place}: this process {own} KiB, its worker {theirs:?} KiB"
        ));
    }
    Ok(())
}

async fn memory() -> anyhow::Result<()> {
    let before = resident_bytes();
    let grown = |what: &str| {
        let now = resident_bytes().saturating_sub(before) >> 10;
        say(&format!("{what:42} {now:6} KiB"));
    };
    let kit = Kit::new();
    grown("a host");
    let bind_both = async || [kit.bind("edits", json!({})).await, kit.hostile("take-50ms").await];
    drop(bind_both().await);
    grown("and two plugins compiled");
    let both = bind_both().await;
    grown("and loaded from the cache");
    for bound in both {
        let chain = Chain::new(vec![bound], OnFault::Retry);
        let run = |chain: Chain| async move { chain.run(&event("{}"), call()).await };
        let tasks: Vec<_> = (0..64).map(|_| tokio::spawn(run(chain.clone()))).collect();
        for task in tasks {
            task.await?;
        }
        grown("and 64 calls at once");
    }
    Ok(())
}

/// A webhook of about 1 KiB.
fn webhook() -> String {
    let items: Vec<_> = (0..9)
        .map(|n| json!({ "id": format!("item_{n:04}"), "amount": 1250 + n, "currency": "eur", "tags": ["a", "b"] }))
        .collect();
    json!({ "id": "in_1", "livemode": false, "debug": { "trace": "0123456789abcdef" }, "customer": { "name": "Jo", "email": "jo@example.com" }, "items": items }).to_string()
}

/// A plugin that says of itself that its instances may be used again.
fn reused(component: &[u8]) -> Vec<u8> {
    with_manifest(component, &json!({ "reuse": true }))
}

/// How long calls take, one after the other.
async fn spans(bound: Option<Bound>) -> anyhow::Result<Vec<Duration>> {
    let chain = Chain::new(bound.into_iter().collect(), OnFault::Retry);
    let event = event(&webhook());
    let mut spans = Vec::with_capacity(CALLS);
    for round in 0..WARM_UP + CALLS {
        let started = Instant::now();
        let ran = chain.run(&event, call()).await;
        let span = started.elapsed();
        emitted(&ran.result)?;
        if round >= WARM_UP {
            spans.push(span);
        }
    }
    Ok(sorted(spans.into_iter()))
}

/// Calls in a second, of several callers.
async fn rate(bound: Bound) -> anyhow::Result<f64> {
    let chain = Chain::new(vec![bound], OnFault::Retry);
    let event = event(&webhook());
    let started = Instant::now();
    let callers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (chain, event) = (chain.clone(), event.clone());
            tokio::spawn(async move {
                for _ in 0..CALLS_OF_RATE / AT_ONCE {
                    emitted(&chain.run(&event, call()).await.result)?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(CALLS_OF_RATE as f64 / started.elapsed().as_secs_f64())
}

fn emitted(result: &Chained) -> anyhow::Result<()> {
    match result {
        Chained::Emit(_) => Ok(()),
        other => bail!("a call failed: {other:?}"),
    }
}

fn sorted(spans: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut spans: Vec<_> = spans.collect();
    spans.sort();
    spans
}

/// That which so many percent are not longer than.
fn at(spans: &[Duration], percent: usize) -> Duration {
    let last = spans.len().saturating_sub(1);
    spans[(spans.len() * percent / 100).min(last)]
}

/// Microseconds.
fn us(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1000.0
}

fn tell(name: &str, spans: &[Duration]) {
    let (median, p99) = (us(at(spans, 50)), us(at(spans, 99)));
    say(&format!("{name:42} p50 {median:8.2} µs   p99 {p99:8.2} µs"));
}

#[expect(clippy::print_stdout, reason = "measurements are there to be read")]
fn say(line: &str) {
    println!("{line}");
}
