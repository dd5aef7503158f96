//! How a file is known again without reading it.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How old a change of a file is before the next one surely has another time.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// What stays the same of a file as long as nobody writes to it or puts another in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdentity {
    file: u64,
    bytes: u64,
    /// When it was last changed, by the file system: nobody can set that.
    changed: Duration,
}

impl FileIdentity {
    /// `None` where the file system does not tell. To be asked before the file is read: what changes
    /// meanwhile is not known by it then.
    #[cfg(unix)]
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        use std::os::unix::fs::MetadataExt as _;
        let file = std::fs::metadata(path)?;
        let seconds = u64::try_from(file.ctime()).unwrap_or_default();
        let nanos = u32::try_from(file.ctime_nsec()).unwrap_or_default();
        Ok(Some(Self {
            file: file.ino(),
            bytes: file.len(),
            changed: Duration::new(seconds, nanos),
        }))
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &Path) -> io::Result<Option<Self>> {
        Ok(None)
    }

    /// Whether a change from now on would show: file systems tell moments apart that are a few
    /// milliseconds from one another.
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of a file is told by the machine's clock"
    )]
    pub(super) fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.is_ok_and(|now| now.saturating_sub(self.changed) >= SETTLED_AFTER)
    }
}

impl fmt::Display for FileIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.changed.as_secs(), self.changed.subsec_nanos());
        write!(f, "{} {} {seconds}.{nanos:09}", self.file, self.bytes)
    }
}
