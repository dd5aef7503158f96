//! From a plugin's name to its bytes: a file in the operator's folder, else a stock plugin.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::cache::Cache;
use super::file_identity::FileIdentity;
use super::manifest::LoadError;
use super::offered::Place;
use super::seen::Seen;
use super::{BindError, Settings, stock};
use crate::model::plugin::Version;
use crate::model::publisher::{Publishers, Signatures};
use crate::model::words::nearest;

/// Finds the operator's plugins, and takes none that is too large or nobody's who is trusted.
pub(super) struct Finder {
    folder: Option<PathBuf>,
    /// Whose files in the folder are taken.
    publishers: Publishers,
    size_max: usize,
}

/// A component of the operator's.
pub(super) struct Found {
    pub(super) bytes: Bytes,
    pub(super) version: Version,
    /// Where it was, unless it is in the binary, and what that file is known by.
    pub(super) file: Option<(PathBuf, Option<FileIdentity>)>,
}

impl Finder {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            folder: settings.folder.clone(),
            publishers: settings.publishers.clone(),
            size_max: settings.component_bytes_max,
        }
    }

    /// Whose plugins are taken.
    pub(super) const fn publishers(&self) -> &Publishers {
        &self.publishers
    }

    /// Where the plugin of that name is, if the operator has one.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        if self.path(name).is_some_and(|path| path.exists()) {
            return Some(Place::Folder);
        }
        stock::find(name).map(|_| Place::Stock)
    }

    /// What was learned of the operator's plugin of that name, if its file was not changed since.
    pub(super) fn recall(&self, name: &str, cache: &Cache) -> Result<Option<Seen>, BindError> {
        let Some(path) = self.path(name) else {
            return Ok(None);
        };
        let identity = File::open(&path).and_then(|file| FileIdentity::of(&file));
        let Ok(Some(identity)) = identity else {
            return Ok(None);
        };
        let Some(seen) = cache.recall(&path, &identity) else {
            return Ok(None);
        };
        self.check_size(name, seen.inspection.size as u64)?;
        self.check_signed(name, &path, &seen.version)?;
        Ok(Some(seen))
    }

    /// The plugin of that name, as it is now.
    pub(super) fn find(&self, name: &str) -> Result<Found, BindError> {
        if let Some(path) = self.path(name) {
            match File::open(&path) {
                Ok(file) => return self.find_in(name, path, file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(name, path, error)),
            }
        }
        let bytes = stock::find(name)
            .map(Bytes::from_static)
            .ok_or_else(|| self.unknown(name))?;
        Ok(Found {
            version: Version::of(&bytes),
            bytes,
            file: None,
        })
    }

    fn find_in(&self, name: &str, path: PathBuf, file: File) -> Result<Found, BindError> {
        let failed = |error| unreadable(name, path.clone(), error);
        let size = file.metadata().map_err(failed)?.len();
        // Not read at all, so that a huge file costs nothing.
        self.check_size(name, size)?;
        let identity = FileIdentity::of(&file).map_err(failed)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        // It may grow meanwhile.
        let mut bounded = file.take(self.size_max as u64 + 1);
        bounded.read_to_end(&mut bytes).map_err(failed)?;
        let bytes = Bytes::from(bytes);
        let version = Version::of(&bytes);
        self.check_signed(name, &path, &version)?;
        Ok(Found {
            bytes,
            version,
            file: Some((path, identity)),
        })
    }

    pub(super) fn check_size(&self, name: &str, size: u64) -> Result<(), BindError> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let max = self.size_max;
        match size > max {
            true => Err(refused(name, LoadError::TooLarge { size, max })),
            false => Ok(()),
        }
    }

    /// Whether a file is one of a publisher's, by the signature beside it: `name.wasm.sig`.
    fn check_signed(&self, name: &str, path: &Path, version: &Version) -> Result<(), BindError> {
        if self.publishers.is_anyone() {
            return Ok(());
        }
        let beside = path.with_extension("wasm.sig");
        let signatures = std::fs::read_to_string(beside).ok();
        let signatures: Option<Signatures> = signatures.and_then(|text| text.parse().ok());
        let checked = self.publishers.check(version, signatures.as_ref());
        checked.map_err(|reason| BindError::Untrusted {
            name: name.to_owned(),
            reason,
        })
    }

    /// Where the operator's plugin of that name would be. Names that could lead out of the
    /// folder have no file.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let is_plain = !name.starts_with('.')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        let folder = self.folder.as_ref()?;
        is_plain.then(|| folder.join(format!("{name}.wasm")))
    }

    /// The names of all plugins of the operator's, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = stock::names().map(str::to_owned).collect();
        names.extend(self.folder.iter().flat_map(|folder| names_in(folder)));
        names.sort();
        names.dedup();
        names
    }

    fn unknown(&self, name: &str) -> BindError {
        let known = self.names();
        let words: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = match nearest(name, &words) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => "no plugin is installed".to_owned(),
            None => format!("known: {}", known.join(", ")),
        };
        BindError::NotFound {
            name: name.to_owned(),
            hint,
        }
    }
}

fn unreadable(name: &str, path: PathBuf, source: io::Error) -> BindError {
    BindError::Unreadable {
        name: name.to_owned(),
        path,
        source,
    }
}

pub(super) fn refused(name: &str, reason: LoadError) -> BindError {
    BindError::Load {
        name: name.to_owned(),
        reason,
    }
}

/// The names of the plugins in a folder.
fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let plugins = paths.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    plugins
        .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .collect()
}
