//! Looks behind the end that SQLite finds in a write-ahead log.
//!
//! SQLite reads a log up to the first frame whose checksum differs and takes what follows for
//! never written. Mostly that is so: a kill or a power cut came in the middle of a transaction.
//! But a bit that has flipped in the log ends it just the same, silently, and with it goes what
//! was committed behind. Nothing can bring that back; it can be said.
//!
//! The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, SeekFrom};
use std::path::Path;

use rusqlite::Connection;

use super::beside;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The first word of a log; its last bit is set if checksums read words as big-endian.
const MAGIC: u32 = 0x377f_0682;

/// What stands behind the last commit that SQLite finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Nothing of this log.
    Clean,
    /// A transaction that did not get to its end.
    Unfinished,
    /// Frames of this log behind one that does not belong there.
    Gap,
    /// The log has no readable beginning.
    NoHeader,
}

/// Says in the log what an opened database may have lost. To be called before anything is
/// written.
pub(super) fn report(path: &Path, connection: &Connection) {
    let read = || -> io::Result<Tail> {
        let frames = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1));
        let frames = frames.map_err(io::Error::other)?;
        match File::open(beside(path, "-wal")) {
            Ok(log) => look(log, u64::try_from(frames).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Tail::Clean),
            Err(error) => Err(error),
        }
    };
    match read() {
        Ok(Tail::Clean) => {}
        Ok(Tail::Unfinished) => tracing::info!(
            "the last transaction in the write-ahead log is not whole: it was cut off before it was acknowledged, or is damaged"
        ),
        Ok(Tail::Gap | Tail::NoHeader) => tracing::error!(
            "the write-ahead log breaks off before its end: a power cut came while it was written, or it is damaged and accepted events are lost; compare with your senders"
        ),
        Err(error) => tracing::warn!(%error, "the end of the write-ahead log was not looked at"),
    }
}

/// A log, read by frames.
struct Log<F> {
    file: F,
    is_big_endian: bool,
    page_bytes: usize,
    salts: [u8; 8],
}

/// A frame as it stands there.
struct Frame {
    header: [u8; FRAME_HEADER_BYTES],
    page: Vec<u8>,
}

impl Frame {
    fn salts(&self) -> &[u8] {
        &self.header[8..16]
    }

    fn checksum(&self) -> [u32; 2] {
        [word(&self.header[16..], true), word(&self.header[20..], true)]
    }
}

/// What follows behind so many frames.
fn look(mut file: impl io::Read + io::Seek, frames: u64) -> io::Result<Tail> {
    let mut header = [0; HEADER_BYTES];
    if !fills(&mut file, &mut header)? {
        return Ok(Tail::Clean);
    }
    let magic = word(&header, true);
    let is_big_endian = magic & 1 == 1;
    let checksum = sum([0, 0], &header[..24], is_big_endian);
    if magic & !1 != MAGIC || checksum != [word(&header[24..], true), word(&header[28..], true)] {
        return Ok(Tail::NoHeader);
    }
    let log = Log {
        file,
        is_big_endian,
        page_bytes: word(&header[8..], true) as usize,
        salts: header[16..24].try_into().unwrap_or_default(),
    };
    log.look(frames, checksum)
}

impl<F: io::Read + io::Seek> Log<F> {
    fn look(mut self, frames: u64, start: [u32; 2]) -> io::Result<Tail> {
        let mut checksum = match frames.checked_sub(1) {
            None => start,
            Some(last) => match self.frame(last)? {
                Some(frame) => frame.checksum(),
                None => return Ok(Tail::Gap),
            },
        };
        let mut tail = Tail::Clean;
        let mut is_broken = false;
        for number in frames.. {
            let Some(frame) = self.frame(number)? else {
                break;
            };
            let is_ours = frame.salts() == self.salts;
            if is_broken && is_ours {
                return Ok(Tail::Gap);
            }
            if is_ours {
                tail = Tail::Unfinished;
            }
            let covered = [&frame.header[..8], &frame.page];
            checksum = covered.iter().fold(checksum, |checksum, bytes| {
                sum(checksum, bytes, self.is_big_endian)
            });
            is_broken |= !is_ours || checksum != frame.checksum();
        }
        Ok(tail)
    }

    /// A frame, if it is there whole.
    fn frame(&mut self, number: u64) -> io::Result<Option<Frame>> {
        let at = HEADER_BYTES as u64 + number * (FRAME_HEADER_BYTES + self.page_bytes) as u64;
        self.file.seek(SeekFrom::Start(at))?;
        let mut frame = Frame {
            header: [0; FRAME_HEADER_BYTES],
            page: vec![0; self.page_bytes],
        };
        let is_whole = fills(&mut self.file, &mut frame.header)? && fills(&mut self.file, &mut frame.page)?;
        Ok(is_whole.then_some(frame))
    }
}

fn fills(file: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// SQLite's running checksum over pairs of words.
fn sum([mut one, mut two]: [u32; 2], bytes: &[u8], is_big_endian: bool) -> [u32; 2] {
    for pair in bytes.chunks_exact(8) {
        one = one.wrapping_add(word(pair, is_big_endian)).wrapping_add(two);
        two = two
            .wrapping_add(word(&pair[4..], is_big_endian))
            .wrapping_add(one);
    }
    [one, two]
}

fn word(bytes: &[u8], is_big_endian: bool) -> u32 {
    let word = bytes.first_chunk::<4>().copied().unwrap_or_default();
    if is_big_endian {
        u32::from_be_bytes(word)
    } else {
        u32::from_le_bytes(word)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const COMMITS: u64 = 5;

    /// A log of so many commits of a frame each.
    fn log() -> Vec<u8> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (a); PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        for _ in 0..COMMITS {
            connection.execute("INSERT INTO t VALUES (1)", []).unwrap();
        }
        std::fs::read(beside(&path, "-wal")).unwrap()
    }

    fn looked(log: &[u8], frames: u64) -> Tail {
        look(Cursor::new(log), frames).unwrap()
    }

    #[test]
    fn a_whole_log_and_none_are_clean() {
        assert_eq!(looked(&log(), COMMITS), Tail::Clean);
        assert_eq!(looked(&[], 0), Tail::Clean);
    }

    #[test]
    fn a_log_that_ends_within_a_transaction_is_unfinished() {
        assert_eq!(looked(&log(), COMMITS - 1), Tail::Unfinished);
        let mut log = log();
        let last = log.len() - 1;
        log[last] ^= 1;
        assert_eq!(looked(&log, COMMITS - 1), Tail::Unfinished);
    }

    #[test]
    fn a_flip_before_other_commits_is_a_gap_wherever_it_is() {
        let log = log();
        let frame_bytes = (log.len() - HEADER_BYTES) / COMMITS as usize;
        for at in HEADER_BYTES + frame_bytes..HEADER_BYTES + 2 * frame_bytes {
            let mut flipped = log.clone();
            flipped[at] ^= 4;
            assert_eq!(looked(&flipped, 1), Tail::Gap, "at {at}");
        }
        for at in 0..HEADER_BYTES {
            let mut flipped = log.clone();
            flipped[at] ^= 4;
            assert_eq!(looked(&flipped, 0), Tail::NoHeader, "at {at}");
        }
    }
}
