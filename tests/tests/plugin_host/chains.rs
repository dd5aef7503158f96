//! Several plugins in order, and what a fault of one means.

use relay::model::attempt::FaultKind;
use relay::model::plugin::OnFault;
use relay::plugins::{Chain, Chained};
use relay_tests::guests;
use serde_json::json;

use crate::kit::{Kit, call, event, run, run_on, with_manifest};

const EVENT: &str = r#"{"id":7,"debug":{"x":1},"amount":1.10}"#;
const EDITED: &str = r#"{"id":7,"amount":1.10,"processed_by":"relay"}"#;

#[tokio::test]
async fn an_empty_chain_passes_the_event_on() {
    let kit = Kit::new();
    let idle = Chain::new(Vec::new(), OnFault::Retry);
    assert!(idle.is_empty());
    let ran = idle.run(&event(EVENT), call()).await;
    let Chained::Emit(drafts) = ran.result else {
        panic!("expected a message")
    };
    assert_eq!(
        (drafts.len(), drafts[0].data_replaced, ran.costs.len()),
        (1, false, 0)
    );
    assert_eq!(&drafts[0].data[..], EVENT.as_bytes());
    drop(kit);
}

#[tokio::test]
async fn plugins_see_what_the_one_before_made() {
    let kit = Kit::new();
    let chain = vec![
        kit.bind("edits", json!({})).await,
        kit.hostile("nothing").await,
        kit.bind("everything", json!({ "greeting": "x" })).await,
    ];
    let ran = run_on(chain, OnFault::Retry, EVENT).await;
    let names: Vec<_> = ran.costs.iter().map(|cost| cost.name.as_str()).collect();
    assert_eq!(names, ["edits", "hostile", "everything"]);
    let Chained::Emit(drafts) = ran.result else {
        panic!("expected a message")
    };
    assert!(
        drafts[0].data.starts_with(&EDITED.as_bytes()[..EDITED.len() - 1]),
        "{drafts:?}"
    );
}

#[tokio::test]
async fn emitted_messages_go_through_the_rest_one_by_one() {
    let kit = Kit::new();
    let chain = vec![kit.hostile("fan-out").await, kit.bind("edits", json!({})).await];
    let ran = run_on(chain, OnFault::Retry, r#"[{"n":1},{"n":2,"debug":0},{"n":3}]"#).await;
    let Chained::Emit(drafts) = ran.result else {
        panic!("expected messages, got {:?}", ran.result)
    };
    let data: Vec<_> = drafts
        .iter()
        .map(|draft| std::str::from_utf8(&draft.data).expect("text"))
        .collect();
    assert_eq!(
        data,
        [
            r#"{"n":1,"processed_by":"relay"}"#,
            r#"{"n":2,"processed_by":"relay"}"#,
            r#"{"n":3,"processed_by":"relay"}"#,
        ]
    );
    let subjects: Vec<_> = drafts
        .iter()
        .filter_map(|draft| draft.envelope.subject.as_deref())
        .collect();
    assert_eq!(subjects, ["item 0", "item 1", "item 2"]);
    assert_eq!(ran.costs.len(), 2);
}

#[tokio::test]
async fn a_drop_ends_the_chain_with_its_reason() {
    let kit = Kit::new();
    let chain = vec![
        kit.bind("everything", json!({ "greeting": "x" })).await,
        kit.hostile("panic").await,
    ];
    let ran = run_on(chain, OnFault::Retry, r#"{"drop":true}"#).await;
    assert_eq!(
        ran.result,
        Chained::Drop {
            by: "everything".into(),
            reason: "asked to".into()
        }
    );
    assert_eq!(ran.costs.len(), 1);
    let ran = kit.misdeed("no-messages").await;
    assert_eq!(
        ran.result,
        Chained::Drop {
            by: "hostile".into(),
            reason: "it emitted no message".into()
        }
    );
}

#[tokio::test]
async fn only_pass_goes_on_after_a_fault_and_only_after_one_not_stated() {
    let kit = Kit::new();
    for (action, policy, passes) in [
        ("panic", OnFault::Retry, false),
        ("panic", OnFault::DeadLetter, false),
        ("panic", OnFault::Pass, true),
        ("pointer", OnFault::Pass, true),
        ("flood-log", OnFault::Pass, true),
        ("invalid", OnFault::Pass, false),
        ("misconfigured", OnFault::Pass, false),
        ("unavailable", OnFault::Pass, false),
    ] {
        let chain = vec![kit.hostile(action).await, kit.bind("edits", json!({})).await];
        let ran = run_on(chain, policy, EVENT).await;
        match &ran.result {
            Chained::Emit(drafts) => {
                assert!(passes, "{action} under {policy:?}");
                assert_eq!(&drafts[0].data[..], EDITED.as_bytes(), "{action}");
                assert!(
                    ran.log.iter().any(|line| line.contains("passed over")),
                    "{:?}",
                    ran.log
                );
            }
            Chained::Fault { plugin, .. } => {
                assert!(!passes && plugin == "hostile", "{action} under {policy:?}")
            }
            other => panic!("{action} under {policy:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn edits_on_what_is_no_json_are_an_answer_that_cannot_be_applied() {
    let kit = Kit::new();
    for data in ["plain words", "", "{\"a\":", "\u{feff}{}"] {
        let ran = run_on(vec![kit.bind("edits", json!({})).await], OnFault::Retry, data).await;
        assert!(
            matches!(
                ran.result,
                Chained::Fault {
                    fault: FaultKind::BadAnswer,
                    ..
                }
            ),
            "{data:?}: {ran:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_at_once_than_places_wait_their_turn() {
    let kit = Kit::new();
    let slow = kit.hostile("take-50ms").await;
    let quick = kit.bind("edits", json!({})).await;
    let tasks: Vec<_> = (0..200)
        .map(|index| {
            let bound = if index % 20 == 0 {
                slow.clone()
            } else {
                quick.clone()
            };
            tokio::spawn(async move { run(vec![bound], OnFault::Retry).await })
        })
        .collect();
    for task in tasks {
        let ran = task.await.expect("no panic");
        assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
    }
}

#[tokio::test]
async fn an_instance_that_has_served_gives_way_to_a_call_that_waits() {
    let kit = Kit::with_places(1);
    kit.install(
        "hostile-reused",
        &with_manifest(guests::HOSTILE, &json!({ "reuse": true })),
    );
    let quick = kit.bind("edits", json!({})).await;
    for name in ["hostile", "hostile-reused"] {
        let slow = kit.bind(name, json!({ "do": "take-50ms" })).await;
        // The first is given the place, and lets the second ask for it a millisecond later.
        let both = tokio::join!(
            run(vec![slow], OnFault::Retry),
            run(vec![quick.clone()], OnFault::Retry)
        );
        for ran in [both.0, both.1] {
            assert!(matches!(ran.result, Chained::Emit(_)), "{name}: {ran:?}");
        }
    }
}
