//! What a power cut leaves on a disk.
//!
//! What was synced is there. Each sector of what was not may be there, may be missing, or may
//! be torn, whatever was written before or after it: disks and systems write back in the order
//! that suits them. Names are made and removed as late as a sync asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, RngExt as _};

use super::Step;

/// The files of a disk.
pub type Image = BTreeMap<Arc<str>, Vec<u8>>;

/// Whether the disk does what a sync asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    Kept,
    /// It lies: nothing is ever written back for sure.
    Ignored,
}

/// What a power cut after these steps leaves behind, by the generator's will.
pub fn image(trace: &[Step], syncs: Syncs, random: &mut StdRng) -> Image {
    let mut files: BTreeMap<Arc<str>, File<'_>> = BTreeMap::new();
    for (number, step) in trace.iter().enumerate() {
        let mut change = |file: &Arc<str>, change| {
            files
                .entry(Arc::clone(file))
                .or_default()
                .unsynced
                .push(Unsynced {
                    number,
                    change,
                    is_lost: false,
                });
        };
        match step {
            Step::Write { file, at, bytes } => change(file, Change::Write { at: *at, bytes }),
            Step::Truncate { file, length } => change(file, Change::Truncate(*length)),
            Step::Delete(file) => change(file, Change::Delete),
            Step::Sync { file, upto } if syncs == Syncs::Kept => {
                files.entry(Arc::clone(file)).or_default().sync(*upto);
            }
            Step::SyncFolder if syncs == Syncs::Kept => {
                files.values_mut().for_each(File::sync_name);
            }
            Step::FailedSync { file, upto } => {
                files
                    .entry(Arc::clone(file))
                    .or_default()
                    .fail_sync(*upto, random);
            }
            Step::Sync { .. } | Step::SyncFolder | Step::Mark(_) => {}
        }
    }
    let fate = Fate::choose(random);
    let left = |(name, file): (Arc<str>, File<'_>)| Some((name, file.left(&fate, random)?));
    files.into_iter().filter_map(left).collect()
}

/// A file on its way to the disk.
#[derive(Default)]
struct File<'a> {
    synced: Vec<u8>,
    /// Whether its name is on the disk for good.
    is_there: bool,
    unsynced: Vec<Unsynced<'a>>,
}

/// A change that no sync has written back.
struct Unsynced<'a> {
    number: usize,
    change: Change<'a>,
    /// A sync of it failed, and this is what never got to the disk.
    is_lost: bool,
}

#[derive(Clone, Copy)]
enum Change<'a> {
    Write { at: usize, bytes: &'a [u8] },
    Truncate(usize),
    Delete,
}

/// How unsynced changes fare in one power cut.
struct Fate {
    /// Of a hundred sectors, how many are written.
    written: u32,
    /// Of a hundred, how many of the others are torn.
    torn: u32,
    is_ordered: bool,
    sector: usize,
}

impl Fate {
    fn choose(random: &mut StdRng) -> Self {
        let choose = |of: &[u32], random: &mut StdRng| of.choose(random).copied().unwrap_or_default();
        Self {
            written: choose(&[0, 10, 50, 90, 100], random),
            torn: choose(&[0, 10, 50], random),
            is_ordered: random.random(),
            sector: if random.random() { 512 } else { 4096 },
        }
    }
}

impl File<'_> {
    fn sync(&mut self, upto: usize) {
        self.is_there = true;
        let behind = self.unsynced.partition_point(|unsynced| unsynced.number < upto);
        for Unsynced { change, is_lost, .. } in self.unsynced.drain(..behind) {
            match change {
                _ if is_lost => {}
                Change::Write { at, bytes } => write(&mut self.synced, at, bytes),
                Change::Truncate(length) => self.synced.resize(length, 0),
                Change::Delete => {
                    self.synced.clear();
                    self.is_there = false;
                }
            }
        }
    }

    /// The folder names what is there by now, written back or not.
    fn sync_name(&mut self) {
        let is_delete = |unsynced: &Unsynced<'_>| matches!(unsynced.change, Change::Delete);
        if let Some(last) = self.unsynced.iter().rposition(is_delete) {
            self.unsynced.drain(..=last);
            self.synced.clear();
            self.is_there = false;
        }
        self.is_there |= !self.unsynced.is_empty();
    }

    fn fail_sync(&mut self, upto: usize, random: &mut StdRng) {
        for unsynced in self.unsynced.iter_mut().filter(|unsynced| unsynced.number < upto) {
            let is_data = !matches!(unsynced.change, Change::Delete);
            unsynced.is_lost |= is_data && random.random::<bool>();
        }
    }

    /// What is left of it; `None` if not even its name is.
    fn left(mut self, fate: &Fate, random: &mut StdRng) -> Option<Vec<u8>> {
        self.choose_life(random);
        if !fate.is_ordered {
            self.unsynced.shuffle(random);
        }
        let is_there = self.is_there || !self.synced.is_empty() || random.random();
        let mut content = self.synced;
        for Unsynced { change, is_lost, .. } in self.unsynced {
            match change {
                _ if is_lost => {}
                Change::Write { at, bytes } => fate.write(&mut content, at, bytes, random),
                Change::Truncate(length) if random.random() => content.resize(length, 0),
                Change::Truncate(_) | Change::Delete => {}
            }
        }
        (is_there || !content.is_empty()).then_some(content)
    }

    /// A file that was deleted and made anew is one or the other: changes to the one cannot be
    /// found in the other. Chooses which of its lives the folder names.
    fn choose_life(&mut self, random: &mut StdRng) {
        let is_delete = |unsynced: &Unsynced<'_>| matches!(unsynced.change, Change::Delete);
        let mut ends: Vec<usize> = (0..self.unsynced.len())
            .filter(|at| is_delete(&self.unsynced[*at]))
            .collect();
        ends.push(self.unsynced.len());
        let chosen = random.random_range(0..ends.len());
        self.unsynced.truncate(ends[chosen]);
        if let Some(before) = chosen.checked_sub(1) {
            self.unsynced.drain(..=ends[before]);
            self.synced.clear();
            self.is_there = false;
        }
    }
}

impl Fate {
    /// Writes sector by sector, as far as it comes.
    fn write(&self, content: &mut Vec<u8>, at: usize, bytes: &[u8], random: &mut StdRng) {
        let mut from = 0;
        while from < bytes.len() {
            let to = bytes.len().min(from + self.sector - (at + from) % self.sector);
            if random.random_range(0..100) < self.written {
                write(content, at + from, &bytes[from..to]);
            } else if random.random_range(0..100) < self.torn {
                tear(content, at + from, &bytes[from..to], random);
            }
            from = to;
        }
    }
}

/// Writes a part of a sector; sometimes what stands behind it is neither old nor new.
fn tear(content: &mut Vec<u8>, at: usize, bytes: &[u8], random: &mut StdRng) {
    let mut torn = bytes[..random.random_range(0..=bytes.len())].to_vec();
    if random.random() {
        let written = torn.len();
        torn.resize(bytes.len(), 0);
        random.fill_bytes(&mut torn[written..]);
    }
    write(content, at, &torn);
}

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const SEEDS: u64 = 200;

    fn name() -> Arc<str> {
        "a".into()
    }

    fn wrote(at: usize, bytes: &[u8]) -> Step {
        Step::Write {
            file: name(),
            at,
            bytes: bytes.into(),
        }
    }

    fn left(trace: &[Step], syncs: Syncs) -> impl Iterator<Item = Option<Vec<u8>>> {
        (0..SEEDS).map(move |seed| {
            let mut random = StdRng::seed_from_u64(seed);
            image(trace, syncs, &mut random).remove("a")
        })
    }

    #[test]
    fn what_was_synced_is_kept_and_what_was_not_may_be_anything() {
        let synced = Step::Sync {
            file: name(),
            upto: 1,
        };
        let trace = [wrote(0, b"kept"), synced, wrote(4, b"more")];
        let found: Vec<_> = left(&trace, Syncs::Kept)
            .map(|left| left.expect("the file"))
            .collect();
        assert!(found.iter().all(|content| content.starts_with(b"kept")));
        assert!(found.iter().any(|content| content == b"kept"));
        assert!(found.iter().any(|content| content == b"keptmore"));
        assert!(
            found
                .iter()
                .any(|content| content.len() == 8 && content != b"keptmore")
        );
    }

    #[test]
    fn a_disk_that_lies_may_lose_anything() {
        let synced = Step::Sync {
            file: name(),
            upto: 1,
        };
        let trace = [wrote(0, b"kept"), synced];
        assert!(left(&trace, Syncs::Ignored).any(|left| left.is_none()));
    }

    #[test]
    fn what_a_failed_sync_dropped_stays_lost_after_the_next_sync() {
        let failed = Step::FailedSync {
            file: name(),
            upto: 1,
        };
        let synced = Step::Sync {
            file: name(),
            upto: 3,
        };
        let trace = [wrote(0, b"gone"), failed, wrote(4, b"kept"), synced];
        let found: Vec<_> = left(&trace, Syncs::Kept)
            .map(|left| left.expect("the file"))
            .collect();
        assert!(found.iter().any(|content| content == b"gonekept"));
        assert!(found.iter().any(|content| content == b"\0\0\0\0kept"));
    }

    #[test]
    fn a_file_that_was_deleted_may_come_back_until_its_folder_is_synced() {
        let synced = Step::Sync {
            file: name(),
            upto: 1,
        };
        let mut trace = vec![wrote(0, b"old"), synced, Step::Delete(name())];
        assert!(left(&trace, Syncs::Kept).any(|left| left.is_some_and(|content| content == b"old")));
        trace.push(Step::SyncFolder);
        assert!(
            left(&trace, Syncs::Kept)
                .flatten()
                .all(|content| content.is_empty())
        );
    }

    #[test]
    fn a_file_made_anew_has_nothing_of_the_old_one() {
        let synced = Step::Sync {
            file: name(),
            upto: 1,
        };
        let trace = [wrote(0, b"old"), synced, Step::Delete(name()), wrote(0, b"n")];
        for left in left(&trace, Syncs::Kept).flatten() {
            assert!(left == b"old" || left.len() <= 1, "{left:?}");
        }
    }
}
