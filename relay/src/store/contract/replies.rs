//! Rules about replies.

use std::sync::Arc;

use super::kit::{OTHER_TENANT, TENANT, at, done};
use crate::store::{Claimed, Reply, RequestName, Store};

const NAME: RequestName = RequestName {
    tenant: TENANT,
    digest: [1; 32],
};

fn reply() -> Reply {
    Reply {
        status: 201,
        headers: vec![("etag".to_owned(), "\"1\"".to_owned())],
        body: vec![0, 159, 146, 150],
    }
}

pub(super) async fn the_first_to_claim_a_name_has_it(store: Arc<dyn Store>) {
    assert_eq!(done(store.claim_name(NAME, [7; 32], at(0)).await), Claimed::Yours);
    let again = done(store.claim_name(NAME, [7; 32], at(1)).await);
    assert_eq!(again, Claimed::Unanswered);
    let other = RequestName {
        tenant: OTHER_TENANT,
        ..NAME
    };
    assert_eq!(
        done(store.claim_name(other, [8; 32], at(1)).await),
        Claimed::Yours
    );
}

pub(super) async fn a_reply_is_given_to_the_same_request_alone(store: Arc<dyn Store>) {
    done(store.claim_name(NAME, [7; 32], at(0)).await);
    done(store.keep_reply(NAME, reply()).await);
    let again = done(store.claim_name(NAME, [7; 32], at(1)).await);
    assert_eq!(again, Claimed::Answered(reply()));
    let different = done(store.claim_name(NAME, [8; 32], at(1)).await);
    assert_eq!(different, Claimed::Reused);
}

pub(super) async fn a_name_is_free_again_once_it_is_freed_or_forgotten(store: Arc<dyn Store>) {
    done(store.claim_name(NAME, [7; 32], at(5)).await);
    done(store.free_name(NAME).await);
    done(store.keep_reply(NAME, reply()).await);
    assert_eq!(done(store.claim_name(NAME, [8; 32], at(5)).await), Claimed::Yours);
    assert_eq!(done(store.forget_replies(at(5), 10).await), 0);
    assert_eq!(done(store.forget_replies(at(6), 10).await), 1);
    assert_eq!(done(store.claim_name(NAME, [9; 32], at(7)).await), Claimed::Yours);
}
