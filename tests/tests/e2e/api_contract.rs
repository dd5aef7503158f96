//! What the OpenAPI document promises, held against a relay by Schemathesis: requests made from the
//! document, valid and not, and every answer checked against it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::Receiver;
use relay_tests::{binary, guests};
use serde_json::{Value, json};

/// The version from PyPI.
const VERSION: &str = "4.32.5";
/// Requests made up for each operation in the phase that makes them up.
const EXAMPLES: &str = "4";
const SEED: &str = "1";
/// It takes about two minutes beside the other tests; the longest that it may take on a machine that is busy.
const TIME_MAX: Duration = Duration::from_secs(600);

/// The program, put into a virtual environment of its own beside the build if it is not there.
fn schemathesis() -> PathBuf {
    let folder = binary::shared_folder().join(format!("schemathesis-{VERSION}"));
    let program = folder.join("bin/schemathesis");
    // Written last: whatever was interrupted is made anew.
    let whole = folder.join("whole");
    if whole.exists() {
        return program;
    }
    let made = Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder)
        .output();
    let made =
        made.expect("Python 3 is missing, which Schemathesis needs; on Debian: apt-get install python3-venv");
    assert!(
        made.status.success(),
        "a virtual environment cannot be made; on Debian: apt-get install python3-venv: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    run(Command::new(folder.join("bin/pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        &format!("schemathesis=={VERSION}"),
    ]));
    std::fs::write(whole, "").expect("files can be written");
    program
}

/// Runs a program, which has to succeed.
fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What bodies are made of that JSON Schema does not describe.
const MEDIA_TYPES: &str = r#"
import schemathesis
from hypothesis import strategies

components = strategies.binary(max_size=64) | strategies.binary(max_size=64).map(lambda rest: b"\0asm\x0d\0\x01\0" + rest)
schemathesis.openapi.media_type("application/wasm", components)
"#;
const MEDIA_TYPES_FILE: &str = "media_types.py";

/// What is expected beyond what JSON Schema can say.
const EXPECTED: &str = r#"
hooks = "./media_types.py"

[checks.positive_data_acceptance]
# 412: another revision; 422: what a definition may be beyond its shape, such as which URLs may be reached.
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 412, 422, 429, "5xx"]

[checks.negative_data_rejection]
# 412: If-Match is looked at before the body (RFC 9110, section 13.2.1).
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 415, 422, 428, 429, "5xx"]

# Where a receiver is waited for, what it does is answered as a gateway answers it.
[[operations]]
include-operation-id = ["endpoints_call", "in_patch", "in_post", "in_put"]
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 502, 503, 504]

# Bytes are counted, not characters; of two payloads one is refused; names are of what is there, times
# are in order and not too far apart, patterns are what they may be.
[[operations]]
include-operation-id = [
    "deliveries_list", "digests_digests", "endpoints_call", "endpoints_expected", "endpoints_poll",
    "events_create", "events_explain", "events_list", "stats_stats", "stream_stream",
]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404, 409, 422]
"#;

/// What is there to be asked for, by how the paths begin that name it: of several the first.
type Known = [(&'static str, String); 12];

/// Settings, with the names of what is there.
fn settings(folder: &Path, document: &Value, known: &Known) -> PathBuf {
    let mut named: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let paths = document["paths"].as_object().expect("the document has paths");
    for (path, operations) in paths {
        // What is known has to be there for all: it is not deleted, and is never to be restored.
        let at = known.iter().position(|(begins, _)| path.starts_with(begins));
        let Some(at) = at.filter(|_| !path.ends_with("/restore")) else {
            continue;
        };
        let operations = operations.as_object().expect("a path has operations");
        let staying = operations.iter().filter(|(method, _)| *method != "delete");
        let ids = staying.map(|(_, operation)| operation["operationId"].to_string());
        named.entry(at).or_default().extend(ids);
    }
    assert_eq!(named.len(), known.len(), "every name is asked for: {named:?}");
    let mut text = EXPECTED.to_owned();
    for (at, operations) in named {
        let (begins, value) = &known[at];
        let parameter = match begins.split('/').nth(1) {
            Some("in") => "source",
            _ if begins.starts_with("/v1/plugins/") => "name",
            _ => "id",
        };
        let operations = operations.join(", ");
        text += &format!(
            "\n[[operations]]\ninclude-operation-id = [{operations}]\n\
             parameters = {{ \"path.{parameter}\" = \"{value}\" }}\n"
        );
    }
    std::fs::write(folder.join(MEDIA_TYPES_FILE), MEDIA_TYPES).expect("files can be written");
    let path = folder.join("schemathesis.toml");
    std::fs::write(&path, text).expect("files can be written");
    path
}

/// Makes one of everything.
async fn furnish(relay: &Relay, receiver: &Receiver) -> Known {
    let make = async |path: &str, body: Value| {
        let made = relay.admin(Method::POST, path, Some(body)).await;
        assert!(made.status < 300, "{path}: {}", made.text());
        id(&made.json())
    };
    let crm = json!({"name": "crm", "url": receiver.url()});
    let crm = make("/v1/endpoints", crm).await;
    let inbox = json!({"name": "inbox", "delivery": "poll", "event_types": ["note.*"]});
    let inbox = make("/v1/endpoints", inbox).await;
    let shop = json!({"name": "shop", "verify": {"scheme": "none"}});
    let shop = make("/v1/sources", shop).await;
    let paid = json!({"name": "invoice.paid", "schema": {"type": "object"}});
    let paid = make("/v1/event-types", paid).await;
    let closed = json!({
        "name": "closed", "event_types": ["ticket.*"], "key": "/ticket/id",
        "changes": {"value": "/ticket/status"}, "emit": {"type": "ticket.was_closed"},
    });
    let closed = make("/v1/rules", closed).await;
    let failing = json!({"name": "failing", "when": {"consecutive_failures": 5}});
    let failing = make("/v1/alerts", failing).await;
    let inspector = make("/v1/inspectors", json!({"name": "look"})).await;
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/wasm"),
    ];
    for component in [guests::EDITS, guests::REMEMBERS] {
        let path = "/v1/plugins/tidy/versions";
        let made = relay.send(Method::POST, path, &headers, component).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let event = relay.event("invoice.paid", json!({"amount": 12})).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    let job = make("/v1/deliveries/retry", json!({"endpoint": "crm"})).await;
    [
        ("/v1/endpoints/{id}/poll", inbox),
        ("/v1/endpoints/{id}", crm),
        ("/v1/sources/{id}", shop.clone()),
        ("/in/{source}", shop),
        ("/v1/event-types/{id}", paid),
        ("/v1/rules/{id}", closed),
        ("/v1/alerts/{id}", failing),
        ("/v1/inspectors/{id}", inspector),
        ("/v1/plugins/{name}", "tidy".to_owned()),
        ("/v1/events/{id}", event),
        ("/v1/deliveries/{id}", id(&delivery)),
        ("/v1/jobs/{id}", job),
    ]
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_the_relay_answers_as_its_document_says() {
    let program = tokio::task::spawn_blocking(schemathesis)
        .await
        .expect("it is there");
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let known = furnish(&relay, &receiver).await;
    let document = relay.read("/openapi.json").await;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = settings(folder.path(), &document, &known);
    let mut command = tokio::process::Command::new(program);
    command
        .current_dir(folder.path())
        .kill_on_drop(true)
        .arg("--config-file")
        .arg(settings)
        .arg("run")
        .arg(format!("http://{}/openapi.json", relay.address()))
        .args(["--header", &format!("Authorization: Bearer {ADMIN_KEY}")])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", EXAMPLES, "--seed", SEED])
        // What was found is said whole, and not searched for its smallest form.
        .args(["--no-shrink", "--continue-on-failure", "--no-color"]);
    let ended = tokio::time::timeout(TIME_MAX, command.output()).await;
    let output = ended
        .expect("Schemathesis ends in time")
        .expect("Schemathesis runs");
    assert!(
        output.status.success(),
        "the relay's document does not say what it answers:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
