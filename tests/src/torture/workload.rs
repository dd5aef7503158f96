//! What a relay asks of its store, by seed: events, attempts, the checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use relay::model::attempt::{Attempt, Outcome, Trigger};
use relay::model::delivery::{Progress, State};
use relay::model::id::{AttemptId, DeliveryId, EndpointId, EventId};
use relay::model::message::{Message, Messages};
use relay::model::secret::Secret;
use relay::store::seal::MasterKey;
use relay::store::sqlite::{Settings, SqliteStore};
use relay::store::{Accepted, Begins, DeliveryQueue as _, Error, EventStore as _, NewEvent, Record};

use super::shop::{NOW, Post, Shop, TENANT};
use crate::disk::{self, Disk, Fault, Operation};

/// The database's name on its disk.
pub const DATABASE: &str = "relay.db";

/// Most events of one call.
const EVENTS_MAX: usize = 6;
/// How often a call is made again that the store did not take, and how long each waits.
const TRIES: usize = 2_000;
const PAUSE: Duration = Duration::from_millis(5);

/// What the store has said yes to.
#[derive(Debug)]
pub enum Promise {
    /// Events, and how many deliveries each has.
    Accepted(Vec<(EventId, usize)>),
    Recorded(Vec<Record>),
    Checkpoint(EventId),
}

/// A store at work, and what it was asked and has promised.
pub struct Workload {
    pub disk: Disk,
    random: StdRng,
    pub shop: Shop,
    /// Every record that was ever handed in, by delivery and attempt.
    pub handed_in: BTreeMap<(DeliveryId, u32), Record>,
    pub promises: Vec<Promise>,
    /// Absent only while it is opened again.
    store: Option<SqliteStore>,
    settings: Settings,
    /// Every delivery of an accepted event and its attempts so far; without a row if none.
    deliveries: BTreeMap<DeliveryId, Standing>,
    checkpoint: EventId,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    event: EventId,
    endpoint: EndpointId,
    attempts: u32,
    has_row: bool,
}

/// What every store of the torture is sealed with: kept elsewhere than on the disk that is
/// tortured, as an operator would.
///
/// # Panics
/// If it is no key.
pub fn master_keys() -> Vec<Arc<MasterKey>> {
    let key = Secret::new("q1w2E3r4T5y6U7i8O9p0A1s2D3f4G5h6J7k8L9z0X1c=".to_owned());
    vec![Arc::new(MasterKey::parse(&key).expect("32 bytes in base64"))]
}

impl Workload {
    /// A fresh store on a fresh disk.
    pub fn new(mut random: StdRng) -> Result<Self, Error> {
        let disk = Disk::new();
        let settings = Settings {
            // Nothing is measured here, so nobody has to linger.
            linger: Duration::ZERO,
            checkpoint_pages: random.random_range(2..64),
            readers: 1,
            master_keys: master_keys(),
            ..Settings::default()
        };
        Ok(Self {
            store: Some(SqliteStore::open(&disk.path(DATABASE), settings.clone())?),
            disk,
            shop: Shop::new(random.random()),
            random,
            handed_in: BTreeMap::new(),
            promises: Vec::new(),
            settings,
            deliveries: BTreeMap::new(),
            checkpoint: EventId::from_raw(0),
        })
    }

    /// Makes so many calls.
    ///
    /// # Errors
    /// What the store did that it must not.
    pub async fn run(&mut self, calls: usize, has_faults: bool) -> Result<(), String> {
        for _ in 0..calls {
            if has_faults && self.random.random_range(0..100) < 4 {
                self.break_something();
            }
            match self.random.random_range(0..100) {
                0..50 => self.accept().await?,
                50..85 => self.record().await?,
                85..95 => self.move_checkpoint().await?,
                _ => self.reopen().await?,
            }
        }
        Ok(())
    }

    const fn store(&self) -> &SqliteStore {
        self.store.as_ref().expect("the store is open between calls")
    }

    fn promise(&mut self, promise: Promise) {
        self.disk.mark(self.promises.len());
        self.promises.push(promise);
    }

    fn break_something(&mut self) {
        let (operation, error) = *[
            (Operation::Sync, disk::Error::Broken),
            (Operation::Write, disk::Error::Broken),
            (Operation::Write, disk::Error::Full),
            (Operation::Read, disk::Error::Broken),
            (Operation::Open, disk::Error::TooManyFiles),
        ]
        .choose(&mut self.random)
        .expect("a choice");
        let times = self.random.random_range(1..4);
        let after = self.random.random_range(0..8);
        self.disk
            .fail(Fault::always(operation, error).times(times).after(after));
    }

    async fn accept(&mut self) -> Result<(), String> {
        let count = self.random.random_range(1..=EVENTS_MAX);
        let mut posts: Vec<Post> = (0..count).map(|_| self.shop.post()).collect();
        for _ in 0..TRIES {
            let offered: Vec<NewEvent> = posts.iter().map(|post| self.shop.offer(post)).collect();
            let Ok(answers) = self.store().accept(offered.clone(), NOW).await else {
                // As a sender would: the same events once more, until they are taken.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            for (new, answer) in offered.iter().zip(answers) {
                if let Accepted::Duplicate(first) = answer {
                    return Err(format!(
                        "{first} was refused, and then known as accepted, under {}",
                        new.event.id
                    ));
                }
                self.expect_deliveries(new);
            }
            let accepted = offered.iter().map(|new| (new.event.id, new.deliveries.len()));
            self.promise(Promise::Accepted(accepted.collect()));
            posts.clear();
            return Ok(());
        }
        Err("the store took no events for long after the last fault".to_owned())
    }

    fn expect_deliveries(&mut self, new: &NewEvent) {
        for (number, planned) in new.deliveries.iter().enumerate() {
            let standing = Standing {
                event: new.event.id,
                endpoint: planned.endpoint,
                attempts: 0,
                has_row: planned.begins != Begins::InMemory,
            };
            self.deliveries.insert(new.event.id.delivery(number), standing);
        }
    }

    async fn record(&mut self) -> Result<(), String> {
        let known: Vec<DeliveryId> = self.deliveries.keys().copied().collect();
        let count = self.random.random_range(1..=EVENTS_MAX);
        let chosen: Vec<DeliveryId> = known.sample(&mut self.random, count).copied().collect();
        let records: Vec<Record> = chosen.into_iter().map(|id| self.attempt(id)).collect();
        if records.is_empty() {
            return Ok(());
        }
        for _ in 0..TRIES {
            if self.store().record(&records).await.is_ok() {
                self.promise(Promise::Recorded(records));
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err("the store took no attempts for long after the last fault".to_owned())
    }

    /// One more attempt of a delivery: it arrived, or is to be tried again.
    fn attempt(&mut self, delivery: DeliveryId) -> Record {
        let arrived = self.random.random();
        let standing = self.deliveries.get_mut(&delivery).expect("a known delivery");
        standing.attempts += 1;
        standing.has_row = true;
        let Standing {
            event,
            endpoint,
            attempts,
            ..
        } = *standing;
        let attempt = Attempt {
            id: AttemptId::from_raw(i64::from(attempts)),
            number: attempts,
            trigger: Trigger::Scheduled,
            started_at: NOW,
            duration_us: 10,
            outcome: Outcome::Responded {
                status: if arrived { 200 } else { 500 },
                excerpt: String::new(),
                retry_after_ms: None,
                declined: false,
                by_mail: false,
            },
            plugins: Vec::new(),
            log: Vec::new(),
        };
        let frozen = Messages {
            list: vec![Message {
                id: format!("msg_{}", delivery.digits()),
                headers: Vec::new(),
                body: self.shop.offered[&event].data.clone(),
            }],
            sent: 0,
        };
        let record = Record {
            delivery,
            event,
            endpoint,
            tenant: TENANT,
            attempts,
            progress: Progress {
                state: if arrived { State::Succeeded } else { State::Pending },
                due: (!arrived).then_some(NOW),
                reason: (!arrived).then(|| "500".to_owned()),
                attempt: Some(attempt),
                messages: (!arrived).then_some(frozen),
            },
        };
        self.handed_in.insert((delivery, attempts), record.clone());
        record
    }

    /// As far as every delivery has a row, which is what a checkpoint says.
    async fn move_checkpoint(&mut self) -> Result<(), String> {
        let open = self.deliveries.values().find(|standing| !standing.has_row);
        let reached = match (open, self.shop.offered.last_key_value()) {
            (Some(standing), _) => EventId::from_raw(standing.event.raw() - 1),
            (None, Some((last, _))) => *last,
            (None, None) => return Ok(()),
        };
        if reached <= self.checkpoint {
            return Ok(());
        }
        if self.store().set_checkpoint(reached).await.is_ok() {
            self.checkpoint = reached;
            self.promise(Promise::Checkpoint(reached));
        }
        Ok(())
    }

    /// Stops in order and starts again, on a disk that is sound meanwhile.
    pub(super) async fn reopen(&mut self) -> Result<(), String> {
        self.disk.heal();
        self.store().close().await;
        // The lock goes with the one before the other can take it.
        self.store = None;
        let opened = SqliteStore::open(&self.disk.path(DATABASE), self.settings.clone());
        self.store = Some(opened.map_err(|error| format!("the store did not open again: {error}"))?);
        Ok(())
    }
}
