//! Power cuts under the store: after each, everything it promised has to be there, and nothing
//! that nobody asked for.
//!
//! A seed decides what the store is asked for, what breaks meanwhile, when the power goes, and
//! what of the unsynced writes is left. The store's own threads decide how its writes and its
//! copying of the log fall together; so the same seed may take another turn on another run.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use relay::model::delivery::{Delivery, State};
use relay::model::event::Event;
use relay::model::id::{DeliveryId, EventId};
use relay::model::page::{LIMIT_MAX, Page};
use relay::store::sqlite::{Settings, SqliteStore};
use relay::store::{DeliveryFilter, DeliveryQueue as _, EventFilter, EventStore as _, Record};

use super::shop::{ENDPOINTS, NOW, TENANT};
use super::workload::{DATABASE, Promise, Workload, master_keys};
use crate::disk::{self, Disk, Image, Step, Syncs};

/// Calls of one workload.
const CALLS: usize = 40;
/// Power cuts of one workload, each at a moment of its own.
const CUTS: usize = 3;
/// One workload in so many also meets failing reads, writes, syncs and opens.
const FAULTY_EVERY: u64 = 4;
/// Rows read at once.
const ROWS_MAX: usize = 100_000;

/// What came of one seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Survived {
    pub cuts: usize,
    /// Events that were acknowledged before the power went, over all cuts.
    pub acknowledged: usize,
}

/// Runs one seed.
///
/// # Errors
/// What was lost, torn or made up.
pub async fn run(seed: u64, syncs: Syncs) -> Result<Survived, String> {
    let told = |what: String| format!("seed {seed}: {what}");
    let mut random = StdRng::seed_from_u64(seed);
    let workload = Workload::new(StdRng::seed_from_u64(random.random()));
    let mut workload = workload.map_err(|error| told(error.to_string()))?;
    let has_faults = seed % FAULTY_EVERY == 1;
    workload.run(CALLS, has_faults).await.map_err(told)?;
    let trace = workload.disk.trace();
    let mut survived = Survived::default();
    for _ in 0..CUTS {
        let at = moment(&trace, &mut random);
        let mut image = disk::image(&trace[..at], syncs, &mut random);
        spoil_shared_memory(&mut image, &mut random);
        let cut = Cut {
            workload: &workload,
            promises: promises(&trace[..at]),
        };
        let checked = cut.check(&image).await;
        survived.acknowledged += checked.map_err(|what| told(format!("cut at {at}: {what}")))?;
        survived.cuts += 1;
    }
    Ok(survived)
}

/// Anywhere, or right beside a sync or a promise: that is where things go wrong.
fn moment(trace: &[Step], random: &mut StdRng) -> usize {
    let at = random.random_range(0..=trace.len());
    if random.random() {
        return at;
    }
    let is_border = |step: &Step| !matches!(step, Step::Write { .. } | Step::Truncate { .. });
    let border = trace[at..].iter().position(is_border);
    let beside = border.map_or(at, |border| at + border + usize::from(random.random::<bool>()));
    beside.min(trace.len())
}

/// How many promises were made.
fn promises(trace: &[Step]) -> usize {
    let is_mark = |step: &Step| matches!(step, Step::Mark(_));
    trace.iter().filter(|step| is_mark(step)).count()
}

/// The index of the write-ahead log is never synced: it may be gone, or anything.
fn spoil_shared_memory(image: &mut Image, random: &mut StdRng) {
    if random.random() {
        let garbage = (0..32 * 1024).map(|_| random.random()).collect();
        image.insert(format!("{DATABASE}-shm").into(), garbage);
    }
}

/// A power cut after so many promises.
struct Cut<'a> {
    workload: &'a Workload,
    promises: usize,
}

/// What the store has after it was opened again.
struct Found {
    events: BTreeMap<EventId, Arc<Event>>,
    rows: BTreeMap<DeliveryId, Delivery>,
    /// Deliveries that the relay would take up at its start.
    taken_up: HashSet<DeliveryId>,
    /// Deliveries that wait, and the bytes that they would send.
    due: BTreeMap<DeliveryId, Option<bytes::Bytes>>,
    checkpoint: EventId,
}

impl Cut<'_> {
    /// Opens what is left and compares; how many acknowledged events there are.
    async fn check(&self, image: &Image) -> Result<usize, String> {
        let disk = Disk::with(image);
        let settings = Settings {
            readers: 1,
            master_keys: master_keys(),
            ..Settings::default()
        };
        let store = SqliteStore::open(&disk.path(DATABASE), settings)
            .map_err(|error| format!("the store does not open: {error}"))?;
        let found = Found::read(&store)
            .await
            .map_err(|error| format!("the store cannot be read: {error}"))?;
        store.close().await;
        drop(store);
        integrity(&disk)?;
        self.nothing_is_made_up(&found)?;
        found.all_that_waits_is_due()?;
        self.nothing_is_lost(&found)
    }

    fn nothing_is_made_up(&self, found: &Found) -> Result<(), String> {
        for (id, event) in &found.events {
            if self.workload.shop.offered.get(id) != Some(event) {
                return Err(format!("event {id} is not what was offered"));
            }
        }
        for (id, row) in &found.rows {
            let recorded = self.workload.handed_in.get(&(*id, row.attempts));
            let is_known = recorded.is_some_and(|record| record.progress.state == row.state)
                || (row.attempts == 0 && row.state == State::Pending);
            if !is_known || !found.events.contains_key(&row.event) {
                return Err(format!("delivery {id} stands as nobody has recorded: {row:?}"));
            }
        }
        Ok(())
    }

    fn nothing_is_lost(&self, found: &Found) -> Result<usize, String> {
        let mut acknowledged = 0;
        let mut recorded: BTreeMap<DeliveryId, &Record> = BTreeMap::new();
        for promise in &self.workload.promises[..self.promises] {
            match promise {
                Promise::Accepted(events) => {
                    acknowledged += events.len();
                    for (event, deliveries) in events {
                        found.has(*event, *deliveries)?;
                    }
                }
                Promise::Recorded(records) => {
                    recorded.extend(records.iter().map(|record| (record.delivery, record)));
                }
                Promise::Checkpoint(upto) if found.checkpoint < *upto => {
                    return Err(format!("the checkpoint {upto} went back to {}", found.checkpoint));
                }
                Promise::Checkpoint(_) => {}
            }
        }
        recorded
            .into_values()
            .try_for_each(|record| found.knows(record))?;
        Ok(acknowledged)
    }
}

impl Found {
    async fn read(store: &SqliteStore) -> Result<Self, relay::store::Error> {
        let checkpoint = store.checkpoint().await?;
        let unfinished = store.unfinished(checkpoint, ROWS_MAX).await?;
        let planned = unfinished.events.iter().flat_map(|event| &event.deliveries);
        let mut found = Self {
            events: BTreeMap::new(),
            rows: BTreeMap::new(),
            taken_up: planned.map(|(id, _)| *id).collect(),
            due: BTreeMap::new(),
            checkpoint,
        };
        for endpoint in ENDPOINTS {
            let batch = store.due(endpoint, NOW, HashSet::new(), ROWS_MAX).await?;
            let body = |due: &relay::store::Due| Some(due.messages.as_ref()?.list.first()?.body.clone());
            found
                .due
                .extend(batch.due.iter().map(|due| (due.delivery, body(due))));
        }
        let mut page = Page {
            limit: LIMIT_MAX,
            before: None,
        };
        loop {
            let listed = store.events(TENANT, EventFilter::default(), page).await?;
            found
                .events
                .extend(listed.items.into_iter().map(|event| (event.id, event)));
            page.before = listed.next;
            if listed.next.is_none() {
                break;
            }
        }
        loop {
            let listed = store.deliveries(TENANT, DeliveryFilter::default(), page).await?;
            found
                .rows
                .extend(listed.items.into_iter().map(|row| (row.id, row)));
            page.before = listed.next;
            if listed.next.is_none() {
                return Ok(found);
            }
        }
    }

    /// An acknowledged event is there, and each of its deliveries is on its way or done.
    fn has(&self, id: EventId, deliveries: usize) -> Result<(), String> {
        if !self.events.contains_key(&id) {
            return Err(format!("event {id} is lost"));
        }
        let forgotten = (0..deliveries)
            .map(|number| id.delivery(number))
            .find(|delivery| !self.rows.contains_key(delivery) && !self.taken_up.contains(delivery));
        match forgotten {
            Some(delivery) => Err(format!("delivery {delivery} is forgotten")),
            None => Ok(()),
        }
    }

    /// Waiting deliveries are found again, with the bytes that they had.
    fn all_that_waits_is_due(&self) -> Result<(), String> {
        for (id, row) in &self.rows {
            let due = self.due.get(id);
            if (row.state == State::Pending) != due.is_some() {
                return Err(format!("delivery {id} is {}, but due: {due:?}", row.state));
            }
            let frozen = due.and_then(Option::as_ref);
            if frozen.is_some_and(|body| *body != self.events[&row.event].data) {
                return Err(format!("delivery {id} would send other bytes"));
            }
        }
        Ok(())
    }

    /// What was recorded is known, or something later.
    fn knows(&self, record: &Record) -> Result<(), String> {
        let id = record.delivery;
        let row = self.rows.get(&id);
        let row = row.ok_or_else(|| format!("delivery {id} has lost its record"))?;
        if row.attempts < record.attempts {
            return Err(format!("delivery {id} has lost attempt {}", record.attempts));
        }
        Ok(())
    }
}

/// SQLite's own look at every page.
fn integrity(disk: &Disk) -> Result<(), String> {
    let looked = rusqlite::Connection::open(disk.path(DATABASE)).and_then(|connection| {
        connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
    });
    match looked {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(answer) => Err(format!("the database is damaged: {answer}")),
        Err(error) => Err(format!("the database cannot be checked: {error}")),
    }
}
