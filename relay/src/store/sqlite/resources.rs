//! Resources, sealed with their tenant's key.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::failure::Failure;
use super::job::Weight;
use super::session::Session;
use super::vault::{DataKey, Place, Vault};
use super::{SqliteStore, audit};
use crate::model::audit::Deed;
use crate::model::id::TenantId;
use crate::model::page::{LIMIT_MAX, Listed, Page};
use crate::model::resource::{Definition, Kind, Resource};
use crate::model::time::Timestamp;
use crate::store::{Error, Resources, Saved, Which};

/// What is sealed.
const DEFINITION: &str = "resources.definition";
const COLUMNS: &str =
    "id, tenant, kind, name, revision, created_at, updated_at, deleted_at, definition FROM resources";

#[async_trait]
impl Resources for SqliteStore {
    fn fresh_id(&self, now: Timestamp) -> i64 {
        self.ids.next(now)
    }

    async fn save(&self, resource: Resource, deed: Option<Deed>) -> Result<Saved, Error> {
        let key = self.key(resource.tenant).await?;
        let weight = Weight::SMALL;
        self.writer
            .run(weight, move |session| {
                let saved = save(session, &resource, &key)?;
                if let (Saved::Done, Some(deed)) = (saved, &deed) {
                    audit::note(session, deed)?;
                }
                Ok(saved)
            })
            .await
    }

    async fn resource(&self, tenant: TenantId, kind: Kind, id: i64) -> Result<Option<Resource>, Error> {
        let vault = Arc::clone(&self.vault);
        let found = move |connection: &Connection| {
            let sql = format!("SELECT {COLUMNS} WHERE id = ?1 AND tenant = ?2 AND kind = ?3");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![id, tenant.raw(), code(kind)])?;
            rows.next()?.map(|row| read(row, &vault)).transpose()
        };
        self.readers.run(found).await
    }

    async fn resources(
        &self,
        tenant: TenantId,
        kind: Kind,
        which: Which,
        page: Page,
    ) -> Result<Listed<Resource>, Error> {
        let vault = Arc::clone(&self.vault);
        self.readers
            .run(move |connection| list(connection, &vault, tenant, kind, which, page))
            .await
    }

    async fn living(&self) -> Result<Vec<Resource>, Error> {
        let vault = Arc::clone(&self.vault);
        self.readers
            .run(move |connection| {
                let sql = format!("SELECT {COLUMNS} WHERE deleted_at IS NULL ORDER BY id");
                readable(connection.prepare(&sql)?.query([])?, &vault)
            })
            .await
    }

    async fn is_deleted(&self, id: i64) -> Result<bool, Error> {
        let deleted = move |connection: &Connection| {
            let sql = "SELECT 1 FROM resources r WHERE r.id = ?1 AND (r.deleted_at IS NOT NULL OR EXISTS
                (SELECT 1 FROM resources t WHERE t.id = r.tenant AND t.kind = ?2 AND t.deleted_at IS NOT NULL))";
            Ok(connection.prepare_cached(sql)?.exists([id, code(Kind::Tenant)])?)
        };
        self.readers.run(deleted).await
    }

    async fn forget_resources(
        &self,
        deleted_before: Timestamp,
        kept_max: usize,
        limit: usize,
    ) -> Result<usize, Error> {
        let old = move |connection: &Connection| forgettable(connection, deleted_before, kept_max, limit);
        // Looked for first: most times there is none, and the writer has better to do.
        let old = self.readers.run(old).await?;
        if old.is_empty() {
            return Ok(0);
        }
        self.writer
            .run(Weight::SMALL, move |session| forget(session, &old))
            .await
    }
}

/// Deleted resources that are too old or too many.
fn forgettable(
    connection: &Connection,
    deleted_before: Timestamp,
    kept_max: usize,
    limit: usize,
) -> Result<Vec<i64>, Failure> {
    let sql = "SELECT id FROM
            (SELECT id, deleted_at, row_number() OVER
                (PARTITION BY tenant, kind ORDER BY deleted_at DESC, id DESC) AS place
             FROM resources WHERE deleted_at IS NOT NULL)
        WHERE deleted_at < ?1 OR place > ?2 LIMIT ?3";
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql)?;
    let ids = statement.query_map(
        params![deleted_before.as_millis(), count(kept_max), count(limit)],
        |row| row.get(0),
    )?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Removes resources that are still deleted, with what belonged to them.
fn forget(session: &Session<'_>, ids: &[i64]) -> Result<usize, Failure> {
    let mut forgotten = 0;
    for id in ids {
        let sql = "DELETE FROM resources WHERE id = ?1 AND deleted_at IS NOT NULL RETURNING kind";
        let gone = session
            .statement(sql)?
            .query_row([id], |row| row.get::<_, i64>(0));
        let Some(gone) = gone.optional()? else { continue };
        forgotten += 1;
        if gone == code(Kind::Tenant) {
            forget_all_of(session, *id)?;
        }
        forget_owner(session, *id)?;
    }
    Ok(forgotten)
}

/// Removes what belonged to a source or endpoint.
fn forget_owner(session: &Session<'_>, id: i64) -> Result<(), Failure> {
    for sql in [
        "DELETE FROM signing_secrets WHERE endpoint = ?1",
        "DELETE FROM retiring_secrets WHERE endpoint = ?1",
        "DELETE FROM source_paths WHERE source = ?1",
        "DELETE FROM disabled WHERE endpoint = ?1",
        "DELETE FROM failing WHERE endpoint = ?1",
        "DELETE FROM state WHERE owner = ?1",
        "DELETE FROM state_sizes WHERE owner = ?1",
    ] {
        session.statement(sql)?.execute([id])?;
    }
    Ok(())
}

/// Removes what a tenant had.
fn forget_all_of(session: &Session<'_>, tenant: i64) -> Result<(), Failure> {
    let mut statement = session.statement("DELETE FROM resources WHERE tenant = ?1 RETURNING id")?;
    let own = statement.query_map([tenant], |row| row.get(0))?;
    for id in own.collect::<Result<Vec<i64>, _>>()? {
        forget_owner(session, id)?;
    }
    for sql in [
        "DELETE FROM keys WHERE tenant = ?1",
        "DELETE FROM jobs WHERE tenant = ?1",
        "DELETE FROM inspectors WHERE tenant = ?1",
        "DELETE FROM plugins WHERE tenant = ?1",
        "DELETE FROM plugin_versions WHERE tenant = ?1",
        "DELETE FROM plugin_signatures WHERE tenant = ?1",
        "DELETE FROM looked_through WHERE tenant = ?1",
        // Their bytes are elsewhere, and go before their rows.
        "UPDATE media SET state = 2, expires_at = 0 WHERE tenant = ?1",
    ] {
        session.statement(sql)?.execute([tenant])?;
    }
    Ok(())
}

/// The largest id given to a resource; 0 without any.
pub(super) fn last(connection: &Connection) -> Result<i64, Error> {
    let last = connection.query_row("SELECT coalesce(max(id), 0) FROM resources", [], |row| row.get(0));
    Ok(last.map_err(Failure::from)?)
}

const fn code(kind: Kind) -> i64 {
    match kind {
        Kind::Source => 1,
        Kind::Endpoint => 2,
        Kind::Rule => 3,
        Kind::EventType => 4,
        Kind::Alert => 12,
        Kind::Tenant => 5,
    }
}

fn kind(stored: i64) -> Result<Kind, Failure> {
    let mut kinds = Kind::ALL.into_iter().chain([Kind::Tenant]);
    kinds
        .find(|kind| code(*kind) == stored)
        .ok_or_else(|| Failure::Corrupt(format!("there is no kind {stored} of resource")))
}

fn save(session: &Session<'_>, resource: &Resource, key: &DataKey) -> Result<Saved, Failure> {
    let stands: Option<i64> = session
        .statement("SELECT revision FROM resources WHERE id = ?1 AND tenant = ?2 AND kind = ?3")?
        .query_map(
            params![resource.id, resource.tenant.raw(), code(resource.kind)],
            |row| row.get(0),
        )?
        .next()
        .transpose()?;
    let before = i64::try_from(resource.revision).unwrap_or(i64::MAX) - 1;
    if stands.unwrap_or(0) != before {
        return Ok(Saved::Changed);
    }
    let written = session
        .statement(
            "INSERT INTO resources
                 (id, tenant, kind, name, revision, created_at, updated_at, deleted_at, definition)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id) DO UPDATE SET name = ?4, revision = ?5, updated_at = ?7, deleted_at = ?8,
                 definition = ?9",
        )?
        .execute(params![
            resource.id,
            resource.tenant.raw(),
            code(resource.kind),
            resource.name,
            before + 1,
            resource.created_at.as_millis(),
            resource.updated_at.as_millis(),
            resource.deleted_at.map(Timestamp::as_millis),
            key.seal(
                DEFINITION,
                &resource.id.to_le_bytes(),
                &write(&resource.definition)?
            ),
        ]);
    match written {
        Ok(_) => Ok(Saved::Done),
        // The one index that is unique.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Ok(Saved::NameTaken)
        }
        Err(error) => Err(error.into()),
    }
}

fn list(
    connection: &Connection,
    vault: &Vault,
    tenant: TenantId,
    kind: Kind,
    which: Which,
    page: Page,
) -> Result<Listed<Resource>, Failure> {
    let state = match which {
        Which::Living => "IS NULL",
        Which::Deleted => "IS NOT NULL",
    };
    let sql = format!(
        "SELECT {COLUMNS} WHERE tenant = ?1 AND kind = ?2 AND id < ?3 AND deleted_at {state}
         ORDER BY id DESC LIMIT ?4"
    );
    let limit = page.limit.clamp(1, LIMIT_MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query(params![
        tenant.raw(),
        code(kind),
        page.before.unwrap_or(i64::MAX),
        limit as i64 + 1
    ])?;
    let mut items = collect(rows, vault)?;
    let is_overfull = items.len() > limit;
    items.truncate(limit);
    Ok(Listed {
        next: items.last().map(|last| last.id).filter(|_| is_overfull),
        items,
    })
}

fn collect(mut rows: rusqlite::Rows<'_>, vault: &Vault) -> Result<Vec<Resource>, Failure> {
    let mut resources = Vec::new();
    while let Some(row) = rows.next()? {
        resources.push(read(row, vault)?);
    }
    Ok(resources)
}

/// Those that can be read: a damaged definition must not keep the others from being in force.
fn readable(mut rows: rusqlite::Rows<'_>, vault: &Vault) -> Result<Vec<Resource>, Failure> {
    let mut resources = Vec::new();
    while let Some(row) = rows.next()? {
        match read(row, vault) {
            Ok(resource) => resources.push(resource),
            Err(Failure::Corrupt(problem)) => {
                let (id, name): (i64, String) = (row.get(0)?, row.get(3)?);
                let (word, id) = match kind(row.get(2)?) {
                    Ok(kind) => (kind.word(), kind.id(id)),
                    Err(_) => ("resource", id.to_string()),
                };
                tracing::error!(
                    kind = word,
                    name,
                    id,
                    problem,
                    "a damaged definition is left out: take it from a backup of the store"
                );
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(resources)
}

fn read(row: &Row<'_>, vault: &Vault) -> Result<Resource, Failure> {
    let id: i64 = row.get(0)?;
    let tenant = TenantId::from_raw(row.get(1)?);
    let place = Place {
        tenant,
        column: DEFINITION,
        row: &id.to_le_bytes(),
    };
    let definition = vault.unseal(&place, row.get_ref(8)?.as_blob().map_err(rusqlite::Error::from)?)?;
    Ok(Resource {
        id,
        tenant,
        kind: kind(row.get(2)?)?,
        name: row.get(3)?,
        revision: u64::try_from(row.get::<_, i64>(4)?).unwrap_or_default(),
        created_at: Timestamp::from_millis(row.get(5)?),
        updated_at: Timestamp::from_millis(row.get(6)?),
        deleted_at: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
        definition: parse(id, &definition)?,
    })
}

/// A definition as it is sealed.
#[derive(Serialize, Deserialize)]
struct Written {
    keys: Map<String, Value>,
    secrets: Vec<String>,
}

fn write(definition: &Definition) -> Result<Vec<u8>, Failure> {
    let written = Written {
        keys: definition.keys.clone(),
        secrets: definition.secrets.clone(),
    };
    serde_json::to_vec(&written)
        .map_err(|error| Failure::Corrupt(format!("a definition is no JSON: {error}")))
}

fn parse(id: i64, bytes: &[u8]) -> Result<Definition, Failure> {
    let Written { keys, secrets } = serde_json::from_slice(bytes).map_err(|error| {
        Failure::Corrupt(format!("the definition of resource {id} does not read: {error}"))
    })?;
    Ok(Definition { keys, secrets })
}
