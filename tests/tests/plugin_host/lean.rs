//! The lean hooks: the event's attributes are asked for, edits of one message may come as one text.

use relay::model::attempt::FaultKind;
use relay::model::plugin::OnFault;
use relay::plugins::{Chained, Ran};
use serde_json::{Value, json};

use crate::kit::{Kit, run_on};

async fn answered(kit: &Kit, config: Value, data: &str) -> Ran {
    run_on(vec![kit.bind("lean", config).await], OnFault::Retry, data).await
}

#[tokio::test]
async fn edits_and_changes_come_as_one_text() {
    for kit in Kit::both() {
        let steps = json!([
            "set-value",
            "/n",
            [1, "two"],
            "set-header",
            "x-kind",
            "issue",
            "remove",
            "/debug",
            "set",
            "/raw",
            "1.50",
            "set-attribute",
            "subject",
            "seven",
        ]);
        let ran = answered(&kit, json!({ "steps": steps }), r#"{"debug":1,"a":2.50}"#).await;
        let Chained::Emit(drafts) = ran.result else {
            panic!("expected a message, got {:?}", ran.result)
        };
        let draft = &drafts[0];
        assert_eq!(&draft.data[..], br#"{"a":2.50,"n":[1,"two"],"raw":1.50}"#);
        assert_eq!(draft.envelope.subject.as_deref(), Some("seven"));
        let set = draft.headers.iter().find(|(name, _)| name == "x-kind");
        assert_eq!(set.map(|(_, value)| value.as_str()), Some("issue"));
    }
}

#[tokio::test]
async fn attributes_are_asked_for_by_name() {
    for kit in Kit::both() {
        let ran = answered(&kit, json!({ "steps": "attributes" }), "{}").await;
        let Chained::Emit(drafts) = ran.result else {
            panic!("expected a message, got {:?}", ran.result)
        };
        let told: Value = serde_json::from_slice(&drafts[0].data).expect("JSON");
        let known = json!({
            "id": "sender-1", "source": "github", "type": "issue.opened", "subject": null,
            "time": "2023-11-14T22:13:20.007Z", "datacontenttype": "application/json", "myext": "ext value",
        });
        assert_eq!(told, known);
        // Of no other event, such as one that was kept from an earlier call.
        let ran = answered(&kit, json!({ "steps": "stale" }), "{}").await;
        let Chained::Emit(drafts) = ran.result else {
            panic!("expected a message, got {:?}", ran.result)
        };
        let told: Value = serde_json::from_slice(&drafts[0].data).expect("JSON");
        let members = told.as_object().expect("an object");
        assert!(
            members.len() == 7 && members.values().all(Value::is_null),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_filter_drops_with_its_reason() {
    let kit = Kit::new();
    let ran = answered(&kit, json!({ "drop": "not wanted" }), "{}").await;
    let dropped = Chained::Drop {
        by: "lean".to_owned(),
        reason: "\"not wanted\"".to_owned(),
    };
    assert_eq!(ran.result, dropped);
}

#[tokio::test]
async fn what_is_no_list_of_steps_is_a_fault_that_says_so() {
    for kit in Kit::both() {
        for (steps, kind, said) in [
            (
                json!("nothing"),
                FaultKind::BadAnswer,
                "no list of edits and changes",
            ),
            (json!({}), FaultKind::BadAnswer, "no list of edits and changes"),
            (
                json!(["send", "/a"]),
                FaultKind::BadAnswer,
                "`send`, expected one of",
            ),
            (json!(["set", "/a"]), FaultKind::BadAnswer, "lacks a string"),
            (json!(["set", "/a", "no JSON"]), FaultKind::BadAnswer, "not JSON"),
            (
                json!(["remove", "a"]),
                FaultKind::BadAnswer,
                "does not begin with a slash",
            ),
            (
                json!(["set-header", "host", "x"]),
                FaultKind::BadAnswer,
                "belongs to the relay",
            ),
            (json!("flood"), FaultKind::OverLimit, "output"),
            (
                json!("many"),
                FaultKind::OverLimit,
                "more edits than its output may have",
            ),
        ] {
            let ran = answered(&kit, json!({ "steps": steps }), "{}").await;
            match ran.result {
                Chained::Fault { fault, message, .. } => {
                    assert_eq!(fault, kind, "{steps}: {message}");
                    assert!(message.contains(said), "{steps}: {message}");
                }
                other => panic!("expected a fault of {steps}, got {other:?}"),
            }
        }
    }
}
