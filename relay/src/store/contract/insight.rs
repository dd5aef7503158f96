//! Tests that are kept, and what the newest rows tell.

use std::sync::Arc;
use std::time::Duration;

use super::kit::{
    ENDPOINT, Maker, OTHER_ENDPOINT, OTHER_TENANT, TENANT, accept, at, attempt, done, record, with,
};
use crate::model::delivery::State;
use crate::model::id::{InspectorId, SourceId};
use crate::model::inspector::Inspector;
use crate::model::page::Page;
use crate::store::{Activity, DeliveryFilter, NewEvent, Record, Store};

fn ended(new: &NewEvent, state: State, ms: u64, status: u16) -> Record {
    let mut record = record(new, 0, 1, state, None);
    record.progress.attempt = Some(attempt(1, ms, status));
    record
}

fn test(maker: &Maker, ms: u64) -> NewEvent {
    with(maker.event(ms, &[ENDPOINT]), |event| {
        event.source = Some(SourceId::TEST);
    })
}

pub(super) async fn a_test_is_kept_whole_and_marked(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let (real, test) = (maker.event(0, &[ENDPOINT]), test(&maker, 1));
    accept(&store, &[&real]).await;
    done(store.record(&[ended(&real, State::Succeeded, 0, 200)]).await);
    let kept = ended(&test, State::Failed, 1, 500);
    done(store.keep_test(Arc::clone(&test.event), kept).await);
    let event = done(store.event(TENANT, test.event.id).await).expect("it is kept");
    assert!(event.is_test());
    for (wanted, id) in [(true, test.event.id), (false, real.event.id)] {
        let filter = DeliveryFilter {
            test: Some(wanted),
            ..DeliveryFilter::default()
        };
        let listed = done(store.deliveries(TENANT, filter, Page::default()).await).items;
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].event, listed[0].test), (id, wanted));
    }
    let id = test.event.id.delivery(0);
    assert_eq!(done(store.attempts(TENANT, id).await).len(), 1);
    assert!(done(store.waiting().await).is_empty());
}

pub(super) async fn where_an_event_went_is_told_to_its_tenant(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let new = maker.event(0, &[OTHER_ENDPOINT, ENDPOINT]);
    accept(&store, &[&new]).await;
    let id = new.event.id;
    assert_eq!(
        done(store.planned(TENANT, id).await),
        Some(vec![(id.delivery(0), OTHER_ENDPOINT), (id.delivery(1), ENDPOINT)])
    );
    assert_eq!(done(store.planned(OTHER_TENANT, id).await), None);
}

pub(super) async fn what_is_recent_leaves_tests_out(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let (good, bad) = (maker.event(0, &[ENDPOINT]), maker.event(10, &[ENDPOINT]));
    accept(&store, &[&good, &bad]).await;
    done(
        store
            .record(&[
                ended(&good, State::Succeeded, 0, 200),
                ended(&bad, State::Failed, 10, 500),
            ])
            .await,
    );
    let test = with(test(&maker, 20), |event| {
        event.envelope.kind = "never.seen".to_owned()
    });
    let kept = ended(&test, State::Succeeded, 20, 200);
    done(store.keep_test(Arc::clone(&test.event), kept).await);
    let recent = done(store.recent(TENANT).await);
    let expected = Activity {
        last_delivery: Some(at(10)),
        last_success: Some(at(2)),
        last_failure: Some(at(12)),
        durations: vec![Duration::from_micros(2_500)],
    };
    assert_eq!(recent.endpoints.get(&ENDPOINT), Some(&expected));
    assert_eq!((recent.since, recent.has_all_types), (None, true));
    assert_eq!(Vec::from_iter(recent.types), ["invoice.paid"]);
    assert!(done(store.recent(OTHER_TENANT).await).endpoints.is_empty());
}

pub(super) async fn inspectors_are_kept_until_they_are_removed(store: Arc<dyn Store>) {
    let made = |number: i64| Inspector {
        id: InspectorId::from_raw(number),
        tenant: TENANT,
        name: format!("n{number}"),
        token: format!("t{number}"),
        status: 503,
        created_at: at(0),
        expires_at: at(1000),
    };
    for number in 1..=2 {
        done(store.add_inspector(made(number)).await);
    }
    assert_eq!(done(store.inspectors().await), [made(1), made(2)]);
    done(store.remove_inspector(OTHER_TENANT, made(1).id).await);
    done(store.remove_inspector(TENANT, made(2).id).await);
    assert_eq!(done(store.inspectors().await), [made(1)]);
}
