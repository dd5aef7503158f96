//! Rules about plugins that were uploaded.

use std::sync::Arc;

use bytes::Bytes;

use super::kit::{OTHER_TENANT, TENANT, at, done};
use crate::model::audit::{By, Deed};
use crate::model::id::{KeyId, TenantId};
use crate::model::page::Page;
use crate::model::plugin::Version;
use crate::model::rollout::{Mode, RolledBack, Rollout, Rollouts};
use crate::store::{AuditFilter, NewVersion, PluginChange, Store, Uploaded, UploadedVersion};

fn new(component: &'static str) -> NewVersion {
    NewVersion {
        kept: UploadedVersion {
            version: Version::of(component.as_bytes()),
            made_at: at(1),
            made_by: Some(KeyId::from_raw(7)),
            bytes: component.len() as u64,
            signatures: None,
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
        ..removed(None, &[])
    };
    change(store, added).await;
}

fn removed(component: Option<&str>, history: &[&str]) -> PluginChange {
    PluginChange {
        tenant: TENANT,
        name: "tidy".to_owned(),
        history: history.iter().map(|component| version(component)).collect(),
        tags: Default::default(),
        rollouts: Rollouts::default(),
        added: None,
        signed: None,
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
        tags: Default::default(),
        rollouts: Rollouts::default(),
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

pub(super) async fn tags_rollouts_and_signatures_read_back(store: Arc<dyn Store>) {
    let signatures = |byte: u8| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode([byte; 64]);
        text.parse().expect("a signature")
    };
    let rollout = Rollout {
        version: version("two"),
        mode: Mode::Canary,
        percent: 10,
        fault_rate_max: 0.05,
        min_calls: 50,
        window_s: 600,
        begun_at: at(3),
        begun_by: Some(KeyId::from_raw(7)),
        promoted: None,
    };
    let rolled_back = RolledBack {
        version: version("two"),
        to: version("one"),
        at: at(4),
        calls: 50,
        faults: 9,
    };
    add(&store, TENANT, "one", &["one"]).await;
    let mut two = new("two");
    two.kept.signatures = Some(signatures(1));
    let tags = [("beta".parse().expect("a tag"), version("two"))];
    let whole = PluginChange {
        tags: tags.into_iter().collect(),
        rollouts: Rollouts {
            under_way: Some(rollout),
            rolled_back: Some(rolled_back),
        },
        added: Some(two),
        signed: Some((version("one"), signatures(2))),
        ..removed(None, &["one"])
    };
    change(&store, whole.clone()).await;
    let kept = done(store.uploaded().await);
    assert_eq!((&kept[0].tags, kept[0].rollouts), (&whole.tags, whole.rollouts));
    let signed: Vec<_> = kept[0]
        .versions
        .iter()
        .map(|kept| kept.signatures.clone())
        .collect();
    assert_eq!(signed, [Some(signatures(1)), Some(signatures(2))]);
    change(&store, removed(Some("two"), &["one"])).await;
    let kept = done(store.uploaded().await);
    assert_eq!((kept[0].tags.len(), kept[0].rollouts), (0, Rollouts::default()));
    // With the version went its signature.
    let again = PluginChange {
        added: Some(new("two")),
        ..removed(None, &["one"])
    };
    change(&store, again).await;
    assert_eq!(done(store.uploaded().await)[0].versions[0].signatures, None);
}
