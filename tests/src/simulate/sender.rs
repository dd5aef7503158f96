//! Senders: they post, and post again what nobody acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use rand::RngExt as _;
use rand::rngs::StdRng;
use relay::flow::Flow;
use relay::ingest;
use relay::model::id::TenantId;

use super::plan::{KINDS, Side, wanting};
use super::world::World;

/// One event that someone has to say.
#[derive(Debug, Clone)]
pub(super) struct Saying {
    pub(super) n: u64,
    kind: usize,
    padding: usize,
    /// The sender's own id: equal ones are one event.
    id: Option<u64>,
    is_under_way: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Senders {
    unacknowledged: Mutex<BTreeMap<u64, Saying>>,
    said: Mutex<u64>,
    /// Endpoints as the relay has them in force.
    in_force: Mutex<Vec<Side>>,
}

/// Events that are said in one simulation, at most.
const SAID_MAX: u64 = 400;

impl Senders {
    fn unacknowledged(&self) -> MutexGuard<'_, BTreeMap<u64, Saying>> {
        self.unacknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The relay is gone, and with it every answer to come.
    pub(super) fn hang_up(&self) {
        for saying in self.unacknowledged().values_mut() {
            saying.is_under_way = false;
        }
    }

    /// The relay put these endpoints in force.
    pub(super) fn put_in_force(&self, sides: Vec<Side>) {
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = sides;
    }

    /// Something new to say, at times under an id that was said already; nothing when all is said.
    pub(super) fn new_saying(&self, bytes_max: usize, random: &mut StdRng) -> Option<Saying> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said == SAID_MAX {
            return None;
        }
        *said += 1;
        Some(Saying {
            n: *said,
            kind: random.random_range(0..KINDS.len()),
            padding: random.random_range(0..bytes_max),
            id: match random.random_range(0..10) {
                0..4 => None,
                4 => Some(random.random_range(1..=*said)),
                _ => Some(*said),
            },
            is_under_way: false,
        })
    }

    /// Whether everybody was told that their event is accepted.
    pub(super) fn are_content(&self) -> bool {
        self.unacknowledged().is_empty()
    }

    /// Something to say again.
    pub(super) fn any_unacknowledged(&self) -> Option<Saying> {
        let unacknowledged = self.unacknowledged();
        unacknowledged
            .values()
            .find(|saying| !saying.is_under_way)
            .cloned()
    }

    /// Says these in one request.
    pub(super) async fn say(self: Arc<Self>, world: Arc<World>, flow: Arc<Flow>, sayings: Vec<Saying>) {
        let mut posts = Vec::new();
        for saying in &sayings {
            let in_force = self
                .in_force
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            world
                .ledger()
                .posted(saying.n, wanting(&in_force, saying.kind, saying.n));
            let mut under_way = saying.clone();
            under_way.is_under_way = true;
            self.unacknowledged().insert(saying.n, under_way);
            posts.extend(saying.posts());
        }
        let numbers: Vec<u64> = sayings.iter().map(|saying| saying.n).collect();
        world.trace(format_args!("posting {numbers:?}"));
        match flow.accept(TenantId::DEFAULT, None, posts).await {
            Ok(receipts) => {
                for (n, receipt) in numbers.iter().zip(&receipts) {
                    world.trace(format_args!("{n} is {receipt:?}"));
                    self.unacknowledged().remove(n);
                    let kept = world.ledger().acknowledged(receipt.id, receipt.duplicate);
                    world.expect(kept);
                    world.count(|counts| counts.events += u64::from(!receipt.duplicate));
                }
            }
            Err(error) => {
                world.trace(format_args!("{numbers:?} refused: {error}"));
                for n in &numbers {
                    if let Some(saying) = self.unacknowledged().get_mut(n) {
                        saying.is_under_way = false;
                    }
                }
            }
        }
    }
}

impl Saying {
    /// As the relay's door reads it.
    fn posts(&self) -> Vec<ingest::Post> {
        let Self {
            n, kind, padding, id, ..
        } = self;
        let kind = KINDS[*kind];
        let id = id.map_or_else(String::new, |id| format!("\"id\":\"id-{id}\","));
        let even = n.is_multiple_of(2);
        let padding = "x".repeat(*padding);
        let body = format!(
            "{{{id}\"type\":\"{kind}\",\"data\":{{\"n\":{n},\"even\":{even},\"padding\":\"{padding}\"}}}}"
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        ingest::read_api(TenantId::DEFAULT, &headers, &Bytes::from(body)).unwrap_or_default()
    }
}
