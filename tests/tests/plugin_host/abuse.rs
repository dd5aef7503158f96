//! Guests that abuse what they were given, each power in turn, wherever plugins run: they get what
//! they may have, an error, or an end, and nobody else notices.

use std::sync::Arc;
use std::time::Duration;

use relay::model::attempt::FaultKind;
use relay::model::plugin::OnFault;
use relay::plugins::{Bound, Chained, Owner, Ran};
use relay::store::memory::MemoryStore;
use serde_json::json;

use crate::kit::{Kit, owner, run, run_on, used};

/// A hostile guest that may keep state, with a quota as a store has it.
async fn bind(kit: &Kit, action: &str, owner: Owner) -> Bound {
    let mut wanted = used("hostile", json!({ "do": action }));
    wanted.granted.state = true;
    wanted.limits.time = Duration::from_secs(5);
    kit.plugins.bind(&wanted, owner).await.expect("the plugin binds")
}

fn with_quotas() -> [Kit; 2] {
    let store = || Arc::new(MemoryStore::default());
    [Kit::with_state(store()), Kit::in_worker_with(store())]
}

async fn reason(kit: &Kit, action: &str) -> String {
    reason_of(run(vec![bind(kit, action, owner()).await], OnFault::Retry).await)
}

fn reason_of(ran: Ran) -> String {
    match ran.result {
        Chained::Drop { reason, .. } => reason,
        other => panic!("expected a drop, got {other:?}"),
    }
}

fn fault(ran: Ran) -> (FaultKind, String) {
    match ran.result {
        Chained::Fault { fault, message, .. } => (fault, message),
        other => panic!("expected a fault, got {other:?}"),
    }
}

#[tokio::test]
async fn state_ends_at_its_quota_and_is_its_owners_alone() {
    for kit in with_quotas() {
        assert_eq!(reason(&kit, "plant-state").await, "Ok(())");
        let other = Owner { id: 8, ..owner() };
        let ran = run(
            vec![bind(&kit, "foreign-state", other.clone()).await],
            OnFault::Retry,
        )
        .await;
        assert_eq!(reason_of(ran), "0 found, 0 listed");
        let full = reason(&kit, "fill-state").await;
        assert_eq!(full, "15 then StateError::QuotaExceeded");
        // A neighbour has all of its own.
        let ran = run(vec![bind(&kit, "plant-state", other).await], OnFault::Retry).await;
        assert_eq!(reason_of(ran), "Ok(())");
    }
}

#[tokio::test]
async fn keys_come_in_pages_that_end() {
    for kit in with_quotas() {
        assert_eq!(
            reason(&kit, "page-state").await,
            "2 pages, 1500 keys, 1000 at most, 1 at least, 0 behind"
        );
    }
}

#[tokio::test]
async fn floods_of_host_calls_that_wait_or_work_are_ended() {
    for kit in with_quotas() {
        for action in ["endless-state", "flood-hmac", "flood-hash"] {
            let mut wanted = used("hostile", json!({ "do": action }));
            wanted.granted.state = true;
            wanted.limits.time = Duration::from_millis(300);
            let bound = kit.try_bind(&wanted).await.expect("the plugin binds");
            let ran = run_on(vec![bound], OnFault::Retry, &"x".repeat(64 << 10)).await;
            let (kind, message) = fault(ran);
            assert!(
                matches!(kind, FaultKind::TimedOut | FaultKind::OverLimit),
                "{action}: {kind:?} {message}"
            );
        }
        // Whoever comes next is served.
        assert_eq!(reason(&kit, "plant-state").await, "Ok(())");
    }
}

#[tokio::test]
async fn names_keys_and_signatures_that_are_none_get_nothing() {
    for kit in with_quotas() {
        for (action, told) in [
            ("odd-secrets", "0 got, 0 equal, 0 signed"),
            ("odd-crypto", "0 of 486 held"),
            ("odd-names", "0 0 0 0"),
        ] {
            assert_eq!(reason(&kit, action).await, told, "{action}");
        }
    }
}

#[tokio::test]
async fn what_is_hoarded_of_the_relays_answers_counts_as_memory() {
    for kit in Kit::both() {
        let bound = kit.patient_with_hostile("hoard").await;
        let ran = run_on(vec![bound], OnFault::Retry, &"x".repeat(256 << 10)).await;
        let (kind, message) = fault(ran);
        assert_eq!(kind, FaultKind::OutOfMemory, "{message}");
    }
}

#[tokio::test]
async fn a_flood_on_stdout_and_stderr_is_cut_off() {
    for kit in Kit::both() {
        let ran = kit.misdeed("flood-stdout").await;
        assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
        assert_eq!(ran.log.len(), 64, "{:?}", ran.log.last());
        assert_eq!(ran.log[0], "hostile info: line 0 of many");
    }
}

#[tokio::test]
async fn no_line_of_a_log_ends_early_or_moves_a_terminal() {
    for kit in Kit::both() {
        let ran = kit.misdeed("log-controls").await;
        assert_eq!(ran.log.len(), 2, "{:?}", ran.log);
        for line in &ran.log {
            assert!(!line.contains(char::is_control), "{line:?}");
        }
        assert!(ran.log[0].contains("one two three four"), "{:?}", ran.log);
    }
}
