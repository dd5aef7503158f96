//! Compiling in a process of its own: what fits comes back as if it were compiled here, what
//! does not costs the child and nothing else.

use std::fmt::Write as _;

use relay::model::plugin::OnFault;
use relay::plugins::compile::Compiler;
use relay::plugins::{BindError, Chained, LoadError};
use serde_json::json;

use crate::kit::{Kit, run, used};

fn in_a_child() -> Kit {
    Kit::compiling(Compiler::Child(relay_tests::binary::path().to_owned()))
}

async fn refusal(kit: &Kit, component: &str) -> String {
    kit.install("strange", &wat::parse_str(component).expect("valid text"));
    match kit.try_bind(&used("strange", json!({}))).await {
        Err(BindError::Load {
            reason: LoadError::Compile(reason),
            ..
        }) => reason,
        Err(other) => panic!("refused for another reason: {other}"),
        Ok(_) => panic!("it was taken"),
    }
}

/// A component that says it filters, around a module with these functions.
fn component(functions: &str) -> String {
    format!(
        r#"(component (core module {functions}) (instance $hook) (export "relay:plugin/filter@0.1.0" (instance $hook)))"#
    )
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
    let reason = refusal(&in_a_child(), &component("(func (result i32))")).await;
    assert!(reason.contains("type mismatch"), "{reason}");
}

#[tokio::test]
async fn a_component_made_to_burst_the_compiler_bursts_only_the_child() {
    const LOCALS: usize = 2_000;
    let mut body = format!("(func (param i32) (local {})", "i32 ".repeat(LOCALS));
    for round in 0..120 {
        body.push_str("(if (local.get 0) (then ");
        for local in 1..=LOCALS {
            let other = 1 + (local * 7 + round) % LOCALS;
            write!(
                body,
                "(local.set {local} (i32.add (local.get {other}) (i32.const {round})))"
            )
            .expect("strings grow");
        }
        body.push_str("))");
    }
    body.push(')');
    let kit = in_a_child();
    let reason = refusal(&kit, &component(&body)).await;
    assert!(reason.contains("1024 MiB"), "{reason}");
    // The host goes on as if nothing had been.
    let ran = run(vec![kit.bind("edits", json!({})).await], OnFault::Retry).await;
    assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
}

#[tokio::test]
async fn without_its_program_nothing_is_compiled() {
    let kit = Kit::compiling(Compiler::Child("/nowhere/relay".into()));
    let reason = refusal(&kit, &component("")).await;
    assert!(reason.starts_with("no compiler could be started"), "{reason}");
}
