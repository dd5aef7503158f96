//! Every fuzz target for a short time: on its seeds, and on inputs near them.

use std::time::{Duration, Instant};

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use relay_tests::fuzz::{TARGETS, Target, mutate};

/// How long each target runs; `FUZZ_SECONDS` says otherwise.
const SECONDS: u64 = 5;
/// Inputs between two looks at the clock.
const INPUTS: u32 = 200;

fn fuzz(name: &str) {
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("the target is there");
    for seed in (target.seeds)() {
        (target.run)(&seed);
    }
    let asked = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(asked.unwrap_or(SECONDS));
    let inputs = mutate::inputs(target);
    while Instant::now() < until {
        let config = Config {
            cases: INPUTS,
            failure_persistence: None,
            ..Config::default()
        };
        let ran = TestRunner::new(config).run(&inputs, |input| {
            (target.run)(&input);
            Ok::<_, TestCaseError>(())
        });
        if let Err(TestError::Fail(reason, input)) = ran {
            panic!("{name}: {reason}\nthe input: b\"{}\"", input.escape_ascii());
        }
    }
}

macro_rules! targets {
    ($($name:ident),+) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })+

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),+];
            assert_eq!(run, TARGETS.map(|Target { name, .. }| name));
        }
    };
}

targets!(
    addresses, answers, config, edits, events, filters, heads, manifests, pointers, posts, rows, signatures,
    steps
);
