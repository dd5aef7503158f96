//! The page that lists the stock plugins, made from the components themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay::model::id::DeliveryId;
use relay::model::plugin::OnFault;
use relay::plugins::fixtures::Fixture;
use relay::plugins::{
    AuthRequest, Authenticated, Bound, Call, Chain, Chained, Hooks, Inspection, Plugins, stock,
};

use crate::stock::{Workbench, fixtures};

/// By how much a component may be larger or smaller than the page says: compilers differ.
const SIZE_TOLERANCE: f64 = 0.15;
/// Calls before it counts, and calls that count.
const WARM_UP: usize = 500;
const CALLS: usize = 2_000;
/// How often each is measured: the machine's pace changes, and the least cost says most of the plugin.
const ROUNDS: usize = 7;
/// Interfaces that every plugin has.
const BASIC: [&str; 5] = ["types", "call", "payload", "log", "config"];
/// Stands for a cost that no fixture shows, since what comes of it is another each time.
const UNKNOWN: &str = "–";

const HEAD: &str = "\
# Plugins that come with the relay

They are in the program: name one in the `plugins` of an endpoint or source, no file needed. Each links
to its page, with its configuration and one event before and after; `relay plugin inspect NAME` shows
the same in a terminal. [Your own](writing-plugins.md) stand beside them; the
[cookbook](plugin-cookbook.md) has short ones to begin with.

";

const TAIL: &str = "
- Hooks: `authenticate` lets requests into a source, `filter` keeps or drops an event, `transform` makes
  something else of it. `setup` looks at a configuration when it is saved.
- Powers: what a plugin may ask of the relay beyond the event, its configuration and the log. `secrets`
  and `crypto` reach the secrets that it was granted and no others. What is marked with a star is there
  only if its owner grants it ([`grants`](configuration.md#grants)), and with a question mark too if the
  plugin does without: `state` is small durable state, its own for each endpoint or source, and `http`
  sends requests to the hosts that were granted. None opens files.
- Size: of the component. Compiled for the machine it takes two to three times as much memory, once,
  however many endpoints use it.
- A call: the median of 2,000 calls in a row on one event of its fixtures, by an instance that is kept,
  from the relay's side, the least of seven rounds; most of it is reading and writing JSON. On two shared
  virtual cores of an Intel Xeon; [performance.md](performance.md) has whole paths. A dash: no fixture
  shows it, since what comes of the event is another each time. What others answer is at hand here:
  how long they take is not part of it.

## What needs no plugin

| wanted | how |
|---|---|
| events by type, or by what is in them | `event_types`, `filter` of the [endpoint](configuration.md#endpoint) |
| a share of a busy type | `sample` of the endpoint |
| the last event once there is silence, or none for so long | `debounce`, `inactive_for` of a [rule](rules.md) |
| several events in one request | `batch` of the [endpoint](configuration.md#batches) |
| CloudEvents | [`format`](api.md#the-body): `\"cloudevents\"`, `\"cloudevents-binary\"`; [to-cloudevents](../plugins/to-cloudevents/README.md) if attributes have to be made first |
| a token in a header or the address | `headers`, `query` of the endpoint; in the body [insert-secret](../plugins/insert-secret/README.md) |
| a token or signature of a sender checked | `verify` of the [source](configuration.md#source); in the body [verify-token](../plugins/verify-token/README.md) |
| mail by SMTP | an endpoint with a [`mailto:` URL](configuration.md#mail-endpoints); by an HTTP API [notify-email](../plugins/notify-email/README.md) |

## Into databases

What takes a list of rows as JSON takes a [batch](configuration.md#batches) as it is, and
[build-payload](../plugins/build-payload/README.md) chooses the columns. ClickHouse:

```toml
[[endpoint]]
name = \"clickhouse\"
url = \"https://clickhouse.example.com/?query=INSERT+INTO+orders+FORMAT+JSONEachRow\"
headers = { authorization = { env = \"CLICKHOUSE_AUTHORIZATION\" } }
format = \"raw\"
batch = { events_max = 250, wait = \"5s\" }

[[endpoint.plugins]]
use = \"build-payload\"
config.rows = [
  { key = \"id\", from = \"/id\", type = \"number\" },
  { key = \"total\", from = \"/total\", type = \"number\" },
  { key = \"at\", from = \"event.time\" },
]
```

What takes lines (NDJSON: Tinybird, collectors of logs) gets them by `batch.body = \"lines\"`, and search
by [index-documents](../plugins/index-documents/README.md). Everything that is stored comes out as NDJSON at
[`GET /v1/export/events`](api.md#recovery), for whatever reads files.

This page is made by `relay-bench catalogue`; a test holds it against the components.
";

/// Where the page is.
pub fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/plugins.md"))
}

/// The page, every plugin measured anew.
///
/// # Errors
/// If the folder for compiled code cannot be made.
pub async fn measured() -> std::io::Result<String> {
    let workbench = Workbench::new()?;
    let mut costs = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (name, found) in inspected() {
            let Some(cost) = cost(&workbench, name, &found).await else {
                continue;
            };
            let least = costs.entry(name).or_insert(cost);
            *least = cost.min(*least);
        }
    }
    let lines: Vec<String> = inspected()
        .map(|(name, found)| {
            let cost = costs.get(name).copied();
            line(name, &found, &kibibytes(found.size), &micros(cost))
        })
        .collect();
    Ok(page(&lines))
}

/// The page as it should be: its own costs, and its own sizes as far as they are nearly right.
pub fn corrected(present: &str) -> String {
    let known: BTreeMap<&str, (&str, &str)> = present.lines().filter_map(figures).collect();
    let lines: Vec<String> = inspected()
        .map(|(name, found)| {
            let (size, cost) = known.get(name).copied().unwrap_or_default();
            let true_size = kibibytes(found.size);
            let size = if is_near(size, found.size) {
                size
            } else {
                &true_size
            };
            line(name, &found, size, if cost.is_empty() { UNKNOWN } else { cost })
        })
        .collect();
    page(&lines)
}

fn inspected() -> impl Iterator<Item = (&'static str, Inspection)> {
    stock::names().map(|name| {
        let component = stock::find(name).unwrap_or_default();
        let found = Plugins::inspect(component, name).expect("stock plugins can be inspected");
        (name, found)
    })
}

fn page(lines: &[String]) -> String {
    let table = "| plugin | what it does | hooks | powers | secrets | size | a call |\n|---|---|---|---|---|---|---|\n";
    format!("{HEAD}{table}{}{TAIL}", lines.concat())
}

fn line(name: &str, found: &Inspection, size: &str, cost: &str) -> String {
    let powers = found
        .powers
        .iter()
        .map(String::as_str)
        .filter(|power| !BASIC.contains(power))
        .map(|power| (power, mark(found, power)));
    let quoted = |names: Vec<&str>| {
        let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        quoted.join(", ")
    };
    format!(
        "| [{name}](../plugins/{name}/README.md) | {} | {} | {} | {} | {size} | {cost} |\n",
        found.manifest.description.as_deref().unwrap_or_default(),
        quoted(found.hooks.names().collect()),
        powers
            .map(|(power, mark)| format!("`{power}`{mark}"))
            .collect::<Vec<_>>()
            .join(", "),
        quoted(found.manifest.secrets().map(|need| need.name).collect()),
    )
}

/// Whether a power has to be granted.
fn mark(found: &Inspection, power: &str) -> &'static str {
    let mut needs = found.manifest.powers();
    match needs.find(|need| need.name == power) {
        Some(need) if need.is_optional => "\\*?",
        Some(_) => "\\*",
        None => "",
    }
}

/// Name, size and cost in a line of the table.
fn figures(line: &str) -> Option<(&str, (&str, &str))> {
    let (name, _) = line.strip_prefix("| [")?.split_once(']')?;
    let mut cells = line.trim_end_matches([' ', '|']).rsplit('|').map(str::trim);
    let (cost, size) = (cells.next()?, cells.next()?);
    Some((name, (size, cost)))
}

fn kibibytes(bytes: usize) -> String {
    format!("{} KiB", bytes.div_ceil(1 << 10))
}

fn is_near(shown: &str, bytes: usize) -> bool {
    let shown: f64 = shown
        .strip_suffix(" KiB")
        .and_then(|number| number.parse().ok())
        .unwrap_or_default();
    let bytes = bytes as f64 / 1_024.0;
    (shown - bytes).abs() <= bytes * SIZE_TOLERANCE
}

fn micros(cost: Option<Duration>) -> String {
    let Some(cost) = cost else {
        return UNKNOWN.to_owned();
    };
    let micros = cost.as_secs_f64() * 1e6;
    format!("{micros:.0} µs")
}

/// What a call costs, by the first fixture in which the plugin does its work.
async fn cost(workbench: &Workbench, plugin: &str, found: &Inspection) -> Option<Duration> {
    let work = match found.hooks {
        Hooks { transform: true, .. } => "emit",
        Hooks { filter: true, .. } => "keep",
        _ => "accept",
    };
    let trial = workbench.trial(plugin);
    for (_, fixture) in fixtures(plugin) {
        if fixture.expect.as_ref()?.get(work).is_none() {
            continue;
        }
        if let Ok(Ok(bound)) = trial.bind(&fixture, true).await {
            trial.replies.repeat(&fixture.http, fixture.judge.as_deref());
            return median(&fixture, bound).await;
        }
    }
    None
}

/// `None` if a call fails: it is no plugin's work to say what is wrong.
async fn median(fixture: &Fixture, bound: Bound) -> Option<Duration> {
    let mut costs = Vec::with_capacity(CALLS);
    for round in 0..WARM_UP + CALLS {
        let took = call(fixture, &bound).await?;
        if round >= WARM_UP {
            costs.push(took);
        }
    }
    costs.sort_unstable();
    Some(costs[CALLS / 2])
}

/// Makes the call that a fixture describes; how long it took, if it did not fail.
async fn call(fixture: &Fixture, bound: &Bound) -> Option<Duration> {
    if let Some(request) = &fixture.request {
        let headers = request.headers();
        let asked = AuthRequest {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            remote: None,
            headers: &headers,
            body: request.body(),
        };
        let begin = Instant::now();
        let answer = bound.authenticate(&asked).await;
        let took = begin.elapsed();
        return (!matches!(answer, Authenticated::Fault(_))).then_some(took);
    }
    let event = Arc::new(fixture.event.as_ref()?.event());
    let chain = Chain::new(vec![bound.clone()], OnFault::DeadLetter);
    let call = Call {
        source: None,
        delivery: Some(DeliveryId::from_raw(1)),
        attempt: 1,
    };
    let begin = Instant::now();
    let ran = chain.run(&event, call).await;
    let took = begin.elapsed();
    (!matches!(ran.result, Chained::Fault { .. })).then_some(took)
}
