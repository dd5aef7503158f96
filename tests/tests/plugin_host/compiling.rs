//! Compiling in a process of its own: what fits comes back as if it were compiled here, what
//! does not costs the child and nothing else.

use relay::model::plugin::OnFault;
use relay::plugins::compile::Compiler;
use relay::plugins::{BindError, Chained, LoadError};
use relay_tests::strange;
use serde_json::json;

use crate::kit::{Kit, run, used};

fn in_a_child() -> Kit {
    Kit::compiling(Compiler::Child(relay_tests::binary::path().to_owned()))
}

async fn refusal(kit: &Kit, component: &[u8]) -> String {
    kit.install("strange", component);
    match kit.try_bind(&used("strange", json!({}))).await {
        Err(BindError::Load {
            reason: LoadError::Compile(reason),
            ..
        }) => reason,
        Err(other) => panic!("refused for another reason: {other}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[tokio::test]
async fn a_child_compiles_what_this_host_runs_and_keeps() {
    let kit = in_a_child();
    let ran = run(vec![kit.bind("edits", json!({})).await], OnFault::Retry).await;
    assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
    let kept = std::fs::read_dir(kit.cache()).expect("the cache").count();
    assert_eq!(kept, 2, "code and its digest");
}

#[tokio::test]
async fn what_no_compiler_takes_is_refused_with_its_reason() {
    let reason = refusal(&in_a_child(), &strange::filter("(func (result i32))")).await;
    assert!(reason.contains("type mismatch"), "{reason}");
}

#[tokio::test]
async fn a_component_made_to_burst_the_compiler_bursts_only_the_child() {
    let kit = in_a_child();
    let reason = refusal(&kit, &strange::bursting()).await;
    assert!(reason.contains("1024 MiB"), "{reason}");
    // The host goes on as if nothing had been.
    let ran = run(vec![kit.bind("edits", json!({})).await], OnFault::Retry).await;
    assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
}

#[tokio::test]
async fn without_its_program_nothing_is_compiled() {
    let kit = Kit::compiling(Compiler::Child("/nowhere/relay".into()));
    let reason = refusal(&kit, &strange::filter("")).await;
    assert!(reason.starts_with("no compiler could be started"), "{reason}");
}
