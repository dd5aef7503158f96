//! Files that plugins had the relay keep.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::events::list;
use super::{MemoryStore, Tables};
use crate::model::audit::Deed;
use crate::model::id::{MediaId, TenantId};
use crate::model::page::{Listed, Page};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::{Error, MediaFile, MediaFiles, MediaReserved, MediaRoom};

/// Where a file has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BeingWritten,
    There,
    ToBeRemoved,
}

/// All files, and what their addresses are signed with.
#[derive(Debug, Default)]
pub(super) struct Kept {
    files: BTreeMap<MediaId, (State, MediaFile)>,
    key: Option<Secret>,
}

impl Kept {
    /// What the files of a tenant take, or those of all.
    fn bytes(&self, tenant: Option<TenantId>) -> u64 {
        let files = self.files.values().map(|(_, file)| file);
        let of = files.filter(|file| tenant.is_none_or(|tenant| file.tenant == tenant));
        of.map(MediaFile::counts).sum()
    }

    /// The file with the same bytes of the same type that is there.
    fn same(&mut self, file: &MediaFile, now: Timestamp) -> Option<&mut MediaFile> {
        let there = self
            .files
            .values_mut()
            .filter(|(state, _)| *state == State::There);
        there
            .map(|(_, there)| there)
            .filter(|there| there.expires_at > now && there.tenant == file.tenant)
            .find(|there| there.digest == file.digest && there.content_type == file.content_type)
    }
}

impl Tables {
    /// Whose file that is.
    pub(super) fn owner_of_media(&self, id: MediaId) -> Option<TenantId> {
        self.media.files.get(&id).map(|(_, file)| file.tenant)
    }

    /// Takes the files of a tenant away.
    pub(super) fn end_media_of(&mut self, tenant: TenantId) {
        let files = self.media.files.values_mut();
        files
            .filter(|(_, file)| file.tenant == tenant)
            .for_each(|(state, _)| *state = State::ToBeRemoved);
    }
}

#[async_trait]
impl MediaFiles for MemoryStore {
    async fn media_key(&self, fresh: Secret) -> Result<Secret, Error> {
        Ok(self.tables().media.key.get_or_insert(fresh).clone())
    }

    async fn reserve_media(
        &self,
        file: MediaFile,
        room: MediaRoom,
        given_up: Timestamp,
        now: Timestamp,
    ) -> Result<MediaReserved, Error> {
        let mut tables = self.tables();
        if let Some(there) = tables.media.same(&file, now) {
            there.expires_at = there.expires_at.max(file.expires_at);
            return Ok(MediaReserved::There(there.clone()));
        }
        let own = tables.media.bytes(Some(file.tenant)) + file.counts();
        let all = tables.media.bytes(None) + file.counts();
        if own > room.tenant_bytes_max || all > room.bytes_max {
            return Ok(MediaReserved::Full);
        }
        let reserved = MediaFile {
            expires_at: given_up,
            ..file
        };
        tables
            .media
            .files
            .insert(reserved.id, (State::BeingWritten, reserved));
        Ok(MediaReserved::Room)
    }

    async fn finish_media(&self, file: MediaFile, now: Timestamp) -> Result<Option<MediaFile>, Error> {
        let mut tables = self.tables();
        let same = tables.media.same(&file, now).map(|there| {
            there.expires_at = there.expires_at.max(file.expires_at);
            there.clone()
        });
        let Some((state, reserved)) = tables.media.files.get_mut(&file.id) else {
            return Ok(None);
        };
        if *state != State::BeingWritten {
            return Ok(None);
        }
        *state = match same {
            Some(_) => State::ToBeRemoved,
            None => State::There,
        };
        reserved.expires_at = file.expires_at;
        Ok(Some(same.unwrap_or(file)))
    }

    async fn give_up_media(&self, id: MediaId) -> Result<(), Error> {
        let mut tables = self.tables();
        if let Some((state @ State::BeingWritten, _)) = tables.media.files.get_mut(&id) {
            *state = State::ToBeRemoved;
        }
        Ok(())
    }

    async fn media_file(&self, id: MediaId) -> Result<Option<MediaFile>, Error> {
        let tables = self.tables();
        let found = tables.media.files.get(&id);
        let there = found.filter(|(state, _)| *state == State::There);
        Ok(there.map(|(_, file)| file.clone()))
    }

    async fn media_files(&self, tenant: TenantId, page: Page) -> Result<Listed<MediaFile>, Error> {
        let tables = self.tables();
        let below = MediaId::from_raw(page.before.unwrap_or(i64::MAX));
        let wanted = tables.media.files.range(..below).rev();
        let wanted = wanted.filter(|(_, (state, file))| *state == State::There && file.tenant == tenant);
        Ok(list(wanted.map(|(id, (_, file))| (id.raw(), file.clone())), page))
    }

    async fn media_bytes(&self, tenant: TenantId) -> Result<u64, Error> {
        Ok(self.tables().media.bytes(Some(tenant)))
    }

    async fn remove_media(&self, tenant: TenantId, id: MediaId, deed: Deed) -> Result<bool, Error> {
        let mut tables = self.tables();
        let is_there = |(state, file): &(State, MediaFile)| *state == State::There && file.tenant == tenant;
        if !tables.media.files.get(&id).is_some_and(is_there) {
            return Ok(false);
        }
        tables.note(deed)?;
        if let Some((state, _)) = tables.media.files.get_mut(&id) {
            *state = State::ToBeRemoved;
        }
        Ok(true)
    }

    async fn end_media(&self, now: Timestamp, limit: usize) -> Result<Vec<(TenantId, MediaId)>, Error> {
        let mut tables = self.tables();
        let files = tables.media.files.values_mut();
        let over = files.filter(|(state, file)| *state == State::ToBeRemoved || file.expires_at <= now);
        let ended = over.take(limit).map(|(state, file)| {
            *state = State::ToBeRemoved;
            (file.tenant, file.id)
        });
        Ok(ended.collect())
    }

    async fn forget_media(&self, ids: Vec<MediaId>) -> Result<(), Error> {
        let mut tables = self.tables();
        let gone = |id: &MediaId, state: State| state == State::ToBeRemoved && ids.contains(id);
        tables.media.files.retain(|id, (state, _)| !gone(id, *state));
        Ok(())
    }
}
