//! How a file is known again without reading it.

use std::fmt;
use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

#[cfg(unix)]
use rustix::fs::StatVfsMountFlags;

/// How old a change of a file is before the next one surely has another time.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// What stays the same of a file as long as nobody writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    file: u64,
    bytes: u64,
    /// When it was last changed, by the file system: nobody can set that.
    changed: Duration,
}

impl FileIdentity {
    /// Of an open file, so that what is read of it is of this one. To be asked before: a change meanwhile
    /// shows in the next.
    ///
    /// `None` where it says nothing: file systems that are made whole and mounted to be read only have
    /// such times as their maker chose, the same ones for the next.
    #[cfg(unix)]
    pub(super) fn of(file: &File) -> io::Result<Option<Self>> {
        use std::os::unix::fs::MetadataExt as _;
        if rustix::fs::fstatvfs(file)?
            .f_flag
            .contains(StatVfsMountFlags::RDONLY)
        {
            return Ok(None);
        }
        let found = file.metadata()?;
        let seconds = u64::try_from(found.ctime()).unwrap_or_default();
        let nanos = u32::try_from(found.ctime_nsec()).unwrap_or_default();
        Ok((seconds > 0).then(|| Self {
            device: found.dev(),
            file: found.ino(),
            bytes: found.len(),
            changed: Duration::new(seconds, nanos),
        }))
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &File) -> io::Result<Option<Self>> {
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
        write!(
            f,
            "{}:{} {} {seconds}.{nanos:09}",
            self.device, self.file, self.bytes
        )
    }
}
