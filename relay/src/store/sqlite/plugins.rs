//! Plugins that were uploaded. Not sealed: a component is code, and its version shows whether it is
//! what was uploaded.

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::failure::{Failure, readable};
use super::job::Weight;
use super::session::Session;
use super::{SqliteStore, audit};
use crate::model::audit::Deed;
use crate::model::id::{KeyId, TenantId};
use crate::model::plugin::Version;
use crate::model::publisher::Signatures;
use crate::model::time::Timestamp;
use crate::store::{Error, NewVersion, PluginChange, Uploaded, UploadedVersion, Uploads};

#[async_trait]
impl Uploads for SqliteStore {
    async fn uploaded(&self) -> Result<Vec<Uploaded>, Error> {
        self.readers.run(uploaded).await
    }

    async fn change_plugin(&self, change: PluginChange, deed: Deed) -> Result<(), Error> {
        let added = change.added.as_ref();
        let weight = Weight {
            bytes: Weight::SMALL.bytes + added.map_or(0, |added| added.component.len() + added.about.len()),
            ..Weight::SMALL
        };
        self.writer
            .run(weight, move |session| {
                change_plugin(session, &change)?;
                audit::note(session, &deed)
            })
            .await
    }

    async fn about(&self, tenant: TenantId, name: &str, version: Version) -> Result<Option<String>, Error> {
        let sql = "SELECT about FROM plugin_versions WHERE tenant = ?1 AND name = ?2 AND version = ?3";
        self.readers.run(one(sql, tenant, name, version)).await
    }

    async fn component(
        &self,
        tenant: TenantId,
        name: &str,
        version: Version,
    ) -> Result<Option<Bytes>, Error> {
        let sql = "SELECT component FROM plugin_versions WHERE tenant = ?1 AND name = ?2 AND version = ?3";
        let found: Option<Vec<u8>> = self.readers.run(one(sql, tenant, name, version)).await?;
        Ok(found.map(Bytes::from))
    }
}

/// Reads one column of a version.
fn one<T: rusqlite::types::FromSql>(
    sql: &'static str,
    tenant: TenantId,
    name: &str,
    version: Version,
) -> impl FnOnce(&Connection) -> Result<Option<T>, Failure> + Send + use<T> {
    let name = name.to_owned();
    move |connection| {
        let mut statement = connection.prepare_cached(sql)?;
        let of = params![tenant.raw(), name, version.as_bytes()];
        Ok(statement.query_row(of, |row| row.get(0)).optional()?)
    }
}

fn change_plugin(session: &Session<'_>, change: &PluginChange) -> Result<(), Failure> {
    let (tenant, name) = (change.tenant.raw(), &change.name);
    if change.history.is_empty() {
        for sql in [
            "DELETE FROM plugins WHERE tenant = ?1 AND name = ?2",
            "DELETE FROM plugin_versions WHERE tenant = ?1 AND name = ?2",
            "DELETE FROM plugin_signatures WHERE tenant = ?1 AND name = ?2",
        ] {
            session.statement(sql)?.execute(params![tenant, name])?;
        }
        return Ok(());
    }
    if let Some(removed) = &change.removed {
        for sql in [
            "DELETE FROM plugin_versions WHERE tenant = ?1 AND name = ?2 AND version = ?3",
            "DELETE FROM plugin_signatures WHERE tenant = ?1 AND name = ?2 AND version = ?3",
        ] {
            let of = params![tenant, name, removed.as_bytes()];
            session.statement(sql)?.execute(of)?;
        }
    }
    if let Some(NewVersion {
        kept,
        about,
        component,
    }) = &change.added
    {
        session
            .statement(
                "INSERT INTO plugin_versions (tenant, name, version, made_at, made_by, about, component)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                tenant,
                name,
                kept.version.as_bytes(),
                kept.made_at.as_millis(),
                kept.made_by.map(KeyId::raw),
                about,
                &component[..],
            ])?;
        if let Some(signatures) = &kept.signatures {
            keep_signatures(session, change, kept.version, signatures)?;
        }
    }
    if let Some((version, signatures)) = &change.signed {
        keep_signatures(session, change, *version, signatures)?;
    }
    let history: Vec<u8> = change
        .history
        .iter()
        .flat_map(|version| *version.as_bytes())
        .collect();
    session
        .statement(
            "INSERT INTO plugins (tenant, name, history, tags, rollouts) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (tenant, name) DO UPDATE SET history = ?3, tags = ?4, rollouts = ?5",
        )?
        .execute(params![
            tenant,
            name,
            history,
            json(&change.tags)?,
            json(&change.rollouts)?
        ])?;
    Ok(())
}

fn keep_signatures(
    session: &Session<'_>,
    change: &PluginChange,
    version: Version,
    signatures: &Signatures,
) -> Result<(), Failure> {
    let (tenant, name) = (change.tenant.raw(), &change.name);
    session
        .statement(
            "INSERT INTO plugin_signatures (tenant, name, version, signatures) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (tenant, name, version) DO UPDATE SET signatures = ?4",
        )?
        .execute(params![tenant, name, version.as_bytes(), signatures.to_string()])?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::Corrupt(format!("it is no JSON: {error}")))
}

fn uploaded(connection: &Connection) -> Result<Vec<Uploaded>, Failure> {
    let mut statement = connection.prepare("SELECT tenant, name, history, tags, rollouts FROM plugins")?;
    let mut rows = statement.query([])?;
    let mut plugins = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        plugins.extend(readable(
            plugin(connection, row).map(Some),
            format_args!("the plugin {name}"),
        )?);
    }
    Ok(plugins)
}

fn plugin(connection: &Connection, row: &Row<'_>) -> Result<Uploaded, Failure> {
    let (tenant, name): (i64, String) = (row.get(0)?, row.get(1)?);
    let history = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
    let (history, []) = history.as_chunks::<{ Version::BYTES }>() else {
        return Err(Failure::Corrupt(
            "what was promoted of it is no list of digests".to_owned(),
        ));
    };
    if history.is_empty() {
        return Err(Failure::Corrupt("no version of it was promoted".to_owned()));
    }
    let mut statement = connection.prepare_cached(
        "SELECT v.version, made_at, made_by, length(component), signatures FROM plugin_versions v
         LEFT JOIN plugin_signatures s
             ON s.tenant = v.tenant AND s.name = v.name AND s.version = v.version
         WHERE v.tenant = ?1 AND v.name = ?2 ORDER BY id DESC",
    )?;
    let versions = statement.query_map(params![tenant, name], |row| {
        Ok(UploadedVersion {
            version: Version::from_bytes(row.get(0)?),
            made_at: Timestamp::from_millis(row.get(1)?),
            made_by: row.get::<_, Option<i64>>(2)?.map(KeyId::from_raw),
            bytes: row.get::<_, i64>(3)?.unsigned_abs(),
            // What is damaged counts as not signed.
            signatures: row
                .get::<_, Option<String>>(4)?
                .and_then(|text| text.parse().ok()),
        })
    })?;
    let (tags, rollouts): (String, String) = (row.get(3)?, row.get(4)?);
    let damaged = |error: serde_json::Error| Failure::Corrupt(format!("its tags or roll-outs: {error}"));
    Ok(Uploaded {
        versions: versions.collect::<Result<_, _>>()?,
        history: history
            .iter()
            .map(|digest| Version::from_bytes(*digest))
            .collect(),
        tags: serde_json::from_str(&tags).map_err(damaged)?,
        rollouts: serde_json::from_str(&rollouts).map_err(damaged)?,
        tenant: TenantId::from_raw(tenant),
        name,
    })
}
