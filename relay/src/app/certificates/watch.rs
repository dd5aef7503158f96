//! Notices when one of the files may have changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::http::tls::Files;

/// Watches the folders of the files, and of what they are links to: renewing replaces a file, or
/// a link to it, or is written through the link.
#[derive(Default)]
pub(super) struct Watch {
    /// What is watched.
    files: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    /// Why the last try failed; said once.
    told: Option<String>,
}

impl Watch {
    /// Rings `changed` whenever something happens beside these files.
    pub(super) fn follow(&mut self, files: &Files, changed: &Arc<Notify>) {
        let files = with_targets(files);
        if files == self.files {
            return;
        }
        match watch(files.clone(), Arc::clone(changed)) {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                self.files = files;
                self.told = None;
            }
            Err(error) => self.tell(error.to_string()),
        }
    }

    fn tell(&mut self, error: String) {
        if self.told.as_ref() != Some(&error) {
            tracing::warn!(
                error,
                "changes of the certificate are not noticed at once; send SIGHUP after renewing it"
            );
            self.told = Some(error);
        }
    }
}

/// The files, and what those that are links lead to.
fn with_targets(files: &Files) -> BTreeSet<PathBuf> {
    let all = [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()];
    let all = all.into_iter().flatten();
    let targets = all.clone().filter_map(|file| file.canonicalize().ok());
    all.cloned().chain(targets).collect()
}

fn folder(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new("."))
}

fn watch(files: BTreeSet<PathBuf>, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let folders: BTreeSet<PathBuf> = files.iter().map(|file| folder(file).to_owned()).collect();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| may_concern(&event, &files)) {
            changed.notify_one();
        }
    })?;
    for folder in &folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Whatever comes, goes or is renamed may be what a link leads through; what is only written
/// has to be one of the files.
fn may_concern(event: &notify::Event, files: &BTreeSet<PathBuf>) -> bool {
    let is_one = |path: &PathBuf| files.iter().any(|file| file.file_name() == path.file_name());
    match event.kind {
        notify::EventKind::Access(_) => false,
        notify::EventKind::Modify(notify::event::ModifyKind::Data(_)) => event.paths.iter().any(is_one),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::http::tls::ClientAuth;

    /// Only a failing test waits that long.
    const PATIENCE: Duration = Duration::from_secs(30);

    struct Place {
        home: TempDir,
        watch: Watch,
        changed: Arc<Notify>,
    }

    impl Place {
        fn new() -> Self {
            Self {
                home: TempDir::new().unwrap(),
                watch: Watch::default(),
                changed: Arc::default(),
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.home.path().join(name)
        }

        fn write(&self, name: &str) {
            fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            fs::write(self.path(name), name).unwrap();
        }

        fn follow(&mut self, cert: &str, key: &str) {
            let files = Files {
                cert: self.path(cert),
                key: self.path(key),
                client_ca: None,
                client_auth: ClientAuth::Required,
            };
            self.watch.follow(&files, &self.changed);
        }

        async fn rings(&self) {
            let rung = tokio::time::timeout(PATIENCE, self.changed.notified());
            rung.await.expect("it is noticed");
        }
    }

    #[tokio::test]
    async fn other_names_in_the_same_folder_are_followed() {
        let mut place = Place::new();
        for name in ["a.pem", "a.key", "b.pem", "b.key"] {
            place.write(name);
        }
        place.follow("a.pem", "a.key");
        place.follow("b.pem", "b.key");
        place.write("b.pem");
        place.rings().await;
    }

    #[tokio::test]
    async fn a_folder_that_could_not_be_watched_is_tried_again() {
        let mut place = Place::new();
        place.follow("later/a.pem", "later/a.key");
        place.write("later/a.pem");
        place.write("later/a.key");
        place.follow("later/a.pem", "later/a.key");
        place.write("later/a.pem");
        place.rings().await;
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_links_lead_to_is_followed_into_other_folders() {
        let mut place = Place::new();
        for name in ["archive/cert1.pem", "archive/key1.pem", "live/readme"] {
            place.write(name);
        }
        for (target, link) in [
            ("archive/cert1.pem", "live/cert.pem"),
            ("archive/key1.pem", "live/key.pem"),
        ] {
            let target = Path::new("..").join(target);
            std::os::unix::fs::symlink(target, place.path(link)).unwrap();
        }
        place.follow("live/cert.pem", "live/key.pem");
        place.write("archive/cert1.pem");
        place.rings().await;
    }
}
