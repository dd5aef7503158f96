//! Files that plugins had the relay keep: what is known of them, but not their bytes.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::failure::Failure;
use super::job::Weight;
use super::session::Session;
use super::vault::{DataKey, Place, Vault};
use super::{SqliteStore, audit};
use crate::model::audit::Deed;
use crate::model::id::{MediaId, TenantId};
use crate::model::page::{LIMIT_MAX, Listed, Page};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::{Error, MEDIA_BYTES_MIN, MediaFile, MediaFiles, MediaReserved, MediaRoom};

/// What is sealed.
const KEY: &str = "media_keys.key";
/// What tells its row from others, of which there are none.
const KEY_ROW: &[u8] = &[];

const COLUMNS: &str = "id, tenant, digest, content_type, bytes, made_at, expires_at FROM media";

// Where a file has come to.
const BEING_WRITTEN: i64 = 0;
const THERE: i64 = 1;
const TO_BE_REMOVED: i64 = 2;

#[async_trait]
impl MediaFiles for SqliteStore {
    async fn media_key(&self, fresh: Secret) -> Result<Secret, Error> {
        let vault = Arc::clone(&self.vault);
        let known = self
            .readers
            .run(move |connection| signing_key(connection, &vault))
            .await?;
        if let Some(known) = known {
            return Ok(known);
        }
        let (key, vault) = (self.key(TenantId::DEFAULT).await?, Arc::clone(&self.vault));
        self.writer
            .run(Weight::SMALL, move |session| {
                keep_signing_key(session, &fresh, &key)?;
                signing_key(session.connection(), &vault)?.ok_or_else(|| {
                    Failure::Corrupt("a key for media that was just kept is not there".to_owned())
                })
            })
            .await
    }

    async fn reserve_media(
        &self,
        file: MediaFile,
        room: MediaRoom,
        given_up: Timestamp,
        now: Timestamp,
    ) -> Result<MediaReserved, Error> {
        self.writer
            .run(Weight::SMALL, move |session| {
                reserve(session, &file, room, given_up, now)
            })
            .await
    }

    async fn finish_media(&self, file: MediaFile, now: Timestamp) -> Result<Option<MediaFile>, Error> {
        self.writer
            .run(Weight::SMALL, move |session| finish(session, &file, now))
            .await
    }

    async fn give_up_media(&self, id: MediaId) -> Result<(), Error> {
        self.writer
            .run(Weight::SMALL, move |session| {
                let sql = format!(
                    "UPDATE media SET state = {TO_BE_REMOVED}, expires_at = 0
                     WHERE id = ?1 AND state = {BEING_WRITTEN}"
                );
                session.statement(&sql)?.execute([id.raw()])?;
                Ok(())
            })
            .await
    }

    async fn media_file(&self, id: MediaId) -> Result<Option<MediaFile>, Error> {
        self.readers
            .run(move |connection| {
                let sql = format!("SELECT {COLUMNS} WHERE id = ?1 AND state = {THERE}");
                let mut statement = connection.prepare_cached(&sql)?;
                Ok(statement.query_row([id.raw()], read).optional()?)
            })
            .await
    }

    async fn media_files(&self, tenant: TenantId, page: Page) -> Result<Listed<MediaFile>, Error> {
        self.readers
            .run(move |connection| list(connection, tenant, page))
            .await
    }

    async fn media_bytes(&self, tenant: TenantId) -> Result<u64, Error> {
        self.readers
            .run(move |connection| bytes(connection, "WHERE tenant = ?1", &[tenant.raw()]))
            .await
    }

    async fn remove_media(&self, tenant: TenantId, id: MediaId, deed: Deed) -> Result<bool, Error> {
        self.writer
            .run(Weight::SMALL, move |session| {
                let sql = format!(
                    "UPDATE media SET state = {TO_BE_REMOVED}, expires_at = 0
                     WHERE id = ?1 AND tenant = ?2 AND state = {THERE}"
                );
                let removed = session.statement(&sql)?.execute([id.raw(), tenant.raw()])?;
                if removed == 1 {
                    audit::note(session, &deed)?;
                }
                Ok(removed == 1)
            })
            .await
    }

    async fn end_media(&self, now: Timestamp, limit: usize) -> Result<Vec<(TenantId, MediaId)>, Error> {
        let now = now.as_millis();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // Looked for first: most times there is none, and the writer has better to do.
        let are_some = move |connection: &Connection| {
            let sql = "SELECT 1 FROM media WHERE expires_at <= ?1";
            Ok(connection.prepare_cached(sql)?.exists([now])?)
        };
        if !self.readers.run(are_some).await? {
            return Ok(Vec::new());
        }
        self.writer
            .run(Weight::SMALL, move |session| {
                // At 0 they come first until they are forgotten, whatever becomes of the clock.
                let sql = format!(
                    "UPDATE media SET state = {TO_BE_REMOVED}, expires_at = 0 WHERE id IN
                         (SELECT id FROM media WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
                     RETURNING tenant, id"
                );
                let mut statement = session.statement(&sql)?;
                let ended = statement.query_map([now, limit], |row| {
                    Ok((TenantId::from_raw(row.get(0)?), MediaId::from_raw(row.get(1)?)))
                })?;
                Ok(ended.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn forget_media(&self, ids: Vec<MediaId>) -> Result<(), Error> {
        self.writer
            .run(Weight::SMALL, move |session| {
                ids.iter().try_for_each(|id| forget(session, *id))
            })
            .await
    }
}

fn reserve(
    session: &Session<'_>,
    file: &MediaFile,
    room: MediaRoom,
    given_up: Timestamp,
    now: Timestamp,
) -> Result<MediaReserved, Failure> {
    if let Some(there) = same(session, file, now)? {
        return Ok(MediaReserved::There(there));
    }
    let connection = session.connection();
    let own = bytes(connection, "WHERE tenant = ?1", &[file.tenant.raw()])?;
    let all = bytes(connection, "", &[])?;
    let is_over = |used: u64, max: u64| used.saturating_add(file.counts()) > max;
    if is_over(own, room.tenant_bytes_max) || is_over(all, room.bytes_max) {
        return Ok(MediaReserved::Full);
    }
    session
        .statement(
            "INSERT INTO media (id, tenant, state, digest, content_type, bytes, made_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            file.id.raw(),
            file.tenant.raw(),
            BEING_WRITTEN,
            file.digest,
            file.content_type,
            whole(file.bytes),
            file.made_at.as_millis(),
            given_up.as_millis(),
        ])?;
    let sql = "INSERT INTO media_sizes (tenant, bytes) VALUES (?1, ?2)
               ON CONFLICT (tenant) DO UPDATE SET bytes = bytes + ?2";
    session
        .statement(sql)?
        .execute([file.tenant.raw(), whole(file.counts())])?;
    Ok(MediaReserved::Room)
}

fn finish(session: &Session<'_>, file: &MediaFile, now: Timestamp) -> Result<Option<MediaFile>, Failure> {
    let same = same(session, file, now)?;
    let (state, ends) = match same {
        Some(_) => (TO_BE_REMOVED, 0),
        None => (THERE, file.expires_at.as_millis()),
    };
    let sql = "UPDATE media SET state = ?3, expires_at = ?4 WHERE id = ?1 AND state = ?2";
    let finished = session
        .statement(sql)?
        .execute([file.id.raw(), BEING_WRITTEN, state, ends])?;
    Ok((finished == 1).then(|| same.unwrap_or_else(|| file.clone())))
}

/// The file with the same bytes of the same type, which from now on is kept as long as this one.
fn same(session: &Session<'_>, file: &MediaFile, now: Timestamp) -> Result<Option<MediaFile>, Failure> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE tenant = ?1 AND digest = ?2 AND content_type = ?3 AND state = {THERE}
         AND expires_at > ?4"
    );
    let found = session
        .statement(&sql)?
        .query_row(
            params![file.tenant.raw(), file.digest, file.content_type, now.as_millis()],
            read,
        )
        .optional()?;
    let Some(mut there) = found else { return Ok(None) };
    if there.expires_at < file.expires_at {
        there.expires_at = file.expires_at;
        session
            .statement("UPDATE media SET expires_at = ?2 WHERE id = ?1")?
            .execute([there.id.raw(), there.expires_at.as_millis()])?;
    }
    Ok(Some(there))
}

fn forget(session: &Session<'_>, id: MediaId) -> Result<(), Failure> {
    let sql = format!("DELETE FROM media WHERE id = ?1 AND state = {TO_BE_REMOVED} RETURNING tenant, bytes");
    let gone: Option<(i64, i64)> = session
        .statement(&sql)?
        .query_row([id.raw()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((tenant, bytes)) = gone else {
        return Ok(());
    };
    session
        .statement("UPDATE media_sizes SET bytes = bytes - ?2 WHERE tenant = ?1")?
        .execute([tenant, bytes.max(whole(MEDIA_BYTES_MIN))])?;
    session
        .statement("DELETE FROM media_sizes WHERE tenant = ?1 AND bytes <= 0")?
        .execute([tenant])?;
    Ok(())
}

fn list(connection: &Connection, tenant: TenantId, page: Page) -> Result<Listed<MediaFile>, Failure> {
    let limit = page.limit.clamp(1, LIMIT_MAX);
    let sql = format!(
        "SELECT {COLUMNS} WHERE tenant = ?1 AND id < ?2 AND state = {THERE} ORDER BY id DESC LIMIT ?3"
    );
    let before = page.before.unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([tenant.raw(), before, limit as i64 + 1], read)?;
    let mut items: Vec<_> = rows.collect::<Result<_, _>>()?;
    let is_overfull = items.len() > limit;
    items.truncate(limit);
    Ok(Listed {
        next: items.last().map(|last| last.id.raw()).filter(|_| is_overfull),
        items,
    })
}

fn bytes(connection: &Connection, of: &str, tenant: &[i64]) -> Result<u64, Failure> {
    let sql = format!("SELECT coalesce(sum(bytes), 0) FROM media_sizes {of}");
    let params = rusqlite::params_from_iter(tenant);
    let sum: i64 = connection
        .prepare_cached(&sql)?
        .query_row(params, |row| row.get(0))?;
    Ok(u64::try_from(sum).unwrap_or_default())
}

fn read(row: &Row<'_>) -> rusqlite::Result<MediaFile> {
    Ok(MediaFile {
        id: MediaId::from_raw(row.get(0)?),
        tenant: TenantId::from_raw(row.get(1)?),
        digest: row.get(2)?,
        content_type: row.get(3)?,
        bytes: row.get::<_, i64>(4)?.unsigned_abs(),
        made_at: Timestamp::from_millis(row.get(5)?),
        expires_at: Timestamp::from_millis(row.get(6)?),
    })
}

fn whole(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn keep_signing_key(session: &Session<'_>, fresh: &Secret, key: &DataKey) -> Result<(), Failure> {
    let sealed = key.seal(KEY, KEY_ROW, fresh.reveal().as_bytes());
    session
        .statement("INSERT INTO media_keys (id, key) VALUES (1, ?1) ON CONFLICT DO NOTHING")?
        .execute([sealed])?;
    Ok(())
}

fn signing_key(connection: &Connection, vault: &Vault) -> Result<Option<Secret>, Failure> {
    let sealed: Option<Vec<u8>> = connection
        .prepare_cached("SELECT key FROM media_keys")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(sealed) = sealed else { return Ok(None) };
    let place = Place {
        tenant: TenantId::DEFAULT,
        column: KEY,
        row: KEY_ROW,
    };
    let text = String::from_utf8(vault.unseal(&place, &sealed)?);
    text.map(|text| Some(Secret::new(text)))
        .map_err(|_| Failure::Corrupt(format!("a sealed value of {KEY} is no text")))
}

/// The largest id given to a file; 0 without any.
pub(super) fn last(connection: &Connection) -> Result<i64, Error> {
    let last = connection.query_row("SELECT coalesce(max(id), 0) FROM media", [], |row| row.get(0));
    Ok(last.map_err(Failure::from)?)
}
