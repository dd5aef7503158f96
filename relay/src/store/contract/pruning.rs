//! Rules about removing what has had its time.

use std::sync::Arc;

use super::kit::{ENDPOINT, Maker, OTHER_ENDPOINT, TENANT, accept, at, done, failure, success};
use crate::model::page::Page;
use crate::store::{Accepted, DedupeKey, DeliveryFilter, EventFilter, NewEvent, Pruned, Store};

async fn prune(store: &Arc<dyn Store>, before: u64, limit: usize) -> Pruned {
    done(store.prune(at(before), at(0), at(0), limit).await)
}

async fn kept(store: &Arc<dyn Store>) -> Vec<crate::model::id::EventId> {
    let list = done(
        store
            .events(TENANT, EventFilter::default(), Page::default())
            .await,
    );
    list.items.iter().rev().map(|event| event.id).collect()
}

/// Events a millisecond apart, delivered.
async fn delivered(store: &Arc<dyn Store>, count: u64) -> Vec<NewEvent> {
    let maker = Maker::new();
    let events: Vec<_> = (0..count).map(|ms| maker.event(ms, &[ENDPOINT])).collect();
    accept(store, &events.iter().collect::<Vec<_>>()).await;
    done(
        store
            .record(
                &events
                    .iter()
                    .map(|new| success(new, 0, 1, 50))
                    .collect::<Vec<_>>(),
            )
            .await,
    );
    events
}

pub(super) async fn the_oldest_go_first_in_bites(store: Arc<dyn Store>) {
    let events = delivered(&store, 7).await;
    let bite = |events, more| Pruned {
        events,
        deliveries: events,
        more,
    };
    assert_eq!(prune(&store, 5, 2).await, bite(2, true));
    assert_eq!(
        kept(&store).await,
        events[2..].iter().map(|new| new.event.id).collect::<Vec<_>>()
    );
    assert_eq!(prune(&store, 5, 2).await, bite(2, true));
    assert_eq!(prune(&store, 5, 2).await, bite(1, false));
    assert_eq!(prune(&store, 5, 2).await, bite(0, false));
    assert_eq!(kept(&store).await, [events[5].event.id, events[6].event.id]);
    let rows = done(
        store
            .deliveries(TENANT, DeliveryFilter::default(), Page::default())
            .await,
    );
    assert_eq!(rows.items.len(), 2);
}

pub(super) async fn what_is_pending_or_in_flight_stays(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let pending = maker.event(0, &[ENDPOINT, OTHER_ENDPOINT]);
    let gone = maker.event(1, &[]);
    let in_flight = maker.event(2, &[ENDPOINT, OTHER_ENDPOINT]);
    accept(&store, &[&pending, &gone, &in_flight]).await;
    let records = vec![
        failure(&pending, 0, 1, 5, 9),
        success(&pending, 1, 1, 5),
        success(&in_flight, 1, 1, 5),
    ];
    done(store.record(&records).await);
    assert_eq!(
        prune(&store, 100, 10).await,
        Pruned {
            events: 1,
            deliveries: 0,
            more: false
        }
    );
    assert_eq!(kept(&store).await, [pending.event.id, in_flight.event.id]);

    done(
        store
            .record(&[success(&pending, 0, 2, 9), success(&in_flight, 0, 1, 9)])
            .await,
    );
    assert_eq!(
        prune(&store, 100, 10).await,
        Pruned {
            events: 2,
            deliveries: 4,
            more: false
        }
    );
}

pub(super) async fn a_checkpoint_lets_rowless_events_go(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let (old, new) = (maker.event(0, &[ENDPOINT]), maker.event(1, &[ENDPOINT]));
    accept(&store, &[&old, &new]).await;
    done(store.set_checkpoint(old.event.id).await);
    assert_eq!(
        prune(&store, 100, 10).await,
        Pruned {
            events: 1,
            deliveries: 0,
            more: false
        }
    );
    assert_eq!(kept(&store).await, [new.event.id]);
}

pub(super) async fn attempts_go_with_their_delivery(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let (first, second) = (maker.event(0, &[ENDPOINT]), maker.event(1, &[ENDPOINT]));
    accept(&store, &[&first, &second]).await;
    for new in [&first, &second] {
        done(store.record(&[failure(new, 0, 1, 5, 9)]).await);
        done(store.record(&[success(new, 0, 2, 9)]).await);
    }
    prune(&store, 1, 10).await;
    let count = async |new: &NewEvent| done(store.attempts(TENANT, new.event.id.delivery(0)).await).len();
    assert_eq!((count(&first).await, count(&second).await), (0, 2));
    assert_eq!(
        done(store.delivery(TENANT, first.event.id.delivery(0)).await),
        None
    );
}

pub(super) async fn ids_are_not_given_twice_after_pruning(store: Arc<dyn Store>) {
    let events = delivered(&store, 3).await;
    let last = done(store.last_raw_id().await);
    assert_eq!(last, events[2].event.id.delivery(0).raw());
    prune(&store, 100, 10).await;
    assert_eq!(kept(&store).await, []);
    assert_eq!(done(store.last_raw_id().await), last);
}

pub(super) async fn a_key_is_forgotten_after_its_window(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let keyed = |ms| NewEvent {
        dedupe: Some(DedupeKey([1; 16])),
        ..maker.event(ms, &[])
    };
    let first = keyed(10);
    accept(&store, &[&first]).await;
    done(store.prune(at(0), at(10), at(20), 10).await);
    let answers = done(store.accept(vec![keyed(20)], at(20)).await);
    assert_eq!(answers, [Accepted::Duplicate(first.event.id)]);
    done(store.prune(at(0), at(11), at(20), 10).await);
    accept(&store, &[&keyed(30)]).await;
}
