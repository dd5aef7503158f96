//! Rules about accepting and listing events.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::kit::{ENDPOINT, Maker, OTHER_ENDPOINT, OTHER_TENANT, TENANT, accept, at, done, with};
use crate::model::delivery::State;
use crate::model::event::Envelope;
use crate::model::id::{EventId, SourceId};
use crate::model::page::Page;
use crate::store::{Accepted, Begins, CALLED, DedupeKey, EventFilter, NewEvent, Store};

const KEY: DedupeKey = DedupeKey([7; 16]);
const OTHER_KEY: DedupeKey = DedupeKey([8; 16]);

fn keyed(mut new: NewEvent, key: DedupeKey) -> NewEvent {
    new.dedupe = Some(key);
    new
}

pub(super) async fn an_event_reads_back_as_it_was_accepted(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let plain = maker.event(0, &[ENDPOINT]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let full = with(maker.event(1, &[]), |event| {
        event.source = Some(SourceId::from_raw(5));
        event.headers = vec![pair("x-a", "ä\"\\"), pair("x-a", ""), pair("x-b", "1")];
        event.data = Bytes::from((0..=255).cycle().take(100_000).collect::<Vec<u8>>());
        event.envelope = Envelope {
            id: Some("theirs".to_owned()),
            source: "/repos/1".to_owned(),
            kind: "push".to_owned(),
            subject: Some("main".to_owned()),
            time: Some(at(9)),
            content_type: Some("application/json".to_owned()),
            extensions: vec![pair("traceparent", "00-1")],
        };
    });
    let empty = with(maker.event(2, &[]), |event| event.data = Bytes::new());
    accept(&store, &[&plain, &full, &empty]).await;
    for new in [plain, full, empty] {
        let read = done(store.event(TENANT, new.event.id).await).expect("an accepted event");
        assert_eq!(read, new.event);
    }
}

pub(super) async fn an_event_of_another_tenant_is_unknown(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT]);
    accept(&store, &[&new]).await;
    assert_eq!(done(store.event(OTHER_TENANT, new.event.id).await), None);
    let list = done(
        store
            .events(OTHER_TENANT, EventFilter::default(), Page::default())
            .await,
    );
    assert_eq!((list.items, list.next), (Vec::new(), None));
}

pub(super) async fn answers_are_in_the_order_of_the_events(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let first = keyed(maker.event(0, &[]), KEY);
    accept(&store, &[&first]).await;
    let (second, third) = (
        keyed(maker.event(1, &[]), KEY),
        keyed(maker.event(1, &[]), OTHER_KEY),
    );
    let again = second.event.id;
    let answers = done(
        store
            .accept(vec![second, third, maker.event(1, &[])], at(1))
            .await,
    );
    assert_eq!(
        answers,
        [Accepted::Duplicate(first.event.id), Accepted::New, Accepted::New]
    );
    assert_eq!(
        done(store.event(TENANT, again).await),
        None,
        "a duplicate is not written"
    );
}

pub(super) async fn equal_keys_in_one_call_are_duplicates(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let (first, second) = (keyed(maker.event(0, &[]), KEY), keyed(maker.event(0, &[]), KEY));
    let id = first.event.id;
    let answers = done(store.accept(vec![first, second], at(0)).await);
    assert_eq!(answers, [Accepted::New, Accepted::Duplicate(id)]);
}

pub(super) async fn a_key_belongs_to_one_tenant(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let ours = keyed(maker.event(0, &[]), KEY);
    let theirs = keyed(
        with(maker.event(0, &[]), |event| event.tenant = OTHER_TENANT),
        KEY,
    );
    accept(&store, &[&ours, &theirs]).await;
}

pub(super) async fn concurrent_accepts_of_one_key_store_one_event(store: Arc<dyn Store>) {
    let maker = Arc::new(Maker::new());
    let tasks = (0..100).map(|_| {
        let (store, new) = (Arc::clone(&store), keyed(maker.event(0, &[ENDPOINT]), KEY));
        tokio::spawn(async move { (new.event.id, done(store.accept(vec![new], at(0)).await)) })
    });
    let answers: Vec<_> = join_all(tasks)
        .await
        .into_iter()
        .map(|task| task.expect("no panic"))
        .collect();
    let new: Vec<_> = answers
        .iter()
        .filter(|(_, answer)| *answer == [Accepted::New])
        .collect();
    assert_eq!(new.len(), 1);
    let duplicate = Accepted::Duplicate(new[0].0);
    assert_eq!(
        answers
            .iter()
            .filter(|(_, answer)| *answer == [duplicate])
            .count(),
        99
    );
    let list = done(
        store
            .events(TENANT, EventFilter::default(), Page::default())
            .await,
    );
    assert_eq!(list.items.len(), 1);
}

pub(super) async fn all_events_of_a_call_are_accepted_or_none(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let taken = maker.event(0, &[]);
    accept(&store, &[&taken]).await;
    let fresh = keyed(maker.waiting(1, &[ENDPOINT]), KEY);
    let refused = store.accept(vec![fresh.clone(), taken], at(1)).await;
    assert!(refused.is_err(), "an id that is taken");
    assert_eq!(done(store.event(TENANT, fresh.event.id).await), None);
    assert_eq!(done(store.waiting().await), []);
    accept(&store, &[&fresh]).await;
}

pub(super) async fn events_are_listed_newest_first_in_pages(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let events: Vec<_> = (0..5)
        .map(|ms| maker.event(ms, &[ENDPOINT, OTHER_ENDPOINT]))
        .collect();
    accept(&store, &events.iter().collect::<Vec<_>>()).await;
    let mut seen = Vec::new();
    let mut page = Page {
        limit: 2,
        before: None,
    };
    loop {
        let list = done(store.events(TENANT, EventFilter::default(), page).await);
        assert!(list.items.len() <= 2);
        seen.extend(list.items.iter().map(|event| event.id));
        page.before = list.next;
        if page.before.is_none() {
            break;
        }
    }
    let newest_first: Vec<_> = events.iter().rev().map(|new| new.event.id).collect();
    assert_eq!(seen, newest_first);
}

pub(super) async fn event_filters_restrict(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let source = SourceId::from_raw(5);
    let events = [
        maker.event(0, &[]),
        with(maker.event(10, &[]), |event| event.source = Some(source)),
        with(maker.event(20, &[]), |event| {
            event.envelope.kind = "push".to_owned()
        }),
    ];
    accept(&store, &events.iter().collect::<Vec<_>>()).await;
    let nothing = EventFilter::default();
    for (filter, wanted) in [
        (nothing.clone(), vec![2, 1, 0]),
        (
            EventFilter {
                source: Some(source),
                ..nothing.clone()
            },
            vec![1],
        ),
        (
            EventFilter {
                kind: "push".parse().ok(),
                ..nothing.clone()
            },
            vec![2],
        ),
        (
            EventFilter {
                kind: "*.paid".parse().ok(),
                ..nothing.clone()
            },
            vec![1, 0],
        ),
        (
            EventFilter {
                since: Some(at(10)),
                ..nothing.clone()
            },
            vec![2, 1],
        ),
        (
            EventFilter {
                until: Some(at(10)),
                ..nothing.clone()
            },
            vec![0],
        ),
        (
            EventFilter {
                since: Some(at(20)),
                until: Some(at(10)),
                ..nothing
            },
            vec![],
        ),
    ] {
        let list = done(store.events(TENANT, filter.clone(), Page::default()).await);
        let found: Vec<_> = list.items.iter().map(|event| event.id).collect();
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|index: usize| events[index].event.id)
            .collect();
        assert_eq!(found, wanted, "{filter:?}");
    }
}

pub(super) async fn the_last_id_counts_planned_deliveries(store: Arc<dyn Store>) {
    assert_eq!(done(store.last_raw_id().await), 0);
    let new = Maker::new().event(0, &[ENDPOINT, OTHER_ENDPOINT]);
    accept(&store, &[&new]).await;
    assert_eq!(done(store.last_raw_id().await), new.event.id.delivery(1).raw());
}

pub(super) async fn a_call_has_failed_until_a_record_says_otherwise(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let mut new = maker.event(1, &[ENDPOINT, OTHER_ENDPOINT]);
    new.deliveries[1].begins = Begins::Called;
    accept(&store, &[&new]).await;
    let called = new.event.id.delivery(1);
    let delivery = done(store.delivery(TENANT, called).await).expect("it is there");
    assert_eq!((delivery.state, delivery.due), (State::Failed, None));
    assert_eq!(delivery.reason.as_deref(), Some(CALLED));
    assert_eq!(done(store.waiting().await), []);
    let unfinished = done(store.unfinished(EventId::from_raw(0), 10).await);
    let missing: Vec<_> = unfinished
        .events
        .iter()
        .flat_map(|event| &event.deliveries)
        .collect();
    assert_eq!(missing, [&(new.event.id.delivery(0), ENDPOINT)]);
    done(store.retry(TENANT, called, at(5)).await);
    assert_eq!(done(store.waiting().await), [(OTHER_ENDPOINT, at(5))]);
}
