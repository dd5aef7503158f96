//! The path that a source is reached by is replaced: what led there goes on doing so for a while.

use std::sync::Arc;
use std::time::Duration;

use super::Manager;
use super::assemble::{self, Reach};
use super::change::{Handle, Refused, expect};
use super::entry::{Entry, Made};
use super::secrets::RETIRING_MAX;
use super::shelf::Shelf;
use crate::crypto;
use crate::model::audit::{By, Deed};
use crate::model::path::{Paths, RetiringPath};
use crate::model::secret::Secret;

/// Random bytes of a path.
const PATH_BYTES: usize = 20;
/// What paths begin with, so that they are known for what they are.
const PATH_PREFIX: &str = "in_";

impl Manager {
    /// Gives a source a fresh path. What it was reached by before, its id and name included, leads
    /// there for so long. Sources of the configuration file have paths in the store, too.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn rotate_path(
        &self,
        handle: Handle,
        overlap: Duration,
        by: By,
    ) -> Result<Arc<Entry>, Refused> {
        let _config = self.lock().await;
        let entry = self
            .find(handle.tenant, handle.kind, Some(handle.id), "")
            .ok_or(Refused::Unknown)?;
        expect(handle, entry.resource.revision)?;
        let door = entry.door().ok_or_else(|| {
            let why = entry.unusable.as_deref().unwrap_or("it is not in force");
            Refused::Unusable(why.to_owned())
        })?;
        let now = self.workshop.clock.now();
        let mut retiring = vec![RetiringPath {
            path: door.paths.as_ref().map(|paths| paths.current.clone()),
            until: now + overlap,
        }];
        retiring.extend(door.paths.iter().flat_map(|paths| paths.retiring.iter().cloned()));
        retiring.retain(|retiring| now < retiring.until);
        if retiring.len() > RETIRING_MAX {
            return Err(Refused::Retiring(RETIRING_MAX));
        }
        let paths = Paths {
            current: fresh(),
            retiring,
        };
        let moved = Arc::new(Entry {
            resource: entry.resource.clone(),
            origin: entry.origin,
            made: Made::Door(Arc::new(door.moved(paths.clone()))),
            unusable: entry.unusable.clone(),
        });
        let mut shelf = Shelf::clone(&self.shelf());
        shelf.insert(Arc::clone(&moved));
        let directory = assemble::changed(
            &self.directories.current(),
            &shelf,
            &moved.resource,
            Reach::Itself,
        )
        .map_err(|unusable| Refused::Unusable(unusable.to_string()))?;
        let (resource, source) = (&moved.resource, door.source.id);
        let deed = Deed::new(resource.tenant, now, by, "source.path_rotated");
        let deed = deed.to(source, Some(&resource.name));
        let store = &self.workshop.store;
        store.set_paths(resource.tenant, source, paths, deed).await?;
        self.swap(shelf, directory);
        Ok(moved)
    }
}

fn fresh() -> Secret {
    let digits = hex::encode(crypto::random::<PATH_BYTES>());
    Secret::new(format!("{PATH_PREFIX}{digits}"))
}
