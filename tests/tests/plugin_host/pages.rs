//! What the pages for authors say: every recipe of the cookbook does what the page shows, what the
//! tutorial shows compiles, and the page of the interface is that of `wit/`.

use relay::plugins::fixtures::{Fixture, Found, Trial, comparable, fits};
use relay_tests::interface;
use relay_tests::recipes::{self, Recipe};
use relay_tests::stock::Workbench;
use serde_json::Value;

/// Plays a round; what does not hold, and what was logged.
async fn play(trial: &Trial, round: &[Fixture]) -> (Vec<String>, Vec<String>) {
    let (mut wrong, mut logged) = (Vec::new(), Vec::new());
    for (at, fixture) in round.iter().enumerate() {
        let found = found(trial, fixture, at == 0).await;
        let expected = fixture.expect.as_ref().unwrap_or(&Value::Null);
        if !fits(expected, &found.shown) {
            let shown = comparable(expected, &found.shown, &found.brief);
            wrong.push(format!(
                "{}\n  expected {expected}\n  found    {shown}",
                trial.name
            ));
        }
        logged.extend(found.log);
    }
    (wrong, logged)
}

async fn found(trial: &Trial, fixture: &Fixture, is_first: bool) -> Found {
    let bound = match trial.bind(fixture, true).await {
        Ok(Ok(bound)) => bound,
        Ok(Err(refused)) => return refused,
        Err(error) => panic!("{} cannot be used: {error}", trial.name),
    };
    match is_first {
        true => trial.play(fixture, &bound).await,
        false => trial.play_on(fixture, &bound).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipe_does_what_its_page_shows_and_the_tutorial_compiles() {
    let cookbook = recipes::page("plugin-cookbook.md");
    let recipes: Vec<Recipe> = recipes::read(&cookbook);
    assert!(recipes.len() >= 20, "only {} recipes were found", recipes.len());
    let tutorial = recipes::files(&recipes::page("writing-plugins.md"), "tutorial");
    assert!(tutorial.len() >= 6, "only {} files were found", tutorial.len());

    let sources = recipes
        .iter()
        .map(Recipe::source)
        .chain(tutorial)
        .collect::<Vec<_>>();
    let built = recipes::build(&sources);
    let workbench = Workbench::new().expect("a temporary folder");
    let mut wrong = Vec::new();
    for recipe in &recipes {
        assert!(!recipe.rounds.is_empty(), "{} shows no event", recipe.name);
        assert!(
            cookbook.contains(&format!("(#{})", recipe.name)),
            "the list at the top of the cookbook lacks {}",
            recipe.name
        );
        let trial = workbench.trial_of(&recipe.name, built.component(&recipe.name));
        let mut lines = Vec::new();
        for round in &recipe.rounds {
            let (misfits, logged) = play(&trial, round).await;
            wrong.extend(misfits);
            lines.extend(logged);
        }
        for line in &recipe.lines {
            if !lines.iter().any(|logged| logged.contains(line)) {
                wrong.push(format!("{} did not log {line:?}, but {lines:?}", recipe.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "docs/plugin-cookbook.md says what is not so:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_page_of_the_interface_is_that_of_the_interface() {
    let path = interface::path();
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == interface::page().expect("wit/ is a package"),
        "{} is not what wit/ says: run cargo run -p relay-tests --bin relay-bench interface",
        path.display()
    );
}
