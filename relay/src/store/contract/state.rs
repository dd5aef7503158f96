//! Rules about the state of plugins.

use std::sync::Arc;

use futures_util::future::join_all;

use super::kit::{ENDPOINT, OTHER_ENDPOINT, OTHER_TENANT, TENANT, at, done};
use crate::store::{STATE_BYTES_MAX, Scope, Store, Written};

fn scope() -> Scope {
    Scope {
        tenant: TENANT,
        owner: ENDPOINT.raw(),
        plugin: "count".to_owned(),
    }
}

async fn set(store: &Arc<dyn Store>, key: &str, value: &[u8], expires: Option<u64>) -> Written<()> {
    done(
        store
            .set_state(&scope(), key, value.to_vec(), expires.map(at), at(0))
            .await,
    )
}

async fn value(store: &Arc<dyn Store>, key: &str, ms: u64) -> Option<Vec<u8>> {
    done(store.state_value(&scope(), key, at(ms)).await)
}

pub(super) async fn a_value_is_read_until_its_time(store: Arc<dyn Store>) {
    assert_eq!(value(&store, "a", 0).await, None);
    set(&store, "a", b"1", None).await;
    set(&store, "b", b"", Some(10)).await;
    assert_eq!(value(&store, "a", 1 << 40).await, Some(b"1".to_vec()));
    assert_eq!(value(&store, "b", 9).await, Some(Vec::new()));
    assert_eq!(value(&store, "b", 10).await, None);
    set(&store, "a", b"2", Some(5)).await;
    assert_eq!(
        (value(&store, "a", 4).await, value(&store, "a", 5).await),
        (Some(b"2".to_vec()), None)
    );
    done(store.delete_state(&scope(), "a").await);
    done(store.delete_state(&scope(), "never there").await);
    assert_eq!(value(&store, "a", 0).await, None);
}

pub(super) async fn scopes_do_not_see_each_other(store: Arc<dyn Store>) {
    set(&store, "a", b"1", None).await;
    for other in [
        Scope {
            tenant: OTHER_TENANT,
            ..scope()
        },
        Scope {
            owner: OTHER_ENDPOINT.raw(),
            ..scope()
        },
        Scope {
            plugin: "other".to_owned(),
            ..scope()
        },
    ] {
        assert_eq!(done(store.state_value(&other, "a", at(0)).await), None);
        assert_eq!(
            done(store.state_keys(&other, "", None, 10, at(0)).await),
            Vec::<String>::new()
        );
        done(store.delete_state(&other, "a").await);
    }
    assert_eq!(value(&store, "a", 0).await, Some(b"1".to_vec()));
}

pub(super) async fn a_claim_is_won_once_until_it_ends(store: Arc<dyn Store>) {
    for (ms, expires, won) in [
        (0, 10, true),
        (1, 20, false),
        (9, 20, false),
        (10, 20, true),
        (15, 30, false),
    ] {
        let claimed = done(store.claim_state(&scope(), "a", at(expires), at(ms)).await);
        assert_eq!(claimed, Written::Done(won), "at {ms}");
    }
}

pub(super) async fn concurrent_claims_have_one_winner(store: Arc<dyn Store>) {
    let tasks = (0..50).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { done(store.claim_state(&scope(), "a", at(10), at(0)).await) })
    });
    let won = join_all(tasks)
        .await
        .into_iter()
        .filter(|task| matches!(task, Ok(Written::Done(true))));
    assert_eq!(won.count(), 1);
}

pub(super) async fn a_counter_adds_up_and_keeps_its_first_time(store: Arc<dyn Store>) {
    let add = async |delta, expires: Option<u64>, ms| {
        done(
            store
                .add_state(&scope(), "n", delta, expires.map(at), at(ms))
                .await,
        )
    };
    assert_eq!(add(5, Some(10), 0).await, Written::Done(5));
    assert_eq!(add(-7, Some(99), 9).await, Written::Done(-2));
    assert_eq!(value(&store, "n", 9).await, Some((-2_i64).to_le_bytes().to_vec()));
    assert_eq!(add(1, None, 10).await, Written::Done(1), "begun anew");
    assert_eq!(
        add(i64::MAX, None, 10).await,
        Written::Done(i64::MAX),
        "no overflow"
    );
    set(&store, "n", b"abc", None).await;
    assert_eq!(
        add(2, None, 0).await,
        Written::Done(2),
        "what is no counter counts as nothing"
    );
}

pub(super) async fn a_swap_needs_the_expected_value(store: Arc<dyn Store>) {
    let swap = async |expected: Option<&[u8]>, value: &[u8], expires: Option<u64>, ms| {
        let expected = expected.map(<[u8]>::to_vec);
        done(
            store
                .swap_state(&scope(), "a", expected, value.to_vec(), expires.map(at), at(ms))
                .await,
        )
    };
    assert_eq!(swap(Some(b"1"), b"2", None, 0).await, Written::Done(false));
    assert_eq!(swap(None, b"1", None, 0).await, Written::Done(true));
    assert_eq!(swap(None, b"2", None, 0).await, Written::Done(false));
    assert_eq!(swap(Some(b"1"), b"2", Some(10), 0).await, Written::Done(true));
    assert_eq!(value(&store, "a", 0).await, Some(b"2".to_vec()));
    assert_eq!(
        swap(None, b"3", None, 10).await,
        Written::Done(true),
        "past its time is absent"
    );
}

pub(super) async fn a_scope_holds_no_more_than_its_quota(store: Arc<dyn Store>) {
    let half = vec![0; STATE_BYTES_MAX / 2 - 1];
    assert_eq!(set(&store, "a", &half, None).await, Written::Done(()));
    assert_eq!(set(&store, "b", &half, None).await, Written::Done(()));
    assert_eq!(set(&store, "c", b"", None).await, Written::QuotaExceeded);
    assert_eq!(
        set(&store, "b", &[half.as_slice(), b"1"].concat(), None).await,
        Written::QuotaExceeded
    );
    assert_eq!(
        set(&store, "b", &half, None).await,
        Written::Done(()),
        "instead of itself"
    );
    let claim = store.claim_state(&scope(), "c", at(10), at(0)).await;
    assert_eq!(done(claim), Written::QuotaExceeded);
    assert_eq!(
        done(store.add_state(&scope(), "c", 1, None, at(0)).await),
        Written::QuotaExceeded
    );
    assert_eq!(value(&store, "c", 0).await, None);
    let other = Scope {
        plugin: "other".to_owned(),
        ..scope()
    };
    assert_eq!(
        done(store.set_state(&other, "c", vec![1], None, at(0)).await),
        Written::Done(())
    );
}

pub(super) async fn deleting_and_expiring_make_room(store: Arc<dyn Store>) {
    let most = vec![0; STATE_BYTES_MAX - 1];
    assert_eq!(set(&store, "a", &most, None).await, Written::Done(()));
    done(store.delete_state(&scope(), "a").await);
    assert_eq!(set(&store, "b", &most, Some(10)).await, Written::Done(()));
    let later = store.set_state(&scope(), "c", most, None, at(10)).await;
    assert_eq!(
        done(later),
        Written::Done(()),
        "what is past its time does not count"
    );
    assert_eq!(set(&store, "d", b"", None).await, Written::QuotaExceeded);
}

pub(super) async fn keys_are_listed_in_byte_order(store: Arc<dyn Store>) {
    for (key, expires) in [
        ("b:2", None),
        ("b:10", None),
        ("a", None),
        ("b:ä", None),
        ("b:old", Some(5)),
        ("c", None),
    ] {
        set(&store, key, b"1", expires).await;
    }
    let keys = async |prefix: &str, after: Option<&str>, limit| {
        done(
            store
                .state_keys(&scope(), prefix, after.map(str::to_owned), limit, at(5))
                .await,
        )
    };
    assert_eq!(keys("", None, 10).await, ["a", "b:10", "b:2", "b:ä", "c"]);
    assert_eq!(keys("b:", None, 2).await, ["b:10", "b:2"]);
    assert_eq!(keys("b:", Some("b:2"), 2).await, ["b:ä"]);
    assert_eq!(keys("b:", Some("a"), 1).await, ["b:10"]);
    assert_eq!(keys("b:", Some("c"), 2).await, Vec::<String>::new());
}

pub(super) async fn pruning_removes_what_is_past_its_time(store: Arc<dyn Store>) {
    for key in ["a", "b", "c"] {
        set(&store, key, &[0; 100], Some(10)).await;
    }
    set(&store, "d", &[0; 100], Some(20)).await;
    done(store.prune(at(0), at(0), at(10), 100).await);
    // Read as of a time when all were still there.
    let keys = done(store.state_keys(&scope(), "", None, 10, at(0)).await);
    assert_eq!(keys, ["d"]);
    let rest = vec![0; STATE_BYTES_MAX - 101];
    assert_eq!(set(&store, "e", &rest, None).await, Written::QuotaExceeded);
    assert_eq!(
        set(&store, "e", &rest[..rest.len() - 1], None).await,
        Written::Done(())
    );
}
