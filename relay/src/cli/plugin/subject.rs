//! What a command is about: the folder of a plugin's source, a component, or a stock plugin.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;

use super::build::{PROFILE, build};
use super::project::Project;
use crate::model::words::nearest;
use crate::plugins::stock;

/// What was named.
pub(super) enum Subject {
    Project(Project),
    Component { name: String, path: Option<PathBuf> },
}

/// A component, and what it is called.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

impl Subject {
    /// The one that an argument names: a folder, a file, or a stock plugin's name.
    pub(super) fn of(argument: &str) -> anyhow::Result<Self> {
        let path = Path::new(argument);
        if path.is_dir() {
            let project = Project::open(path)?;
            project.language.check_tools(&project.folder)?;
            return Ok(Self::Project(project));
        }
        let is_path = argument.ends_with(".wasm") || path.components().count() > 1;
        let stem = || path.file_stem().and_then(|stem| stem.to_str());
        Ok(Self::Component {
            name: if is_path {
                stem().unwrap_or("plugin")
            } else {
                argument
            }
            .to_owned(),
            path: is_path.then(|| path.to_owned()),
        })
    }

    /// Its component, built if it has to be.
    pub(super) async fn component(&self) -> anyhow::Result<Component> {
        match self {
            Self::Project(project) => Ok(Component {
                name: project.name.clone(),
                bytes: build(project, PROFILE).await?.component.into(),
            }),
            Self::Component {
                name,
                path: Some(path),
            } => Ok(Component {
                name: name.clone(),
                bytes: read(path)?,
            }),
            Self::Component { name, path: None } => match stock::find(name) {
                Some(bytes) => Ok(Component {
                    name: name.clone(),
                    bytes: Bytes::from_static(bytes),
                }),
                None => bail!("{}", unknown(name)),
            },
        }
    }

    /// What is watched for changes.
    pub(super) fn watched(&self) -> anyhow::Result<&Path> {
        match self {
            Self::Project(project) => Ok(&project.folder),
            Self::Component { path: Some(path), .. } => Ok(path),
            Self::Component { name, .. } => bail!("{name} comes with the relay and does not change"),
        }
    }
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = stock::names().collect();
    let hint = match nearest(name, &known) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known: {}", known.join(", ")),
    };
    format!(
        "there is no folder and no stock plugin {name}; {hint}; a component is named by its path, ./{name}.wasm"
    )
}

fn read(path: &Path) -> anyhow::Result<Bytes> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes.into())
}
