//! Plugins that misbehave: each is stopped, and its fault says how it did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay::model::attempt::FaultKind;
use relay::model::plugin::OnFault;
use relay::plugins::{Chained, Ran};
use serde_json::json;

use crate::kit::{HungState, Kit, call, event, run, run_on, used};

fn fault(ran: Ran) -> (FaultKind, String, String) {
    match ran.result {
        Chained::Fault {
            fault,
            message,
            stderr,
            ..
        } => (fault, message, stderr),
        other => panic!("expected a fault, got {other:?}"),
    }
}

#[tokio::test]
async fn every_misdeed_ends_in_a_fault_that_names_it() {
    for kit in Kit::both() {
        let mut surprises = Vec::new();
        for (action, kind, said) in [
            ("spin", FaultKind::TimedOut, "did not end within 500 ms"),
            ("spin-in-host", FaultKind::TimedOut, "did not end"),
            ("sleep", FaultKind::TimedOut, "did not end"),
            ("eat-memory", FaultKind::OutOfMemory, "16777216 are allowed"),
            ("overflow-calls", FaultKind::Trapped, "overflowed its stack"),
            ("overflow-stack", FaultKind::Trapped, "out of bounds"),
            (
                "panic",
                FaultKind::Trapped,
                "the payload sender-1 is not to my taste",
            ),
            ("trap", FaultKind::Trapped, "gave up without a message"),
            ("exit", FaultKind::Trapped, "exit"),
            ("out-of-bounds", FaultKind::Trapped, "out of bounds"),
            ("flood-log", FaultKind::OverLimit, "logged more than 64 lines"),
            (
                "flood-host",
                FaultKind::OverLimit,
                "called the relay more than 100000 times",
            ),
            ("huge-text", FaultKind::OverLimit, "output"),
            (
                "huge-in-parts",
                FaultKind::OverLimit,
                "it gave 1120000 bytes of output",
            ),
            ("many-messages", FaultKind::OverLimit, "more than 100 messages"),
            (
                "pointer",
                FaultKind::BadAnswer,
                "edit 1 (set \"no/slash\"): the pointer",
            ),
            ("tilde", FaultKind::BadAnswer, "neither `~0` nor `~1`"),
            ("value", FaultKind::BadAnswer, "not JSON"),
            ("root", FaultKind::BadAnswer, "cannot be taken away"),
            ("grow-by-copies", FaultKind::BadAnswer, "bytes longer"),
            ("foreign-blob", FaultKind::BadAnswer, "there is no payload"),
            ("read-foreign-blob", FaultKind::Trapped, "there is no payload"),
            (
                "reserved-header",
                FaultKind::BadAnswer,
                "`content-length` belongs to the relay",
            ),
            (
                "split-header",
                FaultKind::BadAnswer,
                "characters that a header may not have",
            ),
            ("bad-attribute", FaultKind::BadAnswer, "the attribute `type`"),
            ("invalid", FaultKind::Invalid, "nothing to see"),
            ("misconfigured", FaultKind::Misconfigured, "no such channel"),
            ("unavailable", FaultKind::Unavailable, "later"),
        ] {
            let bound = match kind {
                FaultKind::TimedOut => kit.hostile(action).await,
                _ => kit.patient_with_hostile(action).await,
            };
            let (found, message, _) = fault(run(vec![bound], OnFault::Retry).await);
            if found != kind || !message.contains(said) {
                surprises.push(format!("{action}: {found:?} {message:?}"));
            }
        }
        assert!(surprises.is_empty(), "{surprises:#?}");
    }
}

#[tokio::test]
async fn endless_starts_and_endless_argument_passing_are_stopped() {
    let kit = Kit::new();
    for name in ["spins-in-start", "spins-in-realloc"] {
        let mut wanted = used(name, json!({}));
        wanted.limits.time = Duration::from_millis(50);
        let bound = kit.try_bind(&wanted).await.expect("the plugin binds");
        let (kind, message, _) = fault(run(vec![bound], OnFault::Retry).await);
        assert_eq!(kind, FaultKind::TimedOut, "{name}: {message}");
    }
}

#[tokio::test]
async fn a_spinning_plugin_is_stopped_soon_after_its_deadline() {
    let kit = Kit::new();
    let mut wanted = used("hostile", json!({ "do": "spin" }));
    wanted.limits.time = Duration::from_millis(20);
    let bound = kit.try_bind(&wanted).await.expect("the plugin binds");
    let mut spans: Vec<_> = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        run(vec![bound.clone()], OnFault::Retry).await;
        spans.push(started.elapsed());
    }
    spans.sort();
    // 24 ms is what a quiet machine keeps; this one may be busy.
    assert!(spans[10] < Duration::from_millis(100), "{spans:?}");
    assert!(spans[0] >= Duration::from_millis(20), "{spans:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_spinning_plugin_lets_others_run_meanwhile() {
    let kit = Kit::new();
    let spinning = kit.hostile("spin").await;
    let task = tokio::spawn(async move { run(vec![spinning], OnFault::Retry).await });
    tokio::task::yield_now().await;
    let mut turns = 0;
    while !task.is_finished() {
        turns += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(turns > 20, "{turns}");
}

#[tokio::test]
async fn a_flood_of_spinning_calls_takes_turns_and_others_pass_it_by() {
    const FLOOD: u32 = 6;
    let kit = Kit::new();
    let mut wanted = used("hostile", json!({ "do": "spin" }));
    wanted.limits.time = Duration::from_millis(200);
    let spinning = kit.try_bind(&wanted).await.expect("the plugin binds");
    let quick = kit.bind("edits", json!({})).await;
    let started = Instant::now();
    let flood: Vec<_> = (0..FLOOD)
        .map(|_| tokio::spawn(run(vec![spinning.clone()], OnFault::Retry)))
        .collect();
    tokio::task::yield_now().await;
    let passed = run(vec![quick], OnFault::Retry).await;
    assert!(matches!(passed.result, Chained::Emit(_)), "{passed:?}");
    assert!(!flood.iter().all(tokio::task::JoinHandle::is_finished));
    for call in flood {
        let (kind, message, _) = fault(call.await.expect("no panic"));
        assert_eq!(kind, FaultKind::TimedOut, "{message}");
    }
    // At once they would all have ended when the first did: each had its own 50 ms, of which
    // only the first ticks were free.
    assert!(
        started.elapsed() > Duration::from_millis(40) * FLOOD,
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_host_call_that_hangs_counts_against_the_deadline() {
    let kit = Kit::with_state(Arc::new(HungState));
    let bound = kit.bind("everything", json!({ "greeting": "hi" })).await;
    let (kind, message, _) = fault(run(vec![bound], OnFault::Retry).await);
    assert_eq!(
        (kind, message.as_str()),
        (FaultKind::TimedOut, "it did not end within 500 ms")
    );
}

#[tokio::test]
async fn slow_but_within_its_time_is_fine() {
    let kit = Kit::new();
    let ran = kit.misdeed("take-50ms").await;
    assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
    // Less what it waited for a turn meanwhile.
    assert!(ran.costs[0].duration_us >= 10_000, "{ran:?}");
}

#[tokio::test]
async fn tables_are_metered_too() {
    let kit = Kit::new();
    let mut wanted = used("hostile", json!({ "do": "nothing" }));
    wanted.limits.table_elements = 3;
    let bound = kit.try_bind(&wanted).await.expect("the plugin binds");
    let (kind, message, _) = fault(run(vec![bound], OnFault::Retry).await);
    assert_eq!(kind, FaultKind::OutOfMemory, "{message}");
    assert!(message.contains("table elements"), "{message}");
}

#[tokio::test]
async fn a_first_memory_beyond_the_limit_does_not_start() {
    let kit = Kit::new();
    let mut wanted = used("hostile", json!({ "do": "nothing" }));
    wanted.limits.memory_bytes = 1 << 16;
    let bound = kit.try_bind(&wanted).await.expect("the plugin binds");
    let (kind, message, _) = fault(run(vec![bound], OnFault::Retry).await);
    assert_eq!(kind, FaultKind::OutOfMemory, "{message}");
}

#[tokio::test]
async fn a_trap_carries_stderr_without_noise_and_within_bounds() {
    for kit in Kit::both() {
        let (_, message, stderr) = fault(kit.misdeed("panic").await);
        assert!(
            message.starts_with("panicked at ") && message.contains("hostile/src/lib.rs"),
            "{message}"
        );
        assert!(
            stderr.contains("not to my taste") && !stderr.contains("RUST_BACKTRACE"),
            "{stderr}"
        );
        let (_, _, stderr) = fault(kit.misdeed("flood-stderr").await);
        assert!(
            stderr.starts_with("line 0 of many") && stderr.len() <= 8192,
            "{}",
            stderr.len()
        );
    }
}

#[tokio::test]
async fn hashing_is_bounded_since_nothing_interrupts_it() {
    let kit = Kit::new();
    let bound = kit.hostile("hash-too-much").await;
    let (kind, message, _) = fault(run_on(vec![bound], OnFault::Retry, &"x".repeat(64 << 10)).await);
    assert_eq!(kind, FaultKind::OverLimit, "{message}");
}

#[tokio::test]
async fn a_stated_fault_says_when_to_come_back() {
    for kit in Kit::both() {
        let ran = kit.misdeed("unavailable").await;
        let Chained::Fault { retry_after, .. } = ran.result else {
            panic!("expected a fault")
        };
        assert_eq!(retry_after, Some(Duration::from_millis(1500)));
    }
}

#[tokio::test]
async fn an_unlucky_event_harms_no_other() {
    let kit = Kit::new();
    let bound = kit.hostile("panic-if-asked").await;
    let chain = relay::plugins::Chain::new(vec![bound], OnFault::Retry);
    for round in 0..3 {
        let broken = chain.run(&event(r#"{"panic":1}"#), call()).await;
        assert!(
            matches!(broken.result, Chained::Fault { .. }),
            "{round}: {broken:?}"
        );
        // Without `/panic` the guest does not know the misdeed and says so: it ran.
        let (_, message, _) = fault(chain.run(&event("{}"), call()).await);
        assert!(message.contains("unknown misdeed"), "{message}");
    }
}
