//! Waits until an author has saved something.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{self, Receiver};

use super::project::is_source;

/// How long nothing may be saved before it counts: editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(50);
/// Folders whose files are looked at although they are no source.
const ALSO: &str = "tests";

/// Watches the sources and fixtures of a plugin.
pub(super) struct Watch {
    changes: Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches a folder, or one file.
    pub(super) fn start(path: &Path) -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::channel(1);
        let root = path.to_owned();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| concerns(&root, &event)) {
                // One that waits already stands for this one, too.
                sender.try_send(()).ok();
            }
        })?;
        for (path, mode) in places(path)? {
            watcher
                .watch(&path, mode)
                .with_context(|| format!("{} cannot be watched", path.display()))?;
        }
        Ok(Self {
            changes,
            _watcher: watcher,
        })
    }

    /// Waits for the next change, and until it is over.
    pub(super) async fn changed(&mut self) {
        self.changes.recv().await;
        while tokio::time::timeout(SETTLE, self.changes.recv()).await.is_ok() {}
    }
}

/// A folder itself, and those below it that hold no builds: a build writes thousands of files.
fn places(path: &Path) -> anyhow::Result<Vec<(PathBuf, RecursiveMode)>> {
    let mut places = vec![(path.to_owned(), RecursiveMode::NonRecursive)];
    if path.is_dir() {
        for entry in path.read_dir()? {
            let path = entry?.path();
            if path.is_dir() && is_watched(&path) {
                places.push((path, RecursiveMode::Recursive));
            }
        }
    }
    Ok(places)
}

fn is_watched(path: &Path) -> bool {
    is_source(path) || path.file_name().is_some_and(|name| name == ALSO)
}

fn concerns(root: &Path, event: &notify::Event) -> bool {
    let is_change = !matches!(event.kind, notify::EventKind::Access(_));
    is_change
        && event.paths.iter().any(|path| {
            let within = path.strip_prefix(root).unwrap_or(path);
            // The file itself, if it is one that is watched.
            within.as_os_str().is_empty() && root.is_file()
                || within
                    .components()
                    .next()
                    .is_some_and(|first| is_watched(Path::new(first.as_os_str())) && is_watched(path))
        })
}
