//! Configurations, held against schema and `setup`.

use std::time::Duration;

use relay::model::plugin::OnFault;
use relay::plugins::{BindError, Problem};
use serde_json::{Value, json};

use crate::kit::{Kit, run, used};

async fn problems(kit: &Kit, config: Value) -> Vec<Problem> {
    match kit.try_bind(&used("everything", config)).await {
        Err(BindError::Config { problems, .. }) => problems,
        other => panic!("expected problems, got {other:?}"),
    }
}

#[tokio::test]
async fn all_problems_of_a_configuration_are_told_at_once_with_their_places() {
    let kit = Kit::new();
    let found = problems(&kit, json!({ "limit": 0, "nested": { "deep": "no" }, "oops": 1 })).await;
    let places: Vec<_> = found.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(found.len(), 4, "{found:?}");
    for at in ["", "/limit", "/nested/deep"] {
        assert!(places.contains(&at), "{at} in {found:?}");
    }
}

#[tokio::test]
async fn setup_says_what_a_schema_cannot() {
    let kit = Kit::new();
    let found = problems(&kit, json!({ "greeting": "rude words" })).await;
    assert_eq!(
        found,
        [Problem {
            at: "/greeting".to_owned(),
            message: "is rude".to_owned()
        }]
    );
}

#[tokio::test]
async fn a_setup_that_breaks_refuses_the_configuration() {
    let kit = Kit::new();
    let error = kit
        .try_bind(&used("everything", json!({ "greeting": "panic" })))
        .await
        .expect_err("a panic");
    assert!(
        matches!(&error, BindError::Check { fault, .. } if fault.stderr.contains("asked to by")),
        "{error:?}"
    );
    assert!(error.to_string().contains("panicked at"), "{error}");
}

#[tokio::test]
async fn a_setup_may_take_longer_than_a_call_but_not_for_ever() {
    for kit in Kit::both() {
        let using = |greeting: &str| {
            let mut using = used("everything", json!({ "greeting": greeting }));
            using.limits.time = Duration::from_millis(50);
            using
        };
        kit.try_bind(&using("dawdle")).await.expect("it is patient");
        let error = kit.try_bind(&using("spin")).await.expect_err("it has an end");
        assert!(
            error.to_string().contains("did not end within 2000 ms"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn defaults_reach_the_plugin() {
    let kit = Kit::new();
    let bound = kit.bind("everything", json!({ "greeting": "hi" })).await;
    let ran = run(vec![bound], OnFault::Retry).await;
    let draft = crate::powers::only_draft(ran);
    let told: Value = serde_json::from_slice(&draft.data).expect("JSON");
    let config = r#"{"greeting":"hi","limit":3,"nested":{"deep":true}} Some("true")"#;
    assert_eq!(told["config"], config);
}
