//! Plugins in Rust: a crate, built by Cargo for `wasm32-wasip2`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::language::{File, Language, Missing, New, fill};
use super::{sdk, stage};
use crate::cli::plugin::project::Project;

const TARGET: &str = "wasm32-wasip2";
/// Where the SDK is put, within a new plugin.
const VENDORED: &str = "vendor/relay";
/// The SDK within a clone of the relay.
const SDK: &str = "sdk/rust";

const MANIFEST: &str = include_str!("../../../../templates/rust/Cargo.toml.template");
const SOURCES: [(&str, &str); 4] = [
    (
        "transform",
        include_str!("../../../../templates/rust/transform.rs"),
    ),
    ("filter", include_str!("../../../../templates/rust/filter.rs")),
    (
        "authenticate",
        include_str!("../../../../templates/rust/authenticate.rs"),
    ),
    ("respond", include_str!("../../../../templates/rust/respond.rs")),
];

#[derive(Debug)]
pub(super) struct Rust;

impl Language for Rust {
    fn name(&self) -> &'static str {
        "rust"
    }

    fn is_of(&self, folder: &Path) -> bool {
        folder.join("Cargo.toml").is_file()
    }

    fn files(&self, new: &New<'_>) -> anyhow::Result<Vec<File>> {
        let (path, mut files) = match new.sdk {
            Some(clone) => (clone_of_sdk(clone)?, Vec::new()),
            None => (PathBuf::from(VENDORED).join(SDK), sdk::rust(Path::new(VENDORED))?),
        };
        let path = toml::Value::from(path.to_string_lossy().into_owned()).to_string();
        let structure = structure(new.name);
        let places = [
            ("name", new.name),
            ("description", new.description),
            ("struct", &structure),
            ("sdk", path.trim_matches('"')),
        ];
        let (_, source) = SOURCES
            .iter()
            .find(|(hook, _)| *hook == new.hook)
            .with_context(|| format!("there is no template for {}", new.hook))?;
        files.push(File::new("Cargo.toml", fill(MANIFEST, &places)));
        files.push(File::new("Cargo.lock", sdk::LOCK));
        files.push(File::new("src/lib.rs", fill(source, &places)));
        Ok(files)
    }

    fn check_tools(&self, _: &Path) -> Result<(), Missing> {
        let missing = |tool: &str, install: &str| Missing {
            tool: tool.to_owned(),
            install: install.to_owned(),
        };
        let said = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().ok()?;
            let is_well = output.status.success();
            is_well.then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        if said("cargo", &["--version"]).is_none() {
            return Err(missing(
                "Rust",
                "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh",
            ));
        }
        let folder = said("rustc", &["--print", "target-libdir", "--target", TARGET]);
        match folder.is_some_and(|folder| Path::new(&folder).is_dir()) {
            true => Ok(()),
            false => Err(missing(
                &format!("the Rust target {TARGET}"),
                &format!("rustup target add {TARGET}"),
            )),
        }
    }

    fn build(&self, project: &Project, profile: &str) -> anyhow::Result<Vec<u8>> {
        stage::check_powers(&project.folder)?;
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(&project.folder)
            .args(["build", "--lib", "--profile", profile, "--target", TARGET])
            .arg("--message-format=json-render-diagnostics")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let output = cargo.output().context("cargo cannot be run")?;
        if !output.status.success() {
            bail!("it does not build: see above");
        }
        let manifest = project.folder.join("Cargo.toml");
        let messages = String::from_utf8_lossy(&output.stdout);
        let built = messages.lines().rev().find_map(|line| artifact(line, &manifest));
        let built = built.with_context(|| {
            format!(
                "{} makes no component; it needs: [lib] crate-type = [\"cdylib\"]",
                manifest.display()
            )
        })?;
        std::fs::read(&built).with_context(|| format!("{} cannot be read", built.display()))
    }

    fn knows_what_changed(&self) -> bool {
        true
    }
}

/// The component, if a line of Cargo's says that it was built from this manifest.
fn artifact(line: &str, manifest: &Path) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_ours = message["reason"] == "compiler-artifact"
        && message["manifest_path"].as_str().map(Path::new) == Some(manifest);
    let files = message["filenames"].as_array().filter(|_| is_ours)?;
    let wasm = files
        .iter()
        .filter_map(Value::as_str)
        .find(|file| file.ends_with(".wasm"))?;
    Some(PathBuf::from(wasm))
}

/// The SDK of a clone that is named by its root or by the SDK's own folder.
fn clone_of_sdk(given: &Path) -> anyhow::Result<PathBuf> {
    let candidates = [given.join(SDK), given.to_owned()];
    let found = candidates
        .into_iter()
        .find(|folder| folder.join("Cargo.toml").is_file() && folder.join("src").is_dir());
    let found = found.with_context(|| {
        format!(
            "{} is no clone of the relay: it has no {SDK}/Cargo.toml",
            given.display()
        )
    })?;
    found
        .canonicalize()
        .with_context(|| format!("{} cannot be found", found.display()))
}

/// `only-paid` is `OnlyPaid`.
fn structure(name: &str) -> String {
    let words = name.split(['-', '_']).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_names_of_structs() {
        for (name, expected) in [("only-paid", "OnlyPaid"), ("tidy", "Tidy"), ("a_b-2c", "AB2c")] {
            assert_eq!(structure(name), expected);
        }
    }

    #[test]
    fn the_component_is_found_in_what_cargo_says() {
        let manifest = Path::new("/p/Cargo.toml");
        let line = |reason: &str, manifest: &str| {
            serde_json::json!({"reason": reason, "manifest_path": manifest, "filenames": ["/p/t/p.d", "/p/t/p.wasm"]})
                .to_string()
        };
        let found = artifact(&line("compiler-artifact", "/p/Cargo.toml"), manifest);
        assert_eq!(found, Some(PathBuf::from("/p/t/p.wasm")));
        for other in [
            line("compiler-artifact", "/q/Cargo.toml"),
            line("build-finished", "/p/Cargo.toml"),
            "warning: unused".to_owned(),
        ] {
            assert_eq!(artifact(&other, manifest), None, "{other}");
        }
    }
}
