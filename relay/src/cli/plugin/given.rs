//! What a command gives a plugin beside, or in place of, what a fixture does.

use anyhow::Context as _;
use clap::Args;

use super::build::say;
use crate::plugins::Manifest;
use crate::plugins::fixtures::Fixture;

#[derive(Debug, Args)]
pub(super) struct Given {
    /// The plugin's configuration, in place of the fixture's
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// A secret that is granted; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    secret: Vec<String>,
}

impl Given {
    pub(super) fn put_into(&self, fixture: &mut Fixture) -> anyhow::Result<()> {
        if let Some(config) = &self.config {
            fixture.config = serde_json::from_str(config).context("--config is no JSON")?;
        }
        for secret in &self.secret {
            let (name, value) = secret.split_once('=').context("--secret wants NAME=VALUE")?;
            fixture.secrets.insert(name.to_owned(), value.to_owned());
        }
        Ok(())
    }
}

/// Says which secrets the plugin needs and is not given. It runs all the same: not every event is one
/// that it needs them for.
pub(super) fn tell_lacking(manifest: &Manifest, fixture: &Fixture) {
    let needed = manifest.secrets().filter(|need| !need.is_optional);
    for need in needed.filter(|need| !fixture.secrets.contains_key(need.name)) {
        let name = need.name;
        say(&format!(
            "the plugin needs the secret {name}; give it with --secret {name}=VALUE"
        ));
    }
}
