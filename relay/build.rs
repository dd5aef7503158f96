//! Compiles the stock plugins to components and lists them, and the files of the SDK, for the relay to
//! include.
//!
//! They are built from source by a second Cargo with a target folder of its own (two Cargos
//! cannot share one), below the folder of this build so that every profile finds them built.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";
/// The profile for plugins in the workspace's `Cargo.toml`.
const PROFILE: &str = "plugin";
/// The folder of the plugins' builds, inside the target folder.
const FOLDER: &str = "plugins-wasm";
/// What Cargo and rustc read from the environment that is meant for the relay, not for its
/// plugins: flags for the host's compiler, lints, coverage, the profile that is being built.
const LEAKING: [&str; 6] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "MAKEFLAGS",
];
const LEAKING_PREFIXES: [&str; 7] = [
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_ENCODED_",
    "CARGO_FEATURE_",
    "CARGO_PKG_",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
];

/// The plugin that does nothing, which is no stock plugin.
const NOTHING: &str = "relay-nothing";
/// What the SDKs consist of.
const SDK: [&str; 7] = [
    "sdk/javascript/types",
    "sdk/rust/Cargo.toml",
    "sdk/rust/src",
    "sdk/rust/macros/Cargo.toml",
    "sdk/rust/macros/src",
    "sdk/python/relay_sdk",
    "wit",
];
/// What Python leaves behind between its sources.
const COMPILED: &str = "__pycache__";

/// A folder in `plugins/`.
struct Plugin {
    name: String,
    folder: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()?;
    let plugins = plugins(&root)?;
    watch(&root, &plugins);
    let out = PathBuf::from(variable("OUT_DIR"));
    let target = target_folder(&out).join(FOLDER);
    require_target();
    build(&root, &target, &plugins);
    copy(&target, NOTHING, &out)?;
    write_if_changed(
        &out.join("stock.rs"),
        listing(&plugins, &target, &out)?.as_bytes(),
    )?;
    write_if_changed(&out.join("sdk.rs"), sdk(&root)?.as_bytes())?;
    Ok(())
}

/// An expression of type `&[(&str, &str)]`: the files of the SDKs, which go into the program for
/// `relay plugin new` and `build`.
fn sdk(root: &Path) -> Result<String, Box<dyn Error>> {
    let mut files = Vec::new();
    for part in SDK {
        collect(&root.join(part), &mut files)?;
    }
    files.sort();
    let mut rows = String::new();
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.strip_prefix(root)?.to_string_lossy().into_owned();
        rows.push_str(&format!("    ({name:?}, include_str!({file:?})),\n"));
    }
    Ok(format!("&[\n{rows}]\n"))
}

/// All files below a folder, or the file itself.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.file_name().is_none_or(|name| name != COMPILED) {
            collect(&path, files)?;
        }
    }
    Ok(())
}

/// The stock plugins, by name.
fn plugins(root: &Path) -> Result<Vec<Plugin>, Box<dyn Error>> {
    let mut plugins = Vec::new();
    for entry in fs::read_dir(root.join("plugins"))? {
        let folder = entry?.path();
        if folder.join("Cargo.toml").exists() {
            let name = folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            plugins.push(Plugin { name, folder });
        }
    }
    plugins.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(plugins)
}

/// Names what a plugin is made of. Not whole folders: a changed fixture or page would compile
/// the relay anew.
fn watch(root: &Path, plugins: &[Plugin]) {
    let shared = [
        "Cargo.toml",
        "Cargo.lock",
        "wit",
        "sdk/rust/Cargo.toml",
        "sdk/rust/src",
        "sdk/rust/macros/src",
        "relay/nothing",
        "relay/build.rs",
    ];
    let own = ["Cargo.toml", "plugin.toml", "config.schema.json", "src"];
    let shared = shared.iter().map(|name| root.join(name));
    let own = plugins
        .iter()
        .flat_map(|plugin| own.iter().map(|name| plugin.folder.join(name)));
    for path in shared.chain(own) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// `<target>/<profile>/build/<package>/out`, four steps up.
fn target_folder(out: &Path) -> &Path {
    out.ancestors()
        .nth(4)
        .expect("Cargo puts OUT_DIR four folders below its target folder")
}

/// Stops with the one command to run if rustc cannot compile for plugins.
fn require_target() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let folder = answer
        .ok()
        .and_then(|answer| String::from_utf8(answer.stdout).ok());
    let is_there = folder.is_some_and(|folder| Path::new(folder.trim()).is_dir());
    assert!(
        is_there,
        "the stock plugins need the Rust target {TARGET}; run: rustup target add {TARGET}"
    );
}

fn build(root: &Path, target: &Path, plugins: &[Plugin]) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args([
        "build",
        "--locked",
        "--quiet",
        "--profile",
        PROFILE,
        "--target",
        TARGET,
    ]);
    cargo.arg("--target-dir").arg(target);
    for plugin in plugins {
        cargo.args(["--package", &plugin.name]);
    }
    cargo.args(["--package", NOTHING]);
    for (name, _) in env::vars_os().filter(|(name, _)| leaks(name)) {
        cargo.env_remove(name);
    }
    let status = cargo
        .status()
        .unwrap_or_else(|error| panic!("cargo cannot be started: {error}"));
    assert!(status.success(), "the stock plugins do not build: see above");
}

fn leaks(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    LEAKING.contains(&name.as_ref()) || LEAKING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// An expression of type `&[(&str, &[u8])]`. Components are copied out of the shared folder,
/// which another checkout with the same target folder may write to.
fn listing(plugins: &[Plugin], target: &Path, out: &Path) -> Result<String, Box<dyn Error>> {
    let mut rows = String::new();
    for Plugin { name, .. } in plugins {
        let copy = copy(target, name, out)?;
        rows.push_str(&format!("    ({name:?}, include_bytes!({copy:?}) as &[u8]),\n"));
    }
    Ok(format!("&[\n{rows}]\n"))
}

/// Copies a component that was built to where this build alone puts files.
fn copy(target: &Path, name: &str, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let built = target.join(TARGET).join(PROFILE).join(name.replace('-', "_"));
    let copy = out.join(name).with_extension("wasm");
    write_if_changed(&copy, &fs::read(built.with_extension("wasm"))?)?;
    Ok(copy)
}

/// Leaves a file alone that is right, so that nothing is compiled for its sake.
fn write_if_changed(path: &Path, content: &[u8]) -> Result<(), Box<dyn Error>> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    Ok(fs::write(path, content)?)
}

/// Cargo sets these for every build script.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("Cargo sets {name}"))
}
