//! The SDKs as they were when this program was built: put into a new plugin or beside what is built of it,
//! so that it builds wherever it is, with no clone of the relay beside it.

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

/// What the SDK for Rust consists of.
const RUST: [&str; 2] = ["sdk/rust/", "wit/"];

/// The files whose path in the repository begins so.
pub(super) fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES
        .iter()
        .copied()
        .filter(move |(path, _)| path.starts_with(folder))
}

/// All that it takes to build the SDK for Rust, in `folder`.
pub(super) fn rust(folder: &Path) -> anyhow::Result<Vec<File>> {
    let given = RUST
        .into_iter()
        .flat_map(below)
        .map(|(path, text)| File::new(folder.join(path), text));
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
