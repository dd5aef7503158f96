//! Processes that others started, as the system tells of them.

use std::fs;
use std::path::Path;

/// The processes that a process has started, by what they were started with.
pub fn children(of: u32, argument: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|process| parent(*process) == Some(of))
        .filter(|process| {
            let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0)
                .any(|found| found == argument.as_bytes())
        })
        .collect()
}

fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

/// Whether it runs: one that has ended and was not waited for does not.
pub fn runs(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| !state.trim_start().starts_with(['Z', 'X']))
}

/// Ends it at once, if it is still there.
pub fn kill(process: u32) {
    let Ok(process) = i32::try_from(process) else {
        return;
    };
    #[expect(unsafe_code, reason = "the standard library signals only its own children")]
    // SAFETY: the call takes numbers and touches no memory of ours.
    unsafe {
        libc::kill(process, libc::SIGKILL);
    }
}

/// What stands in its environment.
pub fn variables(process: u32) -> Vec<String> {
    let text = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    text.split(|byte| *byte == 0)
        .filter(|variable| !variable.is_empty())
        .map(|variable| String::from_utf8_lossy(variable).into_owned())
        .collect()
}

/// What it has open, as links of the system name it.
///
/// # Panics
/// If the system does not tell.
pub fn open_files(process: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).expect("its open files can be listed");
    entries
        .filter_map(|entry| Some(shown(&entry.ok()?.path())))
        .filter(|file| !file.is_empty())
        .collect()
}

/// What this process has as its standard error.
pub fn standard_error() -> String {
    shown(Path::new("/proc/self/fd/2"))
}

/// The files that its memory maps.
pub fn mapped_files(process: u32) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    maps.lines()
        .filter_map(|line| line.find('/').map(|at| line[at..].to_owned()))
        .collect()
}

fn shown(link: &Path) -> String {
    fs::read_link(link)
        .map(|file| file.display().to_string())
        .unwrap_or_default()
}
