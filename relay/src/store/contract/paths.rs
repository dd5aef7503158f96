//! Rules about where sources are reached.

use std::sync::Arc;

use super::kit::{OTHER_TENANT, TENANT, at, done};
use crate::model::audit::{By, Deed};
use crate::model::id::SourceId;
use crate::model::path::{Paths, RetiringPath};
use crate::model::resource::{Kind, Resource};
use crate::model::secret::Secret;
use crate::store::Store;

const SOURCE: SourceId = SourceId::from_raw(201);

fn paths(current: &str) -> Paths {
    let retiring = |path: Option<&str>, until| RetiringPath {
        path: path.map(|path| Secret::new(path.to_owned())),
        until: at(until),
    };
    Paths {
        current: Secret::new(current.to_owned()),
        retiring: vec![retiring(Some("in_old"), 5), retiring(None, 7)],
    }
}

fn deed(tenant: crate::model::id::TenantId) -> Deed {
    Deed::new(
        tenant,
        at(1),
        By {
            key: None,
            address: None,
        },
        "source.path_rotated",
    )
}

pub(super) async fn paths_are_kept_with_their_deed(store: Arc<dyn Store>) {
    assert_eq!(done(store.paths(SOURCE).await), None);
    for current in ["in_a", "in_b"] {
        let kept = store.set_paths(OTHER_TENANT, SOURCE, paths(current), deed(OTHER_TENANT));
        done(kept.await);
        assert_eq!(done(store.paths(SOURCE).await), Some(paths(current)));
    }
    assert_eq!(done(store.paths(SourceId::from_raw(202)).await), None);
    let noted = |tenant| {
        let store = Arc::clone(&store);
        async move { done(store.chain(tenant, 0, 10).await).entries.len() }
    };
    assert_eq!((noted(OTHER_TENANT).await, noted(TENANT).await), (2, 0));
}

pub(super) async fn paths_go_with_their_source(store: Arc<dyn Store>) {
    let source = Resource {
        kind: Kind::Source,
        ..super::resources::endpoint(&store, "shop")
    };
    let id = SourceId::from_raw(source.id);
    done(store.save(source.clone(), None).await);
    done(store.set_paths(TENANT, id, paths("in_a"), deed(TENANT)).await);
    let deleted = Resource {
        revision: source.revision + 1,
        deleted_at: Some(at(5)),
        ..source
    };
    done(store.save(deleted, None).await);
    assert!(done(store.paths(id).await).is_some(), "it can be restored");
    done(store.forget_resources(at(6), 10, 10).await);
    assert_eq!(done(store.paths(id).await), None);
}
