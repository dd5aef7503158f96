//! Counts, alerts that fire, and what should have come.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::due::ANSWER_BYTES_MAX;
use super::failure::{Failure, readable};
use super::job::{Urgency, Weight};
use super::plan::{self, Standing};
use super::session::Session;
use super::{SqliteStore, listing, row};
use crate::model::counts::Counts;
use crate::model::delivery::State;
use crate::model::id::{AlertId, DeliveryId, EndpointId, EventId, SourceId, TenantId, first_raw_at};
use crate::model::time::Timestamp;
use crate::store::Error;
use crate::store::monitoring::{
    Bucket, By, CountsAsked, EVENTS_SEEN_MAX, Expected, ExpectedAsked, ExpectedPage, Firing, FiringOf,
    Monitoring, Pending, Step, Unfetched,
};

/// Bytes of a bucket, near enough to bound transactions by.
const BUCKET_BYTES: usize = 256;

#[async_trait]
impl Monitoring for SqliteStore {
    async fn add_counts(&self, counts: &[(Bucket, Counts)]) -> Result<(), Error> {
        if counts.is_empty() {
            return Ok(());
        }
        let weight = Weight {
            urgency: Urgency::MayLinger,
            events: counts.len(),
            bytes: counts.len() * BUCKET_BYTES,
        };
        let counts = counts.to_vec();
        self.writer
            .run(weight, move |session| {
                counts
                    .iter()
                    .try_for_each(|(bucket, counts)| add(session, bucket, counts))
            })
            .await
    }

    async fn counts(&self, asked: CountsAsked) -> Result<BTreeMap<i64, Counts>, Error> {
        self.readers.run(move |connection| sum(connection, &asked)).await
    }

    async fn forget_counts(&self, step: Step, before: Timestamp, limit: usize) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.writer
            .run(Weight::SMALL, move |session| {
                let sql = "DELETE FROM counts WHERE (tenant, subject, step, at, kind) IN
                    (SELECT tenant, subject, step, at, kind FROM counts INDEXED BY counts_old
                     WHERE step = ?1 AND at < ?2 LIMIT ?3)";
                let given = params![step.ms() / 1000, before.as_millis(), limit];
                Ok(session.statement(sql)?.execute(given)?)
            })
            .await
    }

    async fn pending(&self, endpoint: EndpointId) -> Result<Pending, Error> {
        let count = move |connection: &Connection| {
            let sql = "SELECT count(*), min(id) FROM deliveries INDEXED BY deliveries_waiting
                       WHERE endpoint = ?1 AND state = 0";
            let found = connection
                .prepare_cached(sql)?
                .query_row([endpoint.raw()], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
                })?;
            Ok(Pending {
                count: u64::try_from(found.0).unwrap_or_default(),
                oldest: found.1.map(DeliveryId::from_raw),
            })
        };
        self.readers.run(count).await
    }

    async fn expected(&self, asked: ExpectedAsked) -> Result<ExpectedPage, Error> {
        self.readers
            .run(move |connection| expected(connection, asked))
            .await
    }

    async fn unfetched(
        &self,
        endpoint: EndpointId,
        after: Option<(Timestamp, DeliveryId)>,
        limit: usize,
    ) -> Result<Vec<Unfetched>, Error> {
        self.readers
            .run(move |connection| unfetched(connection, endpoint, after, limit))
            .await
    }

    async fn fetched(
        &self,
        endpoint: EndpointId,
        deliveries: Vec<DeliveryId>,
        now: Timestamp,
    ) -> Result<usize, Error> {
        self.writer
            .run(Weight::SMALL, move |session| {
                let mut statement = session.statement(
                    "UPDATE deliveries SET state = ?3, due = NULL, reason = NULL, updated_at = ?4
                     WHERE id = ?1 AND endpoint = ?2 AND state = ?5",
                )?;
                let (done, pending) = (State::Succeeded.code(), State::Pending.code());
                let mut count = 0;
                for id in &deliveries {
                    let given = params![id.raw(), endpoint.raw(), done, now.as_millis(), pending];
                    count += statement.execute(given)?;
                }
                Ok(count)
            })
            .await
    }

    async fn set_firing(&self, (alert, subject): FiringOf, firing: Option<Firing>) -> Result<(), Error> {
        self.writer
            .run(Weight::SMALL, move |session| {
                let Some(Firing {
                    since,
                    told_at,
                    value,
                }) = firing
                else {
                    let sql = "DELETE FROM firing WHERE alert = ?1 AND subject = ?2";
                    session.statement(sql)?.execute([alert.raw(), subject])?;
                    return Ok(());
                };
                let sql = "INSERT OR REPLACE INTO firing (alert, subject, since, told_at, value)
                           VALUES (?1, ?2, ?3, ?4, ?5)";
                let (since, told_at) = (since.as_millis(), told_at.as_millis());
                let given = params![alert.raw(), subject, since, told_at, value];
                session.statement(sql)?.execute(given)?;
                Ok(())
            })
            .await
    }

    async fn firing(&self) -> Result<Vec<(FiringOf, Firing)>, Error> {
        let all = |connection: &Connection| {
            let sql = "SELECT alert, subject, since, told_at, value FROM firing";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let firing = Firing {
                    since: Timestamp::from_millis(row.get(2)?),
                    told_at: Timestamp::from_millis(row.get(3)?),
                    value: row.get(4)?,
                };
                Ok(((AlertId::from_raw(row.get(0)?), row.get(1)?), firing))
            })?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        };
        self.readers.run(all).await
    }
}

fn add(session: &Session<'_>, bucket: &Bucket, counts: &Counts) -> Result<(), Failure> {
    let (tenant, step, at) = (
        bucket.tenant.raw(),
        bucket.step.ms() / 1000,
        bucket.at.as_millis(),
    );
    let key = params![tenant, bucket.subject, step, at, bucket.kind];
    let kept: Option<String> = session
        .statement(
            "SELECT counts FROM counts
             WHERE tenant = ?1 AND subject = ?2 AND step = ?3 AND at = ?4 AND kind = ?5",
        )?
        .query_row(key, |row| row.get(0))
        .optional()?;
    // What does not read is counted anew: a number that is too small harms nobody.
    let mut sum = kept.and_then(|text| parse(&text)).unwrap_or_default();
    sum.merge(counts);
    let text = serde_json::to_string(&sum)
        .map_err(|error| Failure::Corrupt(format!("counts are no JSON: {error}")))?;
    session
        .statement(
            "INSERT OR REPLACE INTO counts (tenant, subject, step, at, kind, counts)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![tenant, bucket.subject, step, at, bucket.kind, text])?;
    Ok(())
}

fn parse(text: &str) -> Option<Counts> {
    serde_json::from_str(text)
        .inspect_err(|error| tracing::error!(%error, "counts in the store do not read; they are left out"))
        .ok()
}

fn sum(connection: &Connection, asked: &CountsAsked) -> Result<BTreeMap<i64, Counts>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT at, kind, counts FROM counts
         WHERE tenant = ?1 AND subject = ?2 AND step = ?3 AND at >= ?4 AND at < ?5",
    )?;
    let mut sums = BTreeMap::<i64, Counts>::new();
    for &subject in &asked.subjects {
        let mut rows = statement.query(params![
            asked.tenant.raw(),
            subject,
            asked.step.ms() / 1000,
            asked.since.as_millis(),
            asked.until.as_millis(),
        ])?;
        while let Some(row) = rows.next()? {
            let kind = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            if !asked.types.is_empty() && !asked.types.iter().any(|pattern| pattern.matches(kind)) {
                continue;
            }
            let key = match asked.by {
                By::Time => row.get(0)?,
                By::Subject => subject,
            };
            let text = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
            if let Some(counts) = parse(text) {
                sums.entry(key).or_default().merge(&counts);
            }
        }
    }
    Ok(sums)
}

fn expected(connection: &Connection, asked: ExpectedAsked) -> Result<ExpectedPage, Failure> {
    let mut events = connection.prepare_cached(
        "SELECT id, tenant, kind, received_at, endpoints, source FROM events
         WHERE id > ?1 AND id < ?2 ORDER BY id",
    )?;
    let mut events = events.query([asked.after.raw(), first_raw_at(asked.until)])?;
    let mut standing = Standing::prepare(connection)?;
    let mut standing = Standing::new(&mut standing, asked.after.raw())?;
    let mut page = ExpectedPage::default();
    let mut looked_at = 0;
    while let Some(row) = events.next()? {
        let event = EventId::from_raw(row.get(0)?);
        if TenantId::from_raw(row.get(1)?) == asked.tenant {
            let (kind, received_at) = (row.get(2)?, Timestamp::from_millis(row.get(3)?));
            let planned = readable(
                plan::decode(event, row::blob(row, 4)?).map(Some),
                format_args!("event {event}"),
            )?;
            let mut planned = planned.unwrap_or_default().into_iter();
            let ours = planned.find(|(_, endpoint)| *endpoint == asked.endpoint);
            if let Some((delivery, _)) = ours {
                let state = standing.of(delivery)?.unwrap_or(State::Pending);
                let is_test = row.get::<_, Option<i64>>(5)? == Some(SourceId::TEST.raw());
                // A test that did not come was not to come.
                if !is_test || state == State::Succeeded {
                    page.items.push(Expected {
                        delivery,
                        event,
                        kind,
                        received_at,
                        state,
                    });
                }
            }
        }
        looked_at += 1;
        if page.items.len() >= asked.limit || looked_at >= EVENTS_SEEN_MAX {
            page.next = Some(event);
            break;
        }
    }
    Ok(page)
}

fn unfetched(
    connection: &Connection,
    endpoint: EndpointId,
    after: Option<(Timestamp, DeliveryId)>,
    limit: usize,
) -> Result<Vec<Unfetched>, Failure> {
    let (due, id) = after.map_or((i64::MIN, 0), |(due, id)| (due.as_millis(), id.raw()));
    let mut statement = connection.prepare_cached(
        "SELECT id, due, event FROM deliveries INDEXED BY deliveries_waiting
         WHERE endpoint = ?1 AND state = 0 AND (due, id) > (?2, ?3) ORDER BY due, id",
    )?;
    let mut rows = statement.query([endpoint.raw(), due, id])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while found.len() < limit && bytes < ANSWER_BYTES_MAX {
        let Some(row) = rows.next()? else { break };
        let delivery = DeliveryId::from_raw(row.get(0)?);
        let event = EventId::from_raw(row.get(2)?);
        let event = readable(
            listing::any_event(connection, event),
            format_args!("delivery {delivery}"),
        )?;
        let Some(event) = event else { continue };
        bytes += event.weight();
        found.push(Unfetched {
            delivery,
            due: Timestamp::from_millis(row.get(1)?),
            event,
        });
    }
    Ok(found)
}
