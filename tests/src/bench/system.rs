//! The two things asked of the kernel that the standard library does not give out.

use std::io;

/// Nanoseconds on `CLOCK_MONOTONIC`: one clock for all processes of the machine.
#[expect(
    unsafe_code,
    reason = "std's Instant is this very clock, but does not tell its reading"
)]
pub(super) fn monotonic() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live, writable timespec; this clock always exists on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// What a process is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    Terminate,
    Kill,
}

/// Sends `signal` to one process.
#[expect(
    unsafe_code,
    reason = "std can only kill, and nginx and the relay have to be asked"
)]
pub(super) fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: touches no memory of ours; `pid` is positive, so this is one process, never a group.
    match unsafe { libc::kill(pid, number) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
