//! Rules about resources.

use std::sync::Arc;

use serde_json::json;

use super::kit::{OTHER_TENANT, TENANT, at, done};
use crate::model::audit::{By, Deed};
use crate::model::id::{EndpointId, TenantId};
use crate::model::page::Page;
use crate::model::plugin::Version;
use crate::model::resource::{Definition, Kind, Resource};
use crate::store::{Disabled, PluginChange, Saved, Store, Which};

pub(super) fn endpoint(store: &Arc<dyn Store>, name: &str) -> Resource {
    let keys = json!({"name": name, "url": "https://example.com", "secret": "whsec_x"});
    Resource {
        id: store.fresh_id(at(0)),
        tenant: TENANT,
        kind: Kind::Endpoint,
        name: name.to_owned(),
        definition: Definition {
            keys: keys.as_object().cloned().unwrap_or_default(),
            secrets: vec!["/secret".to_owned()],
        },
        revision: 1,
        created_at: at(0),
        updated_at: at(0),
        deleted_at: None,
    }
}

async fn save(store: &Arc<dyn Store>, resource: &Resource) -> Saved {
    done(store.save(resource.clone(), None).await)
}

fn changed(resource: &Resource, change: impl FnOnce(&mut Resource)) -> Resource {
    let mut next = Resource {
        revision: resource.revision + 1,
        updated_at: at(7),
        ..resource.clone()
    };
    change(&mut next);
    next
}

async fn names(store: &Arc<dyn Store>, which: Which, page: Page) -> (Vec<String>, Option<i64>) {
    let listed = done(store.resources(TENANT, Kind::Endpoint, which, page).await);
    (
        listed.items.into_iter().map(|item| item.name).collect(),
        listed.next,
    )
}

pub(super) async fn a_resource_reads_back_as_it_was_saved(store: Arc<dyn Store>) {
    let first = endpoint(&store, "crm");
    assert_eq!(save(&store, &first).await, Saved::Done);
    let found = done(store.resource(TENANT, Kind::Endpoint, first.id).await);
    assert_eq!(found.as_ref(), Some(&first));
    let second = changed(&first, |next| {
        next.definition
            .keys
            .insert("url".to_owned(), json!("https://example.org"));
    });
    assert_eq!(save(&store, &second).await, Saved::Done);
    assert_eq!(
        done(store.resource(TENANT, Kind::Endpoint, first.id).await),
        Some(second.clone())
    );
    assert_eq!(done(store.living().await), [second]);
}

pub(super) async fn a_resource_belongs_to_one_tenant_and_kind(store: Arc<dyn Store>) {
    let own = endpoint(&store, "crm");
    save(&store, &own).await;
    for (tenant, kind) in [(OTHER_TENANT, Kind::Endpoint), (TENANT, Kind::Source)] {
        assert_eq!(done(store.resource(tenant, kind, own.id).await), None);
        let listed = done(
            store
                .resources(tenant, kind, Which::Living, Page::default())
                .await,
        );
        assert!(listed.items.is_empty());
        let foreign = changed(&own, |next| (next.tenant, next.kind) = (tenant, kind));
        assert_eq!(save(&store, &foreign).await, Saved::Changed);
        // The same name is another one there.
        let same_name = Resource {
            tenant,
            kind,
            ..endpoint(&store, "crm")
        };
        assert_eq!(save(&store, &same_name).await, Saved::Done);
    }
}

pub(super) async fn of_two_changes_of_one_revision_the_first_counts(store: Arc<dyn Store>) {
    let first = endpoint(&store, "crm");
    save(&store, &first).await;
    assert_eq!(save(&store, &first).await, Saved::Changed);
    let second = changed(&first, |_| {});
    assert_eq!(save(&store, &second).await, Saved::Done);
    assert_eq!(save(&store, &second).await, Saved::Changed);
    let unknown = changed(&endpoint(&store, "new"), |_| {});
    assert_eq!(save(&store, &unknown).await, Saved::Changed);
}

pub(super) async fn a_name_is_free_again_once_its_owner_is_deleted(store: Arc<dyn Store>) {
    let first = endpoint(&store, "crm");
    save(&store, &first).await;
    let rival = endpoint(&store, "crm");
    assert_eq!(save(&store, &rival).await, Saved::NameTaken);
    let deleted = changed(&first, |next| next.deleted_at = Some(at(9)));
    assert_eq!(save(&store, &deleted).await, Saved::Done);
    assert_eq!(save(&store, &rival).await, Saved::Done);
    let restored = changed(&deleted, |next| next.deleted_at = None);
    assert_eq!(save(&store, &restored).await, Saved::NameTaken);
    assert_eq!(done(store.living().await), [rival]);
}

pub(super) async fn resources_are_listed_newest_first_in_pages(store: Arc<dyn Store>) {
    for name in ["a", "b", "c", "d"] {
        let resource = endpoint(&store, name);
        save(&store, &resource).await;
        if name == "b" {
            let deleted = changed(&resource, |next| next.deleted_at = Some(at(1)));
            save(&store, &deleted).await;
        }
    }
    let page = |before| Page { limit: 2, before };
    let (first, next) = names(&store, Which::Living, page(None)).await;
    assert_eq!(first, ["d", "c"]);
    let (second, end) = names(&store, Which::Living, page(next)).await;
    assert_eq!((second, end), (vec!["a".to_owned()], None));
    assert_eq!(names(&store, Which::Deleted, page(None)).await.0, ["b"]);
}

pub(super) async fn what_was_deleted_long_ago_is_forgotten(store: Arc<dyn Store>) {
    let first = endpoint(&store, "crm");
    let other = endpoint(&store, "other");
    save(&store, &first).await;
    save(&store, &other).await;
    save(&store, &changed(&first, |next| next.deleted_at = Some(at(5)))).await;
    let deleted = [first.id, other.id, -1].map(|id| store.is_deleted(id));
    let [gone, living, unknown] = deleted;
    assert_eq!(
        [done(gone.await), done(living.await), done(unknown.await)],
        [true, false, false]
    );
    let id = EndpointId::from_raw(first.id);
    let why = Disabled {
        at: at(1),
        reason: "by hand".to_owned(),
    };
    done(store.set_disabled(id, Some(why)).await);
    assert_eq!(done(store.forget_resources(at(5), 10, 10).await), 0);
    assert_eq!(done(store.forget_resources(at(6), 10, 10).await), 1);
    assert_eq!(done(store.disabled().await), []);
    assert_eq!(done(store.resource(TENANT, Kind::Endpoint, first.id).await), None);
    assert_eq!(done(store.living().await), [other]);
}

pub(super) async fn of_many_that_were_deleted_the_latest_are_kept(store: Arc<dyn Store>) {
    for (name, deleted_at) in [("a", 7), ("b", 5), ("c", 6), ("d", 8)] {
        let resource = endpoint(&store, name);
        save(&store, &resource).await;
        let deleted = changed(&resource, |next| next.deleted_at = Some(at(deleted_at)));
        save(&store, &deleted).await;
    }
    let living = endpoint(&store, "e");
    save(&store, &living).await;
    assert_eq!(done(store.forget_resources(at(0), 2, 1).await), 1);
    assert_eq!(done(store.forget_resources(at(0), 2, 10).await), 1);
    assert_eq!(done(store.forget_resources(at(0), 2, 10).await), 0);
    let all = Page {
        limit: 10,
        before: None,
    };
    assert_eq!(names(&store, Which::Deleted, all).await.0, ["d", "a"]);
    assert_eq!(done(store.living().await), [living]);
}

pub(super) async fn with_a_tenant_goes_all_that_it_had(store: Arc<dyn Store>) {
    let tenant = Resource {
        kind: Kind::Tenant,
        ..endpoint(&store, "acme")
    };
    save(&store, &tenant).await;
    let own = Resource {
        tenant: TenantId::from_raw(tenant.id),
        ..endpoint(&store, "crm")
    };
    let other = endpoint(&store, "crm");
    save(&store, &own).await;
    save(&store, &other).await;
    let plugin = PluginChange {
        tenant: own.tenant,
        name: "tidy".to_owned(),
        history: vec![Version::of(b"tidy")],
        tags: Default::default(),
        rollouts: Default::default(),
        added: None,
        signed: None,
        removed: None,
    };
    let deed = Deed::new(own.tenant, at(4), By::OPERATOR, "plugin.uploaded");
    done(store.change_plugin(plugin, deed).await);
    save(&store, &changed(&tenant, |next| next.deleted_at = Some(at(5)))).await;
    assert!(done(store.is_deleted(own.id).await), "its tenant is");
    assert!(!done(store.is_deleted(other.id).await));
    assert_eq!(done(store.living().await).len(), 2, "it can be restored");
    assert_eq!(done(store.uploaded().await).len(), 1);
    done(store.forget_resources(at(6), 100, 10).await);
    assert_eq!(done(store.uploaded().await), []);
    assert_eq!(done(store.living().await), [other]);
}
