//! Compiled plugins on disk, so that a start costs a memory map and not a compilation; and what was
//! learned of the files that they come from, so that these need not be read.
//!
//! Compiled code is trusted like the relay's own: the folder belongs to the relay's user
//! alone, and a file counts only if the digest beside it fits. To read all of a large one at each
//! start would take longer than all else, so the digest is made anew only of a file that was
//! changed since it fitted. A plugin never gets here; what a stranger uploads is always compiled.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::file_identity::FileIdentity;
use super::seen::{Note, Seen};

/// What compiled code is called.
const CODE: &str = "cwasm";
/// What the digest of compiled code is called. Behind it, on a line of its own, stands what the file was
/// known by when the digest last fitted.
const DIGEST: &str = "b3";
/// Code of this engine that stays however old it is: so many files, with so many bytes.
const FILES_KEPT: usize = 200;
const BYTES_KEPT: u64 = 1 << 30;
/// What a note of a component's file is called.
const NOTE: &str = "json";
/// Notes that stay however old they are.
const NOTES_KEPT: usize = 1_000;
/// Files of other engines that are younger than this stay: two versions of the relay may
/// share a folder during an upgrade.
const FOREIGN_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The folder with the compiled code.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    /// Stands for the engine's version and settings, in hexadecimal.
    engine: String,
}

impl Cache {
    /// Opens the folder, made if need be, and takes away what other engines left long ago.
    pub(super) fn open(folder: &Path, engine: &Engine) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        make_private(folder)?;
        let cache = Self {
            folder: folder.to_owned(),
            engine: fingerprint(engine),
        };
        cache.prune()?;
        Ok(cache)
    }

    /// The code of a component, if it was compiled before by an engine like this one.
    pub(super) fn load(&self, digest: &blake3::Hash, engine: &Engine) -> Option<Component> {
        let (path, seal) = (self.path(digest, CODE), self.path(digest, DIGEST));
        let said = fs::read_to_string(&seal).ok()?;
        if !self.is_sound(&path, &seal, &said).ok()? {
            tracing::warn!(path = %path.display(), "compiled plugin is damaged and is compiled anew");
            return None;
        }
        #[expect(unsafe_code, reason = "loading compiled code is the point of the cache")]
        // SAFETY: the file is as this relay wrote it, in a folder that only its user can write to.
        let loaded = unsafe { Component::deserialize_file(engine, &path) };
        loaded
            .inspect_err(
                |error| tracing::warn!(path = %path.display(), %error, "compiled plugin cannot be loaded"),
            )
            .ok()
    }

    /// Whether compiled code is what was written. That it was used now is noted beside it.
    fn is_sound(&self, path: &Path, seal: &Path, said: &str) -> io::Result<bool> {
        let mut lines = said.lines();
        let (expected, known) = (lines.next().unwrap_or_default(), lines.next());
        let mut file = fs::File::open(path)?;
        let identity = FileIdentity::of(&file)?;
        let shown = identity.as_ref().map(ToString::to_string);
        if shown.is_some() && shown.as_deref() == known {
            touch(seal);
            return Ok(true);
        }
        if digest_of(&mut file)?.to_hex().as_str() != expected {
            return Ok(false);
        }
        match identity {
            Some(identity) if identity.is_settled() => {
                let text = format!("{expected}\n{identity}\n");
                let noted = self.written(text.as_bytes()).and_then(|file| put(file, seal));
                noted.unwrap_or_else(
                    |error| tracing::debug!(path = %seal.display(), %error, "that compiled code is sound is not noted"),
                );
            }
            _ => touch(seal),
        }
        Ok(true)
    }

    /// Keeps the code of a component; whole or not at all.
    pub(super) fn store(&self, digest: &blake3::Hash, code: &[u8]) -> io::Result<()> {
        let file = self.written(code)?;
        // A file that was found sound is not read again: it must not lose its content in a power cut.
        file.as_file().sync_data()?;
        put(file, &self.path(digest, CODE))?;
        // Last, so that a digest never stands beside code that is not there yet.
        let seal = self.written(blake3::hash(code).to_hex().as_bytes())?;
        put(seal, &self.path(digest, DIGEST))?;
        self.prune()
    }

    /// What was learned of a component's file, if it was not changed since.
    pub(super) fn recall(&self, file: &Path, identity: &FileIdentity) -> Option<Seen> {
        let text = fs::read(self.note_path(file)).ok()?;
        let note: Note = serde_json::from_slice(&text).ok()?;
        note.of(identity)
    }

    /// Notes what was learned of a component's file, unless it was changed just now: the next change
    /// might not show.
    pub(super) fn note(&self, file: &Path, identity: FileIdentity, seen: &Seen) {
        if !identity.is_settled() {
            return;
        }
        let written = serde_json::to_vec(&Note::new(&identity, seen.clone()))
            .map_err(io::Error::from)
            .and_then(|text| put(self.written(&text)?, &self.note_path(file)));
        if let Err(error) = written {
            tracing::debug!(path = %file.display(), %error, "what was learned of a plugin's file is not noted");
        }
    }

    /// A file in the folder that has no name yet.
    fn written(&self, bytes: &[u8]) -> io::Result<NamedTempFile> {
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        Ok(file)
    }

    fn path(&self, digest: &blake3::Hash, extension: &str) -> PathBuf {
        self.folder
            .join(format!("{}-{}.{extension}", digest.to_hex(), self.engine))
    }

    fn note_path(&self, file: &Path) -> PathBuf {
        let place = blake3::hash(file.as_os_str().as_encoded_bytes());
        self.path(&place, NOTE)
    }

    /// Removes old code of other engines, and of this one's what was not loaded for longest. Code in
    /// use goes on without its file. Of notes, the newest stay.
    fn prune(&self) -> io::Result<()> {
        let (mut own, mut notes) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let (Some(stem), Some(extension)) = (path.file_stem(), path.extension()) else {
                continue;
            };
            if extension == NOTE {
                notes.push((age(&path), path));
                continue;
            }
            if extension != CODE {
                continue;
            }
            // That code was loaded is noted at its digest.
            let age = age(&path).min(age(&path.with_extension(DIGEST)));
            let is_own = stem.to_string_lossy().ends_with(&self.engine);
            if is_own {
                let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
                own.push((age, path, bytes));
            } else if age > FOREIGN_AGE_MAX {
                remove(&path);
            }
        }
        own.sort();
        let mut bytes_kept = 0;
        for (place, (_, path, bytes)) in own.iter().enumerate() {
            bytes_kept += bytes;
            // The newest stays, whatever its size.
            if place > 0 && (place >= FILES_KEPT || bytes_kept > BYTES_KEPT) {
                remove(path);
            }
        }
        notes.sort();
        for (_, path) in notes.iter().skip(NOTES_KEPT) {
            remove(path);
        }
        Ok(())
    }
}

/// Puts a file where it belongs, in place of what is there.
fn put(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Read piece by piece: compiled code is large, and many are loaded at once.
fn digest_of(file: &mut fs::File) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize())
}

/// Removes a file, and the digest beside it if it has one.
fn remove(path: &Path) {
    for path in [path.with_extension(DIGEST), path.to_owned()] {
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "an old file of the cache cannot be removed");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the age of a file is told by the machine's clock"
)]
fn age(path: &Path) -> Duration {
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    match changed {
        Ok(changed) => SystemTime::now().duration_since(changed).unwrap_or_default(),
        Err(_) => Duration::MAX,
    }
}

/// Notes at its digest that code was loaded: what is in use is removed last.
#[expect(
    clippy::disallowed_methods,
    reason = "the age of a file is told by the machine's clock"
)]
fn touch(path: &Path) {
    let file = fs::OpenOptions::new().append(true).open(path);
    let touched = file.and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::debug!(path = %path.display(), %error, "that a compiled plugin was loaded is not noted");
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A number for all that must be alike for compiled code to fit an engine.
fn fingerprint(engine: &Engine) -> String {
    let mut hasher = Blake(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().to_hex()[..16].to_owned()
}

/// The standard library's hasher may change from one release to the next; this one does not.
struct Blake(blake3::Hasher);

impl Hasher for Blake {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0
            .finalize()
            .as_bytes()
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}
