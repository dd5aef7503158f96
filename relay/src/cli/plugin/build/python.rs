//! Plugins in Python: a module `plugin.py`, built by componentize-py.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::language::{File, Language, Missing, New, fill};
use super::manifest::{About, embed};
use super::sdk;
use super::stage::{self, Stage, WORLD, has_word};
use crate::cli::plugin::project::{Project, is_source};

/// The tool, as PyPI and the shell call it, and its version.
const TOOL: &str = "componentize-py";
const VERSION: &str = "0.25.1";
/// The environment beside a plugin that is looked into after the shell's path.
const ENVIRONMENT: &str = ".venv";
/// The author's module.
const PLUGIN: &str = "plugin.py";
/// The SDK: its package, and where it is in a clone of the relay.
const PACKAGE: &str = "relay_sdk";
/// What the package has since the hooks are built as they are now.
const OF_THIS_INTERFACE: &str = "_native/lean_transform.py";
const SDK: &str = "sdk/python/";
/// The module that is built: it ties the author's functions to the hooks.
const ENTRY: &str = "relay_entry";
/// What holds no source of the plugin's own.
const NOT_ITS_OWN: [&str; 2] = [PACKAGE, "test_plugin.py"];
/// Where the tool has the second folder that it is given: the project.
const MOUNT: &str = "/1";
/// What stands before, and behind, what a plugin that cannot be loaded says.
const OWN: &str = "AssertionError: ";
const ENDS: [&str; 2] = ["\nCaused by:", "\nStack backtrace:"];
/// How deep modules may be nested.
const DEPTH_MAX: usize = 16;

const TEST: &str = include_str!("../../../../templates/python/test_plugin.py");
const SOURCES: [(&str, &str); 4] = [
    (
        "transform",
        include_str!("../../../../templates/python/transform.py"),
    ),
    ("filter", include_str!("../../../../templates/python/filter.py")),
    (
        "authenticate",
        include_str!("../../../../templates/python/authenticate.py"),
    ),
    ("respond", include_str!("../../../../templates/python/respond.py")),
];

#[derive(Debug)]
pub(super) struct Python;

impl Language for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn is_of(&self, folder: &Path) -> bool {
        folder.join(PLUGIN).is_file()
    }

    fn files(&self, new: &New<'_>) -> anyhow::Result<Vec<File>> {
        let (_, source) = SOURCES
            .iter()
            .find(|(hook, _)| *hook == new.hook)
            .with_context(|| format!("there is no template for {}", new.hook))?;
        let places = [("name", new.name), ("description", new.description)];
        let mut files = match new.sdk {
            Some(_) => Vec::new(),
            None => package(),
        };
        files.push(File::new(PLUGIN, fill(source, &places)));
        files.push(File::new("test_plugin.py", TEST));
        Ok(files)
    }

    fn settings(&self, new: &New<'_>) -> anyhow::Result<String> {
        let Some(clone) = new.sdk else {
            return Ok(String::new());
        };
        let path = toml::Value::from(clone_of_sdk(clone)?.to_string_lossy().into_owned());
        Ok(format!(
            "\n# Where the SDK is that it is built with.\nsdk = {path}\n"
        ))
    }

    fn check_tools(&self, folder: &Path) -> Result<(), Missing> {
        tool(folder).map(|_| ())
    }

    fn build(&self, project: &Project, _: &str) -> anyhow::Result<Vec<u8>> {
        let about = About::read(project)?;
        let folder = &project.folder;
        let plugin = read(&folder.join(PLUGIN))?;
        let hooks = stage::hooks(about.hooks.as_deref(), |name| has_function(&plugin, name))?;
        if hooks.is_empty() {
            bail!(
                "{} has no hook: a function named transform, filter, authenticate, respond or check",
                folder.join(PLUGIN).display()
            );
        }
        let text = sources(folder, DEPTH_MAX)?;
        let powers = stage::powers(about.powers.as_deref(), |name| has_word(&text, name))?;
        check_sdk(folder, about.sdk.as_deref())?;
        let stage = Stage::of(project);
        let wit = stage.put_world(&hooks, &powers)?;
        stage.put(&[File::new(format!("{ENTRY}.py"), entry(&hooks))])?;
        // What the author sees, and tests with, is what is built.
        match folder.join(PACKAGE).is_dir() || about.sdk.is_some() {
            true => stage.remove(PACKAGE)?,
            false => stage.put(&package())?,
        }
        let output = stage.path("component.wasm");
        let mut command = Command::new(tool(folder)?);
        command
            .current_dir(folder)
            .args(["--quiet", "--wit-path"])
            .arg(&wit)
            .args(["--world", WORLD, "componentize", ENTRY, "--output"])
            .arg(&output)
            // Another environment is not this plugin's.
            .env_remove("VIRTUAL_ENV")
            .env_remove("PYTHONPATH")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null());
        for path in paths(folder, &stage, about.sdk.as_deref()) {
            command.arg("--python-path").arg(path);
        }
        run(&mut command)?;
        let component =
            std::fs::read(&output).with_context(|| format!("{} cannot be read", output.display()))?;
        embed(component, project)
    }

    fn reuses(&self) -> bool {
        true
    }
}

/// The SDK's package, as files.
fn package() -> Vec<File> {
    let package = sdk::below(SDK).filter_map(|(path, text)| Some((path.strip_prefix(SDK)?, text)));
    package
        .filter(|(path, _)| path.starts_with(PACKAGE))
        .map(|(path, text)| File::new(path, text))
        .collect()
}

/// Refuses an SDK of an older relay, which knows other forms of the hooks than are built here.
fn check_sdk(folder: &Path, named: Option<&Path>) -> anyhow::Result<()> {
    let own = folder.join(PACKAGE);
    let package = match named {
        Some(path) if !own.is_dir() => folder.join(path).join(PACKAGE),
        _ => own,
    };
    if package.is_dir() && !package.join(OF_THIS_INTERFACE).is_file() {
        bail!(
            "{} is of an older relay; take it away, and put there the one that `relay plugin new other --lang python` makes",
            package.display()
        );
    }
    Ok(())
}

/// The folder of the SDK in a clone that is named by its root or by that folder.
fn clone_of_sdk(given: &Path) -> anyhow::Result<PathBuf> {
    let candidates = [given.join(SDK), given.to_owned()];
    let found = candidates
        .into_iter()
        .find(|folder| folder.join(PACKAGE).is_dir());
    let found = found.with_context(|| {
        format!(
            "{} is no clone of the relay: it has no {SDK}{PACKAGE}",
            given.display()
        )
    })?;
    found
        .canonicalize()
        .with_context(|| format!("{} cannot be found", found.display()))
}

/// Where modules are looked for.
fn paths(folder: &Path, stage: &Stage, sdk: Option<&Path>) -> Vec<PathBuf> {
    let sdk = sdk.map(|path| folder.join(path));
    let own = [stage.folder().to_owned(), folder.to_owned()];
    own.into_iter().chain(sdk).chain(packages(folder)).collect()
}

/// The packages that the author has installed beside the plugin.
fn packages(folder: &Path) -> Option<PathBuf> {
    let library = folder.join(ENVIRONMENT).join("lib");
    let entries = library.read_dir().ok()?.filter_map(Result::ok);
    entries
        .map(|entry| entry.path().join("site-packages"))
        .find(|path| path.is_dir())
}

/// The module that is built.
fn entry(hooks: &[&str]) -> String {
    let mut text =
        "# Made by `relay plugin build`.\nimport plugin\nfrom relay_sdk import _guest\n\n".to_owned();
    for hook in hooks {
        let class = match *hook {
            "check" => "Setup".to_owned(),
            "filter" => "LeanFilter".to_owned(),
            "transform" => "LeanTransform".to_owned(),
            other => other[..1].to_uppercase() + &other[1..],
        };
        text += &format!("{class} = _guest.{hook}(plugin.{hook})\n");
    }
    text + "_guest.settle(plugin)\n"
}

/// Whether a module has a function of that name, or another thing under it.
fn has_function(source: &str, name: &str) -> bool {
    source.lines().any(|line| {
        let rest = line.strip_prefix("def ").unwrap_or(line).strip_prefix(name);
        match rest.map(str::trim_start) {
            Some(rest) => {
                let is_assigned = rest.starts_with('=') && !rest.starts_with("==");
                rest.starts_with('(') && line.starts_with("def ") || is_assigned && !line.starts_with("def ")
            }
            None => false,
        }
    })
}

/// All that the author wrote in Python.
fn sources(folder: &Path, depth: usize) -> anyhow::Result<String> {
    let mut text = String::new();
    let entries = folder
        .read_dir()
        .with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths.into_iter().filter(|path| is_source(path)) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if NOT_ITS_OWN.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() && depth > 0 {
            text += &sources(&path, depth - 1)?;
        } else if name.ends_with(".py") {
            text += &read(&path)?;
        }
    }
    Ok(text)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The tool: on the shell's path, or else in the plugin's own environment.
fn tool(folder: &Path) -> Result<PathBuf, Missing> {
    let own = folder.join(ENVIRONMENT).join("bin").join(TOOL);
    let candidates = [PathBuf::from(TOOL), own];
    let mut other = None;
    for candidate in candidates {
        match version(&candidate) {
            Some(version) if version == VERSION => return Ok(candidate),
            Some(version) => other = Some(version),
            None => {}
        }
    }
    let tool = match other {
        Some(other) => format!("{TOOL} {VERSION} (there is {other})"),
        None => TOOL.to_owned(),
    };
    Err(Missing {
        tool,
        install: format!("pip install {TOOL}=={VERSION}"),
    })
}

fn version(tool: &Path) -> Option<String> {
    let output = Command::new(tool).arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.split_whitespace().last()?;
    output.status.success().then(|| version.to_owned())
}

/// Runs the tool. What it says of a plugin that cannot be loaded is Python's own traceback, and what the
/// tool adds to it of itself.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{TOOL} cannot be run"))?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    bail!("it does not build:\n{}", trimmed(&said))
}

/// What the plugin said: without the tool's own frames before it and behind it, and with files named as
/// they are called in the project.
fn trimmed(said: &str) -> String {
    let start = said.find(OWN).map_or(0, |at| at + OWN.len());
    let rest = &said[start..];
    let end = ENDS.iter().filter_map(|end| rest.find(end)).min();
    let text = rest[..end.unwrap_or(rest.len())].trim();
    text.replace(&format!("File \"{MOUNT}/"), "File \"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_functions_of_the_module_itself() {
        let source = "def filter(event): ...\ntransform = tagged\nif x:\n    def respond(event, answer): ...\ndef check_all(): ...\nauthenticate == 1\n";
        let found: Vec<_> = ["filter", "transform", "respond", "check", "authenticate"]
            .into_iter()
            .filter(|name| has_function(source, name))
            .collect();
        assert_eq!(found, ["filter", "transform"]);
    }

    #[test]
    fn the_entry_ties_functions_to_hooks() {
        let text = entry(&["transform", "check"]);
        for line in [
            "LeanTransform = _guest.transform(plugin.transform)\n",
            "Setup = _guest.check(plugin.check)\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn what_the_tool_says_of_itself_is_left_out() {
        let said = "Traceback (most recent call last):\n  File \"/bin/componentize-py\"\nAssertionError: Traceback \
                    (most recent call last):\n  File \"/1/plugin.py\", line 1\nModuleNotFoundError: no\n\n\nCaused \
                    by:\n    ModuleNotFoundError\n\nStack backtrace:\n   0: main";
        assert_eq!(
            trimmed(said),
            "Traceback (most recent call last):\n  File \"plugin.py\", line 1\nModuleNotFoundError: no"
        );
        assert_eq!(trimmed("odd"), "odd");
    }

    #[test]
    fn an_sdk_of_an_older_relay_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let package = folder.path().join(PACKAGE);
        check_sdk(folder.path(), None).expect("there is none: the one in this program is built");
        std::fs::create_dir_all(package.join("_native")).expect("a package");
        let refused = check_sdk(folder.path(), None).expect_err("an SDK of an older relay");
        assert!(refused.to_string().contains("of an older relay"), "{refused}");
        std::fs::write(package.join(OF_THIS_INTERFACE), "").expect("a module");
        check_sdk(folder.path(), None).expect("an SDK of this relay");
        let named = check_sdk(Path::new("."), Some(folder.path()));
        named.expect("the one that plugin.toml names");
    }

    #[test]
    fn the_sdk_is_in_the_program() {
        let paths: Vec<_> = package().into_iter().map(|file| file.path).collect();
        for path in [
            "relay_sdk/__init__.py",
            "relay_sdk/py.typed",
            "relay_sdk/testing/__init__.py",
        ] {
            assert!(paths.contains(&PathBuf::from(path)), "{path} is not in {paths:?}");
        }
    }
}
