//! Files that plugins have the relay keep, for media whose own address dies: what comes in has
//! `https://media.example/1?token=…` in it, and what goes out an address of the relay's.
//!
//! A file is bytes in a [`folder`] and a row in the store. Its [`address`] is signed, so that whoever
//! has it can fetch the file until the address expires, and nobody else. What has had its time is
//! removed by [`sweep`].

pub mod address;
mod folder;
pub mod sweep;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::OnceCell;
use url::Url;

pub use folder::Folder;

use crate::clock::Clock;
use crate::model::audit::Deed;
use crate::model::id::{MediaId, TenantId};
use crate::model::page::{Listed, Page};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::plugins::services::{File, Kept, Media, MediaError};
use crate::store::seal::{KEY_BYTES, random};
use crate::store::{self, MediaDigest, MediaFile, MediaReserved, MediaRoom, Store};
use address::Signer;

/// How long the bytes of a file may take until they are on the disk.
const WRITE_MAX: Duration = Duration::from_secs(600);
/// No file is kept for less.
const TTL_MIN: Duration = Duration::from_secs(1);
/// Longest media type.
const TYPE_BYTES_MAX: usize = 100;
/// What is served as nothing in particular.
const ANY_TYPE: &str = "application/octet-stream";

/// What bounds the files, and where they are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `None`: nowhere.
    pub folder: Option<Folder>,
    /// What addresses begin with; `None`: nobody outside could reach them.
    pub public_url: Option<Url>,
    pub file_bytes_max: usize,
    /// How long a file is kept for which nobody says otherwise.
    pub ttl: Duration,
    /// How long one is kept at most.
    pub ttl_max: Duration,
    pub room: MediaRoom,
}

/// Keeps files, and gives them out.
pub struct Keeper {
    settings: Settings,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    signer: OnceCell<Signer>,
}

impl Keeper {
    /// Keeps files as these settings say.
    pub fn new(settings: Settings, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            settings,
            store,
            clock,
            signer: OnceCell::new(),
        }
    }

    /// What bounds the files.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A file that is there, whosever it is.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn file(&self, id: MediaId) -> Result<Option<MediaFile>, store::Error> {
        self.store.media_file(id).await
    }

    /// The files of a tenant, newest first.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn files(&self, tenant: TenantId, page: Page) -> Result<Listed<MediaFile>, store::Error> {
        self.store.media_files(tenant, page).await
    }

    /// The bytes of a file, to be read from its beginning; `None`: they are not there, or not as
    /// many as there were.
    ///
    /// # Errors
    /// The disk does not answer.
    pub async fn open(&self, file: &MediaFile) -> std::io::Result<Option<tokio::fs::File>> {
        match &self.settings.folder {
            Some(folder) => folder.open(file.id, file.bytes).await,
            None => Ok(None),
        }
    }

    /// Removes a file of a tenant; false if it has none with that id.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn remove(&self, tenant: TenantId, id: MediaId, deed: Deed) -> Result<bool, store::Error> {
        let removed = self.store.remove_media(tenant, id, deed).await?;
        if removed {
            self.discard(vec![id]).await;
        }
        Ok(removed)
    }

    /// Whether an address was signed by this relay.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn is_genuine(&self, id: MediaId, expires: i64, signature: &str) -> Result<bool, store::Error> {
        Ok(self.signer().await?.is_genuine(id, expires, signature))
    }

    async fn signer(&self) -> Result<&Signer, store::Error> {
        let make = || async {
            let fresh = Secret::new(URL_SAFE_NO_PAD.encode(random::<KEY_BYTES>()));
            let key = self.store.media_key(fresh).await?;
            Ok(Signer::new(&key))
        };
        self.signer.get_or_try_init(make).await
    }

    /// Removes the bytes of files that were taken away, and forgets those whose bytes are gone; how
    /// many. The others are tried again later.
    async fn discard(&self, ids: Vec<MediaId>) -> usize {
        let mut gone = Vec::with_capacity(ids.len());
        for id in ids {
            match &self.settings.folder {
                Some(folder) => match folder.remove(id).await {
                    Ok(()) => gone.push(id),
                    Err(error) => {
                        tracing::warn!(%error, file = %id, "a file that is over could not be removed; trying again");
                    }
                },
                None => gone.push(id),
            }
        }
        let count = gone.len();
        if let Err(error) = self.store.forget_media(gone).await {
            tracing::warn!(%error, "files that were removed could not be forgotten; trying again");
            return 0;
        }
        count
    }

    /// Writes the bytes of a file for which there is room, and has it be there.
    async fn write(&self, folder: &Folder, wanted: MediaFile, file: File) -> Result<MediaFile, MediaError> {
        let id = wanted.id;
        if let Err(error) = folder.write(id, file.bytes).await {
            tracing::error!(%error, file = %id, "a file could not be written");
            if self.store.give_up_media(id).await.is_ok() {
                self.discard(vec![id]).await;
            }
            return Err(MediaError::Unavailable(format!(
                "it could not be written: {error}"
            )));
        }
        let kept = self.store.finish_media(wanted, self.clock.now()).await?;
        // The same bytes came to be there while these were written.
        if kept.as_ref().is_some_and(|kept| kept.id != id) {
            self.discard(vec![id]).await;
        }
        kept.ok_or_else(|| MediaError::Unavailable("writing it took too long".to_owned()))
    }

    /// Has the bytes of a file be there that the store has: somebody may have removed them.
    async fn restore(&self, folder: &Folder, there: &MediaFile, file: File) -> Result<(), MediaError> {
        let failed =
            |error: std::io::Error| MediaError::Unavailable(format!("it could not be written: {error}"));
        match folder.open(there.id, there.bytes).await.map_err(failed)? {
            Some(_) => Ok(()),
            None => folder.write(there.id, file.bytes).await.map_err(failed),
        }
    }

    fn wanted(&self, tenant: TenantId, file: &File, now: Timestamp) -> MediaFile {
        let ttl = file.ttl.unwrap_or(self.settings.ttl);
        MediaFile {
            id: MediaId::from_raw(self.store.fresh_id(now)),
            tenant,
            digest: digest_of(&file.bytes),
            content_type: essence(&file.content_type),
            bytes: file.bytes.len() as u64,
            made_at: now,
            expires_at: whole_second(now + ttl.clamp(TTL_MIN, self.settings.ttl_max)),
        }
    }
}

#[async_trait]
impl Media for Keeper {
    async fn keep(&self, tenant: TenantId, file: File) -> Result<Kept, MediaError> {
        let denied = |what: &str| MediaError::Denied(what.to_owned());
        let base = self.settings.public_url.as_ref().ok_or_else(|| {
            denied("nobody outside could reach the file: the operator has to set server.public_url")
        })?;
        let folder = self
            .settings
            .folder
            .as_ref()
            .ok_or_else(|| denied("there is no place for files: the operator has to set media.folder"))?;
        if file.bytes.len() > self.settings.file_bytes_max {
            return Err(MediaError::TooLarge(self.settings.file_bytes_max));
        }
        let signer = self.signer().await?;
        let now = self.clock.now();
        let wanted = self.wanted(tenant, &file, now);
        let expires = wanted.expires_at;
        let room = self.settings.room;
        let size = u32::try_from(file.bytes.len()).unwrap_or(u32::MAX);
        let reserved = self
            .store
            .reserve_media(wanted.clone(), room, now + WRITE_MAX, now);
        let kept = match reserved.await? {
            MediaReserved::There(there) => {
                self.restore(folder, &there, file).await?;
                there
            }
            MediaReserved::Room => self.write(folder, wanted, file).await?,
            MediaReserved::Full => return Err(MediaError::QuotaExceeded),
        };
        Ok(Kept {
            url: signer.address(base, kept.id, expires),
            expires,
            size,
        })
    }
}

impl From<store::Error> for MediaError {
    fn from(error: store::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

fn digest_of(bytes: &[u8]) -> MediaDigest {
    let mut found = MediaDigest::default();
    found.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    found
}

/// Addresses tell seconds.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_secs() * 1000)
}

/// A media type without parameters, in lower case; what is none is nothing in particular.
fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let is_token = |text: &str| {
        let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !text.is_empty() && text.bytes().all(is_of_token)
    };
    let is_type = essence
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    match is_type && essence.len() <= TYPE_BYTES_MAX {
        true => essence,
        false => ANY_TYPE.to_owned(),
    }
}

#[cfg(test)]
mod tests;
