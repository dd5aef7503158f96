//! Builds a plugin out of texts, and runs fixtures on it.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use relay::plugins::fixtures::{Fixture, Found, Trial};
use relay_tests::stock::Workbench;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with these files.
pub(crate) fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        let parent = path.parent().expect("a file is in a folder");
        std::fs::create_dir_all(parent).expect("folders can be made");
        std::fs::write(&path, text).expect("files can be written");
    }
    folder
}

/// The component of a project, or what is wrong with it.
pub(crate) fn built(folder: &Path, entry: &str) -> Result<Bytes, String> {
    let built = relay_javascript::build(folder, entry);
    built.map(Bytes::from).map_err(|error| error.to_string())
}

/// What is wrong with a project of these files.
pub(crate) fn wrong(files: &[(&str, &str)]) -> String {
    let (entry, _) = files[0];
    match built(project(files).path(), entry) {
        Ok(_) => panic!("it builds: {files:?}"),
        Err(error) => error,
    }
}

/// A plugin on a host of its own.
pub(crate) struct Plugin {
    pub(crate) trial: Trial,
    _workbench: Workbench,
}

impl Plugin {
    /// Of these files, of which the first is the first module.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let (entry, _) = files[0];
        let component = built(project(files).path(), entry).unwrap_or_else(|error| panic!("{error}"));
        Self::of(component)
    }

    /// Of a component.
    pub(crate) fn of(component: Bytes) -> Self {
        // What was compiled for one test is there for the next.
        let workbench = Workbench::over(&relay_tests::binary::shared_folder().join("javascript-compiled"));
        Self {
            trial: workbench.trial_of("tried", component),
            _workbench: workbench,
        }
    }

    /// The same, with as much time for a call.
    pub(crate) fn within(mut self, time: Duration) -> Self {
        self.trial.limits.time = time;
        self
    }

    /// What a fixture comes to.
    pub(crate) async fn play(&self, fixture: Value) -> Found {
        let fixture: Fixture = serde_json::from_value(fixture).expect("a fixture");
        self.play_fixture(&fixture).await
    }

    /// The same, of one that was read.
    pub(crate) async fn play_fixture(&self, fixture: &Fixture) -> Found {
        match self.trial.bind(fixture, true).await {
            Ok(Ok(bound)) => self.trial.play(fixture, &bound).await,
            Ok(Err(refused)) => refused,
            Err(error) => panic!("it cannot be bound: {error}"),
        }
    }

    /// What it makes of an event with this configuration.
    pub(crate) async fn transform(&self, config: Value, data: Value) -> Found {
        let event = json!({ "type": "order.changed", "data": data });
        self.play(json!({ "hook": "transform", "event": event, "config": config }))
            .await
    }
}

/// A component with a manifest that has this schema and needs these powers.
pub(crate) fn with_manifest(component: Bytes, schema: &Value, powers: &[&str]) -> Bytes {
    let manifest = json!({ "name": "tried", "reuse": true, "config": schema, "powers": powers }).to_string();
    let name = "relay:manifest";
    let mut content = vec![u8::try_from(name.len()).expect("a short name")];
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(manifest.as_bytes());
    let mut size = content.len();
    let mut whole = component.to_vec();
    whole.push(0);
    while size >= 0x80 {
        whole.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    whole.push(size as u8);
    whole.extend(content);
    whole.into()
}
