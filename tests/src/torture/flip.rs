//! One bit flipped in the files of a store that has stopped: it has to be found, or to change
//! nothing. No other bytes may ever come out.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, Once, PoisonError};

use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use relay::model::delivery::State;
use relay::model::event::Event;
use relay::model::id::{DeliveryId, EndpointId, EventId};
use relay::model::page::{LIMIT_MAX, Page};
use relay::store::sqlite::{Settings, SqliteStore};
use relay::store::{DeliveryQueue as _, EventFilter, EventStore as _};

use super::shop::{ENDPOINTS, NOW, TENANT};
use super::workload::{DATABASE, Promise, Workload, master_keys};
use crate::disk::{Disk, Image};

/// Calls of the workload that fills the store.
const CALLS: usize = 120;
/// Rows read at once.
const ROWS_MAX: usize = 100_000;

/// What came of all flips.
#[derive(Debug, Default)]
pub struct Flips {
    /// Something said that it is damaged: an error, or a line in the log.
    pub found: usize,
    /// Nothing was different.
    pub harmless: usize,
    /// What must not happen.
    pub faults: Vec<String>,
}

/// Flips so many bits, one at a time, in the files of a store as it is after a kill, and after
/// an orderly stop.
///
/// # Errors
/// If the store cannot be filled.
pub async fn run(flips: usize, seed: u64) -> Result<Flips, String> {
    listen();
    let mut random = StdRng::seed_from_u64(seed);
    let workload = Workload::new(StdRng::seed_from_u64(random.random()));
    let mut workload = workload.map_err(|error| error.to_string())?;
    workload.run(CALLS, false).await?;
    let killed = files(&workload.disk);
    workload.reopen().await?;
    let stopped = files(&workload.disk);
    let expected = Expected::of(&workload);
    let mut done = Flips::default();
    for number in 0..flips {
        let mut image = if number % 2 == 0 {
            killed.clone()
        } else {
            stopped.clone()
        };
        let file = image
            .iter_mut()
            .filter(|(_, content)| !content.is_empty())
            .choose(&mut random);
        let (name, content) = file.expect("a store has files");
        let (at, bit) = (random.random_range(0..content.len()), random.random_range(0..8));
        content[at] ^= 1 << bit;
        let place = format!("bit {bit} of byte {at} of {name}");
        let (seen, said) = (expected.look(&image).await, heard());
        match (seen.wrong.first(), seen.missing.first()) {
            (Some(wrong), _) => done.faults.push(format!("{place}: {wrong}")),
            (None, Some(missing)) if seen.errors.is_empty() && said.is_empty() => {
                done.faults
                    .push(format!("{place}: {missing}, and nothing said so"));
            }
            (None, _) if seen.errors.is_empty() && said.is_empty() => done.harmless += 1,
            (None, _) => done.found += 1,
        }
    }
    Ok(done)
}

/// The database and its log, as a stopped process leaves them.
fn files(disk: &Disk) -> Image {
    let mut files = disk.content();
    files.retain(|name, _| **name == *DATABASE || name.ends_with("-wal"));
    files
}

/// What has to come out of a sound store.
struct Expected<'a> {
    offered: &'a BTreeMap<EventId, Arc<Event>>,
    accepted: Vec<EventId>,
    /// Deliveries that still have to be made.
    waiting: HashSet<DeliveryId>,
}

/// What came out.
#[derive(Default)]
struct Seen {
    /// Other than what was put in.
    wrong: Vec<String>,
    missing: Vec<String>,
    /// What the store said of it.
    errors: Vec<String>,
}

impl<'a> Expected<'a> {
    fn of(workload: &'a Workload) -> Self {
        let mut accepted = Vec::new();
        let mut waiting = HashSet::new();
        for promise in &workload.promises {
            match promise {
                Promise::Accepted(events) => {
                    for (event, deliveries) in events {
                        accepted.push(*event);
                        waiting.extend((0..*deliveries).map(|number| event.delivery(number)));
                    }
                }
                Promise::Recorded(records) => {
                    for record in records {
                        if record.progress.state == State::Pending {
                            waiting.insert(record.delivery);
                        } else {
                            waiting.remove(&record.delivery);
                        }
                    }
                }
                Promise::Checkpoint(_) => {}
            }
        }
        Self {
            offered: &workload.shop.offered,
            accepted,
            waiting,
        }
    }

    /// Opens a store on these files and looks at everything in it.
    async fn look(&self, image: &Image) -> Seen {
        let mut seen = Seen::default();
        let disk = Disk::with(image);
        let settings = Settings {
            readers: 1,
            master_keys: master_keys(),
            ..Settings::default()
        };
        match SqliteStore::open(&disk.path(DATABASE), settings) {
            Ok(store) => {
                self.look_at_events(&store, &mut seen).await;
                self.look_at_list(&store, &mut seen).await;
                self.look_at_deliveries(&store, &mut seen).await;
            }
            Err(error) => seen.errors.push(error.to_string()),
        }
        seen
    }

    async fn look_at_events(&self, store: &SqliteStore, seen: &mut Seen) {
        for id in &self.accepted {
            match store.event(TENANT, *id).await {
                Ok(Some(event)) => self.compare(&event, seen),
                Ok(None) => seen.missing.push(format!("event {id} is gone")),
                Err(error) => seen.errors.push(error.to_string()),
            }
        }
    }

    /// Every event by way of the list, which looks at those, too, that nobody knows by their id.
    async fn look_at_list(&self, store: &SqliteStore, seen: &mut Seen) {
        let mut page = Page {
            limit: LIMIT_MAX,
            before: None,
        };
        loop {
            match store.events(TENANT, EventFilter::default(), page).await {
                Ok(listed) => {
                    listed.items.iter().for_each(|event| self.compare(event, seen));
                    page.before = listed.next;
                }
                Err(error) => {
                    seen.errors.push(error.to_string());
                    return;
                }
            }
            if page.before.is_none() {
                return;
            }
        }
    }

    fn compare(&self, event: &Arc<Event>, seen: &mut Seen) {
        if self.offered.get(&event.id) != Some(event) {
            seen.wrong.push(format!("event {} is another", event.id));
        }
    }

    /// Goes the way of a start: what waits, then what was in flight.
    async fn look_at_deliveries(&self, store: &SqliteStore, seen: &mut Seen) {
        let mut found = HashSet::new();
        match store.waiting().await {
            Ok(waiting) => {
                let is_known = |endpoint: &EndpointId| ENDPOINTS.contains(endpoint);
                let strangers = waiting.iter().filter(|(endpoint, _)| !is_known(endpoint));
                // The relay names these at its start.
                seen.errors
                    .extend(strangers.map(|(endpoint, _)| format!("{endpoint} is unknown")));
            }
            Err(error) => seen.errors.push(error.to_string()),
        }
        for endpoint in ENDPOINTS {
            match store.due(endpoint, NOW, HashSet::new(), ROWS_MAX).await {
                Ok(batch) => {
                    for due in batch.due {
                        self.compare(&due.event, seen);
                        self.compare_delivery(&due.event, due.delivery, due.endpoint, seen);
                        let body = due.messages.as_ref().and_then(|messages| messages.list.first());
                        if body.is_some_and(|message| message.body != due.event.data) {
                            seen.wrong
                                .push(format!("delivery {} sends other bytes", due.delivery));
                        }
                        found.insert(due.delivery);
                    }
                    seen.errors
                        .extend(batch.damaged.iter().map(|id| format!("{id} is damaged")));
                }
                Err(error) => seen.errors.push(error.to_string()),
            }
        }
        let unfinished = match store.checkpoint().await {
            Ok(checkpoint) => store.unfinished(checkpoint, ROWS_MAX).await,
            Err(error) => Err(error),
        };
        match unfinished {
            Ok(page) => {
                for unfinished in page.events {
                    self.compare(&unfinished.event, seen);
                    for (delivery, endpoint) in unfinished.deliveries {
                        self.compare_delivery(&unfinished.event, delivery, endpoint, seen);
                        found.insert(delivery);
                    }
                }
            }
            Err(error) => seen.errors.push(error.to_string()),
        }
        let missing = self.waiting.difference(&found);
        seen.missing
            .extend(missing.map(|delivery| format!("delivery {delivery} is forgotten")));
    }

    /// The shop has an event's deliveries go to the endpoints in their order.
    fn compare_delivery(&self, event: &Event, delivery: DeliveryId, to: EndpointId, seen: &mut Seen) {
        let planned = ENDPOINTS
            .iter()
            .enumerate()
            .map(|(number, endpoint)| (event.id.delivery(number), *endpoint));
        if !planned.into_iter().any(|planned| planned == (delivery, to)) {
            seen.wrong.push(format!(
                "delivery {delivery} goes to {to}, which is not where it was to go"
            ));
        }
    }
}

// ---- the log ---------------------------------------------------------------------------

/// What the store has logged since it was last asked.
static HEARD: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Ear;

impl io::Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HEARD
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes down the log of this process from now on.
fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let lines = tracing_subscriber::fmt().with_writer(|| Ear);
        lines.with_max_level(tracing::Level::INFO).init();
    });
}

fn heard() -> String {
    let heard = std::mem::take(&mut *HEARD.lock().unwrap_or_else(PoisonError::into_inner));
    String::from_utf8_lossy(&heard).into_owned()
}
