//! No byte of one call is visible to the next, but within an instance whose author allows it.

use relay::model::plugin::OnFault;
use relay::plugins::{Bound, Chained};
use relay_tests::guests;
use serde_json::{Value, json};

use crate::kit::{Kit, run_on, with_manifest};

async fn remembered(bound: &Bound, data: &str) -> String {
    match run_on(vec![bound.clone()], OnFault::Retry, data).await.result {
        Chained::Drop { reason, .. } => reason,
        other => panic!("expected a drop, got {other:?}"),
    }
}

async fn reusing(kit: &Kit, config: Value) -> Bound {
    kit.install(
        "reusing",
        &with_manifest(guests::REMEMBERS, &json!({ "reuse": true })),
    );
    kit.bind("reusing", config).await
}

const MARKED: &str = r#"{"secret":"a-very-unusual-marker-text"}"#;

#[tokio::test]
async fn a_fresh_instance_sees_nothing_of_earlier_calls() {
    for kit in Kit::both() {
        let bound = kit.bind("remembers", json!({})).await;
        for _ in 0..50 {
            assert_eq!(remembered(&bound, MARKED).await, "calls=1 found=0");
        }
        // Nor does another plugin that gets the same piece of the pool.
        let other = reusing(&kit, json!({})).await;
        assert_eq!(remembered(&other, "{}").await, "calls=1 found=0");
    }
}

#[tokio::test]
async fn an_instance_is_used_again_if_its_author_allows_it() {
    for kit in Kit::both() {
        let bound = reusing(&kit, json!({})).await;
        assert_eq!(remembered(&bound, MARKED).await, "calls=1 found=0");
        let second = remembered(&bound, "{}").await;
        assert!(
            second.starts_with("calls=2 found=") && !second.ends_with("=0"),
            "{second}"
        );
        // Another owner, or the same one bound anew, never gets it.
        let other = kit.bind("reusing", json!({})).await;
        assert_eq!(remembered(&other, "{}").await, "calls=1 found=0");
    }
}

#[tokio::test]
async fn an_instance_ends_after_a_thousand_calls() {
    let kit = Kit::new();
    let bound = reusing(&kit, json!({})).await;
    let mut last = 0;
    for _ in 0..1001 {
        let reason = remembered(&bound, "{}").await;
        let calls = reason
            .split(['=', ' '])
            .nth(1)
            .and_then(|calls| calls.parse().ok())
            .expect("a number");
        if calls == 1 && last > 0 {
            break;
        }
        last = calls;
    }
    assert!(last <= 1000, "{last}");
}

#[tokio::test]
async fn a_payload_number_kept_from_an_earlier_call_leads_nowhere() {
    for kit in Kit::both() {
        let bound = reusing(&kit, json!({ "reach-back": true })).await;
        assert_eq!(remembered(&bound, MARKED).await, "calls=1 found=0");
        let ran = run_on(vec![bound.clone()], OnFault::Retry, "{}").await;
        let Chained::Fault { message, .. } = &ran.result else {
            panic!("expected a fault, got {:?}", ran.result)
        };
        assert!(message.contains("there is no payload"), "{message}");
        // And the instance that tried is gone.
        assert_eq!(remembered(&bound, "{}").await, "calls=1 found=0");
    }
}
