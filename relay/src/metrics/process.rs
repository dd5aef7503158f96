//! What the system says of the process, under the names that Prometheus clients share.
//!
//! Read from `/proc` when asked for; where there is none, nothing is told.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::observed::Page;

/// The process this runs in.
#[derive(Debug)]
pub(super) struct Process;

/// What is read of it.
struct Usage {
    cpu_seconds: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    open_files: usize,
    open_files_max: f64,
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(usage) = Usage::read() else { return Ok(()) };
        let mut page = Page(encoder);
        page.seconds(
            "process_cpu",
            "Processor time, of the system's and the user's kind",
            usage.cpu_seconds,
        )?;
        page.gauge(
            "process_resident_memory",
            "Memory in use",
            Some(&Unit::Bytes),
            usage.resident_bytes,
        )?;
        page.gauge(
            "process_virtual_memory",
            "Addresses in use",
            Some(&Unit::Bytes),
            usage.virtual_bytes,
        )?;
        page.gauge(
            "process_open_fds",
            "Open files and connections",
            None,
            usage.open_files,
        )?;
        page.gauge(
            "process_max_fds",
            "Files and connections that may be open",
            None,
            usage.open_files_max,
        )
    }
}

impl Usage {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // Behind the name, which may have spaces in it: state is field 3 of proc(5).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * rustix::param::page_size() as f64,
            open_files: fs::read_dir("/proc/self/fd").ok()?.count(),
            open_files_max: open_files_max(&limits)?,
        })
    }
}

/// The soft limit of `Max open files`.
fn open_files_max(limits: &str) -> Option<f64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_is_told_of() {
        let usage = Usage::read().expect("/proc is there");
        assert!(usage.resident_bytes > 1e6 && usage.virtual_bytes >= usage.resident_bytes);
        assert!(usage.open_files > 2 && usage.open_files_max >= 3.0);
        assert!(usage.cpu_seconds >= 0.0);
    }

    #[test]
    fn a_limit_may_be_none() {
        let line = "Limit  Soft  Hard\nMax open files            1024                 4096       files\n";
        assert_eq!(open_files_max(line), Some(1024.0));
        assert_eq!(
            open_files_max("Max open files unlimited unlimited files"),
            Some(f64::INFINITY)
        );
        assert_eq!(open_files_max(""), None);
    }
}
