//! The SDK for Rust as it was when this program was built: put into a new plugin, so that it builds
//! wherever it is, with no clone of the relay beside it.

use std::path::Path;

use anyhow::Context as _;
use toml::{Table, Value};

use super::language::File;

/// Files of the repository, by their path in it.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
/// The workspace that the SDK belongs to, of which it takes the versions of what it depends on.
const WORKSPACE: &str = include_str!("../../../../../Cargo.toml");
/// The versions that this program was built with. Cargo leaves out of it what a plugin does not need.
pub(super) const LOCK: &str = include_str!("../../../../../Cargo.lock");
/// Its crates.
const MEMBERS: [&str; 2] = ["sdk/rust", "sdk/rust/macros"];

/// All that it takes to build the SDK, in `folder`.
pub(super) fn files(folder: &Path) -> anyhow::Result<Vec<File>> {
    let given = FILES
        .iter()
        .map(|(path, text)| File::new(folder.join(path), *text));
    let workspace = File::new(folder.join("Cargo.toml"), workspace()?);
    Ok(given.chain([workspace]).collect())
}

/// The workspace's manifest with nothing in it but the SDK.
fn workspace() -> anyhow::Result<String> {
    let mut manifest: Table = WORKSPACE.parse().context("the SDK's manifest is damaged")?;
    manifest.retain(|section, _| section == "workspace");
    let workspace = manifest
        .get_mut("workspace")
        .and_then(Value::as_table_mut)
        .context("the SDK's manifest is damaged")?;
    workspace.remove("default-members");
    workspace.insert("members".to_owned(), MEMBERS.map(Value::from).to_vec().into());
    let asks_for = |name: &str| {
        let mut manifests = FILES.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
        manifests.any(|(_, text)| text.contains(&format!("{name}.workspace")))
    };
    if let Some(dependencies) = workspace.get_mut("dependencies").and_then(Value::as_table_mut) {
        dependencies.retain(|name, _| asks_for(name));
    }
    Ok(toml::to_string(&manifest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_has_what_the_sdk_asks_for_and_no_more() {
        let text = workspace().expect("a manifest");
        let manifest: Table = text.parse().expect("TOML");
        let dependencies = manifest["workspace"]["dependencies"].as_table().expect("a table");
        for name in ["serde", "wit-bindgen", "relay-sdk-macros"] {
            assert!(dependencies.contains_key(name), "{name} is not in {text}");
        }
        for name in ["relay", "wasmtime", "tokio"] {
            assert!(!dependencies.contains_key(name), "{name} is in {text}");
        }
        let paths: Vec<_> = FILES.iter().map(|(path, _)| *path).collect();
        for path in [
            "sdk/rust/src/lib.rs",
            "sdk/rust/macros/src/lib.rs",
            "wit/types.wit",
        ] {
            assert!(paths.contains(&path), "{path} is not in {paths:?}");
        }
    }
}
