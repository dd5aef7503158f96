//! Where sources are reached whose paths were rotated, sealed with their tenant's key.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::job::Weight;
use super::session::Session;
use super::vault::{DataKey, Place, Vault};
use super::{SqliteStore, audit};
use crate::model::audit::Deed;
use crate::model::id::{SourceId, TenantId};
use crate::model::path::{Paths, RetiringPath};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::{Error, SourcePaths};

/// What is sealed.
const PATHS: &str = "source_paths.paths";

#[async_trait]
impl SourcePaths for SqliteStore {
    async fn paths(&self, source: SourceId) -> Result<Option<Paths>, Error> {
        let vault = Arc::clone(&self.vault);
        self.readers
            .run(move |connection| read(connection, source, &vault))
            .await
    }

    async fn set_paths(
        &self,
        tenant: TenantId,
        source: SourceId,
        paths: Paths,
        deed: Deed,
    ) -> Result<(), Error> {
        let key = self.key(tenant).await?;
        self.writer
            .run(Weight::SMALL, move |session| {
                keep(session, source, &paths, &key)?;
                audit::note(session, &deed)
            })
            .await
    }
}

/// As it is sealed.
#[derive(Serialize, Deserialize)]
struct Written {
    current: String,
    retiring: Vec<WrittenRetiring>,
}

#[derive(Serialize, Deserialize)]
struct WrittenRetiring {
    path: Option<String>,
    until: i64,
}

fn keep(session: &Session<'_>, source: SourceId, paths: &Paths, key: &DataKey) -> Result<(), Failure> {
    let retiring = paths.retiring.iter().map(|retiring| WrittenRetiring {
        path: retiring.path.as_ref().map(|path| path.reveal().to_owned()),
        until: retiring.until.as_millis(),
    });
    let written = Written {
        current: paths.current.reveal().to_owned(),
        retiring: retiring.collect(),
    };
    let json = serde_json::to_vec(&written)
        .map_err(|error| Failure::Corrupt(format!("paths are no JSON: {error}")))?;
    session
        .statement("INSERT OR REPLACE INTO source_paths (source, tenant, paths) VALUES (?1, ?2, ?3)")?
        .execute(params![
            source.raw(),
            key.tenant().raw(),
            key.seal(PATHS, &source.raw().to_le_bytes(), &json),
        ])?;
    Ok(())
}

fn read(connection: &Connection, source: SourceId, vault: &Vault) -> Result<Option<Paths>, Failure> {
    let found = connection
        .prepare_cached("SELECT tenant, paths FROM source_paths WHERE source = ?1")?
        .query_row([source.raw()], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    let Some((tenant, sealed)) = found else {
        return Ok(None);
    };
    let place = Place {
        tenant: TenantId::from_raw(tenant),
        column: PATHS,
        row: &source.raw().to_le_bytes(),
    };
    let written: Written = serde_json::from_slice(&vault.unseal(&place, &sealed)?)
        .map_err(|error| Failure::Corrupt(format!("a sealed value of {PATHS} does not read: {error}")))?;
    let retiring = written.retiring.into_iter().map(|written| RetiringPath {
        path: written.path.map(Secret::new),
        until: Timestamp::from_millis(written.until),
    });
    Ok(Some(Paths {
        current: Secret::new(written.current),
        retiring: retiring.collect(),
    }))
}
