//! Plugins in a process of their own: what becomes of calls when it dies or is not what it should be.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use relay::model::attempt::FaultKind;
use relay::model::plugin::OnFault;
use relay::plugins::{Chained, Ran};
use relay_tests::processes;
use relay_tests::wait::eventually;
use serde_json::json;

use crate::kit::{Kit, run, used};

fn fault(ran: Ran) -> (FaultKind, String) {
    match ran.result {
        Chained::Fault { fault, message, .. } => (fault, message),
        other => panic!("expected a fault, got {other:?}"),
    }
}

async fn process(kit: &Kit) -> u32 {
    eventually("the process that runs plugins", || async {
        let status = kit.plugins.worker().expect("there is to be one");
        status.process.ok_or(status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_under_way_when_it_is_killed_are_faults_and_the_next_are_served() {
    let kit = Kit::in_worker();
    let quick = kit.bind("edits", json!({})).await;
    let mut wanted = used("hostile", json!({ "do": "sleep" }));
    wanted.limits.time = Duration::from_secs(60);
    let sleeping = kit.try_bind(&wanted).await.expect("the plugin binds");
    let calls: Vec<_> = (0..4)
        .map(|_| tokio::spawn(run(vec![sleeping.clone()], OnFault::Pass)))
        .collect();
    eventually("the end of the calls", || async {
        let status = kit.plugins.worker().expect("there is to be one");
        if let Some(process) = status.process {
            processes::kill(process);
        }
        if calls.iter().all(tokio::task::JoinHandle::is_finished) {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    for call in calls {
        // Not passed over, although its owner passes over plugins that break: this one did not.
        let (kind, message) = fault(call.await.expect("no panic"));
        assert_eq!(kind, FaultKind::Unavailable, "{message}");
    }
    eventually("a call that is served", || async {
        let ran = run(vec![quick.clone()], OnFault::Retry).await;
        match ran.result {
            Chained::Emit(_) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert!(kit.plugins.worker().is_some_and(|status| status.deaths >= 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_waits_for_any_more_is_called_off() {
    let kit = Kit::in_worker();
    let mut wanted = used("hostile", json!({ "do": "sleep" }));
    wanted.limits.time = Duration::from_secs(60);
    let sleeping = kit.try_bind(&wanted).await.expect("the plugin binds");
    // More than there are places for, so that the last would wait for ever for the first.
    for _ in 0..40 {
        let call = run(vec![sleeping.clone()], OnFault::Retry);
        let ended = tokio::time::timeout(Duration::from_millis(20), call).await;
        assert!(ended.is_err(), "{ended:?}");
    }
    let quick = kit.bind("edits", json!({})).await;
    let ran = run(vec![quick], OnFault::Retry).await;
    assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
}

#[tokio::test]
async fn it_has_neither_files_nor_surroundings_of_the_relay() {
    let kit = Kit::in_worker();
    drop(kit.bind("edits", json!({})).await);
    let process = process(&kit).await;
    let mut variables = processes::variables(process);
    // Where libraries are, on systems and under programs that say so.
    variables.retain(|variable| !variable.starts_with("LD_LIBRARY_PATH="));
    assert_eq!(variables, Vec::<String>::new());
    for file in processes::open_files(process) {
        let is_harmless = ["socket:", "pipe:", "anon_inode:", "/dev/null", "/memfd:"]
            .iter()
            .any(|kind| file.starts_with(kind));
        // Standard error is what the tests run with.
        assert!(is_harmless || file == processes::standard_error(), "{file}");
    }
    let cache = kit.cache().display().to_string();
    assert!(
        !processes::mapped_files(process)
            .iter()
            .any(|file| file.contains(&cache))
    );
}

/// A program that is started as the one that runs plugins.
fn impostor(kit_folder: &tempfile::TempDir, script: &str) -> std::path::PathBuf {
    let path = kit_folder.path().join("impostor");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a file can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
    path
}

#[tokio::test]
async fn one_that_lies_is_ended_and_nothing_it_said_counts() {
    for script in [
        // More than any message may have.
        "printf '\\377\\377\\377\\377' >&0; read -r line",
        // No message at all.
        "printf '\\004\\0\\0\\0\\377\\377\\377\\377' >&0; read -r line",
        // Done, before it is ready.
        "printf '\\006\\0\\0\\0\\001\\001\\0\\0\\0\\0' >&0; read -r line",
        "exit 0",
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kit = Kit::with_worker(impostor(&folder, script));
        let bound = kit.bind("edits", json!({})).await;
        let (kind, message) = fault(run(vec![bound], OnFault::Pass).await);
        assert_eq!(kind, FaultKind::Unavailable, "{script}: {message}");
        assert!(
            kit.plugins.worker().is_some_and(|status| status.deaths >= 1),
            "{script}"
        );
    }
}
