//! Rules about what tenants have used, and whose things are.

use std::sync::Arc;
use std::time::Duration;

use super::kit::{ENDPOINT, Maker, OTHER_TENANT, TENANT, accept, at, done, with};
use crate::model::id::{DeliveryId, EndpointId, EventId, InspectorId, JobId, KeyId, TenantId};
use crate::model::inspector::Inspector;
use crate::model::resource::{Definition, Kind, Resource};
use crate::store::{
    Accepted, DedupeKey, Deliveries, Job, JobState, Key, Named, NewEvent, Owned, Role, Store, Usage, Work,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Bytes of the payload of a plain event.
const BYTES: u64 = 11;

async fn used(store: &Arc<dyn Store>) -> Vec<(TenantId, Usage)> {
    done(store.usage().await)
}

const fn usage(day: i64, events: u64, bytes: u64) -> Usage {
    Usage { day, events, bytes }
}

fn theirs(new: NewEvent) -> NewEvent {
    with(new, |event| event.tenant = OTHER_TENANT)
}

pub(super) async fn what_is_there_counts_and_so_does_what_comes(store: Arc<dyn Store>) {
    let (maker, today) = (Maker::new(), Usage::day_of(at(0)));
    let yesterday = with(maker.event(0, &[]), |event| event.received_at = at(0) - DAY);
    let early = NewEvent {
        event: Arc::new(crate::model::event::Event {
            id: EventId::from_raw(crate::model::id::first_raw_at(at(0) - DAY)),
            ..(*yesterday.event).clone()
        }),
        ..yesterday
    };
    let old = maker.event(1, &[]);
    accept(&store, &[&early, &old]).await;
    let begun = done(store.meter(vec![TENANT], at(2)).await);
    assert_eq!(begun, [(TENANT, usage(today, 1, 2 * BYTES))]);
    let key = Some(DedupeKey([7; 16]));
    let new = NewEvent {
        dedupe: key,
        ..maker.event(3, &[])
    };
    let again = NewEvent {
        dedupe: key,
        ..maker.event(4, &[])
    };
    let answers = done(store.accept(vec![new.clone(), again], at(4)).await);
    assert_eq!(answers, [Accepted::New, Accepted::Duplicate(new.event.id)]);
    assert_eq!(used(&store).await, [(TENANT, usage(today, 2, 3 * BYTES))]);
    let tomorrow = maker.event(24 * 3600 * 1000, &[]);
    accept(&store, &[&tomorrow]).await;
    assert_eq!(used(&store).await, [(TENANT, usage(today + 1, 1, 4 * BYTES))]);
    let again = done(store.meter(vec![TENANT], at(5)).await);
    assert_eq!(again, used(&store).await, "to ask once more changes nothing");
}

pub(super) async fn what_is_removed_is_taken_off(store: Arc<dyn Store>) {
    let (maker, today) = (Maker::new(), Usage::day_of(at(0)));
    done(store.meter(vec![TENANT, OTHER_TENANT], at(0)).await);
    let events = [
        maker.event(1, &[]),
        theirs(maker.event(2, &[])),
        maker.event(3, &[]),
        maker.event(9, &[]),
    ];
    accept(&store, &events.iter().collect::<Vec<_>>()).await;
    done(store.set_checkpoint(events[3].event.id).await);
    done(store.prune(at(5), at(0), at(5), 100).await);
    assert_eq!(
        used(&store).await,
        [
            (TENANT, usage(today, 3, BYTES)),
            (OTHER_TENANT, usage(today, 1, 0))
        ]
    );
}

pub(super) async fn only_tenants_that_are_metered_are_counted(store: Arc<dyn Store>) {
    let (maker, today) = (Maker::new(), Usage::day_of(at(0)));
    done(store.meter(vec![OTHER_TENANT], at(0)).await);
    accept(&store, &[&maker.event(1, &[]), &theirs(maker.event(2, &[]))]).await;
    assert_eq!(used(&store).await, [(OTHER_TENANT, usage(today, 1, BYTES))]);
    done(store.meter(vec![TENANT], at(3)).await);
    assert_eq!(used(&store).await.len(), 2, "those before stay counted");
    done(store.meter_only(vec![]).await);
    accept(&store, &[&theirs(maker.event(4, &[]))]).await;
    assert_eq!(used(&store).await, []);
    let begun = done(store.meter(vec![OTHER_TENANT], at(5)).await);
    assert_eq!(begun, [(OTHER_TENANT, usage(today, 2, 2 * BYTES))]);
}

pub(super) async fn everything_has_an_owner(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let event = theirs(maker.event(1, &[ENDPOINT, EndpointId::from_raw(103)]));
    accept(&store, &[&event]).await;
    let named = done(
        store
            .identify(OTHER_TENANT, Named::Source, vec!["shop".to_owned()], at(0))
            .await,
    );
    let key = Key {
        id: KeyId::from_raw(77),
        tenant: OTHER_TENANT,
        name: String::new(),
        role: Role::Read,
        hash: [0; 32],
        created_at: at(0),
        expires_at: None,
        revoked_at: None,
    };
    done(store.add_key(key).await);
    let inspector = Inspector {
        id: InspectorId::from_raw(88),
        tenant: OTHER_TENANT,
        name: String::new(),
        token: "t".to_owned(),
        status: 200,
        created_at: at(0),
        expires_at: at(9),
    };
    done(store.add_inspector(inspector).await);
    let job = Job {
        id: JobId::from_raw(99),
        tenant: OTHER_TENANT,
        work: Work::Cancel {
            which: Deliveries::These(Vec::new()),
        },
        state: JobState::Running,
        total: None,
        done: 0,
        failed: 0,
        rate: None,
        cursor: 0,
        before: i64::MAX,
        created_at: at(0),
        updated_at: at(0),
        ended_at: None,
    };
    done(store.start_job(job, 1, at(0), None).await);
    let replay = DeliveryId::from_raw(store.fresh_id(at(3)));
    let replayed = vec![(replay, ENDPOINT)];
    assert!(done(
        store.replay(OTHER_TENANT, event.event.id, replayed, at(3)).await
    ));
    let resource = Resource {
        id: store.fresh_id(at(0)),
        tenant: OTHER_TENANT,
        kind: Kind::Source,
        name: "a".to_owned(),
        definition: Definition::default(),
        revision: 1,
        created_at: at(0),
        updated_at: at(0),
        deleted_at: Some(at(1)),
    };
    done(store.save(resource.clone(), None).await);
    let id = event.event.id;
    for (owned, owner) in [
        (Owned::Event(id), Some(OTHER_TENANT)),
        (Owned::Event(EventId::from_raw(1)), None),
        (Owned::Delivery(id.delivery(1)), Some(OTHER_TENANT)),
        (Owned::Delivery(id.delivery(2)), None),
        (Owned::Delivery(replay), Some(OTHER_TENANT)),
        (Owned::Job(JobId::from_raw(99)), Some(OTHER_TENANT)),
        (Owned::Job(JobId::from_raw(98)), None),
        (Owned::Inspector(InspectorId::from_raw(88)), Some(OTHER_TENANT)),
        (Owned::Inspector(InspectorId::from_raw(87)), None),
        (Owned::Key(KeyId::from_raw(77)), Some(OTHER_TENANT)),
        (Owned::Key(KeyId::from_raw(78)), None),
        (Owned::Resource(named[0]), Some(OTHER_TENANT)),
        (Owned::Resource(resource.id), Some(OTHER_TENANT)),
        (Owned::Resource(12345), None),
    ] {
        assert_eq!(done(store.owner(owned).await), owner, "{owned:?}");
    }
}
