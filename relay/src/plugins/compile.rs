//! Compiles components, in a process of their own.
//!
//! The compiler is the largest program that reads what strangers wrote, and it keeps the
//! memory that it once took. So the relay starts itself as a child for it, with bounds on
//! memory and time: a component made to burst the compiler costs that child and nothing else.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use wasmtime::Engine;

use super::engine;
use super::manifest::LoadError;

/// The command by which the program is a compiler.
pub const COMMAND: &str = "compile-plugin";

/// Address space that compiling may take beside what the program has from its start.
const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Processor time that compiling may take, on all cores together.
const PROCESSOR_SECONDS_MAX: u64 = 100;
/// Longest that is waited for it.
const TIME_MAX: Duration = Duration::from_secs(100);
/// Most compiled code of one component.
const CODE_BYTES_MAX: u64 = 64 << 20;
/// Longest explanation that is read from the child.
const REASON_BYTES_MAX: u64 = 4 << 10;
/// The child's allocator would else reserve a gigabyte before it is limited, in KiB.
const ARENA_RESERVE: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "65536");

/// Who compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// This process, unbounded: for programs that trust what they compile.
    Here,
    /// This program with [`COMMAND`] as its argument, which has to call [`serve`].
    Child(PathBuf),
}

/// The program that is running.
///
/// # Errors
/// The system does not tell which it is.
pub fn this_program() -> io::Result<PathBuf> {
    // The program as it was started, even if its file was replaced since.
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
}

impl Compiler {
    /// The program that is running, as a child.
    ///
    /// # Errors
    /// The system does not tell which program this is.
    pub fn this_program() -> io::Result<Self> {
        this_program().map(Self::Child)
    }

    /// Compiled code of a component.
    pub(super) async fn compile(&self, engine: &Engine, component: Bytes) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::Here => {
                let engine = engine.clone();
                let compiled = tokio::task::spawn_blocking(move || engine.precompile_component(&component));
                match compiled.await {
                    Ok(compiled) => compiled.map_err(|error| LoadError::Compile(format!("{error:#}"))),
                    Err(_) => Err(LoadError::Compile("the compiler panicked".to_owned())),
                }
            }
            Self::Child(program) => tokio::time::timeout(TIME_MAX, in_child(program, &component))
                .await
                .unwrap_or_else(|_| Err(exhausted())),
        }
    }
}

// ---- the relay's side ------------------------------------------------------------------

async fn in_child(program: &PathBuf, component: &[u8]) -> Result<Vec<u8>, LoadError> {
    let no_compiler = |error: io::Error| LoadError::Compile(format!("no compiler could be started: {error}"));
    let mut child = Command::new(program)
        .arg(COMMAND)
        // It is given nothing that it does not need, secrets above all.
        .env_clear()
        .env(ARENA_RESERVE.0, ARENA_RESERVE.1)
        .envs(std::env::vars_os().filter(is_for_the_loader))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(no_compiler)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        // It reads nothing more once it has failed; its status says why.
        if let Some(mut stdin) = stdin {
            stdin.write_all(component).await.ok();
        }
    };
    let ((), code, reason) = tokio::join!(feed, read(stdout, CODE_BYTES_MAX), read(stderr, REASON_BYTES_MAX));
    let status = child.wait().await.map_err(no_compiler)?;
    if !status.success() {
        return Err(failed(status, &String::from_utf8_lossy(&reason)));
    }
    if code.len() as u64 > CODE_BYTES_MAX {
        return Err(exhausted());
    }
    Ok(code)
}

/// Up to one byte more than `bytes_max`; closing the pipe early ends the child.
async fn read(pipe: Option<impl AsyncRead + Unpin>, bytes_max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(bytes_max + 1).read_to_end(&mut bytes).await.ok();
    }
    bytes
}

/// Where shared libraries are, for systems that keep them in unusual places.
fn is_for_the_loader((name, _): &(OsString, OsString)) -> bool {
    name == "LD_LIBRARY_PATH"
}

fn failed(status: ExitStatus, reason: &str) -> LoadError {
    // Ended by a signal: a limit of the system, or the allocator that found no more memory.
    if status.code().is_none() {
        return exhausted();
    }
    let reason = reason.trim();
    LoadError::Compile(if reason.is_empty() {
        format!("the compiler ended with {status}")
    } else {
        reason.to_owned()
    })
}

fn exhausted() -> LoadError {
    LoadError::Compile(format!(
        "compiling it takes more than the {} MiB of memory or the {PROCESSOR_SECONDS_MAX} seconds that it may take",
        MEMORY_BYTES_MAX >> 20
    ))
}

// ---- the child's side ------------------------------------------------------------------

/// Why the child compiled nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the compiler cannot be limited: {0}")]
    Limits(io::Error),
    #[error("the component cannot be read: {0}")]
    Input(io::Error),
    #[error("the compiled code cannot be passed on: {0}")]
    Output(io::Error),
    #[error("{0:#}")]
    Component(wasmtime::Error),
}

/// Limits this process, compiles the component that it reads, and writes the code.
///
/// # Errors
/// Whatever there is to tell the relay; beyond the limits the process ends by a signal.
pub fn serve(mut input: impl Read, mut output: impl Write) -> Result<(), Error> {
    limit().map_err(Error::Limits)?;
    let mut component = Vec::new();
    input.read_to_end(&mut component).map_err(Error::Input)?;
    let code = engine::compiler()
        .and_then(|engine| engine.precompile_component(&component))
        .map_err(Error::Component)?;
    output
        .write_all(&code)
        .and_then(|()| output.flush())
        .map_err(Error::Output)
}

fn limit() -> io::Result<()> {
    lower_limit(Resource::Core, 0)?;
    lower_limit(Resource::Cpu, PROCESSOR_SECONDS_MAX)?;
    match address_space() {
        Some(taken) => lower_limit(Resource::As, taken + MEMORY_BYTES_MAX),
        None => Ok(()),
    }
}

/// An operator's own limit may be lower already, and stays.
pub(super) fn lower_limit(resource: Resource, to: u64) -> io::Result<()> {
    let limit = getrlimit(resource);
    let to = limit.current.map_or(to, |current| current.min(to));
    setrlimit(
        resource,
        Rlimit {
            current: Some(to),
            maximum: Some(limit.maximum.map_or(to, |maximum| maximum.min(to))),
        },
    )?;
    Ok(())
}

/// What of its address space this process has taken; `None` where the system does not tell.
fn address_space() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split(' ').next()?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}
