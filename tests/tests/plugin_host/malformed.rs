//! Plugins written by hand to break what compilers keep: answers that lie about where they
//! are, helpers that never return, memory that may hold what another call left.
//!
//! The layout of what a hook takes and answers is the Component Model's canonical ABI.

use std::fmt::Write as _;
use std::time::Duration;

use relay::model::attempt::FaultKind;
use relay::model::plugin::OnFault;
use relay::plugins::{Bound, Chained};
use serde_json::json;

use crate::kit::{Kit, run, used};

/// Where a well-made answer stands in the plugin's memory.
const ANSWER: u32 = 1024;
/// The first free byte for what `realloc` hands out.
const HEAP: u32 = 4096;

/// A filter in WebAssembly text; what is not said behaves.
#[derive(Clone, Copy)]
struct Shape<'t> {
    /// Imports of the component and whatever else stands in front of the module.
    before: &'t str,
    /// Arguments of the module's instantiation.
    given: &'t str,
    /// Imports of the module.
    imports: &'t str,
    /// Memory, tables, data, other functions.
    fields: &'t str,
    /// Answers the address of the answer.
    filter: &'t str,
    /// Answers the address of that many bytes (local 3).
    realloc: &'t str,
    /// Runs after the answer was read.
    done: &'t str,
}

const SOUND: Shape<'_> = Shape {
    before: "",
    given: "",
    imports: "",
    fields: r#"(memory (export "memory") 1)"#,
    filter: "i32.const 1024",
    realloc: "i32.const 4096",
    done: "",
};

impl Shape<'_> {
    fn component(&self) -> Vec<u8> {
        let Self {
            before,
            given,
            imports,
            fields,
            filter,
            realloc,
            done,
        } = self;
        let text = format!(
            r#"(component
              {before}
              (core module $module
                {imports}
                {fields}
                (func (export "filter") (param {params}) (result i32) {filter})
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                (func (export "done") (param i32) {done}))
              (core instance $code (instantiate $module {given}))
              (type $event-shape (record
                (field "id" string) (field "source" string) (field "type" string)
                (field "subject" (option string)) (field "time" (option string))
                (field "content-type" (option string)) (field "data" u32)))
              (export $event "event" (type $event-shape))
              (type $decision-shape (variant (case "keep") (case "drop" string)))
              (export $decision "decision" (type $decision-shape))
              (type $retry-shape (record (field "message" string) (field "after-ms" (option u32))))
              (export $retry "retry" (type $retry-shape))
              (type $fault-shape (variant
                (case "invalid" string) (case "misconfigured" string) (case "unavailable" $retry)))
              (export $fault "fault" (type $fault-shape))
              (func $filter (param "event" $event) (result (result $decision (error $fault)))
                (canon lift (core func $code "filter")
                  (memory (core memory $code "memory"))
                  (realloc (core func $code "realloc"))
                  (post-return (core func $code "done"))))
              (instance $hook (export "filter" (func $filter)))
              (export "relay:plugin/filter@0.1.0" (instance $hook)))"#,
            params = "i32 ".repeat(16),
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    async fn bind(&self, kit: &Kit, time: Duration) -> Bound {
        kit.install("shaped", &self.component());
        let mut wanted = used("shaped", json!({}));
        wanted.reuse = false;
        wanted.limits.time = time;
        kit.try_bind(&wanted).await.expect("the plugin binds")
    }

    /// How a run of it ends; `None` if the event was kept.
    async fn end(&self, kit: &Kit, time: Duration) -> Option<(FaultKind, String)> {
        match run(vec![self.bind(kit, time).await], OnFault::Retry).await.result {
            Chained::Fault { fault, message, .. } => Some((fault, message)),
            Chained::Emit(_) => None,
            Chained::Drop { reason, .. } => panic!("it dropped the event: {reason:?}"),
        }
    }
}

/// Stores an answer and points to it: whether it is a fault, its case, where its text is.
fn answer(disc: u8, case: u8, text: u32, length: u32) -> String {
    format!(
        "(i32.store8 (i32.const {ANSWER}) (i32.const {disc}))
         (i32.store8 (i32.const {}) (i32.const {case}))
         (i32.store (i32.const {}) (i32.const {text}))
         (i32.store (i32.const {}) (i32.const {length}))
         (i32.const {ANSWER})",
        ANSWER + 4,
        ANSWER + 8,
        ANSWER + 12,
    )
}

/// A filter that answers so.
fn answering(filter: &str) -> Shape<'_> {
    Shape { filter, ..SOUND }
}

#[tokio::test]
async fn a_sound_one_keeps_the_event() {
    assert_eq!(SOUND.end(&Kit::new(), Duration::from_millis(500)).await, None);
}

#[tokio::test]
async fn answers_that_lie_are_traps() {
    let kit = Kit::new();
    let not_text = format!(
        "(i32.store8 (i32.const {HEAP}) (i32.const 0xff)) {}",
        answer(0, 1, HEAP, 1)
    );
    let mut surprises = Vec::new();
    for (case, filter, said) in [
        ("off its alignment", "i32.const 1025", "align"),
        ("behind the memory", "i32.const 0xfffffff0", "out of bounds"),
        ("half behind the memory", "i32.const 65532", "out of bounds"),
        ("neither result nor fault", &answer(2, 0, 0, 0), "discriminant"),
        ("no decision there is", &answer(0, 7, 0, 0), "discriminant"),
        ("no fault there is", &answer(1, 200, 0, 0), "discriminant"),
        (
            "text behind the memory",
            &answer(0, 1, 70_000, 4),
            "out of bounds",
        ),
        (
            "text without an end",
            &answer(0, 1, 16, u32::MAX),
            "out of bounds",
        ),
        (
            "text that wraps around",
            &answer(1, 0, u32::MAX - 3, 8),
            "out of bounds",
        ),
        ("text that is none", &not_text, "utf-8"),
    ] {
        match answering(filter).end(&kit, Duration::from_millis(500)).await {
            Some((FaultKind::Trapped, message)) if message.to_lowercase().contains(said) => {}
            other => surprises.push(format!("{case}: {other:?}")),
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}

#[tokio::test]
async fn helpers_that_lie_break_or_never_return_are_stopped() {
    const FOREVER: &str = "(loop $again (br $again))";
    let kit = Kit::new();
    let endless = Shape {
        done: FOREVER,
        ..SOUND
    };
    let endless_realloc = format!("{FOREVER} unreachable");
    let starts_endless = format!("{} (func $start {FOREVER}) (start $start)", SOUND.fields);
    let starts_broken = format!("{} (func $start unreachable) (start $start)", SOUND.fields);
    let endless_table = format!(
        "{} (table $t 1 funcref) (func $start (loop $again (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $again))) (start $start)",
        SOUND.fields
    );
    let mut surprises = Vec::new();
    for (case, shape, kind) in [
        ("endless after the answer", endless, FaultKind::TimedOut),
        (
            "endless at the start",
            Shape {
                fields: &starts_endless,
                ..SOUND
            },
            FaultKind::TimedOut,
        ),
        (
            "endless in realloc",
            Shape {
                realloc: &endless_realloc,
                ..SOUND
            },
            FaultKind::TimedOut,
        ),
        (
            "grows its table in vain, for ever",
            Shape {
                fields: &endless_table,
                ..SOUND
            },
            FaultKind::TimedOut,
        ),
        (
            "breaks after the answer",
            Shape {
                done: "unreachable",
                ..SOUND
            },
            FaultKind::Trapped,
        ),
        (
            "breaks at the start",
            Shape {
                fields: &starts_broken,
                ..SOUND
            },
            FaultKind::Trapped,
        ),
        (
            "room behind the memory",
            Shape {
                realloc: "i32.const 0xffff0000",
                ..SOUND
            },
            FaultKind::Trapped,
        ),
        (
            "room that does not suffice",
            Shape {
                realloc: "i32.const 65535",
                ..SOUND
            },
            FaultKind::Trapped,
        ),
        (
            "no room at all",
            Shape {
                realloc: "unreachable",
                ..SOUND
            },
            FaultKind::Trapped,
        ),
    ] {
        match shape.end(&kit, Duration::from_millis(60)).await {
            Some((found, _)) if found == kind => {}
            other => surprises.push(format!("{case}: {other:?}")),
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}

#[tokio::test]
async fn a_flood_of_handles_is_stopped() {
    let flood = Shape {
        before: r#"(import "wasi:io/poll@0.2.6" (instance $poll (export "pollable" (type (sub resource)))))
          (alias export $poll "pollable" (type $pollable))
          (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock
            (alias outer 1 $pollable (type $outer))
            (export "pollable" (type $own (eq $outer)))
            (export "subscribe-duration" (func (param "when" u64) (result (own $own))))))
          (core func $subscribe (canon lower (func $clock "subscribe-duration")))
          (core instance $host (export "subscribe" (func $subscribe)))"#,
        given: r#"(with "host" (instance $host))"#,
        imports: r#"(import "host" "subscribe" (func $subscribe (param i64) (result i32)))"#,
        filter: "(loop $again (drop (call $subscribe (i64.const 1000000000))) (br $again)) unreachable",
        ..SOUND
    };
    let end = flood.end(&Kit::new(), Duration::from_millis(500)).await;
    let (kind, message) = end.expect("it is stopped");
    assert_eq!(kind, FaultKind::Trapped, "{message}");
    assert!(message.contains("no free keys"), "{message}");
}

/// Each call looks for a byte that is not zero where nobody wrote in this call, in its first
/// pages and in pages that it grows, and then leaves all of them dirty.
#[tokio::test]
async fn no_call_finds_what_another_left_in_memory() {
    const PAGES: u32 = 24;
    let mut filter = String::new();
    write!(
        filter,
        "(local $at i32)
         (drop (memory.grow (i32.const {grown})))
         (local.set $at (i32.const 65536))
         (block $clean (loop $look
           (br_if $clean (i32.ge_u (local.get $at) (i32.const {end})))
           (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
           (local.set $at (i32.add (local.get $at) (i32.const 8)))
           (br $look)))
         (memory.fill (i32.const 65536) (i32.const 0xab) (i32.const {len}))
         (i32.const {ANSWER})",
        grown = PAGES / 2,
        end = PAGES * 65536,
        len = (PAGES - 1) * 65536,
    )
    .expect("text can be written");
    let fields = format!(r#"(memory (export "memory") {})"#, PAGES - PAGES / 2);
    let kit = Kit::new();
    let shape = Shape {
        fields: &fields,
        filter: &filter,
        ..SOUND
    };
    let bound = shape.bind(&kit, Duration::from_secs(2)).await;
    let chain = std::sync::Arc::new(relay::plugins::Chain::new(vec![bound], OnFault::Retry));
    for round in 0..20 {
        // Several at once, so that slots are handed from one to the other.
        let runs = (0..8).map(|_| {
            let chain = chain.clone();
            tokio::spawn(async move { chain.run(&crate::kit::event("{}"), crate::kit::call()).await })
        });
        for run in runs.collect::<Vec<_>>() {
            let ran = run.await.expect("no panic");
            assert!(matches!(ran.result, Chained::Emit(_)), "{round}: {ran:?}");
        }
    }
}
