//! Files that plugins had the relay keep: what is known of them. Their bytes are elsewhere.
//!
//! A file begins as a row that holds room for it. Its bytes are written next, and then it is
//! there. It goes the other way round: the row says that it is to be removed, its bytes go, then
//! the row. So a crash leaves no bytes that no row knows of.

use async_trait::async_trait;

use super::Error;
use crate::model::audit::Deed;
use crate::model::id::{MediaId, TenantId};
use crate::model::page::{Listed, Page};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

/// What a file counts at least: so much of a disk even the smallest takes.
pub const MEDIA_BYTES_MIN: u64 = 4 << 10;

/// SHA-256 of a file's bytes.
pub type MediaDigest = [u8; 32];

/// A file, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaFile {
    pub id: MediaId,
    pub tenant: TenantId,
    pub digest: MediaDigest,
    pub content_type: String,
    pub bytes: u64,
    pub made_at: Timestamp,
    pub expires_at: Timestamp,
}

impl MediaFile {
    /// What it counts of the room there is.
    pub const fn counts(&self) -> u64 {
        if self.bytes < MEDIA_BYTES_MIN {
            MEDIA_BYTES_MIN
        } else {
            self.bytes
        }
    }
}

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaRoom {
    /// For each tenant.
    pub tenant_bytes_max: u64,
    /// For all of them.
    pub bytes_max: u64,
}

/// What came of asking for room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaReserved {
    /// The same bytes of this type are there already, and stay at least as long as was asked.
    There(MediaFile),
    /// There is room; the bytes are to be written before it is given up.
    Room,
    Full,
}

/// What keeps, serves and removes files asks of a store.
#[async_trait]
pub trait MediaFiles: Send + Sync {
    /// What addresses of files are signed with; the first caller's `fresh` one is kept.
    async fn media_key(&self, fresh: Secret) -> Result<Secret, Error>;

    /// Makes room for a file until `given_up`, unless its tenant has the same bytes of the same
    /// type already.
    async fn reserve_media(
        &self,
        file: MediaFile,
        room: MediaRoom,
        given_up: Timestamp,
        now: Timestamp,
    ) -> Result<MediaReserved, Error>;

    /// The bytes of a file are durable. Answers what it is kept as: another file, if the same bytes
    /// came to be there meanwhile; `None`: it was given up.
    async fn finish_media(&self, file: MediaFile, now: Timestamp) -> Result<Option<MediaFile>, Error>;

    /// Takes a file away whose bytes could not be written, unless it is there.
    async fn give_up_media(&self, id: MediaId) -> Result<(), Error>;

    /// A file that is there, whosever it is.
    async fn media_file(&self, id: MediaId) -> Result<Option<MediaFile>, Error>;

    /// The files of a tenant that are there, newest first.
    async fn media_files(&self, tenant: TenantId, page: Page) -> Result<Listed<MediaFile>, Error>;

    /// What the files of a tenant take.
    async fn media_bytes(&self, tenant: TenantId) -> Result<u64, Error>;

    /// Takes a file away and notes the deed, both or none; false if the tenant has none with that
    /// id. Its bytes are to be removed.
    async fn remove_media(&self, tenant: TenantId, id: MediaId, deed: Deed) -> Result<bool, Error>;

    /// Takes up to `limit` files away whose time is over or that were given up; answers with those,
    /// and with what was taken away before and not forgotten.
    async fn end_media(&self, now: Timestamp, limit: usize) -> Result<Vec<(TenantId, MediaId)>, Error>;

    /// Forgets files that were taken away, once their bytes are gone.
    async fn forget_media(&self, ids: Vec<MediaId>) -> Result<(), Error>;
}
