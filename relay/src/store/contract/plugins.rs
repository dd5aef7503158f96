//! Rules about plugins that were uploaded.

use std::sync::Arc;

use bytes::Bytes;

use super::kit::{OTHER_TENANT, TENANT, at, done};
use crate::model::audit::{By, Deed};
use crate::model::id::{KeyId, TenantId};
use crate::model::page::Page;
use crate::model::plugin::Version;
use crate::store::{AuditFilter, NewVersion, PluginChange, Store, Uploaded, UploadedVersion};

fn new(component: &'static str) -> NewVersion {
    NewVersion {
        kept: UploadedVersion {
            version: Version::of(component.as_bytes()),
            made_at: at(1),
            made_by: Some(KeyId::from_raw(7)),
            bytes: component.len() as u64,
        },
        about: format!("{{\"of\":\"{component}\"}}"),
        component: Bytes::from_static(component.as_bytes()),
    }
}

fn version(component: &str) -> Version {
    Version::of(component.as_bytes())
}

async fn change(store: &Arc<dyn Store>, change: PluginChange) {
    let deed = Deed::new(change.tenant, at(2), By::OPERATOR, "plugin.promoted");
    done(store.change_plugin(change, deed).await);
}

async fn add(store: &Arc<dyn Store>, tenant: TenantId, component: &'static str, history: &[&str]) {
    let added = PluginChange {
        tenant,
        name: "tidy".to_owned(),
        history: history.iter().map(|component| version(component)).collect(),
        added: Some(new(component)),
        removed: None,
    };
    change(store, added).await;
}

fn removed(component: Option<&str>, history: &[&str]) -> PluginChange {
    PluginChange {
        tenant: TENANT,
        name: "tidy".to_owned(),
        history: history.iter().map(|component| version(component)).collect(),
        added: None,
        removed: component.map(version),
    }
}

async fn component(store: &Arc<dyn Store>, tenant: TenantId, component: &str) -> Option<Bytes> {
    done(store.component(tenant, "tidy", version(component)).await)
}

pub(super) async fn a_plugin_reads_back_with_its_versions_newest_first(store: Arc<dyn Store>) {
    add(&store, TENANT, "one", &["one"]).await;
    add(&store, TENANT, "two", &["one", "two"]).await;
    let whole = Uploaded {
        tenant: TENANT,
        name: "tidy".to_owned(),
        history: vec![version("one"), version("two")],
        versions: vec![new("two").kept, new("one").kept],
    };
    assert_eq!(done(store.uploaded().await), [whole]);
    let about = done(store.about(TENANT, "tidy", version("two")).await);
    assert_eq!(about.as_deref(), Some("{\"of\":\"two\"}"));
    assert_eq!(
        component(&store, TENANT, "one").await.as_deref(),
        Some(&b"one"[..])
    );
    assert_eq!(component(&store, TENANT, "three").await, None);
    let noted = store.noted(TENANT, AuditFilter::default(), Page::default()).await;
    assert_eq!(done(noted).items.len(), 2, "a deed for each");
}

pub(super) async fn a_plugin_belongs_to_one_tenant(store: Arc<dyn Store>) {
    add(&store, TENANT, "one", &["one"]).await;
    assert_eq!(component(&store, OTHER_TENANT, "one").await, None);
    assert_eq!(
        done(store.about(OTHER_TENANT, "tidy", version("one")).await),
        None
    );
    add(&store, OTHER_TENANT, "one", &["one"]).await;
    change(&store, removed(None, &[])).await;
    let left: Vec<_> = done(store.uploaded().await);
    assert_eq!(
        left.iter().map(|plugin| plugin.tenant).collect::<Vec<_>>(),
        [OTHER_TENANT]
    );
    assert!(component(&store, OTHER_TENANT, "one").await.is_some());
}

pub(super) async fn a_version_goes_by_itself_and_the_last_with_its_plugin(store: Arc<dyn Store>) {
    add(&store, TENANT, "one", &["one"]).await;
    add(&store, TENANT, "two", &["one", "two"]).await;
    change(&store, removed(Some("one"), &["two"])).await;
    let left = done(store.uploaded().await);
    assert_eq!(left[0].history, [version("two")]);
    assert_eq!(left[0].versions, [new("two").kept]);
    assert_eq!(component(&store, TENANT, "one").await, None);
    change(&store, removed(Some("two"), &[])).await;
    assert_eq!(done(store.uploaded().await), []);
    assert_eq!(component(&store, TENANT, "two").await, None);
    // It can be made anew.
    add(&store, TENANT, "one", &["one"]).await;
    assert_eq!(done(store.uploaded().await).len(), 1);
}
