//! The whole relay in simulated time: 100 seeds, that a seed replays, and that flaws are found.

use relay_tests::simulate::{Flaw, all, run};

#[test]
fn every_promise_is_kept() {
    let sum = all(1..101, Flaw::None);
    let first = sum.broken.first().map(ToString::to_string);
    assert!(first.is_none(), "{}\n{}", first.unwrap_or_default(), sum.line());
    let went_wrong = (sum.passed.crashes, sum.passed.clock_jumps);
    assert!(went_wrong > (50, 50), "too little went wrong: {went_wrong:?}");
    assert!(sum.passed.together > 200, "too few went together: {}", sum.line());
    assert!(sum.passed.timers > 200, "too few timers fired: {}", sum.line());
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 1..6 {
        assert_eq!(run(seed, Flaw::None, false), run(seed, Flaw::None, false));
    }
}

#[test]
fn flaws_are_found() {
    for flaw in [
        Flaw::ForgetsEvents,
        Flaw::ForgetsOutcomes,
        Flaw::AnswersBeforeCommit,
        Flaw::ReadsEarly,
        Flaw::ReadsTwice,
        Flaw::ChecksTooFar,
        Flaw::FollowsTheWallClock,
    ] {
        let found = (1..30).find_map(|seed| run(seed, flaw, false).err());
        assert!(found.is_some(), "{flaw:?} was not found");
    }
}
