//! Notices when a file in the operator's plugin folder changes.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;

/// How long nothing may happen before a change counts as finished: builds write a file in
/// several steps.
const SETTLE: Duration = Duration::from_millis(200);
/// How long a change may at most be waited for.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Watches a folder; its thread ends when this is dropped.
pub(super) struct FolderWatch {
    _watcher: RecommendedWatcher,
}

impl FolderWatch {
    /// Counts `changes` up after each change of a plugin file in `folder`.
    pub(super) fn start(folder: &Path, changes: watch::Sender<u64>) -> Result<Self, notify::Error> {
        // One place is enough: a change that finds it taken is part of the one before.
        let (sender, receiver) = mpsc::sync_channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| concerns_plugins(&event)) {
                // Full or closed: nothing more needs to be said.
                sender.try_send(()).unwrap_or_default();
            }
        })?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        thread::Builder::new()
            .name("plugin-watch".to_owned())
            .spawn(move || tell(&receiver, &changes))
            .map_err(notify::Error::io)?;
        Ok(Self { _watcher: watcher })
    }
}

fn concerns_plugins(event: &notify::Event) -> bool {
    let is_change = !matches!(event.kind, notify::EventKind::Access(_));
    is_change
        && event.paths.iter().any(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm" || extension == "sig")
        })
}

fn tell(receiver: &Receiver<()>, changes: &watch::Sender<u64>) {
    while receiver.recv().is_ok() {
        let started = Instant::now();
        while started.elapsed() < SETTLE_MAX {
            match receiver.recv_timeout(SETTLE) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        changes.send_modify(|count| *count += 1);
    }
}
