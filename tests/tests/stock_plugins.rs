//! The stock plugins as they come with the relay: golden fixtures, run by the real host on the real
//! components, and the page that lists them. The plugins' own unit tests run the same files natively,
//! against the SDK's fake host.

use relay::plugins::fixtures::{Fixture, Found, Trial, comparable, fits};
use relay::plugins::stock;
use relay_tests::catalogue;
use relay_tests::stock::{Workbench, fixtures};
use serde_json::Value;

async fn found(trial: &Trial, fixture: &Fixture) -> Found {
    match trial.bind(fixture, true).await {
        Ok(Ok(bound)) => trial.play(fixture, &bound).await,
        Ok(Err(refused)) => refused,
        Err(error) => panic!("{} cannot be bound: {error}", trial.name),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_fixtures_hold_on_the_real_host() {
    let workbench = Workbench::new().expect("a temporary folder");
    let (mut wrong, mut ran) = (Vec::new(), 0);
    for plugin in stock::names() {
        let trial = workbench.trial(plugin);
        for (path, fixture) in fixtures(plugin) {
            let found = found(&trial, &fixture).await;
            let expected = fixture.expect.as_ref().unwrap_or(&Value::Null);
            ran += 1;
            if !fits(expected, &found.shown) {
                let found = comparable(expected, &found.shown, &found.brief);
                wrong.push(format!(
                    "{}\n  expected {expected}\n  found    {found}",
                    path.display()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {ran} fixtures do not hold:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(ran >= 220, "only {ran} fixtures were found");
}

#[test]
fn the_catalogue_lists_what_comes_with_the_relay() {
    let path = catalogue::path();
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        page,
        catalogue::corrected(&page),
        "{} is not true any more: run cargo run -p relay-tests --bin relay-bench catalogue --unmeasured",
        path.display()
    );
}
