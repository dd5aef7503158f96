//! Replies, sealed with their tenant's key: they may hold secrets that are shown once, and what
//! was asked for may be guessed from a bare digest.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::SqliteStore;
use super::failure::Failure;
use super::job::{Urgency, Weight};
use super::session::Session;
use super::vault::{DataKey, Place, Vault};
use crate::model::time::Timestamp;
use crate::store::{Claimed, Error, Fingerprint, REPLIES_MAX, Replies, Reply, RequestName};

/// What is sealed.
const CONTENT: &str = "replies.content";

#[async_trait]
impl Replies for SqliteStore {
    async fn claim_name(
        &self,
        name: RequestName,
        fingerprint: Fingerprint,
        now: Timestamp,
    ) -> Result<Claimed, Error> {
        let key = self.key(name.tenant).await?;
        let vault = Arc::clone(&self.vault);
        let claim = move |session: &mut Session<'_>| claim(session, &vault, &key, name, fingerprint, now);
        self.writer.run(Weight::SMALL, claim).await
    }

    async fn keep_reply(&self, name: RequestName, reply: Reply) -> Result<(), Error> {
        let key = self.key(name.tenant).await?;
        let vault = Arc::clone(&self.vault);
        let weight = Weight {
            urgency: Urgency::Now,
            events: 1,
            bytes: reply.body.len() + Weight::SMALL.bytes,
        };
        let keep = move |session: &mut Session<'_>| keep(session, &vault, &key, name, &reply);
        self.writer.run(weight, keep).await
    }

    async fn free_name(&self, name: RequestName) -> Result<(), Error> {
        let free = move |session: &mut Session<'_>| {
            session
                .statement("DELETE FROM replies WHERE tenant = ?1 AND name = ?2")?
                .execute(params![name.tenant.raw(), name.digest])?;
            Ok(())
        };
        self.writer.run(Weight::SMALL, free).await
    }

    async fn forget_replies(&self, claimed_before: Timestamp, limit: usize) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let forget = move |session: &mut Session<'_>| {
            let sql = "DELETE FROM replies WHERE (tenant, name) IN
                (SELECT tenant, name FROM replies WHERE claimed_at < ?1 ORDER BY claimed_at LIMIT ?2)";
            let mut statement = session.statement(sql)?;
            Ok(statement.execute(params![claimed_before.as_millis(), limit])?)
        };
        self.writer.run(Weight::SMALL, forget).await
    }
}

fn claim(
    session: &Session<'_>,
    vault: &Vault,
    key: &DataKey,
    name: RequestName,
    fingerprint: Fingerprint,
    now: Timestamp,
) -> Result<Claimed, Failure> {
    if let Some(found) = find(session, vault, name)? {
        return Ok(match found.reply {
            _ if found.fingerprint != fingerprint => Claimed::Reused,
            None => Claimed::Unanswered,
            Some(reply) => Claimed::Answered(reply.into()),
        });
    }
    let in_use: i64 = session
        .statement("SELECT count(*) FROM replies WHERE tenant = ?1")?
        .query_row([name.tenant.raw()], |row| row.get(0))?;
    if usize::try_from(in_use).unwrap_or(usize::MAX) >= REPLIES_MAX {
        return Ok(Claimed::TooMany);
    }
    let content = Content {
        fingerprint,
        reply: None,
    };
    session
        .statement("INSERT INTO replies (tenant, name, claimed_at, content) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            name.tenant.raw(),
            name.digest,
            now.as_millis(),
            content.sealed(key, name)?
        ])?;
    Ok(Claimed::Yours)
}

fn keep(
    session: &Session<'_>,
    vault: &Vault,
    key: &DataKey,
    name: RequestName,
    reply: &Reply,
) -> Result<(), Failure> {
    let Some(mut content) = find(session, vault, name)? else {
        return Ok(());
    };
    content.reply = Some(reply.clone().into());
    session
        .statement("UPDATE replies SET content = ?3 WHERE tenant = ?1 AND name = ?2")?
        .execute(params![
            name.tenant.raw(),
            name.digest,
            content.sealed(key, name)?
        ])?;
    Ok(())
}

fn find(session: &Session<'_>, vault: &Vault, name: RequestName) -> Result<Option<Content>, Failure> {
    let mut statement = session.statement("SELECT content FROM replies WHERE tenant = ?1 AND name = ?2")?;
    let mut rows = statement.query(params![name.tenant.raw(), name.digest])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let place = Place {
        tenant: name.tenant,
        column: CONTENT,
        row: &name.digest,
    };
    let bytes = vault.unseal(&place, row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
    let content = serde_json::from_slice(&bytes);
    content
        .map(Some)
        .map_err(|error| Failure::Corrupt(format!("a reply does not read: {error}")))
}

/// What is sealed of a name in use.
#[derive(Serialize, Deserialize)]
struct Content {
    fingerprint: Fingerprint,
    reply: Option<Written>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    status: u16,
    headers: Vec<(String, String)>,
    /// In base 64.
    body: String,
}

impl Content {
    fn sealed(&self, key: &DataKey, name: RequestName) -> Result<Vec<u8>, Failure> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Failure::Corrupt(format!("a reply is no JSON: {error}")))?;
        Ok(key.seal(CONTENT, &name.digest, &bytes))
    }
}

impl From<Reply> for Written {
    fn from(reply: Reply) -> Self {
        use base64::Engine as _;
        Self {
            status: reply.status,
            headers: reply.headers,
            body: base64::engine::general_purpose::STANDARD.encode(reply.body),
        }
    }
}

impl From<Written> for Reply {
    fn from(written: Written) -> Self {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.decode(written.body);
        Self {
            status: written.status,
            headers: written.headers,
            // Sealed bytes that open are those that were sealed.
            body: body.unwrap_or_default(),
        }
    }
}
