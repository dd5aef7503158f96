//! Rules about what tenants keep for less time than the store.

use std::sync::Arc;

use super::kit::{ENDPOINT, Maker, OTHER_TENANT, TENANT, accept, at, done, failure, success, with};
use crate::model::id::{EventId, TenantId};
use crate::model::page::Page;
use crate::store::{EventFilter, NewEvent, Pruned, Store, Usage};

fn theirs(new: NewEvent) -> NewEvent {
    with(new, |event| event.tenant = OTHER_TENANT)
}

async fn kept(store: &Arc<dyn Store>, tenant: TenantId) -> Vec<EventId> {
    let list = store.events(tenant, EventFilter::default(), Page::default());
    done(list.await)
        .items
        .iter()
        .rev()
        .map(|event| event.id)
        .collect()
}

/// Everything that may go of the other tenant, from before that many milliseconds; how many events.
async fn expire(store: &Arc<dyn Store>, before: u64, limit: usize) -> usize {
    let (since, mut events) = (vec![(OTHER_TENANT, at(before))], 0);
    loop {
        let pruned = done(store.expire(since.clone(), limit).await);
        assert!(pruned.events <= limit, "{pruned:?}");
        events += pruned.events;
        if !pruned.more {
            break;
        }
    }
    let mut after = Some(EventId::from_raw(0));
    while let Some(from) = after {
        let (pruned, goes_on_after) = done(store.expire_overdue(since.clone(), from, limit).await);
        events += pruned.events;
        after = goes_on_after;
    }
    events
}

pub(super) async fn only_what_its_tenant_keeps_no_longer_goes_in_bites(store: Arc<dyn Store>) {
    let maker = Maker::new();
    done(store.meter(vec![TENANT, OTHER_TENANT], at(0)).await);
    let events: Vec<_> = (0..10)
        .map(|ms| maker.event(ms, &[ENDPOINT]))
        .enumerate()
        .map(|(number, new)| if number % 2 == 0 { theirs(new) } else { new })
        .collect();
    accept(&store, &events.iter().collect::<Vec<_>>()).await;
    let records: Vec<_> = events.iter().map(|new| success(new, 0, 1, 50)).collect();
    done(store.record(&records).await);
    let ids = |from: usize| {
        events[from..]
            .iter()
            .step_by(2)
            .map(|new| new.event.id)
            .collect::<Vec<_>>()
    };
    let none = done(store.expire(vec![(OTHER_TENANT, at(0))], 9).await);
    assert_eq!(none, Pruned::default());
    let first = done(store.expire(vec![(OTHER_TENANT, at(7))], 2).await);
    let bite = Pruned {
        events: 2,
        deliveries: 2,
        more: true,
    };
    assert_eq!(first, bite);
    assert_eq!(expire(&store, 7, 2).await, 2);
    assert_eq!(kept(&store, OTHER_TENANT).await, ids(8));
    assert_eq!(kept(&store, TENANT).await, ids(1), "nothing of others");
    let bytes =
        |used: Vec<(TenantId, Usage)>| used.into_iter().map(|(_, usage)| usage.bytes).collect::<Vec<_>>();
    assert_eq!(bytes(done(store.usage().await)), [5 * 11, 11]);
    assert_eq!(expire(&store, 100, 2).await, 1);
    // What is left goes as ever.
    let pruned = done(store.prune(at(100), at(0), at(0), 100).await);
    assert_eq!((pruned.events, pruned.deliveries, pruned.more), (5, 5, false));
}

pub(super) async fn what_had_to_stay_goes_once_it_is_over(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let new = |ms| theirs(maker.event(ms, &[ENDPOINT]));
    let (pending, in_flight, done_with, replayed) = (new(0), new(1), new(2), new(3));
    accept(&store, &[&pending, &in_flight, &done_with, &replayed]).await;
    let records = [
        failure(&pending, 0, 1, 5, 9),
        success(&done_with, 0, 1, 5),
        success(&replayed, 0, 1, 5),
    ];
    done(store.record(&records).await);
    let replay = crate::model::id::DeliveryId::from_raw(store.fresh_id(at(10)));
    let replays = vec![(replay, ENDPOINT)];
    assert!(done(
        store
            .replay(OTHER_TENANT, replayed.event.id, replays, at(10))
            .await
    ));
    assert_eq!(expire(&store, 100, 2).await, 1);
    assert_eq!(expire(&store, 100, 2).await, 0);
    let stayed = [pending.event.id, in_flight.event.id, replayed.event.id];
    assert_eq!(kept(&store, OTHER_TENANT).await, stayed);
    done(store.record(&[success(&pending, 0, 2, 9)]).await);
    assert_eq!(expire(&store, 100, 2).await, 1);
    done(store.record(&[success(&in_flight, 0, 1, 9)]).await);
    assert_eq!(expire(&store, 100, 1).await, 1);
    assert_eq!(kept(&store, OTHER_TENANT).await, [replayed.event.id]);
}

pub(super) async fn who_keeps_for_longer_again_loses_nothing_more(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let new = |ms| theirs(maker.event(ms, &[ENDPOINT]));
    let (old, waits, late) = (new(0), new(50), new(90));
    accept(&store, &[&old, &waits, &late]).await;
    let records = [
        success(&old, 0, 1, 5),
        failure(&waits, 0, 1, 55, 99),
        success(&late, 0, 1, 95),
    ];
    done(store.record(&records).await);
    assert_eq!(expire(&store, 60, 10).await, 1);
    done(store.record(&[success(&waits, 0, 2, 99)]).await);
    assert_eq!(
        expire(&store, 20, 10).await,
        0,
        "it is younger than what is kept now"
    );
    assert_eq!(kept(&store, OTHER_TENANT).await, [waits.event.id, late.event.id]);
    assert_eq!(expire(&store, 60, 10).await, 1);
    assert_eq!(expire(&store, 100, 10).await, 1);
}
