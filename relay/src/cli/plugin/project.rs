//! The folder of a plugin's source.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::build::{LANGUAGES, Language, language};

/// What a plugin says of itself.
pub(super) const ABOUT: &str = "plugin.toml";
/// Where fixtures are.
const FIXTURES: &str = "tests";
/// What is in the folder and no source: what is built, and what others wrote.
const NO_SOURCE: [&str; 7] = [
    "Cargo.lock",
    "target",
    "vendor",
    "node_modules",
    "tests",
    "__pycache__",
    "venv",
];
/// How deep sources may be nested.
const DEPTH_MAX: usize = 16;

/// A plugin's source.
#[derive(Debug, Clone)]
pub(super) struct Project {
    /// Absolute.
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) language: &'static dyn Language,
}

/// What `plugin.toml` says that has to be known to build it. The rest is for the tools of its language,
/// which put it into the component.
#[derive(Debug, Default, Deserialize)]
struct About {
    name: Option<String>,
    language: Option<String>,
}

impl Project {
    /// The plugin whose source is in a folder.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder
            .canonicalize()
            .with_context(|| format!("there is no folder {}", folder.display()))?;
        let about = about(&folder)?;
        let language = match &about.language {
            Some(name) => language(name).with_context(|| {
                let known: Vec<_> = LANGUAGES.iter().map(|language| language.name()).collect();
                let path = folder.join(ABOUT);
                format!(
                    "{} names the language {name:?}; known: {}",
                    path.display(),
                    known.join(", ")
                )
            })?,
            None => match LANGUAGES.into_iter().find(|language| language.is_of(&folder)) {
                Some(language) => language,
                None => bail!(
                    "{} holds no plugin: it has no {ABOUT} that names its language; `relay plugin new NAME` makes one",
                    folder.display()
                ),
            },
        };
        let by_folder = || {
            folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        Ok(Self {
            name: about.name.unwrap_or_else(by_folder),
            language,
            folder,
        })
    }

    /// Where its component is put.
    pub(super) fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }

    /// Where the one is kept that was there before.
    pub(super) fn previous(&self) -> PathBuf {
        self.folder.join("target").join("previous.wasm")
    }

    /// Where its fixtures are.
    pub(super) fn fixtures(&self) -> PathBuf {
        self.folder.join(FIXTURES)
    }

    /// Whether its component is younger than all of its sources.
    pub(super) fn is_built(&self) -> bool {
        let built = changed(&self.component());
        built.is_some_and(|built| newest(&self.folder, DEPTH_MAX).is_some_and(|source| source < built))
    }
}

fn about(folder: &Path) -> anyhow::Result<About> {
    let path = folder.join(ABOUT);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(About::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    toml::from_str(&text).with_context(|| format!("{} cannot be used", path.display()))
}

/// Whether a path in the plugin's folder may be part of its source.
pub(super) fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_built = path.extension().is_some_and(|extension| extension == "wasm");
    let is_test = name.starts_with("test_") && name.ends_with(".py");
    !is_built && !is_test && !name.starts_with('.') && !NO_SOURCE.contains(&name.as_ref())
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// When the youngest source below a folder was changed.
fn newest(folder: &Path, depth: usize) -> Option<SystemTime> {
    let entries = folder.read_dir().ok()?.filter_map(Result::ok);
    let paths = entries.map(|entry| entry.path()).filter(|path| is_source(path));
    let times = paths.filter_map(|path| match path.is_dir() {
        true if depth > 0 => newest(&path, depth - 1),
        true => None,
        false => changed(&path),
    });
    times.max()
}
