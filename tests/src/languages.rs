//! Plugins of `tests/languages`, built from source by the program under test, and what that takes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use relay::model::plugin::Version;

use crate::binary;

/// What builds plugins in Python, from PyPI, in the version that the relay names.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";
/// What a component is made of beside its own source.
const SHARED: [&str; 4] = [
    "sdk/python/relay_sdk",
    "sdk/javascript",
    "wit",
    "relay/src/cli/plugin/build",
];
/// What is in these folders and is no source.
const LEFT_BEHIND: [&str; 3] = ["__pycache__", "node_modules", "target"];

/// The shell's path with the tools for Python before it. They are put into a virtual environment of
/// their own beside the build if they are not there.
///
/// # Panics
/// If they cannot be installed.
pub fn path_with_python() -> OsString {
    let bin = tools().join("bin");
    let present = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(bin).chain(std::env::split_paths(&present));
    std::env::join_paths(all).expect("a path")
}

fn tools() -> PathBuf {
    let folder = binary::shared_folder().join(COMPONENTIZE_PY.replace("==", "-"));
    let _lock = lock();
    // Written last: whatever was interrupted is made anew.
    let whole = folder.join("whole");
    if whole.exists() {
        return folder;
    }
    done(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    );
    let install = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        COMPONENTIZE_PY,
    ];
    done(Command::new(folder.join("bin/pip")).args(install));
    fs::write(whole, "").expect("files can be written");
    folder
}

/// Runs a program, which has to succeed.
fn done(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; on Debian: apt-get install python3-venv"));
    assert!(
        output.status.success(),
        "{command:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The component of a plugin in `tests/languages`: as it was built before of the same source, or else
/// built now.
///
/// # Panics
/// If it does not build.
pub fn component(name: &str) -> Bytes {
    let path = path_with_python();
    let source = root().join("tests/languages").join(name);
    let folder = binary::shared_folder().join("languages");
    let flat = name.replace('/', "-");
    let _lock = lock();
    let kept = folder.join(format!("{flat}-{}.wasm", digest(&source)));
    if let Ok(component) = fs::read(&kept) {
        return component.into();
    }
    let work = folder.join(&flat);
    remove(&work).expect("folders can be removed");
    copy(&source, &work).expect("files can be copied");
    done(
        Command::new(binary::path())
            .args(["plugin", "build"])
            .arg(&work)
            .env("PATH", path),
    );
    let built = entries(&work).find(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    let component = fs::read(built.expect("a component")).expect("files can be read");
    let draft = kept.with_extension("draft");
    fs::write(&draft, &component).expect("files can be written");
    fs::rename(&draft, &kept).expect("files can be renamed");
    component.into()
}

/// Held while something is made that all tests share.
fn lock() -> File {
    let folder = binary::shared_folder().join("languages");
    fs::create_dir_all(&folder).expect("folders can be made");
    let file = File::create(folder.join("lock")).expect("files can be made");
    file.lock().expect("files can be locked");
    file
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Stands for all that a component is built of.
fn digest(source: &Path) -> String {
    let root = root();
    let shared = SHARED.iter().map(|folder| root.join(folder));
    let mut bytes = Vec::new();
    for folder in shared.chain([source.to_owned()]) {
        read(&folder, &mut bytes);
    }
    Version::of(&bytes).to_string().replace(':', "-")
}

/// The names and contents of all files below a folder; none if it is not there.
fn read(folder: &Path, bytes: &mut Vec<u8>) {
    for path in entries(folder) {
        if path.is_dir() {
            read(&path, bytes);
        } else {
            bytes.extend(path.as_os_str().as_encoded_bytes());
            bytes.extend(fs::read(&path).unwrap_or_default());
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = folder.read_dir().ok().into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let is_source = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        !LEFT_BEHIND.iter().any(|left| name == *left)
    };
    paths.into_iter().filter(is_source)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for path in entries(from) {
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    match folder.exists() {
        true => fs::remove_dir_all(folder),
        false => Ok(()),
    }
}
