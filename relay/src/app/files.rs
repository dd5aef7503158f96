//! Where the files are that plugins have the relay keep.

use crate::config::{Config, Place};
use crate::media;
use crate::store::MediaRoom;

/// Files live beside the store; without one on a disk they have no place but the one they are given.
pub(super) fn settings(config: &Config) -> media::Settings {
    let beside_store = match &config.store.place {
        Place::Sqlite(path) => Some(path.with_file_name("media")),
        Place::Memory => None,
    };
    let given = &config.media;
    media::Settings {
        folder: given.folder.clone().or(beside_store).map(media::Folder::new),
        public_url: config.server.public_url.clone(),
        file_bytes_max: given.file_bytes_max,
        ttl: given.ttl,
        ttl_max: given.ttl_max,
        room: MediaRoom {
            tenant_bytes_max: given.tenant_bytes_max,
            bytes_max: given.bytes_max,
        },
    }
}
