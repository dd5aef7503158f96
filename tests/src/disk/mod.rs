//! A disk under SQLite that loses power, fills up and breaks, as a test tells it.
//!
//! The files of a [`Disk`] are real ones in a folder of their own; a shim in SQLite ([`vfs`])
//! takes down every change to them in a [`trace`](Step). From a trace, [`image`] makes what
//! a power cut at any of its steps may leave behind, by seed. [`Disk::fail`] lets calls fail.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusqlite::ffi;
use tempfile::TempDir;

mod image;
mod vfs;

pub use image::{Image, Syncs, image};

/// One thing that happened to the files of a disk.
#[derive(Debug, Clone)]
pub enum Step {
    Write {
        file: Arc<str>,
        at: usize,
        bytes: Box<[u8]>,
    },
    Truncate {
        file: Arc<str>,
        length: usize,
    },
    Delete(Arc<str>),
    /// The names that were made and removed in the steps before are so for good.
    SyncFolder,
    /// What was done to the file in the steps before number `upto` is on the disk for good.
    Sync {
        file: Arc<str>,
        upto: usize,
    },
    /// A sync failed, and the system will not try again: of what was done to the file before,
    /// any part may never reach the disk, whatever later syncs say.
    FailedSync {
        file: Arc<str>,
        upto: usize,
    },
    /// The test got this far.
    Mark(usize),
}

/// What may be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Open,
    Read,
    Write,
    Sync,
}

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// `EIO`.
    Broken,
    /// `ENOSPC`.
    Full,
    /// `EMFILE`.
    TooManyFiles,
}

/// A fault to come.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub operation: Operation,
    /// The end of the names of the files that it is about: `.db`, `-wal`, or nothing for all.
    pub files: &'static str,
    pub error: Error,
    /// So many calls go well before.
    pub after: usize,
    /// So many calls fail.
    pub times: usize,
}

impl Fault {
    /// Every such call on every file, from now on.
    pub const fn always(operation: Operation, error: Error) -> Self {
        Self {
            operation,
            files: "",
            error,
            after: 0,
            times: usize::MAX,
        }
    }

    /// Such calls on the write-ahead log only.
    #[must_use]
    pub const fn on_log(self) -> Self {
        Self {
            files: "-wal",
            ..self
        }
    }

    /// So many calls, then no more.
    #[must_use]
    pub const fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Only after so many calls have gone well.
    #[must_use]
    pub const fn after(self, after: usize) -> Self {
        Self { after, ..self }
    }

    /// SQLite's word for it.
    const fn code(&self) -> i32 {
        match (self.error, self.operation) {
            (Error::Full, _) => ffi::SQLITE_FULL,
            (Error::TooManyFiles, _) | (Error::Broken, Operation::Open) => ffi::SQLITE_CANTOPEN,
            (Error::Broken, Operation::Read) => ffi::SQLITE_IOERR_READ,
            (Error::Broken, Operation::Write) => ffi::SQLITE_IOERR_WRITE,
            (Error::Broken, Operation::Sync) => ffi::SQLITE_IOERR_FSYNC,
        }
    }
}

/// A folder whose SQLite files are watched; gone when it is dropped.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
    _folder: TempDir,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    trace: Vec<Step>,
    faults: Vec<Fault>,
    /// Open files, each with whether it has yet to be told of a sync that failed on another: a
    /// system tells each of them once (`errseq_t` in Linux).
    open: Vec<(Arc<str>, Weak<AtomicBool>)>,
}

/// All disks that there are.
static DISKS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

impl Disk {
    /// An empty disk.
    ///
    /// # Panics
    /// If there is no place for temporary files.
    pub fn new() -> Self {
        vfs::register();
        let folder = TempDir::with_prefix("relay-disk-").expect("a temporary folder can be made");
        let shared = Arc::new(Shared {
            // As SQLite names its files: without links.
            folder: folder.path().canonicalize().expect("the folder is there"),
            state: Mutex::default(),
        });
        let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
        disks.retain(|disk| disk.strong_count() > 0);
        disks.push(Arc::downgrade(&shared));
        drop(disks);
        Self {
            shared,
            _folder: folder,
        }
    }

    /// A disk with these files.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn with(image: &Image) -> Self {
        let disk = Self::new();
        for (name, content) in image {
            std::fs::write(disk.path(name), content).expect("files can be written");
        }
        disk
    }

    /// Where a file of that name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.shared.folder.join(name)
    }

    /// Everything that is in its files now, written back or not.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn content(&self) -> Image {
        let entries = std::fs::read_dir(&self.shared.folder).expect("the folder can be read");
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.expect("the folder can be read");
            let content = std::fs::read(entry.path()).expect("its files can be read");
            (entry.file_name().to_string_lossy().as_ref().into(), content)
        };
        entries.map(read).collect::<BTreeMap<Arc<str>, _>>()
    }

    /// Notes in the trace how far the test has got.
    pub fn mark(&self, number: usize) {
        self.shared.note(Step::Mark(number));
    }

    /// What has happened so far.
    pub fn trace(&self) -> Vec<Step> {
        self.shared.state().trace.clone()
    }

    /// Lets calls fail.
    pub fn fail(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.shared.state().faults.clear();
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

/// The disk that a file is on, and its name there.
fn disk_of(path: &Path) -> Option<(Arc<Shared>, Arc<str>)> {
    let folder = path.parent()?;
    let name = path.file_name()?.to_str()?;
    let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    let disk = disks
        .iter()
        .filter_map(Weak::upgrade)
        .find(|disk| disk.folder == folder)?;
    Some((disk, name.into()))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, step: Step) {
        self.state().trace.push(step);
    }

    /// Registers an open file; the flag is raised when a sync of the same file has failed.
    fn open(&self, file: &Arc<str>) -> Arc<AtomicBool> {
        let has_failed = Arc::new(AtomicBool::new(false));
        let mut state = self.state();
        state.open.retain(|(_, open)| open.strong_count() > 0);
        state.open.push((Arc::clone(file), Arc::downgrade(&has_failed)));
        has_failed
    }

    fn sync(&self, file: &Arc<str>) {
        let mut state = self.state();
        let upto = state.trace.len();
        let file = Arc::clone(file);
        state.trace.push(Step::Sync { file, upto });
    }

    fn sync_folder(&self) {
        self.note(Step::SyncFolder);
    }

    /// A sync fails; whoever else has the file open is to be told, too.
    fn fail_sync(&self, file: &Arc<str>, teller: &Arc<AtomicBool>) {
        let mut state = self.state();
        let upto = state.trace.len();
        for (_, open) in state.open.iter().filter(|(name, _)| name == file) {
            if let Some(open) = open.upgrade().filter(|open| !Arc::ptr_eq(open, teller)) {
                open.store(true, Ordering::Relaxed);
            }
        }
        let file = Arc::clone(file);
        state.trace.push(Step::FailedSync { file, upto });
    }

    /// The error that a call has to fail with.
    fn fault(&self, operation: Operation, file: &str) -> Option<i32> {
        let mut state = self.state();
        let fault = state
            .faults
            .iter_mut()
            .find(|fault| fault.operation == operation && fault.times > 0 && file.ends_with(fault.files))?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(usize::from(fault.times != usize::MAX));
        Some(fault.code())
    }
}
