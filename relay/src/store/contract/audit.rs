//! Rules about the audit log.

use std::sync::Arc;

use serde_json::json;

use super::kit::{OTHER_TENANT, TENANT, at, done};
use crate::model::audit::{By, Deed, Object};
use crate::model::id::{KeyId, TenantId};
use crate::model::page::Page;
use crate::store::{AuditFilter, Link, Started, Store, chain_hash};

fn deed(tenant: TenantId, second: u64, action: &str) -> Deed {
    Deed {
        tenant,
        at: at(second),
        by: By {
            key: Some(KeyId::from_raw(7)),
            address: "192.0.2.1".parse().ok(),
        },
        action: action.to_owned(),
        object: Some(Object {
            id: "ep_0000000000001".to_owned(),
            name: Some("crm".to_owned()),
        }),
        before: None,
        after: json!({"name": "crm"}).as_object().cloned(),
    }
}

async fn follow(store: &Arc<dyn Store>, tenant: TenantId) -> Vec<u64> {
    let chain = done(store.chain(tenant, 0, 100).await);
    let mut before = chain.anchor;
    for entry in &chain.entries {
        assert_eq!(entry.link.number, before.number + 1);
        assert_eq!(entry.link.hash, chain_hash(&before.hash, &entry.text));
        before = entry.link;
    }
    chain.entries.iter().map(|entry| entry.link.number).collect()
}

pub(super) async fn each_tenant_has_a_chain_of_its_own(store: Arc<dyn Store>) {
    for (tenant, second) in [(TENANT, 1), (OTHER_TENANT, 2), (TENANT, 3)] {
        done(store.note(deed(tenant, second, "endpoint.changed")).await);
    }
    assert_eq!(follow(&store, TENANT).await, [1, 2]);
    assert_eq!(follow(&store, OTHER_TENANT).await, [1]);
    let rest = done(store.chain(TENANT, 1, 100).await);
    assert_eq!((rest.anchor, rest.entries.len()), (Link::default(), 1));
}

pub(super) async fn entries_are_listed_newest_first_by_what_is_asked(store: Arc<dyn Store>) {
    for (second, action) in [
        (1, "endpoint.created"),
        (2, "endpoint.changed"),
        (3, "endpoint.changed"),
    ] {
        done(store.note(deed(TENANT, second, action)).await);
    }
    let list = async |filter: AuditFilter, page: Page| {
        let listed = done(store.noted(TENANT, filter, page).await);
        let numbers: Vec<_> = listed.items.iter().map(|entry| entry.number).collect();
        (numbers, listed.next)
    };
    let page = |before| Page { limit: 2, before };
    assert_eq!(
        list(AuditFilter::default(), page(None)).await,
        (vec![3, 2], Some(2))
    );
    assert_eq!(list(AuditFilter::default(), page(Some(2))).await, (vec![1], None));
    let of = |change: &dyn Fn(&mut AuditFilter)| {
        let mut filter = AuditFilter::default();
        change(&mut filter);
        filter
    };
    for (filter, found) in [
        (
            of(&|filter| filter.action = Some("endpoint.created".to_owned())),
            vec![1],
        ),
        (of(&|filter| filter.actor = Some(KeyId::from_raw(8))), vec![]),
        (
            of(&|filter| filter.actor = Some(KeyId::from_raw(7))),
            vec![3, 2, 1],
        ),
        (
            of(&|filter| filter.resource = Some("crm".to_owned())),
            vec![3, 2, 1],
        ),
        (
            of(&|filter| filter.resource = Some("ep_0000000000001".to_owned())),
            vec![3, 2, 1],
        ),
        (of(&|filter| filter.resource = Some("shop".to_owned())), vec![]),
        (of(&|filter| filter.since = Some(at(2))), vec![3, 2]),
        (of(&|filter| filter.until = Some(at(2))), vec![1]),
    ] {
        assert_eq!(list(filter.clone(), Page::default()).await.0, found, "{filter:?}");
    }
}

pub(super) async fn pages_of_large_entries_are_short(store: Arc<dyn Store>) {
    let large = "x".repeat(256 << 10);
    for second in 1..=20 {
        let mut deed = deed(TENANT, second, "endpoint.changed");
        deed.after = json!({"description": large}).as_object().cloned();
        done(store.note(deed).await);
    }
    let (mut listed, mut pages, mut before) = (0, 0, None);
    loop {
        let page = done(
            store
                .noted(TENANT, AuditFilter::default(), Page { limit: 250, before })
                .await,
        );
        assert!((1..=16).contains(&page.items.len()), "{}", page.items.len());
        (listed, pages, before) = (listed + page.items.len(), pages + 1, page.next);
        if before.is_none() {
            break;
        }
    }
    assert_eq!((listed, pages), (20, 2));
    let first = done(store.chain(TENANT, 0, 250).await);
    assert_eq!((first.entries.len(), first.has_more), (16, true));
    let rest = done(store.chain(TENANT, 16, 250).await);
    assert_eq!((rest.entries.len(), rest.has_more), (4, false));
    let exact = done(store.chain(TENANT, 16, 4).await);
    assert_eq!((exact.entries.len(), exact.has_more), (4, false));
}

pub(super) async fn what_is_forgotten_leaves_a_chain_behind(store: Arc<dyn Store>) {
    for second in 1..=4 {
        done(store.note(deed(TENANT, second, "endpoint.changed")).await);
    }
    let before = done(store.chain(TENANT, 0, 100).await);
    assert_eq!(done(store.forget_notes(at(4), 2).await), 2);
    assert_eq!(done(store.forget_notes(at(4), 2).await), 1);
    assert_eq!(done(store.forget_notes(at(4), 2).await), 0);
    assert_eq!(follow(&store, TENANT).await, [4]);
    let after = done(store.chain(TENANT, 0, 100).await);
    assert_eq!(after.anchor, before.entries[2].link);
    assert_eq!(done(store.forget_notes(at(9), 9).await), 1);
    done(store.note(deed(TENANT, 9, "endpoint.changed")).await);
    assert_eq!(follow(&store, TENANT).await, [5]);
}

pub(super) async fn a_job_is_started_with_its_deed_or_neither_is(store: Arc<dyn Store>) {
    let start = async |id| {
        let job = super::jobs::job(id, super::jobs::retry_all());
        let deed = Some(deed(TENANT, 1, "job.started"));
        done(store.start_job(job, 1, at(0), deed).await)
    };
    assert_eq!(start(1).await, Started::Done);
    assert_eq!(start(2).await, Started::TooMany);
    assert_eq!(follow(&store, TENANT).await, [1]);
}

pub(super) async fn a_resource_is_saved_with_its_deed_or_neither_is(store: Arc<dyn Store>) {
    let resource = super::resources::endpoint(&store, "crm");
    let note = || Some(deed(TENANT, 1, "endpoint.created"));
    done(store.save(resource.clone(), note()).await);
    assert_eq!(follow(&store, TENANT).await, [1]);
    done(store.save(resource, note()).await);
    assert_eq!(follow(&store, TENANT).await, [1], "it was saved already");
}
