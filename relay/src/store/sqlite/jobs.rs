//! Jobs: what each is about, how far it has come, and its next step.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::failure::Failure;
use super::job::Weight;
use super::session::Session;
use super::walk::{self, Direction, Found, Plan};
use super::{SqliteStore, audit, erase, replayed};
use crate::model::attempt::Trigger;
use crate::model::audit::Deed;
use crate::model::delivery::{Delivery, State};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, JobId, TenantId, first_raw_at};
use crate::model::page::{LIMIT_MAX, Listed, Page};
use crate::model::time::Timestamp;
use crate::store::{
    Bite, DeliveryFilter, Error, EventFilter, Job, JobState, Jobs, Span, Started, Step, Stepped, Walked, Work,
};

const COLUMNS: &str = "id, tenant, state, work, total, done, failed, rate, cursor, before, created_at, \
                       updated_at, ended_at FROM jobs";

#[async_trait]
impl Jobs for SqliteStore {
    async fn events_after(
        &self,
        tenant: TenantId,
        filter: EventFilter,
        span: Span,
        limit: usize,
    ) -> Result<Walked<Arc<Event>>, Error> {
        let plan = oldest_first(tenant, (filter.since, filter.until), span, limit);
        self.readers
            .run(move |connection| Ok(walked(walk::events(connection, plan, &filter)?)))
            .await
    }

    async fn deliveries_after(
        &self,
        tenant: TenantId,
        filter: DeliveryFilter,
        span: Span,
        limit: usize,
    ) -> Result<Walked<Delivery>, Error> {
        let plan = oldest_first(tenant, (filter.since, filter.until), span, limit);
        self.readers
            .run(move |connection| Ok(walked(walk::deliveries(connection, plan, &filter)?)))
            .await
    }

    async fn replay(
        &self,
        tenant: TenantId,
        event: EventId,
        deliveries: Vec<(DeliveryId, EndpointId)>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let weight = Weight {
            events: deliveries.len(),
            ..Weight::SMALL
        };
        self.writer
            .run(weight, move |session| {
                for (delivery, endpoint) in &deliveries {
                    if !replayed::add(session, tenant.raw(), (*delivery, event, *endpoint), now)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            })
            .await
    }

    async fn start_job(
        &self,
        job: Job,
        running_max: usize,
        forget_before: Timestamp,
        deed: Option<Deed>,
    ) -> Result<Started, Error> {
        let work = encode(&job.work)?;
        let weight = Weight {
            bytes: work.len(),
            ..Weight::SMALL
        };
        self.writer
            .run(weight, move |session| {
                let started = start(session, &job, &work, running_max, forget_before)?;
                if let (Started::Done, Some(deed)) = (started, &deed) {
                    audit::note(session, deed)?;
                }
                Ok(started)
            })
            .await
    }

    async fn job(&self, tenant: TenantId, id: JobId) -> Result<Option<Job>, Error> {
        self.readers
            .run(move |connection| {
                let sql = format!("SELECT {COLUMNS} WHERE id = ?1 AND tenant = ?2");
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query([id.raw(), tenant.raw()])?;
                rows.next()?.map(read).transpose()
            })
            .await
    }

    async fn jobs(&self, tenant: TenantId, page: Page) -> Result<Listed<Job>, Error> {
        self.readers
            .run(move |connection| list(connection, tenant, page))
            .await
    }

    async fn running_jobs(&self) -> Result<Vec<Job>, Error> {
        self.readers
            .run(|connection| {
                let sql = format!("SELECT {COLUMNS} WHERE state = 0 ORDER BY id");
                let mut statement = connection.prepare_cached(&sql)?;
                collect(statement.query([])?)
            })
            .await
    }

    async fn step(&self, step: Step) -> Result<Option<Stepped>, Error> {
        let weight = Weight {
            events: 1 + step.bite.len(),
            ..Weight::SMALL
        };
        self.writer.run(weight, move |session| take(session, &step)).await
    }

    async fn cancel_job(&self, tenant: TenantId, id: JobId, now: Timestamp) -> Result<bool, Error> {
        self.writer
            .run(Weight::SMALL, move |session| {
                let sql = format!("SELECT {COLUMNS} WHERE id = ?1 AND tenant = ?2 AND state = 0");
                let mut statement = session.statement(&sql)?;
                let mut rows = statement.query([id.raw(), tenant.raw()])?;
                let Some(job) = rows.next()?.map(read).transpose()? else {
                    return Ok(false);
                };
                end(session, &job, JobState::Cancelled, now)?;
                Ok(true)
            })
            .await
    }
}

fn oldest_first(
    tenant: TenantId,
    time: (Option<Timestamp>, Option<Timestamp>),
    span: Span,
    limit: usize,
) -> Plan {
    Plan {
        tenant,
        span: Span {
            after: span.after.max(time.0.map_or(-1, |since| first_raw_at(since) - 1)),
            before: span.before.min(time.1.map_or(i64::MAX, first_raw_at)),
        },
        direction: Direction::OldestFirst,
        limit: limit.max(1),
    }
}

fn walked<T>((items, next): Found<T>) -> Walked<T> {
    Walked { items, next }
}

fn encode(work: &Work) -> Result<String, Error> {
    serde_json::to_string(work).map_err(|error| Error::Unavailable(error.to_string()))
}

fn start(
    session: &Session<'_>,
    job: &Job,
    work: &str,
    running_max: usize,
    forget_before: Timestamp,
) -> Result<Started, Failure> {
    let tenant = job.tenant.raw();
    session
        .statement("DELETE FROM jobs WHERE tenant = ?1 AND ended_at < ?2")?
        .execute([tenant, forget_before.as_millis()])?;
    let running: i64 = session
        .statement("SELECT count(*) FROM jobs WHERE state = 0 AND tenant = ?1")?
        .query_row([tenant], |row| row.get(0))?;
    if usize::try_from(running).is_ok_and(|running| running >= running_max) {
        return Ok(Started::TooMany);
    }
    session
        .statement(
            "INSERT INTO jobs (id, tenant, state, work, total, done, failed, rate, cursor, before, created_at,
                               updated_at, ended_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            job.id.raw(),
            tenant,
            job.state.code(),
            work,
            job.total,
            job.done,
            job.failed,
            job.rate,
            job.cursor,
            job.before,
            job.created_at.as_millis(),
            job.updated_at.as_millis(),
            job.ended_at.map(Timestamp::as_millis),
        ])?;
    Ok(Started::Done)
}

fn list(connection: &Connection, tenant: TenantId, page: Page) -> Result<Listed<Job>, Failure> {
    let limit = page.limit.clamp(1, LIMIT_MAX);
    let sql = format!("SELECT {COLUMNS} WHERE tenant = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let before = page.before.unwrap_or(i64::MAX);
    let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut items = collect(statement.query(params![tenant.raw(), before, one_more])?)?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().map(|job| job.id.raw()).filter(|_| more);
    Ok(Listed { items, next })
}

fn collect(mut rows: rusqlite::Rows<'_>) -> Result<Vec<Job>, Failure> {
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(read(row)?);
    }
    Ok(jobs)
}

fn read(row: &Row<'_>) -> Result<Job, Failure> {
    let id = JobId::from_raw(row.get(0)?);
    let work = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
    let state: i64 = row.get(2)?;
    Ok(Job {
        id,
        tenant: TenantId::from_raw(row.get(1)?),
        state: JobState::from_code(state)
            .ok_or_else(|| Failure::Corrupt(format!("there is no state {state} of a job")))?,
        work: serde_json::from_str(work)
            .map_err(|error| Failure::Corrupt(format!("what job {id} is about does not read: {error}")))?,
        total: row.get(4)?,
        done: row.get(5)?,
        failed: row.get(6)?,
        rate: row.get(7)?,
        cursor: row.get(8)?,
        before: row.get(9)?,
        created_at: Timestamp::from_millis(row.get(10)?),
        updated_at: Timestamp::from_millis(row.get(11)?),
        ended_at: row.get::<_, Option<i64>>(12)?.map(Timestamp::from_millis),
    })
}

/// Does a step, if the job stands where it begins.
fn take(session: &Session<'_>, step: &Step) -> Result<Option<Stepped>, Failure> {
    let sql = format!("SELECT {COLUMNS} WHERE id = ?1 AND state = 0 AND cursor = ?2");
    let mut statement = session.statement(&sql)?;
    let mut rows = statement.query([step.job.raw(), step.from])?;
    let Some(job) = rows.next()?.map(read).transpose()? else {
        return Ok(None);
    };
    let mut stepped = bite(session, &job, step)?;
    stepped.failed += step.failed;
    session
        .statement(
            "UPDATE jobs SET cursor = ?2, done = done + ?3, failed = failed + ?4, updated_at = ?5 WHERE id = ?1",
        )?
        .execute(params![
            step.job.raw(),
            step.to,
            stepped.done,
            stepped.failed,
            step.now.as_millis()
        ])?;
    if step.ends {
        end(session, &job, JobState::Done, step.now)?;
    }
    Ok(Some(stepped))
}

/// What an erasure was to find is not kept by it.
fn end(session: &Session<'_>, job: &Job, state: JobState, now: Timestamp) -> Result<(), Failure> {
    let work = encode(&job.work.forgotten()).map_err(|error| Failure::Unavailable(error.to_string()))?;
    session
        .statement("UPDATE jobs SET state = ?2, work = ?3, updated_at = ?4, ended_at = ?4 WHERE id = ?1")?
        .execute(params![job.id.raw(), state.code(), work, now.as_millis()])?;
    Ok(())
}

fn bite(session: &Session<'_>, job: &Job, step: &Step) -> Result<Stepped, Failure> {
    match &step.bite {
        Bite::Retry(deliveries) => retry(session, job.tenant, deliveries, step.steady),
        Bite::Count(done) => Ok(Stepped {
            done: *done,
            ..Stepped::default()
        }),
        Bite::Replay { endpoint, deliveries } => {
            let mut stepped = Stepped::default();
            for &(delivery, event) in deliveries {
                let whose = (delivery, event, *endpoint);
                match replayed::add(session, job.tenant.raw(), whose, step.steady)? {
                    true => stepped.done += 1,
                    false => stepped.failed += 1,
                }
            }
            if stepped.done > 0 {
                stepped.endpoints.push(*endpoint);
            }
            Ok(stepped)
        }
        Bite::Erase(events) => erase_all(session, job.tenant, events, step.now),
    }
}

fn retry(
    session: &Session<'_>,
    tenant: TenantId,
    deliveries: &[DeliveryId],
    now: Timestamp,
) -> Result<Stepped, Failure> {
    let mut statement = session.statement(
        "UPDATE deliveries SET state = ?3, due = ?4, manual = ?5, reason = NULL, updated_at = ?4
         WHERE id = ?1 AND tenant = ?2 AND state <> ?3 RETURNING endpoint",
    )?;
    let mut stepped = Stepped::default();
    let mut endpoints = BTreeSet::new();
    for delivery in deliveries {
        let row = params![
            delivery.raw(),
            tenant.raw(),
            State::Pending.code(),
            now.as_millis(),
            Trigger::Manual.code()
        ];
        let endpoint: Option<i64> = statement.query_row(row, |row| row.get(0)).optional()?;
        match endpoint {
            Some(endpoint) => {
                stepped.done += 1;
                endpoints.insert(EndpointId::from_raw(endpoint));
            }
            None => stepped.failed += 1,
        }
    }
    stepped.endpoints = endpoints.into_iter().collect();
    Ok(stepped)
}

fn erase_all(
    session: &Session<'_>,
    tenant: TenantId,
    events: &[EventId],
    now: Timestamp,
) -> Result<Stepped, Failure> {
    let mut stepped = Stepped::default();
    // So that no page keeps what was there before.
    session
        .connection()
        .pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    let erased = events.iter().try_for_each(|event| {
        match erase::erase(session, tenant, *event, now)? {
            true => stepped.done += 1,
            false => stepped.failed += 1,
        }
        Ok::<_, Failure>(())
    });
    session
        .connection()
        .pragma_update_and_check(None, "secure_delete", false, |_| Ok(()))?;
    erased.map(|()| stepped)
}
