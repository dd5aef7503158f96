//! The tutorials, step by step: files are written as they say, commands are run.

use std::fs;
use std::path::Path;
use std::process::Command;

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::Receiver;
use relay_tests::{binary, languages};
use serde_json::json;

/// One fenced part of a page.
enum Step {
    /// A command.
    Run(String),
    /// A file, which its first line names, and what it holds.
    Write(String, String),
}

/// The steps of a page, in order.
fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in page.split("```").skip(1).step_by(2) {
        let (kind, text) = part.split_once('\n').expect("a fence has a line of its own");
        if kind == "console" {
            let commands = text.lines().filter_map(|line| line.strip_prefix("$ "));
            steps.extend(commands.map(|command| Step::Run(command.to_owned())));
            continue;
        }
        let (first, rest) = text.split_once('\n').expect("the first line names the file");
        let name = first.trim_start_matches(['#', '/', ' ']);
        steps.push(Step::Write(name.to_owned(), rest.to_owned()));
    }
    steps
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(path).expect("the page is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_for_python_leads_from_nothing_to_a_plugin_in_force() {
    let (relay, receiver) = (Relay::start("").await, Receiver::start());
    let url = format!("http://{}", relay.address());
    let played = tokio::task::spawn_blocking(move || play("writing-plugins-python.md", &url));
    let count = played.await.expect("every step is done");
    assert!(count >= 12, "only {count} steps were found");
    let endpoint = json!({
        "name": "crm", "url": receiver.url(), "format": "raw",
        "plugins": [{"use": "only-paid", "config": {"minimum": 50}}],
    });
    let made = relay.admin(Method::POST, "/v1/endpoints", Some(endpoint)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    relay.event("order.paid", json!({"total": 20})).await;
    relay
        .event("order.paid", json!({"total": 60, "card": "4111"}))
        .await;
    let sent = receiver.received(1).await[0].json();
    assert_eq!(sent, json!({"total": 60, "currency": "EUR"}));
}

/// A machine that runs tests is busy: a plugin's share of it may come late.
fn patient(command: &str) -> String {
    let (test, given) = ("relay plugin test only-paid", " --timeout 5s");
    command.replace(test, &format!("{test}{given}"))
}

/// Does all that a page says; the number of its steps.
fn play(name: &str, url: &str) -> usize {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tools = languages::path_with_python();
    let program = binary::path().parent().expect("it is in a folder");
    let paths = std::iter::once(program.to_owned()).chain(std::env::split_paths(&tools));
    let path = std::env::join_paths(paths).expect("a path");
    let steps = steps(&page(name));
    for step in &steps {
        match step {
            Step::Write(name, text) => {
                fs::write(folder.path().join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            // It is there already, in an environment that the tests share.
            Step::Run(command) if command.starts_with("pip install ") => {}
            Step::Run(command) => {
                let output = Command::new("sh")
                    .args(["-c", &patient(command)])
                    .current_dir(folder.path())
                    .env("PATH", &path)
                    .env("RELAY_URL", url)
                    .env("RELAY_KEY", ADMIN_KEY)
                    .output()
                    .expect("a shell");
                assert!(
                    output.status.success(),
                    "{command}:\n{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
            }
        }
    }
    steps.len()
}
