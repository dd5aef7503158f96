//! The author's loop in JavaScript and TypeScript: made, built, tested, uploaded.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use relay_tests::instance::{ADMIN_KEY, Ended, Relay, Setup};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

const BUILD_MAX: Duration = Duration::from_secs(120);
const HOOKS: [(&str, &str); 4] = [
    ("transform", "2 fixtures hold"),
    ("filter", "2 fixtures hold"),
    ("authenticate", "2 fixtures hold"),
    ("respond", "1 fixtures hold"),
];

/// A folder in which plugins are made, beside a relay.
pub(crate) struct Workshop {
    setup: Setup,
    folder: TempDir,
    url: String,
}

impl Workshop {
    pub(crate) fn new(relay: &Relay) -> Self {
        Self {
            setup: Setup::new(""),
            folder: tempfile::tempdir().expect("a temporary folder"),
            url: format!("http://{}", relay.address()),
        }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).expect("files can be written");
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.setup.process(arguments);
        command
            .current_dir(self.folder.path())
            .env("RELAY_URL", &self.url)
            .env("RELAY_KEY", ADMIN_KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = timeout(BUILD_MAX, command.output()).await;
        let output = output.expect("it ends in time").expect("the relay can be run");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// The same, of what has to go well.
    pub(crate) async fn done(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.stdout
    }
}

/// The words of a command line, whose only quotes are single ones.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[tokio::test]
async fn a_new_plugin_of_every_hook_passes_its_tests_at_once() {
    let relay = Setup::new("").start().await;
    // What is TypeScript about it is the same for every hook.
    for (language, hooks) in [("javascript", &HOOKS[..]), ("typescript", &HOOKS[1..3])] {
        let workshop = Workshop::new(&relay);
        for (hook, said) in hooks {
            workshop
                .done(&["plugin", "new", hook, "--lang", language, "--hook", hook])
                .await;
            let tested = workshop.done(&["plugin", "test", hook, "--timeout", "5s"]).await;
            assert!(tested.contains(*said), "{language} {hook}: {tested}");
        }
        let inspected = workshop.done(&["plugin", "inspect", "authenticate"]).await;
        for line in ["hooks      authenticate\n", "crypto", "secrets    token"] {
            assert!(inspected.contains(line), "{line} is not in {inspected}");
        }
        let inspected = workshop.done(&["plugin", "inspect", "filter"]).await;
        assert!(!inspected.contains("crypto"), "{inspected}");
        assert!(workshop.path("filter/types/relay-plugin.d.ts").is_file());
    }
}

#[tokio::test]
async fn what_does_not_build_is_told_and_what_was_built_stays() {
    let relay = Setup::new("").start().await;
    let workshop = Workshop::new(&relay);
    workshop.done(&["plugin", "new", "tidy", "--lang", "ts"]).await;
    workshop.done(&["plugin", "build", "tidy"]).await;
    let before = std::fs::read(workshop.path("tidy/tidy.wasm")).expect("a component");
    workshop.write("tidy/src/plugin.ts", "export function transform(event {\n");
    let ended = workshop.run(&["plugin", "build", "tidy"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("src/plugin.ts:1:"), "{}", ended.stderr);
    workshop.write(
        "tidy/src/plugin.ts",
        "export async function transform(event) { await event; }\n",
    );
    let ended = workshop.run(&["plugin", "build", "tidy"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("transform is async"), "{}", ended.stderr);
    assert_eq!(
        std::fs::read(workshop.path("tidy/tidy.wasm")).expect("a component"),
        before
    );
}

#[tokio::test]
async fn a_plugin_that_was_pushed_is_in_force() {
    let receiver = relay_tests::receiver::Receiver::start();
    let relay = Setup::new("").start().await;
    let workshop = Workshop::new(&relay);
    workshop
        .done(&["plugin", "new", "tidy", "--lang", "javascript"])
        .await;
    workshop.done(&["plugin", "build", "tidy", "--push"]).await;
    let endpoint: Value = json!({
        "name": "shop",
        "url": receiver.url(),
        "format": "raw",
        "plugins": [{ "use": "tidy", "timeout": "2s" }],
    });
    let made = relay
        .admin(http::Method::POST, "/v1/endpoints", Some(endpoint))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    relay
        .event("order.changed", json!({ "id": 7, "card": "4111" }))
        .await;
    let request = receiver.received(1).await.remove(0);
    assert_eq!(request.json(), json!({ "id": 7, "handled_by": "tidy" }));
}
