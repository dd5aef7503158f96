//! The folder that the bytes are in: one file each, called by its id.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::model::id::MediaId;

/// What a file is called until all of it is on the disk.
const PARTIAL: &str = "part";

/// Where files are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at that path; it is made with its first file.
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Writes a file, whole or not at all; it is on the disk when this returns.
    pub(super) async fn write(&self, id: MediaId, bytes: Bytes) -> io::Result<()> {
        let (folder, partial, path) = (self.0.clone(), self.partial(id), self.path(id));
        blocking(move || {
            make(&folder)?;
            let mut options = OpenOptions::new();
            options.create(true).truncate(true).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&partial)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            fs::File::open(&folder)?.sync_all()
        })
        .await
    }

    /// A file of that many bytes, to be read from its beginning.
    pub(super) async fn open(&self, id: MediaId, bytes: u64) -> io::Result<Option<tokio::fs::File>> {
        let path = self.path(id);
        let opened = blocking(move || {
            let file = fs::File::open(path)?;
            let is_whole = file.metadata()?.len() == bytes;
            Ok(is_whole.then_some(file))
        });
        match opened.await {
            Ok(file) => Ok(file.map(tokio::fs::File::from_std)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes whatever there is of a file.
    pub(super) async fn remove(&self, id: MediaId) -> io::Result<()> {
        let paths = [self.partial(id), self.path(id)];
        blocking(move || paths.iter().try_for_each(|path| remove(path))).await
    }

    fn path(&self, id: MediaId) -> PathBuf {
        self.0.join(id.to_string())
    }

    fn partial(&self, id: MediaId) -> PathBuf {
        self.path(id).with_extension(PARTIAL)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Where no folder is, no file is.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        removed => removed,
    }
}

/// Makes the folder so that only its owner looks into it.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
}
