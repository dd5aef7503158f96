//! Flipped bits; `relay-torture flip` flips more. Alone in its program, because it reads the log.

use relay_tests::torture::flip;

const FLIPS: usize = 100;

#[tokio::test]
async fn every_flip_is_found_or_harmless() {
    let flips = flip::run(FLIPS, 1).await.expect("a store that works");
    assert!(flips.faults.is_empty(), "{}", flips.faults.join("\n"));
    assert!(flips.found > 0, "{flips:?}");
}
