//! Finds the QuickJS that plugins run on: one file of a crate that Cargo fetches, and that nobody
//! compiles. What the crate itself would bring to do with that file what is done here is an engine of its
//! own beside the relay's.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CRATE: &str = "componentize-qjs";
/// Within the crate: QuickJS as a dynamic library of WebAssembly, without asynchronous calls.
const RUNTIME: &str = "prebuilt/runtime-sync.wasm";

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("quickjs/Cargo.toml");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", manifest.display());
    println!(
        "cargo::rerun-if-changed={}",
        manifest.with_extension("lock").display()
    );
    let runtime = fetched(&manifest)?.join(RUNTIME);
    let out = PathBuf::from(variable("OUT_DIR")).join("quickjs.wasm");
    fs::copy(&runtime, &out).map_err(|error| format!("{} cannot be read: {error}", runtime.display()))?;
    Ok(())
}

/// The crate's folder. Cargo fetches it if it is not there, and holds it against its digest in the lock
/// file.
fn fetched(manifest: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--locked", "--format-version", "1", "--manifest-path"])
        .arg(manifest)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("QuickJS cannot be fetched: {said}").into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages
        .filter(|package| package["name"] == CRATE)
        .find_map(|package| Path::new(package["manifest_path"].as_str()?).parent());
    Ok(found
        .ok_or("cargo metadata does not name the crate of QuickJS")?
        .to_owned())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("Cargo sets {name}"))
}
