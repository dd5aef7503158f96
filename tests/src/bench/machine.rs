//! What a run was measured on.

use std::path::Path;

use anyhow::bail;
use serde::Serialize;

use super::{nginx, process};

/// The machine and the state it was in.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub processor: String,
    pub processors: usize,
    pub memory_mib: u64,
    pub kernel: String,
    /// The file system that the stores were on.
    pub file_system: String,
    /// Runnable processes on average over the minute before the run.
    pub load_before: f64,
    pub nginx: Option<String>,
    pub nginx_workers: usize,
}

impl Machine {
    /// Looks at this machine; refuses a `folder` that is kept in memory, where a sync costs nothing.
    pub(super) fn look(folder: &Path, nginx: &Path) -> anyhow::Result<Self> {
        let file_system = process::file_system(folder).unwrap_or_else(|| "unknown".to_owned());
        if matches!(file_system.as_str(), "tmpfs" | "ramfs") {
            bail!(
                "{} is on a {file_system}, where nothing is durable: choose a disk with --out",
                folder.display()
            );
        }
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: field("/proc/meminfo", "MemTotal").map_or(0, |text| kibibytes(&text) / 1024),
            kernel: read("/proc/sys/kernel/osrelease"),
            file_system,
            load_before: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
            nginx: nginx::version(nginx),
            nginx_workers: nginx::WORKERS,
        })
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The value of the first line `name : value`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path);
    let (_, value) = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.trim() == name)?;
    Some(value.trim().to_owned())
}

fn kibibytes(text: &str) -> u64 {
    text.trim_end_matches(" kB").parse().unwrap_or(0)
}
