//! Power cuts by seed; `make powercut SEEDS=n` runs more of them.

use relay_tests::disk::Syncs;
use relay_tests::torture::power_cut;

const SEEDS: u64 = 200;
/// A disk that lies about syncs is found out within so many.
const SEEDS_TO_NOTICE: u64 = 20;

#[tokio::test]
async fn nothing_acknowledged_is_lost_torn_or_made_up() {
    let mut broken = Vec::new();
    let mut acknowledged = 0;
    for seed in 0..SEEDS {
        match power_cut::run(seed, Syncs::Kept).await {
            Ok(survived) => acknowledged += survived.acknowledged,
            Err(what) => broken.push(what),
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(acknowledged > 10_000, "{acknowledged} is too few to tell");
}

#[tokio::test]
async fn a_store_on_a_disk_that_ignores_syncs_is_caught() {
    let mut caught = Vec::new();
    for seed in 0..SEEDS_TO_NOTICE {
        caught.extend(power_cut::run(seed, Syncs::Ignored).await.err());
    }
    assert!(
        caught.iter().any(|what| what.contains("is lost")),
        "the check has to find what is lost: {caught:?}"
    );
}
