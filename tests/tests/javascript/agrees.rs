//! The plugin that is the same in every language.

use std::path::{Path, PathBuf};

use relay::plugins::fixtures::{Fixture, comparable, fits};

use crate::kit::{Plugin, built};

fn languages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("languages")
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_agrees_with_the_other_languages() {
    let component = built(&languages().join("javascript"), "src/plugin.js").expect("it builds");
    let schema = std::fs::read_to_string(languages().join("javascript/config.schema.json"));
    let schema = serde_json::from_str(&schema.expect("a schema")).expect("JSON");
    let plugin = Plugin::of(crate::kit::with_manifest(component, &schema, &["state"]));
    let fixtures = Fixture::read_all(&languages().join("fixtures")).expect("fixtures");
    assert!(fixtures.len() >= 50, "only {} fixtures", fixtures.len());
    let mut wrong = Vec::new();
    for (path, fixture) in &fixtures {
        let found = plugin.play_fixture(fixture).await;
        let expected = fixture.expect.clone().unwrap_or_default();
        if !fits(&expected, &found.shown) {
            let found = comparable(&expected, &found.shown, &found.brief);
            wrong.push(format!(
                "{}\n  expected {expected}\n  found    {found}",
                path.display()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} fixtures do not hold:\n{}",
        wrong.len(),
        fixtures.len(),
        wrong.join("\n")
    );
}
