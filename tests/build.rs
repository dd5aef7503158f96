//! Builds the guests, plugins that the suites run, once and into a target folder of their
//! own: the folder of the build that is going on is locked by it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";
/// The guests' profile in the workspace's `Cargo.toml`.
const PROFILE: &str = "guest";

fn main() {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let guests = package.join("guests");
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo:rerun-if-changed={}", guests.display());
    for other in ["../wit", "../sdk/rust/src", "../sdk/rust/macros/src"] {
        println!("cargo:rerun-if-changed={}", package.join(other).display());
    }

    let names = names(&guests);
    let target = target_folder(&out);
    check_target();
    build(&package, &target, &names);
    fs::write(out.join("guests.rs"), table(&target, &names)).expect("the output folder can be written to");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"))
}

fn names(guests: &Path) -> Vec<String> {
    let entries = fs::read_dir(guests).expect("tests/guests is there");
    let folders = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("Cargo.toml").is_file());
    let mut names: Vec<_> = folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// `<target>/guests`, from `<target>/<profile>/build/<package>/out`.
fn target_folder(out: &Path) -> PathBuf {
    out.ancestors()
        .nth(4)
        .expect("cargo's output folder lies five levels deep")
        .join("guests")
}

fn check_target() {
    let found = Command::new(env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()))
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let is_there = found.is_ok_and(|found| {
        found.status.success() && Path::new(String::from_utf8_lossy(&found.stdout).trim()).is_dir()
    });
    assert!(
        is_there,
        "the tests build plugins for {TARGET}, which is not installed: rustup target add {TARGET}"
    );
}

fn build(package: &Path, target: &Path, names: &[String]) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(package)
        .args(["build", "--profile", PROFILE, "--target", TARGET, "--target-dir"])
        .arg(target);
    for name in names {
        cargo.args(["-p", &format!("guest-{name}")]);
    }
    // What is meant for the build that is going on, or comes from the linter.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
    ] {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo can be run");
    assert!(
        status.success(),
        "the plugins in tests/guests do not build; see above"
    );
}

/// One constant for each guest, its component.
fn table(target: &Path, names: &[String]) -> String {
    let mut table = String::new();
    for name in names {
        let file = format!("guest_{}.wasm", name.replace('-', "_"));
        let path = target.join(TARGET).join(PROFILE).join(file);
        let constant = name.replace('-', "_").to_uppercase();
        writeln!(table, "pub static {constant}: &[u8] = include_bytes!({path:?});")
            .expect("strings can be written to");
    }
    table
}
