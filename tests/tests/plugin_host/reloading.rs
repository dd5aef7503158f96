//! Plugins change while the relay runs.

use std::sync::Arc;
use std::time::Duration;

use relay::clock::SystemClock;
use relay::model::plugin::OnFault;
use relay::plugins::services::Services;
use relay::plugins::{Chained, Plugins, Settings};
use relay_tests::guests;
use serde_json::json;

use crate::kit::{Kit, MapState, resident_bytes, run, with_manifest};

/// Two versions of one plugin.
fn versions() -> [Vec<u8>; 2] {
    ["1.0.0", "2.0.0"]
        .map(|version| with_manifest(guests::EDITS, &json!({ "name": "edits", "version": version })))
}

#[tokio::test]
async fn a_change_in_the_folder_is_told_and_old_versions_stay_usable() {
    let kit = Kit::new();
    let old = kit.bind("edits", json!({})).await;
    let mut changed = kit.plugins.changed();
    // Whatever the installation of the guests still has to say.
    while tokio::time::timeout(Duration::from_millis(600), changed.changed())
        .await
        .is_ok()
    {}
    let [one, _] = versions();
    kit.install("edits", &one);
    let told = tokio::time::timeout(Duration::from_secs(20), changed.changed()).await;
    assert!(told.is_ok_and(|told| told.is_ok()));
    let new = kit.bind("edits", json!({})).await;
    assert_ne!(old.digest(), new.digest());
    for bound in [old, new] {
        assert!(matches!(
            run(vec![bound], OnFault::Retry).await.result,
            Chained::Emit(_)
        ));
    }
}

#[tokio::test]
async fn without_a_folder_nothing_ever_changes() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let settings = Settings::new(cache.path().to_owned());
    let state = Arc::new(MapState::default());
    let plugins = Plugins::new(settings, state, Services::default(), Arc::new(SystemClock)).expect("a host");
    let mut changed = plugins.changed();
    assert!(
        tokio::time::timeout(Duration::from_millis(50), changed.changed())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn thousands_of_reloads_keep_memory_level() {
    let kit = Kit::new();
    let versions = versions();
    let mut measured = Vec::new();
    for round in 0..2_000_usize {
        kit.install("edits", &versions[round % 2]);
        let bound = kit.bind("edits", json!({})).await;
        let ran = run(vec![bound], OnFault::Retry).await;
        assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
        if round % 500 == 499 {
            measured.push(resident_bytes());
        }
    }
    let growth = measured[3].saturating_sub(measured[0]);
    assert!(growth < 24 << 20, "{measured:?}");
}
