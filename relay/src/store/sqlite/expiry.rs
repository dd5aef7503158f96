//! Removing what its tenant keeps for less time than the store keeps everything.
//!
//! Whose an event is stands in no index: every event would pay for it. So a reader looks through what
//! has become old enough since the last time, once for all tenants that keep as long, and the writer
//! is given the ids of what is theirs. How far the reader came is kept for each tenant; what had to
//! stay is kept by its id, and looked at again.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};

use super::SqliteStore;
use super::failure::Failure;
use super::job::Weight;
use super::prune::{self, Judge};
use super::row;
use super::session::Session;
use crate::model::id::{EventId, TenantId, first_raw_at};
use crate::model::time::Timestamp;
use crate::store::{Error, Expiry, Pruned};

/// Events looked at for each that may be removed: most may be of others.
const LOOKS_PER_EVENT: usize = 100;

#[async_trait]
impl Expiry for SqliteStore {
    async fn expire(&self, kept_since: Vec<(TenantId, Timestamp)>, limit: usize) -> Result<Pruned, Error> {
        let ends = ends(&kept_since);
        let looked = self
            .readers
            .run(move |connection| look(connection, &ends, limit))
            .await?;
        // How far it came over nothing need not be kept.
        if looked.events == 0 {
            return Ok(Pruned::default());
        }
        self.writer
            .run(Weight::SMALL, move |session| expire(session, &looked))
            .await
    }

    async fn expire_overdue(
        &self,
        kept_since: Vec<(TenantId, Timestamp)>,
        after: EventId,
        limit: usize,
    ) -> Result<(Pruned, Option<EventId>), Error> {
        let ends = ends(&kept_since);
        let looked = self
            .readers
            .run(move |connection| look_again(connection, &ends, after, limit))
            .await?;
        let goes_on_after = looked.goes_on_after;
        if looked.over.is_empty() {
            return Ok((Pruned::default(), goes_on_after));
        }
        let pruned = self
            .writer
            .run(Weight::SMALL, move |session| {
                expire_overdue(session, &looked.over)
            })
            .await?;
        Ok((pruned, goes_on_after))
    }
}

/// The raw id before which the events of each tenant go.
fn ends(kept_since: &[(TenantId, Timestamp)]) -> HashMap<TenantId, i64> {
    let ends = kept_since
        .iter()
        .map(|(tenant, since)| (*tenant, first_raw_at(*since)));
    ends.collect()
}

/// What a look at what has become old enough came to.
struct Looked {
    /// Events that have had their tenant's time.
    due: Vec<EventId>,
    /// How far those tenants are looked through now that were not before.
    through: HashMap<TenantId, i64>,
    /// Events looked at.
    events: usize,
    more: bool,
}

fn look(connection: &Connection, ends: &HashMap<TenantId, i64>, limit: usize) -> Result<Looked, Failure> {
    let before = looked_through(connection)?;
    let mut looked = Looked {
        due: Vec::new(),
        through: before.clone(),
        events: 0,
        more: false,
    };
    let mut events =
        connection.prepare_cached("SELECT id, tenant FROM events WHERE id > ?1 AND id < ?2 ORDER BY id")?;
    while let Some(stretch) = Stretch::next(ends, &looked.through) {
        let mut rows = events.query([stretch.after, stretch.end])?;
        let (mut last, mut to) = (stretch.after, stretch.end - 1);
        while let Some(row) = rows.next()? {
            if looked.due.len() == limit || looked.events == limit.saturating_mul(LOOKS_PER_EVENT) {
                (looked.more, to) = (true, last);
                break;
            }
            last = row.get(0)?;
            looked.events += 1;
            if stretch.tenants.contains(&TenantId::from_raw(row.get(1)?)) {
                looked.due.push(EventId::from_raw(last));
            }
        }
        looked
            .through
            .extend(stretch.tenants.iter().map(|tenant| (*tenant, to)));
        if looked.more {
            break;
        }
    }
    looked.through.retain(|tenant, to| before.get(tenant) != Some(to));
    Ok(looked)
}

fn looked_through(connection: &Connection) -> Result<HashMap<TenantId, i64>, Failure> {
    let mut statement = connection.prepare_cached("SELECT tenant, id FROM looked_through")?;
    let rows = statement.query_map([], |row| Ok((TenantId::from_raw(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Raw ids behind one and before another, in which events of the same tenants are old enough.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    after: i64,
    end: i64,
    tenants: HashSet<TenantId>,
}

impl Stretch {
    /// The oldest that nobody has looked through yet. It ends where another tenant joins or one of
    /// these has nothing more, so that no event is looked at twice for tenants that keep as long.
    fn next(ends: &HashMap<TenantId, i64>, through: &HashMap<TenantId, i64>) -> Option<Self> {
        // A tenant has no events from before it was made. Those that are new begin together.
        let new = ends.keys().filter(|tenant| !through.contains_key(tenant));
        let new = new.map(|tenant| tenant.raw()).min().unwrap_or_default();
        let at = |tenant: &TenantId| through.get(tenant).copied().unwrap_or(new);
        let open = || ends.iter().filter(|(tenant, end)| at(tenant) < **end - 1);
        let after = open().map(|(tenant, _)| at(tenant)).min()?;
        let end = open().map(|(tenant, end)| match at(tenant) {
            own if own == after => *end,
            later => later + 1,
        });
        let own = open().filter(|(tenant, _)| at(tenant) == after);
        Some(Self {
            after,
            end: end.min()?,
            tenants: own.map(|(tenant, _)| *tenant).collect(),
        })
    }
}

fn expire(session: &Session<'_>, looked: &Looked) -> Result<Pruned, Failure> {
    let mut pruned = Pruned {
        more: looked.more,
        ..Pruned::default()
    };
    let judge = Judge::new(session.connection())?;
    for event in &looked.due {
        if !remove(session, &judge, *event, &mut pruned)? {
            session
                .statement("INSERT OR IGNORE INTO overdue (event) VALUES (?1)")?
                .execute([event.raw()])?;
        }
    }
    for (tenant, to) in &looked.through {
        session
            .statement("INSERT OR REPLACE INTO looked_through (tenant, id) VALUES (?1, ?2)")?
            .execute([tenant.raw(), *to])?;
    }
    Ok(pruned)
}

/// Removes an event unless something of it is still to be made; whether it is gone. Judged here: it
/// may have been replayed since it was looked at.
fn remove(
    session: &Session<'_>,
    judge: &Judge,
    event: EventId,
    pruned: &mut Pruned,
) -> Result<bool, Failure> {
    let endpoints: Option<Vec<u8>> = session
        .statement("SELECT endpoints FROM events WHERE id = ?1")?
        .query_row([event.raw()], |row| row.get(0))
        .optional()?;
    let Some(endpoints) = endpoints else {
        return Ok(true);
    };
    let Some(last) = judge.last_of(session.connection(), event, &endpoints)? else {
        return Ok(false);
    };
    prune::remove(session, (event.raw(), last), pruned)?;
    Ok(true)
}

/// What a look at overdue events came to.
struct LookedAgain {
    /// Those that may go, and those that have gone.
    over: Vec<EventId>,
    goes_on_after: Option<EventId>,
}

fn look_again(
    connection: &Connection,
    ends: &HashMap<TenantId, i64>,
    after: EventId,
    limit: usize,
) -> Result<LookedAgain, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT overdue.event, events.tenant, events.endpoints
         FROM overdue LEFT JOIN events ON events.id = overdue.event
         WHERE overdue.event > ?1 ORDER BY overdue.event LIMIT ?2",
    )?;
    let judge = Judge::new(connection)?;
    let mut over = Vec::new();
    let (mut looks, mut last) = (0, after);
    let mut rows = statement.query([after.raw(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        (looks, last) = (looks + 1, EventId::from_raw(row.get(0)?));
        let is_over = match row.get::<_, Option<i64>>(1)?.map(TenantId::from_raw) {
            None => true,
            Some(tenant) if ends.get(&tenant).is_some_and(|end| last.raw() < *end) => {
                judge.last_of(connection, last, row::blob(row, 2)?)?.is_some()
            }
            // It keeps for longer now.
            Some(_) => false,
        };
        if is_over {
            over.push(last);
        }
    }
    Ok(LookedAgain {
        over,
        goes_on_after: (looks == limit).then_some(last),
    })
}

fn expire_overdue(session: &Session<'_>, over: &[EventId]) -> Result<Pruned, Failure> {
    let mut pruned = Pruned::default();
    let judge = Judge::new(session.connection())?;
    for event in over {
        if remove(session, &judge, *event, &mut pruned)? {
            session
                .statement("DELETE FROM overdue WHERE event = ?1")?
                .execute([event.raw()])?;
        }
    }
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    const A: TenantId = TenantId::from_raw(1);
    const B: TenantId = TenantId::from_raw(2);
    const C: TenantId = TenantId::from_raw(3);

    /// Looks as far as there is to look: the ids found, and how many events were looked at.
    fn look_all(connection: &Connection, ends: &HashMap<TenantId, i64>, limit: usize) -> (Vec<i64>, usize) {
        let (mut found, mut events) = (Vec::new(), 0);
        loop {
            let looked = look(connection, ends, limit).unwrap();
            found.extend(looked.due.iter().map(|event| event.raw()));
            events += looked.events;
            for (tenant, to) in &looked.through {
                connection
                    .execute(
                        "INSERT OR REPLACE INTO looked_through (tenant, id) VALUES (?1, ?2)",
                        [tenant.raw(), *to],
                    )
                    .unwrap();
            }
            if !looked.more {
                return (found, events);
            }
        }
    }

    #[test]
    fn no_event_is_looked_at_twice_for_tenants_that_keep_as_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.db");
        let mut connection = schema::open_writer(&path).unwrap();
        schema::migrate(&mut connection, &path).unwrap();
        // 300 events of three tenants in turn, with the ids 100 to 399.
        connection
            .execute_batch(
                "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 299)
                 INSERT INTO events (id, tenant, received_at, kind, endpoints, checksum, origin, data)
                 SELECT 100 + n, 1 + n % 3, 0, 'a.b', x'', 0, 'api', x'00' FROM n",
            )
            .unwrap();
        let of = |tenant: i64, from: i64, end: i64| -> Vec<i64> {
            (from..end).filter(|id| 1 + (id - 100) % 3 == tenant).collect()
        };
        let mut ends = HashMap::from([(B, 200)]);
        assert_eq!(look_all(&connection, &ends, 4), (of(2, 100, 200), 100));
        assert_eq!(look_all(&connection, &ends, 4), (vec![], 0));
        ends.insert(B, 210);
        assert_eq!(
            look_all(&connection, &ends, 4),
            (of(2, 200, 210), 10),
            "what has become old"
        );
        // Another joins: it catches up, and from there on both are looked for at once.
        ends.extend([(B, 300), (C, 300)]);
        let both = [of(3, 100, 210), {
            let mut both = [of(2, 210, 300), of(3, 210, 300)].concat();
            both.sort_unstable();
            both
        }];
        assert_eq!(look_all(&connection, &ends, 500), (both.concat(), 200));
        // Who keeps for longer than before has nothing to be looked for.
        ends.extend([(B, 250), (A, 120)]);
        assert_eq!(look_all(&connection, &ends, 4), (of(1, 100, 120), 20));
    }

    #[test]
    fn a_stretch_ends_where_another_tenant_joins() {
        let ends = HashMap::from([(A, 50), (B, 80), (C, 10)]);
        let stretch = |through: &[(TenantId, i64)]| Stretch::next(&ends, &through.iter().copied().collect());
        let of = |after, end, tenants: &[TenantId]| Stretch {
            after,
            end,
            tenants: tenants.iter().copied().collect(),
        };
        assert_eq!(stretch(&[]), Some(of(1, 10, &[A, B, C])));
        assert_eq!(stretch(&[(A, 9), (B, 30), (C, 9)]), Some(of(9, 31, &[A])));
        assert_eq!(stretch(&[(A, 30), (B, 30), (C, 9)]), Some(of(30, 50, &[A, B])));
        assert_eq!(stretch(&[(A, 49), (B, 79), (C, 9)]), None);
    }
}
