//! Last values and timers of rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::due::ANSWER_BYTES_MAX;
use super::failure::{Failure, readable};
use super::job::{Urgency, Weight};
use super::session::Session;
use super::{SqliteStore, row};
use crate::model::event::Event;
use crate::model::id::{EventId, RuleId, TenantId};
use crate::model::time::Timestamp;
use crate::store::{
    Act, DueTimers, Effect, Error, KeptKey, RuleBounds, RuleEffects, RuleLosses, RuleState, RuleVersion,
    Timer, TimerId,
};

/// What the bounds took away.
#[derive(Debug, Default)]
pub(super) struct Losses {
    keys: AtomicU64,
    timers: AtomicU64,
}

#[async_trait]
impl RuleState for SqliteStore {
    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<DueTimers, Error> {
        self.readers
            .run(move |connection| due(connection, now, limit))
            .await
    }

    async fn cancel_timers(&self, timers: Vec<TimerId>) -> Result<(), Error> {
        if timers.is_empty() {
            return Ok(());
        }
        let work = move |session: &mut Session<'_>| {
            for timer in &timers {
                take(session, timer)?;
            }
            Ok(())
        };
        self.writer.run(Weight::SMALL, work).await
    }

    async fn last_value(&self, of: RuleVersion, key: &str) -> Result<Option<String>, Error> {
        let key = key.to_owned();
        let read = move |connection: &Connection| last_value(connection, of, &key);
        self.readers.run(read).await
    }

    async fn rule_keys(
        &self,
        tenant: TenantId,
        of: RuleVersion,
        after: Option<(String, i64)>,
        limit: usize,
    ) -> Result<Vec<KeptKey>, Error> {
        let read = move |connection: &Connection| keys(connection, tenant, of, after.as_ref(), limit);
        self.readers.run(read).await
    }

    async fn kept_versions(&self, rule: Option<RuleId>) -> Result<Vec<RuleVersion>, Error> {
        self.readers
            .run(move |connection| versions(connection, rule))
            .await
    }

    async fn forget_version(&self, of: RuleVersion, limit: usize) -> Result<usize, Error> {
        let weight = Weight {
            urgency: Urgency::Now,
            events: limit,
            bytes: limit,
        };
        self.writer
            .run(weight, move |session| forget(session, of, limit))
            .await
    }

    fn rule_losses(&self) -> RuleLosses {
        RuleLosses {
            keys: self.losses.keys.load(Ordering::Relaxed),
            timers: self.losses.timers.load(Ordering::Relaxed),
        }
    }
}

// ---- in the commit of an event ---------------------------------------------------------

/// Takes a timer off; whether it was still as it was armed then.
pub(super) fn take(session: &Session<'_>, timer: &TimerId) -> Result<bool, Failure> {
    let tenant: Option<i64> = session
        .statement(
            "DELETE FROM timers WHERE rule = ?1 AND version = ?2 AND key = ?3 AND number = ?4 AND event = ?5
             RETURNING tenant",
        )?
        .query_map(
            params![
                timer.of.rule.raw(),
                timer.of.version,
                timer.key,
                timer.number,
                timer.event.raw()
            ],
            |row| row.get(0),
        )?
        .next()
        .transpose()?;
    if let Some(tenant) = tenant {
        count_timers(session, tenant, -1)?;
    }
    Ok(tenant.is_some())
}

/// Carries out what rules make of an event that was just written.
pub(super) fn apply(
    session: &Session<'_>,
    event: &Event,
    rules: &RuleEffects,
    losses: &Losses,
    now: Timestamp,
) -> Result<(), Failure> {
    for effect in &rules.effects {
        let desk = Desk {
            session,
            event,
            effect,
            hops: rules.hops,
            bounds: rules.bounds,
            losses,
            now,
        };
        match &effect.act {
            Act::Change {
                value,
                is_wanted,
                from,
            } => desk.change(value, *is_wanted, from.as_deref())?,
            Act::Rearm { after, max_wait } => desk.rearm(*after, *max_wait)?,
            Act::Arm { after } => desk.arm(event.id.raw(), now + *after, None)?,
            Act::Cancel => desk.cancel()?,
        }
    }
    Ok(())
}

/// Where one effect is carried out.
struct Desk<'a, 'c> {
    session: &'a Session<'c>,
    event: &'a Event,
    effect: &'a Effect,
    hops: u8,
    bounds: RuleBounds,
    losses: &'a Losses,
    now: Timestamp,
}

impl Desk<'_, '_> {
    fn change(&self, value: &str, is_wanted: bool, from: Option<&[String]>) -> Result<(), Failure> {
        let Effect { of, key, .. } = self.effect;
        let before = last_value(self.session.connection(), *of, key)?;
        self.session
            .statement(
                "INSERT INTO rule_values (rule, version, key, event, value) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET event = ?4, value = ?5",
            )?
            .execute(params![
                of.rule.raw(),
                of.version,
                key,
                self.event.id.raw(),
                value
            ])?;
        if before.is_none() {
            self.make_room()?;
        }
        if is_wanted && is_change(before.as_deref(), value, from) {
            self.arm(self.event.id.raw(), self.now, Some((before.as_deref(), value)))?;
        }
        Ok(())
    }

    /// Counts one more key, and forgets the one seen longest ago if that is one too many.
    fn make_room(&self) -> Result<(), Failure> {
        let of = self.effect.of;
        let whose = params![of.rule.raw(), of.version];
        let keys: i64 = self
            .session
            .statement(
                "INSERT INTO rule_sizes (rule, version, keys) VALUES (?1, ?2, 1)
                 ON CONFLICT DO UPDATE SET keys = keys + 1 RETURNING keys",
            )?
            .query_one(whose, |row| row.get(0))?;
        if keys <= self.bounds.keys_max {
            return Ok(());
        }
        let forgotten = self
            .session
            .statement(
                "DELETE FROM rule_values WHERE rule = ?1 AND version = ?2 AND key =
                     (SELECT key FROM rule_values INDEXED BY rule_values_seen
                      WHERE rule = ?1 AND version = ?2 ORDER BY event LIMIT 1)",
            )?
            .execute(whose)?;
        self.session
            .statement("UPDATE rule_sizes SET keys = keys - ?3 WHERE rule = ?1 AND version = ?2")?
            .execute(params![of.rule.raw(), of.version, forgotten as i64])?;
        self.losses.keys.fetch_add(forgotten as u64, Ordering::Relaxed);
        Ok(())
    }

    fn rearm(&self, after: Duration, max_wait: Option<Duration>) -> Result<(), Failure> {
        let Effect { of, key, .. } = self.effect;
        let max_wait = max_wait.map(|max| i64::try_from(max.as_millis()).unwrap_or(i64::MAX));
        let moved = self
            .session
            .statement(
                "UPDATE timers SET due = min(?4, since + coalesce(?5, ?4)), event = ?6, hops = ?7
                 WHERE rule = ?1 AND version = ?2 AND key = ?3 AND number = 0",
            )?
            .execute(params![
                of.rule.raw(),
                of.version,
                key,
                (self.now + after).as_millis(),
                max_wait,
                self.event.id.raw(),
                self.hops,
            ])?;
        if moved > 0 {
            return Ok(());
        }
        let after = max_wait.map_or(after, |max| after.min(Duration::from_millis(max.unsigned_abs())));
        self.arm(0, self.now + after, None)
    }

    fn arm(&self, number: i64, due: Timestamp, change: Option<(Option<&str>, &str)>) -> Result<(), Failure> {
        let Effect { of, key, .. } = self.effect;
        let tenant = self.event.tenant.raw();
        if count_timers(self.session, tenant, 1)? > self.bounds.timers_max {
            count_timers(self.session, tenant, -1)?;
            self.losses.timers.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        self.session
            .statement(
                "INSERT INTO timers (rule, version, key, number, tenant, due, since, event, hops, old, new)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                of.rule.raw(),
                of.version,
                key,
                number,
                tenant,
                due.as_millis(),
                self.now.as_millis(),
                self.event.id.raw(),
                self.hops,
                change.and_then(|(old, _)| old),
                change.map(|(_, new)| new),
            ])?;
        Ok(())
    }

    fn cancel(&self) -> Result<(), Failure> {
        let Effect { of, key, .. } = self.effect;
        let cancelled = self
            .session
            .statement("DELETE FROM timers WHERE rule = ?1 AND version = ?2 AND key = ?3")?
            .execute(params![of.rule.raw(), of.version, key])?;
        if cancelled > 0 {
            count_timers(self.session, self.event.tenant.raw(), -(cancelled as i64))?;
        }
        Ok(())
    }
}

/// Whether a value that became another one did so from where it is asked for.
fn is_change(before: Option<&str>, value: &str, from: Option<&[String]>) -> bool {
    before != Some(value)
        && from.is_none_or(|from| before.is_some_and(|before| from.iter().any(|wanted| wanted == before)))
}

/// Adds to the count of a tenant's timers; what it is now.
fn count_timers(session: &Session<'_>, tenant: i64, by: i64) -> Result<i64, Failure> {
    Ok(session
        .statement(
            "INSERT INTO timer_counts (tenant, timers) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET timers = timers + ?2 RETURNING timers",
        )?
        .query_one([tenant, by], |row| row.get(0))?)
}

fn last_value(connection: &Connection, of: RuleVersion, key: &str) -> Result<Option<String>, Failure> {
    Ok(connection
        .prepare_cached("SELECT value FROM rule_values WHERE rule = ?1 AND version = ?2 AND key = ?3")?
        .query_row(params![of.rule.raw(), of.version, key], |row| row.get(0))
        .optional()?)
}

// ---- by itself -------------------------------------------------------------------------

fn due(connection: &Connection, now: Timestamp, limit: usize) -> Result<DueTimers, Failure> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT t.rule, t.version, t.key, t.number, t.event, t.due, t.hops, t.old, t.new, e.id IS NULL, ",
        row::columns!(),
        " FROM timers t INDEXED BY timers_due LEFT JOIN events e ON e.id = t.event ORDER BY t.due"
    ))?;
    let mut rows = statement.query([])?;
    let mut timers = DueTimers::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let timer = timer(row)?;
        if timer.due > now || timers.due.len() + timers.damaged.len() >= limit || bytes >= ANSWER_BYTES_MAX {
            timers.next = Some(timer.due);
            break;
        }
        match readable(
            event(row),
            format_args!("a timer of {} for {}", timer.id.of.rule, timer.id.key),
        )? {
            Some(event) => {
                bytes += event.weight();
                timers.due.push((timer, event));
            }
            None => timers.damaged.push(timer.id),
        }
    }
    Ok(timers)
}

fn event(row: &Row<'_>) -> Result<Option<Arc<Event>>, Failure> {
    if row.get(9)? {
        return Err(Failure::Corrupt("the event that armed it is lost".to_owned()));
    }
    row::event(row, 10).map(Some)
}

fn timer(row: &Row<'_>) -> Result<Timer, Failure> {
    Ok(Timer {
        id: TimerId {
            of: RuleVersion {
                rule: RuleId::from_raw(row.get(0)?),
                version: row.get(1)?,
            },
            key: row.get(2)?,
            number: row.get(3)?,
            event: EventId::from_raw(row.get(4)?),
        },
        due: Timestamp::from_millis(row.get(5)?),
        hops: row.get(6)?,
        from: row.get(7)?,
        to: row.get(8)?,
    })
}

fn keys(
    connection: &Connection,
    tenant: TenantId,
    of: RuleVersion,
    after: Option<&(String, i64)>,
    limit: usize,
) -> Result<Vec<KeptKey>, Failure> {
    let (key, number) = after.map_or(("", i64::MIN), |(key, number)| (key.as_str(), *number));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // Of a rule that watches a value, a timer is there for a moment only: it is not told.
    let mut statement = connection.prepare_cached(
        "SELECT key, 0, value, event, NULL FROM rule_values
         WHERE rule = ?1 AND version = ?2 AND (key, 0) > (?3, ?4)
         UNION ALL
         SELECT key, number, NULL, event, due FROM timers
         WHERE rule = ?1 AND version = ?2 AND tenant = ?5 AND new IS NULL AND (key, number) > (?3, ?4)
         ORDER BY 1, 2 LIMIT ?6",
    )?;
    let rows = statement.query_map(
        params![of.rule.raw(), of.version, key, number, tenant.raw(), limit],
        |row| {
            Ok(KeptKey {
                key: row.get(0)?,
                number: row.get(1)?,
                value: row.get(2)?,
                event: EventId::from_raw(row.get(3)?),
                due: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_millis),
            })
        },
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One step into each table for every version, however much is kept of it.
fn versions(connection: &Connection, rule: Option<RuleId>) -> Result<Vec<RuleVersion>, Failure> {
    let mut versions = Vec::new();
    for table in ["rule_values", "timers"] {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT rule, version FROM {table} WHERE (rule, version) > (?1, ?2) AND rule <= ?3
             ORDER BY rule, version LIMIT 1"
        ))?;
        let (mut after, last) = match rule {
            Some(rule) => ((rule.raw() - 1, i64::MAX), rule.raw()),
            None => ((i64::MIN, i64::MIN), i64::MAX),
        };
        while let Some(found) = statement
            .query_row([after.0, after.1, last], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
        {
            after = found;
            versions.push(RuleVersion {
                rule: RuleId::from_raw(found.0),
                version: found.1,
            });
        }
    }
    versions.sort_unstable();
    versions.dedup();
    Ok(versions)
}

fn forget(session: &Session<'_>, of: RuleVersion, limit: usize) -> Result<usize, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (rule, version) = (of.rule.raw(), of.version);
    // Timers first: what a rule that is gone would still do matters more than what it knows.
    let tenants: Vec<i64> = session
        .statement(
            "DELETE FROM timers WHERE (rule, version, key, number) IN
                 (SELECT rule, version, key, number FROM timers WHERE rule = ?1 AND version = ?2 LIMIT ?3)
             RETURNING tenant",
        )?
        .query_map([rule, version, limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let timers = tenants.len();
    for same in tenants.chunk_by(|one, other| one == other) {
        count_timers(session, same[0], -(same.len() as i64))?;
    }
    let left = limit - timers as i64;
    let keys = session
        .statement(
            "DELETE FROM rule_values WHERE (rule, version, key) IN
                 (SELECT rule, version, key FROM rule_values WHERE rule = ?1 AND version = ?2 LIMIT ?3)",
        )?
        .execute([rule, version, left])?;
    session
        .statement("UPDATE rule_sizes SET keys = keys - ?3 WHERE rule = ?1 AND version = ?2")?
        .execute([rule, version, keys as i64])?;
    session
        .statement("DELETE FROM rule_sizes WHERE rule = ?1 AND version = ?2 AND keys <= 0")?
        .execute([rule, version])?;
    Ok(timers + keys)
}
