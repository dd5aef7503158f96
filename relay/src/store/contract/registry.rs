//! Rules about names, secrets and disabled endpoints.

use std::sync::Arc;

use super::kit::{ENDPOINT, OTHER_ENDPOINT, OTHER_TENANT, TENANT, at, done};
use crate::model::id::TenantId;
use crate::model::secret::Secret;
use crate::store::{Disabled, Failing, Named, Retiring, Rotation, SigningSecrets, Store};

async fn identify(store: &Arc<dyn Store>, tenant: TenantId, kind: Named, names: &[&str]) -> Vec<i64> {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    done(store.identify(tenant, kind, names, at(0)).await)
}

pub(super) async fn a_name_keeps_its_id(store: Arc<dyn Store>) {
    let first = identify(&store, TENANT, Named::Endpoint, &["a", "b", "a"]).await;
    assert_eq!(first[0], first[2]);
    assert_ne!(first[0], first[1]);
    let again = identify(&store, TENANT, Named::Endpoint, &["c", "b", "a"]).await;
    assert_eq!(again[1..], [first[1], first[0]]);
    assert!(!first.contains(&again[0]));
    let source = identify(&store, TENANT, Named::Source, &["a"]).await;
    let theirs = identify(&store, OTHER_TENANT, Named::Endpoint, &["a"]).await;
    assert!(source[0] != first[0] && theirs[0] != first[0] && source[0] != theirs[0]);
}

pub(super) async fn the_first_secrets_are_kept(store: Arc<dyn Store>) {
    let secrets = |text: &str| SigningSecrets {
        symmetric: Secret::new(format!("whsec_{text}")),
        asymmetric: Secret::new(format!("whsk_{text}")),
    };
    let first = done(store.signing_secrets(TENANT, ENDPOINT, secrets("a")).await);
    let again = done(store.signing_secrets(TENANT, ENDPOINT, secrets("b")).await);
    let other = done(
        store
            .signing_secrets(OTHER_TENANT, OTHER_ENDPOINT, secrets("b"))
            .await,
    );
    assert_eq!((first, again, other), (secrets("a"), secrets("a"), secrets("b")));
}

pub(super) async fn an_endpoint_is_disabled_until_it_is_enabled(store: Arc<dyn Store>) {
    let disabled = |ms, reason: &str| Disabled {
        at: at(ms),
        reason: reason.to_owned(),
    };
    done(store.set_disabled(ENDPOINT, None).await);
    done(store.set_disabled(ENDPOINT, Some(disabled(1, "410"))).await);
    done(
        store
            .set_disabled(OTHER_ENDPOINT, Some(disabled(2, "by hand")))
            .await,
    );
    done(store.set_disabled(ENDPOINT, Some(disabled(3, "five days"))).await);
    let mut list = done(store.disabled().await);
    list.sort_by_key(|(endpoint, _)| *endpoint);
    assert_eq!(
        list,
        [
            (ENDPOINT, disabled(3, "five days")),
            (OTHER_ENDPOINT, disabled(2, "by hand"))
        ]
    );
    done(store.set_disabled(ENDPOINT, None).await);
    assert_eq!(
        done(store.disabled().await),
        [(OTHER_ENDPOINT, disabled(2, "by hand"))]
    );
}

pub(super) async fn what_a_receiver_has_failed_at_is_kept_until_it_is_forgotten(store: Arc<dyn Store>) {
    let failing = |ms, failures| Failing {
        since: at(ms),
        failures,
        warned: 50,
    };
    assert_eq!(done(store.failing().await), []);
    let both = [
        (ENDPOINT, Some(failing(1, 7))),
        (OTHER_ENDPOINT, Some(failing(2, 1))),
    ];
    done(store.set_failing(&both).await);
    done(store.set_failing(&[(ENDPOINT, Some(failing(1, 20)))]).await);
    let mut list = done(store.failing().await);
    list.sort_by_key(|(endpoint, _)| *endpoint);
    assert_eq!(
        list,
        [(ENDPOINT, failing(1, 20)), (OTHER_ENDPOINT, failing(2, 1))]
    );
    done(store.set_failing(&[(ENDPOINT, None)]).await);
    done(store.set_failing(&[(ENDPOINT, None)]).await);
    assert_eq!(done(store.failing().await), [(OTHER_ENDPOINT, failing(2, 1))]);
}

pub(super) async fn secrets_rotate_with_what_retires(store: Arc<dyn Store>) {
    let secrets = |text: &str| SigningSecrets {
        symmetric: Secret::new(format!("whsec_{text}")),
        asymmetric: Secret::new(format!("whsk_{text}")),
    };
    done(store.signing_secrets(OTHER_TENANT, ENDPOINT, secrets("a")).await);
    assert_eq!(done(store.retiring_secrets(ENDPOINT).await), []);
    let retiring = vec![Retiring {
        secret: secrets("a").symmetric,
        until: at(9),
    }];
    let rotation = Rotation {
        own: Some(secrets("b")),
        retiring: retiring.clone(),
    };
    done(store.rotate_secrets(OTHER_TENANT, ENDPOINT, rotation).await);
    let own = done(store.signing_secrets(OTHER_TENANT, ENDPOINT, secrets("c")).await);
    assert_eq!(own, secrets("b"));
    assert_eq!(done(store.retiring_secrets(ENDPOINT).await), retiring);
    assert_eq!(done(store.retiring_secrets(OTHER_ENDPOINT).await), []);
    let rotation = Rotation {
        own: None,
        retiring: Vec::new(),
    };
    done(store.rotate_secrets(OTHER_TENANT, ENDPOINT, rotation).await);
    let own = done(store.signing_secrets(OTHER_TENANT, ENDPOINT, secrets("c")).await);
    assert_eq!(
        (own, done(store.retiring_secrets(ENDPOINT).await)),
        (secrets("b"), vec![])
    );
}
