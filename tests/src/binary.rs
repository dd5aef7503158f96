//! Finds the program under test, and has it built if it is not there or older than its source.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Names another program to test, such as one built for release.
const OVERRIDE: &str = "RELAY_BINARY";

/// What the program is built with, as these tests are.
#[cfg(feature = "javascript")]
const FEATURES: &[&str] = &["--features", "javascript"];
#[cfg(not(feature = "javascript"))]
const FEATURES: &[&str] = &[];

/// The `relay` program that belongs to this build of the tests.
///
/// # Panics
/// If it cannot be built.
pub fn path() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os(OVERRIDE) {
        Some(path) => path.into(),
        None => beside_tests(),
    })
}

/// A folder beside the build that all test runs share, for what is costly to make anew.
///
/// # Panics
/// If this program does not know where it is.
pub fn shared_folder() -> PathBuf {
    profile_folder().join("relay-tests")
}

/// `target/PROFILE`: programs are in it, test programs in its folder `deps`.
fn profile_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows where it is");
    let folder = program.parent().expect("a program is in a folder");
    if folder.ends_with("deps") {
        folder.parent().expect("deps is in target/PROFILE").to_owned()
    } else {
        folder.to_owned()
    }
}

fn beside_tests() -> PathBuf {
    let folder = profile_folder();
    let path = folder.join("relay");
    if is_older_than_source(&path) {
        build(&folder);
    }
    path
}

fn is_older_than_source(program: &Path) -> bool {
    let Ok(built) = program.metadata().and_then(|metadata| metadata.modified()) else {
        return true;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = ["relay/src", "relay/javascript/src", "plugins", "sdk", "wit"];
    sources
        .iter()
        .filter_map(|folder| newest(&root.join(folder)))
        .any(|changed| changed > built)
}

/// When the youngest file below a folder was changed.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = folder.read_dir().ok()?.filter_map(Result::ok);
    let changed = |entry: std::fs::DirEntry| {
        if entry.path().is_dir() {
            newest(&entry.path())
        } else {
            entry.metadata().ok()?.modified().ok()
        }
    };
    entries.filter_map(changed).max()
}

fn build(profile_folder: &Path) {
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = profile_folder.parent().expect("target/PROFILE is in target");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--locked",
            "--package",
            "relay",
            "--profile",
            profile,
            "--target-dir",
        ])
        .arg(target)
        .args(FEATURES)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo can be run");
    assert!(status.success(), "the relay cannot be built: {status}");
}
