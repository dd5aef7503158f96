//! Takes from a worker what it does not need. None of it asks for privileges.

use std::io;

use rustix::process::Resource;

use crate::plugins::compile::lower_limit;

/// Files that it may have open: the socket, stderr, and what its runtime waits with.
const FILES_MAX: u64 = 32;
/// Where a process says how soon it is to be ended when memory runs out, and what says soonest.
const ENDED_FIRST: (&str, &str) = ("/proc/self/oom_score_adj", "1000");

/// Keeps the process from opening files, from TCP, from processes beyond itself and from gaining
/// privileges; whether the system can do so. What is open stays open. For the only thread there is.
#[cfg(target_os = "linux")]
pub(super) fn wall() -> bool {
    use landlock::{ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetStatus, Scope};
    // Not without it, but better with it.
    std::fs::write(ENDED_FIRST.0, ENDED_FIRST.1).ok();
    // As of this version also signals; an older system is asked for what it has.
    let abi = ABI::V6;
    let walled = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    walled.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn wall() -> bool {
    false
}

/// Closes what the relay was itself started with and passed on unknowingly. For the very start: whatever
/// is open but the standard streams is nobody's yet.
pub(super) fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let name = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    // Listed before any is closed, since listing has one open as well, which is gone by then.
    let listed: Vec<i32> = entries.filter_map(name).filter(|file| *file > 2).collect();
    let is_open = |file: &i32| std::fs::symlink_metadata(format!("/proc/self/fd/{file}")).is_ok();
    for file in listed.into_iter().filter(is_open) {
        #[expect(
            unsafe_code,
            reason = "what nobody has an owner for has to be closed by number"
        )]
        // SAFETY: nothing of this process has opened a file yet, so none has an owner that would use it.
        unsafe {
            rustix::io::close(file);
        }
    }
}

/// No core file, which would hold what plugins have seen, and few files. The address space has no
/// bound: the engine reserves terabytes of it that it never uses.
pub(super) fn lower() -> io::Result<()> {
    lower_limit(Resource::Core, 0)?;
    lower_limit(Resource::Nofile, FILES_MAX)
}

/// No process and no thread beyond those there are. Root is exempt from it.
pub(super) fn no_more_processes() -> io::Result<()> {
    lower_limit(Resource::Nproc, 0)
}
