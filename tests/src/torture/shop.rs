//! Events to offer to a store, by seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use relay::model::event::{Envelope, Event};
use relay::model::id::{EndpointId, EventId, IdMaker, TenantId};
use relay::model::time::Timestamp;
use relay::store::{Begins, DedupeKey, NewEvent, Planned};

/// Whose everything is.
pub const TENANT: TenantId = TenantId::DEFAULT;
/// Where events may go.
pub const ENDPOINTS: [EndpointId; 3] = [
    EndpointId::from_raw(101),
    EndpointId::from_raw(102),
    EndpointId::from_raw(103),
];
/// When everything happens.
pub const NOW: Timestamp = Timestamp::from_millis(1_770_000_000_000);

/// One payload in so many is a large one.
const LARGE_EVERY: u32 = 12;
const LARGE_BYTES: usize = 40_000;
const SMALL_BYTES: usize = 400;

/// An event before it has an id: it gets another each time it is offered.
#[derive(Debug)]
pub struct Post {
    data: Bytes,
    endpoints: Vec<Planned>,
    dedupe: DedupeKey,
}

/// Where the events come from.
#[derive(Debug)]
pub struct Shop {
    random: StdRng,
    ids: IdMaker,
    /// Everything that was ever offered, taken or not.
    pub offered: BTreeMap<EventId, Arc<Event>>,
}

impl Shop {
    /// A shop whose events that number decides.
    pub fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            ids: IdMaker::new(0),
            offered: BTreeMap::new(),
        }
    }

    /// An event that is offered once.
    pub fn any(&mut self) -> NewEvent {
        let post = self.post();
        self.offer(&post)
    }

    /// Something that has happened.
    pub fn post(&mut self) -> Post {
        let is_large = self.random.random_range(0..LARGE_EVERY) == 0;
        let bytes_max = if is_large { LARGE_BYTES } else { SMALL_BYTES };
        let mut data = vec![0; self.random.random_range(1..bytes_max)];
        self.random.fill_bytes(&mut data);
        let begins = match self.random.random_range(0..4) {
            0 => Begins::Waiting,
            _ => Begins::InMemory,
        };
        let count = self.random.random_range(0..=ENDPOINTS.len());
        let endpoints = ENDPOINTS[..count]
            .iter()
            .map(|&endpoint| Planned { endpoint, begins });
        let mut key = [0; 16];
        self.random.fill_bytes(&mut key);
        Post {
            data: Bytes::from(data),
            endpoints: endpoints.collect(),
            dedupe: DedupeKey(key),
        }
    }

    /// The same thing, offered once more, under an id of its own.
    pub fn offer(&mut self, post: &Post) -> NewEvent {
        let event = Arc::new(Event {
            id: self.ids.event(NOW, post.endpoints.len()),
            tenant: TENANT,
            source: None,
            received_at: NOW,
            envelope: Envelope {
                source: "shop".to_owned(),
                kind: "invoice.paid".to_owned(),
                ..Envelope::default()
            },
            headers: vec![("x-request-id".to_owned(), "0123456789".to_owned())],
            data: post.data.clone(),
        });
        self.offered.insert(event.id, Arc::clone(&event));
        NewEvent {
            event,
            deliveries: post.endpoints.clone(),
            dedupe: Some(post.dedupe),
            rules: None,
        }
    }
}
