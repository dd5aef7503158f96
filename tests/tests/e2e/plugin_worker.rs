//! `plugins.worker = true`: plugins run in a process that has nothing of the relay's own.

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup};
use relay_tests::processes;
use relay_tests::receiver::Receiver;
use relay_tests::wait::eventually;
use serde_json::json;

const MASKED: &str = r#"plugins = [{ use = "redact-fields", config = { mask = ["/phone"] } }]
    retry = { schedule = ["50ms", "100ms", "200ms", "400ms", "1s", "2s", "4s"], jitter = 0 }"#;

async fn start(config: &str) -> Relay {
    Setup::new(config)
        .variable("RELAY_PLUGINS__WORKER", "true")
        .start()
        .await
}

async fn worker(relay: &Relay) -> u32 {
    eventually("the process that runs plugins", || async {
        match processes::children(relay.id(), "run-plugins")[..] {
            [process] => Ok(process),
            ref others => Err(others.to_vec()),
        }
    })
    .await
}

async fn gone(process: u32) {
    eventually("the end of the process that runs plugins", || async {
        if processes::runs(process) {
            Err(process)
        } else {
            Ok(())
        }
    })
    .await;
}

#[tokio::test]
async fn plugins_work_in_a_process_that_has_nothing_of_the_relays() {
    let receiver = Receiver::start();
    let mut relay = start(&receiver.endpoint("crm", MASKED)).await;
    relay.event("a.b", json!({"phone": "+4915112345678"})).await;
    let sent = receiver.received(1).await.remove(0).text();
    assert!(!sent.contains("15112345"), "{sent}");

    let process = worker(&relay).await;
    let variables = processes::variables(process).join(" ");
    assert!(
        !variables.contains("RELAY_") && !variables.contains(ADMIN_KEY),
        "{variables}"
    );
    let home = relay.setup().home().display().to_string();
    let files = processes::open_files(process);
    let of_relay = |file: &&String| file.contains(&home) || file.contains("relay.db");
    assert_eq!(files.iter().find(of_relay), None);
    assert_eq!(processes::mapped_files(process).iter().find(of_relay), None);
    let sockets = files.iter().filter(|file| file.starts_with("socket:"));
    // The one it was given, once more for its runtime, and what wakes its runtime by signals.
    assert!(sockets.count() <= 5, "{files:?}");

    relay.terminate();
    relay.stopped().await;
    gone(process).await;
}

#[tokio::test]
async fn nothing_is_lost_when_it_is_killed_in_the_midst_of_things() {
    const EVENTS: usize = 120;
    let receiver = Receiver::start();
    let relay = start(&receiver.endpoint("crm", MASKED)).await;
    let mut killed = Vec::new();
    for n in 0..EVENTS {
        relay
            .event("a.b", json!({"n": n, "phone": "+4915112345678"}))
            .await;
        if n % 40 == 20 {
            let process = worker(&relay).await;
            processes::kill(process);
            killed.push(process);
        }
    }
    let requests = receiver
        .until("every event", |requests| {
            let seen: std::collections::HashSet<_> = requests
                .iter()
                .filter_map(|request| request.json()["data"]["n"].as_u64())
                .collect();
            seen.len() == EVENTS
        })
        .await;
    for request in requests {
        assert!(!request.text().contains("15112345"), "{}", request.text());
    }
    assert!(!killed.contains(&worker(&relay).await));
    relay
        .logged("the process that runs plugins ended and is started again")
        .await;
    let metrics = relay.admin(Method::GET, "/metrics", None).await.text();
    let deaths = metrics
        .lines()
        .find_map(|line| line.strip_prefix("relay_plugin_worker_deaths_total "));
    assert_eq!(deaths, Some(killed.len().to_string().as_str()), "{metrics}");
}

#[tokio::test]
async fn it_does_not_outlive_a_relay_that_was_killed() {
    let receiver = Receiver::start();
    let mut relay = start(&receiver.endpoint("crm", MASKED)).await;
    let process = worker(&relay).await;
    relay.kill().await;
    gone(process).await;
}
