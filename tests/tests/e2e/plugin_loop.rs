//! The plugin author's loop: made, built, tested, measured, uploaded while it is being changed, and
//! held against what came in before.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use relay_tests::instance::{ADMIN_KEY, Ended, Relay, Setup};
use relay_tests::output::Output;
use relay_tests::receiver::Receiver;
use relay_tests::wait::eventually;
use relay_tests::{binary, guests};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

/// How long a build may take on a busy machine that has built none before.
const BUILD_MAX: Duration = Duration::from_secs(240);
/// What Rust's tools have to be told.
const TOOLS: [&str; 4] = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"];

/// On a busy machine a plugin's share of it may come late.
const TEST: [&str; 5] = ["plugin", "test", "only-paid", "--timeout", "5s"];

/// Where plugins are made. The same in every run, so that what they stand on is built once.
struct Workshop {
    setup: Setup,
    folder: PathBuf,
}

impl Workshop {
    /// An empty one of that name.
    fn new(name: &str) -> Self {
        let folder = binary::shared_folder().join("plugin-loop").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).expect("folders can be removed");
        }
        std::fs::create_dir_all(&folder).expect("folders can be made");
        Self {
            setup: Setup::new(""),
            folder,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.setup.process(arguments);
        let given = TOOLS
            .iter()
            .filter_map(|name| Some((*name, std::env::var_os(name)?)));
        let target = binary::shared_folder().join("plugin-loop-target");
        command
            .current_dir(&self.folder)
            .envs(given)
            .env("CARGO_TARGET_DIR", target)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        let output = timeout(BUILD_MAX, self.command(arguments).output()).await;
        let output = output.expect("it ends in time").expect("the relay can be run");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// The same, of what has to go well.
    async fn done(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.stdout
    }

    fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.join(file);
        let text = std::fs::read_to_string(&path).expect("the file is there");
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(&path, text.replace(from, to)).expect("files can be written");
    }
}

fn clone() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize()
        .expect("the repository is there")
        .display()
        .to_string()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

async fn make(relay: &Relay, keys: Value) {
    let made = relay.admin(http::Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

#[tokio::test]
async fn a_new_plugin_passes_its_tests_and_is_in_force_seconds_after_it_is_saved() {
    let workshop = Workshop::new("whole");
    workshop.done(&["plugin", "new", "only-paid"]).await;
    let taken = workshop.run(&["plugin", "new", "only-paid"]).await;
    assert!(
        taken.code == Some(1) && taken.stderr.contains("already"),
        "{taken:?}"
    );
    let tested = workshop.done(&TEST).await;
    assert!(tested.contains("only-paid: 2 fixtures hold"), "{tested}");

    // What does not hold is shown as a difference, and taken over on demand.
    workshop.replace(
        "only-paid/src/lib.rs",
        "\"/handled_by\", \"only-paid\"",
        "\"/handled_by\", \"me\"",
    );
    let failed = workshop.run(&TEST).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    for line in [
        "-         \"handled_by\": \"only-paid\"",
        "+         \"handled_by\": \"me\"",
    ] {
        assert!(failed.stdout.contains(line), "{line} is not in {}", failed.stdout);
    }
    workshop
        .done(&["plugin", "test", "only-paid", "--timeout", "5s", "--bless"])
        .await;
    workshop.done(&TEST).await;

    // The build before this one is measured beside it.
    let bench = workshop
        .done(&["plugin", "bench", "only-paid", "--for", "20ms", "--json"])
        .await;
    let rows = parsed(&bench);
    let plugins: Vec<_> = rows
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| row["plugin"].clone())
        .collect();
    let known = ["this one", "previous", "nothing", "nothing", "natively"];
    assert_eq!(plugins, known, "{rows}");
    assert!(rows[0]["fuel"].as_u64() > rows[2]["fuel"].as_u64(), "{rows}");

    // Saved, built, uploaded, promoted, in force.
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let url = format!("http://{}", relay.address());
    let arguments = [
        "plugin",
        "build",
        "only-paid",
        "--push",
        "--promote",
        "--watch",
        "--url",
        &url,
    ];
    let mut watching = workshop
        .command(&arguments)
        .env("RELAY_KEY", ADMIN_KEY)
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the relay can be run");
    let said = Output::of(watching.stdout.take().expect("it is piped"));
    let uploaded = async |times: usize| {
        let look = || async {
            let text = said.text();
            match text.matches("built in").count() >= times {
                true => Ok(text),
                false => Err(text),
            }
        };
        eventually("an upload", look).await
    };
    uploaded(1).await;
    let endpoint =
        json!({"name": "crm", "url": receiver.url(), "format": "raw", "plugins": [{"use": "only-paid"}]});
    make(&relay, endpoint).await;
    relay.event("order.paid", json!({"id": 1})).await;
    let first = receiver.received(1).await[0].json();
    assert_eq!(first, json!({"id": 1, "handled_by": "me"}));
    workshop.replace(
        "only-paid/src/lib.rs",
        "\"/handled_by\", \"me\"",
        "\"/handled_by\", \"them\"",
    );
    let text = uploaded(2).await;
    relay.event("order.paid", json!({"id": 2})).await;
    let second = receiver.received(2).await[1].json();
    assert_eq!(second, json!({"id": 2, "handled_by": "them"}), "{text}");
    watching.kill().await.expect("a child can be killed");
}

#[tokio::test]
async fn every_hook_has_a_template_whose_fixtures_hold() {
    let workshop = Workshop::new("hooks");
    let sdk = clone();
    for (hook, count) in [("filter", 2), ("authenticate", 2), ("respond", 1)] {
        let name = format!("a-{hook}");
        workshop
            .done(&[
                "plugin", "new", &name, "--lang", "rust", "--hook", hook, "--sdk", &sdk,
            ])
            .await;
        let report = parsed(
            &workshop
                .done(&["plugin", "test", &name, "--timeout", "5s", "--json"])
                .await,
        );
        let fixtures = report["fixtures"].as_array().map_or(0, Vec::len);
        assert_eq!(
            (fixtures, &report["uncovered_hooks"]),
            (count, &json!([])),
            "{report}"
        );
        let shown = workshop
            .done(&["plugin", "inspect", &format!("{name}/{name}.wasm"), "--json"])
            .await;
        assert_eq!(parsed(&shown)["hooks"][hook], true, "{shown}");
    }
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_named_with_the_command_that_installs_it() {
    let workshop = Workshop::new("tools");
    workshop.done(&["plugin", "new", "tidy"]).await;
    let mut command = workshop.command(&["plugin", "build", "tidy"]);
    let output = command
        .env("PATH", &workshop.folder)
        .output()
        .await
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Rust is not installed; run: curl"), "{said}");
    for (arguments, words) in [
        (&["plugin", "new", "Tidy"][..], "no name for a plugin"),
        (&["plugin", "new", "redact-fields"], "comes with the relay"),
        (&["plugin", "new", "other", "--lang", "cobol"], "known: rust"),
        (&["plugin", "new", "other", "--sdk", "."], "no clone of the relay"),
        (&["plugin", "build", "."], "no plugin.toml"),
        (&["plugin", "test", "redact-fields"], "--fixtures"),
    ] {
        let ended = workshop.run(arguments).await;
        assert!(
            ended.code == Some(1) && ended.stderr.contains(words),
            "{words}: {ended:?}"
        );
    }
}

/// The component with a manifest in a custom section behind it.
fn described(component: &[u8], manifest: &Value) -> Vec<u8> {
    let name = "relay:manifest";
    let text = manifest.to_string();
    let length = 1 + name.len() + text.len();
    let mut bytes = component.to_vec();
    bytes.push(0);
    // The length as LEB128, in two bytes.
    bytes.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
    bytes.push(u8::try_from(name.len()).expect("it is short"));
    bytes.extend(name.bytes());
    bytes.extend(text.bytes());
    bytes
}

#[tokio::test]
async fn what_one_instance_keeps_from_event_to_event_fails_its_tests() {
    let setup = Setup::new("");
    let component = described(guests::REMEMBERS, &json!({"name": "remembers", "reuse": true}));
    let file = setup.file("remembers.wasm", component).display().to_string();
    for number in 0..3 {
        let fixture = json!({
            "hook": "filter", "event": {"type": "a.b", "data": {"n": number}},
            "expect": {"drop": "calls=1 "},
        });
        setup.file(&format!("tests/{number}.json"), fixture.to_string());
    }
    let arguments = ["plugin", "test", &file, "--fixtures", "tests", "--timeout", "5s"];
    let ended = setup.run(&arguments).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for words in [
        "remembers: 3 fixtures hold",
        "2 depend on what their instance served before",
    ] {
        assert!(ended.stdout.contains(words), "{words} is not in {}", ended.stdout);
    }
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/redact-fields/tests");
    let fixtures = fixtures.display().to_string();
    let arguments = [
        "plugin",
        "test",
        "redact-fields",
        "--fixtures",
        &fixtures,
        "--timeout",
        "5s",
        "--json",
    ];
    let ended = setup.run(&arguments).await;
    let report = parsed(&ended.stdout);
    assert_eq!((ended.code, &report["failed"]), (Some(0), &json!(0)), "{report}");
    let all = report["fixtures"].as_array().into_iter().flatten();
    let reused = all.filter(|fixture| fixture["same_when_reused"] == true).count();
    assert!(reused > 5, "{report}");
}

#[tokio::test]
async fn a_list_of_fixtures_is_run_in_its_order_with_the_state_of_those_before() {
    let setup = Setup::new("");
    let asked = |http: Value| {
        json!({
            "hook": "transform", "event": {"type": "order.paid", "data": {"user": 7}},
            "config": {"url": "https://crm.example/users/{{/user}}", "at": "/name", "cache_seconds": 60},
            "http": http, "expect": {"emit": [{"data": {"user": 7, "name": "Zoë"}}]},
        })
    };
    let answered = json!([{"request": "GET https://crm.example/users/7", "reply": {"json": "Zoë"}}]);
    let list = json!([asked(answered.clone()), asked(json!([]))]);
    setup.file("tests/asks-once.json", list.to_string());
    let test = |folder: &'static str| {
        [
            "plugin",
            "test",
            "enrich-http",
            "--fixtures",
            folder,
            "--timeout",
            "5s",
        ]
    };
    let ended = setup.run(&test("tests")).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for words in ["asks-once, 1", "asks-once, 2", "2 fixtures hold"] {
        assert!(ended.stdout.contains(words), "{words} is not in {}", ended.stdout);
    }
    // One after the other, not each from nothing.
    let turned = json!([asked(json!([])), asked(answered)]);
    setup.file("turned/asks-once.json", turned.to_string());
    let ended = setup.run(&test("turned")).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    setup.file("empty/none.json", "[]");
    let ended = setup.run(&test("empty")).await;
    assert!(
        ended.stderr.contains("none.json holds an empty list"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_is_printed_for_nobody_ends_quietly() {
    let setup = Setup::new("");
    let mut listing = setup.process(&["plugin", "list"]);
    let mut listing = listing
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the relay can be run");
    drop(listing.stdout.take());
    let ended = timeout(BUILD_MAX, listing.wait_with_output()).await;
    let ended = ended.expect("it ends in time").expect("it ends");
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}

#[tokio::test]
async fn a_candidate_is_held_against_what_came_in_and_nothing_is_sent() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let key = json!({"hash-key": "correct-horse-battery"});
    make(
        &relay,
        json!({
            "name": "crm", "url": receiver.url(), "event_types": ["order.*"],
            "plugins": [{"use": "redact-fields", "config": {"mask": ["/phone"]}, "secrets": key}],
        }),
    )
    .await;
    for number in 0..20 {
        let data = match number % 2 {
            0 => json!({"n": number, "phone": "+1 555 0100"}),
            _ => json!({"n": number}),
        };
        relay.event("order.paid", data).await;
    }
    relay.event("other.kind", json!({"phone": "+1 555 0100"})).await;
    receiver.received(20).await;
    let delivered = || async {
        match relay.count("crm", "succeeded").await {
            20 => Ok(()),
            other => Err(other),
        }
    };
    eventually("all are recorded", delivered).await;
    let backtest = async |candidate: &str, more: &[&str]| {
        let begin = ["plugin", "backtest", candidate, "--endpoint", "crm", "--json"];
        let arguments: Vec<&str> = begin.iter().chain(more).copied().collect();
        let ended = relay.command(ADMIN_KEY, &arguments).await;
        (ended.code, parsed(&ended.stdout), ended.stderr)
    };

    let (code, same, warned) = backtest("redact-fields", &[]).await;
    assert_eq!(
        (code, &same["events"], &same["same"]),
        (Some(0), &json!(20), &json!(20)),
        "{same}"
    );
    assert!(warned.contains("plugins run without: hash-key"), "{warned}");

    let config = r#"{"drop": ["/phone"]}"#;
    let (_, other, _) = backtest("redact-fields", &["--config", config, "--diffs", "3"]).await;
    assert_eq!(
        (&other["same"], &other["changed"]),
        (&json!(10), &json!(10)),
        "{other}"
    );
    let examples = other["examples"].as_array().cloned().unwrap_or_default();
    assert_eq!(examples.len(), 3, "{other}");
    assert!(examples[0]["diff"].to_string().contains("phone"), "{other}");

    let hostile = relay
        .setup()
        .file("hostile.wasm", guests::HOSTILE)
        .display()
        .to_string();
    let panics = ["--config", r#"{"do": "panic"}"#, "--limit", "5"];
    let (code, broken, _) = backtest(&hostile, &panics).await;
    assert_eq!(
        (code, &broken["events"], &broken["failed"]),
        (Some(1), &json!(5), &json!(5)),
        "{broken}"
    );

    // The newest ones, unless it is said where to begin.
    for (more, first) in [
        (&["--limit", "2"][..], "18"),
        (&["--limit", "2", "--since", "1h"], "0"),
    ] {
        let mut arguments = vec!["--config", r#"{"drop": ["/n"]}"#];
        arguments.extend(more);
        let (_, few, _) = backtest("redact-fields", &arguments).await;
        assert_eq!((&few["events"], &few["changed"]), (&json!(2), &json!(2)), "{few}");
        let diff = few["examples"][0]["diff"].to_string();
        assert!(diff.contains(&format!("\\\"n\\\": {first}")), "{diff}");
    }

    let (_, none, _) = backtest("redact-fields", &["--type", "order.shipped"]).await;
    assert_eq!(none["events"], 0, "{none}");
    let all = relay.read("/v1/deliveries?limit=50").await;
    assert_eq!(all["data"].as_array().map(Vec::len), Some(20), "{all}");
    assert_eq!(receiver.requests().len(), 20);
}

#[tokio::test]
async fn the_component_of_a_version_is_what_was_uploaded() {
    let relay = Relay::start("").await;
    let file = relay
        .setup()
        .file("edits.wasm", guests::EDITS)
        .display()
        .to_string();
    let pushed = relay
        .command(ADMIN_KEY, &["plugin", "push", &file, "--name", "tidy", "--json"])
        .await;
    let version = parsed(&pushed.stdout)["version"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let read = async |path: &str| relay.admin(http::Method::GET, path, None).await;
    let answer = read(&format!("/v1/plugins/tidy/versions/{}", &version[..20])).await;
    assert_eq!((answer.status, &answer.body[..]), (200, guests::EDITS));
    let stock = read("/v1/plugins/redact-fields").await.json();
    let version = stock["version"].as_str().unwrap_or_default();
    let answer = read(&format!("/v1/plugins/redact-fields/versions/{version}")).await;
    assert_eq!((answer.status, answer.body.get(..4)), (200, Some(&b"\0asm"[..])));
    for path in [
        "/v1/plugins/tidy/versions/sha256:000000000000",
        "/v1/plugins/redact-fields/versions/sha256:000000000000",
        "/v1/plugins/nobody/versions/sha256:000000000000",
    ] {
        assert_eq!(read(path).await.status, 404, "{path}");
    }
}
