//! A relay that is killed under load again and again; `make torture CYCLES=n` does it longer.

use relay_tests::torture::kill::{self, Options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_over_kills_under_load() {
    let options = Options {
        cycles: 20,
        seed: 1,
        rate: 600,
        cycle_ms: 1500,
    };
    let reckoning = kill::run(&options, |_| {}).await;
    assert!(reckoning.is_sound(), "{reckoning}");
    assert!(reckoning.accepted > 5000, "{reckoning}");
    let last = reckoning.to_string();
    assert!(last.starts_with("lost: 0 duplicates: "), "{last}");
}
