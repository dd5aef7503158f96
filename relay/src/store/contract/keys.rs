//! Rules about API keys.

use std::sync::Arc;

use super::kit::{OTHER_TENANT, TENANT, at, done};
use crate::model::id::{KeyId, TenantId};
use crate::model::page::Page;
use crate::store::{Key, KeyCount, KeyFilter, Role, Store};

const ROLES: [Role; 4] = [Role::Admin, Role::Manage, Role::Send, Role::Read];

fn key(number: u8, tenant: TenantId) -> Key {
    Key {
        id: KeyId::from_raw(i64::from(number)),
        tenant,
        name: format!("key {number}"),
        role: ROLES[usize::from(number - 1) % 4],
        hash: [number; 32],
        created_at: at(u64::from(number)),
        expires_at: (number == 2).then(|| at(40)),
        revoked_at: None,
    }
}

async fn add(store: &Arc<dyn Store>, numbers: impl IntoIterator<Item = u8>, tenant: TenantId) -> Vec<Key> {
    let keys: Vec<_> = numbers.into_iter().map(|number| key(number, tenant)).collect();
    for key in keys.iter().rev() {
        done(store.add_key(key.clone()).await);
    }
    keys
}

async fn listed(store: &Arc<dyn Store>, filter: KeyFilter, page: Page) -> (Vec<i64>, Option<i64>) {
    let listed = done(store.keys_of(TENANT, filter, page).await);
    (listed.items.iter().map(|key| key.id.raw()).collect(), listed.next)
}

pub(super) async fn keys_are_revoked_once(store: Arc<dyn Store>) {
    let mut keys = add(&store, 1..=4, TENANT).await;
    assert_eq!(done(store.keys().await), keys);
    assert!(
        store.add_key(keys[0].clone()).await.is_err(),
        "an id that is taken"
    );
    let id = keys[1].id;
    assert!(done(store.revoke_key(TENANT, id, at(50)).await));
    assert!(
        !done(store.revoke_key(TENANT, id, at(60)).await),
        "revoked already"
    );
    assert!(
        !done(store.revoke_key(TENANT, KeyId::from_raw(9), at(60)).await),
        "unknown"
    );
    let found = done(store.key(TENANT, id).await);
    assert_eq!(found.and_then(|key| key.revoked_at), Some(at(50)));
    keys.remove(1);
    assert_eq!(done(store.keys().await), keys, "what is revoked opens nothing");
}

pub(super) async fn keys_are_listed_newest_first_in_pages(store: Arc<dyn Store>) {
    add(&store, 1..=6, TENANT).await;
    add(&store, 7..=8, OTHER_TENANT).await;
    done(store.revoke_key(TENANT, KeyId::from_raw(4), at(50)).await);
    let page = |before| Page { limit: 4, before };
    let all = KeyFilter::default();
    assert_eq!(listed(&store, all, page(None)).await, (vec![6, 5, 4, 3], Some(3)));
    assert_eq!(listed(&store, all, page(Some(3))).await, (vec![2, 1], None));
    for (filter, found) in [
        (
            KeyFilter {
                role: Some(Role::Manage),
                ..all
            },
            vec![6, 2],
        ),
        (
            KeyFilter {
                revoked: Some(true),
                ..all
            },
            vec![4],
        ),
        (
            KeyFilter {
                revoked: Some(false),
                without_admins: true,
                ..all
            },
            vec![6, 3, 2],
        ),
    ] {
        assert_eq!(
            listed(&store, filter, page(None)).await,
            (found, None),
            "{filter:?}"
        );
    }
}

pub(super) async fn a_key_belongs_to_one_tenant(store: Arc<dyn Store>) {
    let own = add(&store, [3], TENANT).await.remove(0);
    assert_eq!(done(store.key(OTHER_TENANT, own.id).await), None);
    assert!(!done(store.revoke_key(OTHER_TENANT, own.id, at(1)).await));
    assert!(!done(
        store.rename_key(OTHER_TENANT, own.id, "theirs".to_owned()).await
    ));
    assert_eq!(done(store.key(TENANT, own.id).await), Some(own.clone()));
    assert!(done(store.rename_key(TENANT, own.id, "ours".to_owned()).await));
    let renamed = done(store.key(TENANT, own.id).await).map(|key| key.name);
    assert_eq!(renamed.as_deref(), Some("ours"));
}

pub(super) async fn keys_are_counted_and_forgotten_when_they_ended(store: Arc<dyn Store>) {
    add(&store, 1..=3, TENANT).await;
    add(&store, [5], OTHER_TENANT).await;
    done(store.revoke_key(TENANT, KeyId::from_raw(3), at(30)).await);
    let count = |in_force, kept| KeyCount { in_force, kept };
    assert_eq!(done(store.count_keys(TENANT, at(39)).await), count(2, 3));
    assert_eq!(
        done(store.count_keys(TENANT, at(40)).await),
        count(1, 3),
        "one has expired"
    );
    assert_eq!(done(store.forget_keys(at(30), 9).await), 0);
    assert_eq!(done(store.forget_keys(at(31), 9).await), 1);
    assert_eq!(done(store.forget_keys(at(99), 9).await), 1);
    assert_eq!(done(store.count_keys(TENANT, at(99)).await), count(1, 1));
}
