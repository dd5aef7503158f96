//! A process that ends with its guard, and what the kernel says it has used.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::system::{self, Signal};

/// Ticks a second in `/proc/PID/stat`: fixed for user space on every Linux machine.
const TICKS: u64 = 100;
/// How long a process that was asked to end may take before it is killed.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(1);

/// Bytes of memory held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub resident: u64,
    pub peak: u64,
}

/// A child process: asked to end when dropped, killed if it will not.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    pid: u32,
}

impl Process {
    /// Starts `command`.
    pub(super) fn start(name: &'static str, mut command: Command) -> anyhow::Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("starting the {name}: {command:?}"))?;
        let pid = child.id().with_context(|| format!("the {name} ended at once"))?;
        Ok(Self { name, child, pid })
    }

    /// What it is, for messages.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        self.child.stdin.take().zip(self.child.stdout.take())
    }

    /// Whether it is still there.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Processor time used so far, user and system, by it and its children.
    pub(super) fn cpu(&self) -> Duration {
        let ticks: u64 = tree(self.pid).into_iter().filter_map(ticks).sum();
        Duration::from_millis(ticks * 1000 / TICKS)
    }

    /// Memory of it and its children; pages they share count for each.
    pub(super) fn memory(&self) -> Memory {
        tree(self.pid)
            .into_iter()
            .filter_map(memory)
            .fold(Memory::default(), |sum, one| Memory {
                resident: sum.resident + one.resident,
                peak: sum.peak + one.peak,
            })
    }

    /// Asks it to end and tells how long that took.
    pub(super) fn stop(mut self) -> Duration {
        self.end(Signal::Terminate)
    }

    /// Asks it to end, and waits for that.
    pub(super) fn end_gently(&mut self) {
        self.end(Signal::Terminate);
    }

    /// Ends it without asking.
    pub(super) fn kill(&mut self) {
        self.end(Signal::Kill);
    }

    fn end(&mut self, signal: Signal) -> Duration {
        let started = Instant::now();
        if !self.is_running() || system::signal(self.pid, signal).is_err() {
            return Duration::ZERO;
        }
        while self.is_running() {
            if started.elapsed() > PATIENCE && system::signal(self.pid, Signal::Kill).is_err() {
                break;
            }
            std::thread::sleep(POLL);
        }
        started.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Signal::Terminate);
    }
}

/// A process and all its descendants.
fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children(pid));
        next += 1;
    }
    found
}

/// The kernel lists children with the thread that started them.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let list = |thread: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(thread.ok()?.path().join("children")).ok()
    };
    threads.filter_map(list).flat_map(|list| numbers(&list)).collect()
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// User and system time of a process, and of the children it has buried.
fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may contain spaces; state is the first field after it.
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some(
        fields
            .skip(11)
            .take(4)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum(),
    )
}

fn memory(pid: u32) -> Option<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
            .map(|kibibytes| kibibytes * 1024)
    };
    Some(Memory {
        resident: bytes("VmRSS:")?,
        peak: bytes("VmHWM:")?,
    })
}

/// The kind of file system that `path` is on.
pub(super) fn file_system(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let on = |line: &str| -> Option<(usize, String)> {
        let mut words = line.split_whitespace().skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        path.starts_with(point).then(|| (point.len(), kind.to_owned()))
    };
    // Of the mounts above the path the longest counts, and of two the later one.
    mounts
        .lines()
        .filter_map(on)
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_very_process_uses_can_be_read() {
        let own = std::process::id();
        assert!(ticks(own).is_some());
        let memory = memory(own).expect("its own memory");
        assert!(0 < memory.resident && memory.resident <= memory.peak);
        assert!(file_system(Path::new("/proc")).is_some_and(|kind| kind == "proc"));
    }
}
