//! Plugins in every language that they are written in: built from source by `relay plugin build`, held to
//! the same fixtures on the real host, and contained where they misbehave.

mod agree;
mod author;
mod hostile;
mod tutorial;

use std::path::{Path, PathBuf};

use relay::plugins::fixtures::{Fixture, Found, Trial};
use relay_tests::binary;
use relay_tests::stock::Workbench;
use serde_json::Value;

/// A host that finds what it compiled in an earlier run: a component with Python in it takes seconds.
fn workbench() -> Workbench {
    Workbench::over(&binary::shared_folder().join("languages-compiled"))
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("languages").join(name)
}

fn fixture(value: Value) -> Fixture {
    serde_json::from_value(value).expect("a fixture")
}

/// What comes of a fixture.
async fn found(trial: &Trial, fixture: &Fixture) -> Found {
    match trial.bind(fixture, true).await {
        Ok(Ok(bound)) => trial.play(fixture, &bound).await,
        Ok(Err(refused)) => refused,
        Err(error) => panic!("{} cannot be bound: {error}", trial.name),
    }
}
