//! Rules about files that plugins had the relay keep.

use std::sync::Arc;

use super::kit::{OTHER_TENANT, TENANT, at, done};
use crate::model::audit::{By, Deed};
use crate::model::id::{MediaId, TenantId};
use crate::model::page::Page;
use crate::model::resource::{Definition, Kind, Resource};
use crate::model::secret::Secret;
use crate::store::{AuditFilter, MEDIA_BYTES_MIN, MediaFile, MediaReserved, MediaRoom, Store};

/// Room for three of the smallest in a tenant, and for four in all.
const ROOM: MediaRoom = MediaRoom {
    tenant_bytes_max: 3 * MEDIA_BYTES_MIN,
    bytes_max: 4 * MEDIA_BYTES_MIN,
};

fn id(raw: i64) -> MediaId {
    MediaId::from_raw(raw)
}

/// A file until 1,000, whose bytes are as its id.
fn file(tenant: TenantId, raw: i64) -> MediaFile {
    MediaFile {
        id: id(raw),
        tenant,
        digest: [u8::try_from(raw % 256).unwrap_or_default(); 32],
        content_type: "image/jpeg".to_owned(),
        bytes: 7,
        made_at: at(0),
        expires_at: at(1_000),
    }
}

async fn reserve(store: &Arc<dyn Store>, file: &MediaFile, now: u64) -> MediaReserved {
    done(
        store
            .reserve_media(file.clone(), ROOM, at(now + 100), at(now))
            .await,
    )
}

async fn keep(store: &Arc<dyn Store>, file: &MediaFile) {
    assert_eq!(reserve(store, file, 1).await, MediaReserved::Room);
    let kept = done(store.finish_media(file.clone(), at(2)).await);
    assert_eq!(kept.as_ref(), Some(file));
}

/// The ids of those that are over.
async fn ended(store: &Arc<dyn Store>, now: u64) -> Vec<MediaId> {
    let mut ended = done(store.end_media(at(now), 10).await);
    ended.sort_unstable();
    ended.into_iter().map(|(_, id)| id).collect()
}

fn deed(tenant: TenantId) -> Deed {
    Deed::new(tenant, at(1), By::OPERATOR, "media.deleted")
}

pub(super) async fn a_file_is_there_once_it_is_finished(store: Arc<dyn Store>) {
    let one = file(TENANT, 1);
    assert_eq!(reserve(&store, &one, 1).await, MediaReserved::Room);
    assert_eq!(done(store.media_file(one.id).await), None);
    assert_eq!(done(store.media_bytes(TENANT).await), MEDIA_BYTES_MIN);
    assert_eq!(
        done(store.finish_media(one.clone(), at(2)).await),
        Some(one.clone())
    );
    assert_eq!(done(store.media_file(one.id).await), Some(one.clone()));
    assert_eq!(
        done(store.finish_media(one, at(2)).await),
        None,
        "it is finished once"
    );
    assert_eq!(done(store.media_file(id(9)).await), None);
}

pub(super) async fn the_same_bytes_are_kept_once_and_as_long_as_was_asked(store: Arc<dyn Store>) {
    let one = file(TENANT, 1);
    keep(&store, &one).await;
    for (expires, until) in [(500, 1_000), (2_000, 2_000)] {
        let again = MediaFile {
            id: id(2),
            expires_at: at(expires),
            ..one.clone()
        };
        let there = MediaFile {
            expires_at: at(until),
            ..one.clone()
        };
        assert_eq!(
            reserve(&store, &again, 10).await,
            MediaReserved::There(there.clone())
        );
        assert_eq!(done(store.media_file(one.id).await), Some(there));
    }
    let others = [
        MediaFile {
            content_type: "image/png".to_owned(),
            id: id(3),
            ..one.clone()
        },
        MediaFile {
            tenant: OTHER_TENANT,
            id: id(4),
            ..one.clone()
        },
    ];
    for other in others {
        assert_eq!(reserve(&store, &other, 10).await, MediaReserved::Room);
    }
    // Whoever is over is not there any more.
    let late = MediaFile {
        id: id(5),
        expires_at: at(9_000),
        ..one
    };
    assert_eq!(reserve(&store, &late, 2_000).await, MediaReserved::Room);
}

pub(super) async fn of_two_that_are_written_at_once_one_is_kept(store: Arc<dyn Store>) {
    let one = file(TENANT, 1);
    let other = MediaFile {
        id: id(2),
        expires_at: at(2_000),
        ..one.clone()
    };
    assert_eq!(reserve(&store, &one, 1).await, MediaReserved::Room);
    assert_eq!(reserve(&store, &other, 1).await, MediaReserved::Room);
    done(store.finish_media(one.clone(), at(2)).await);
    let kept = done(store.finish_media(other.clone(), at(2)).await).expect("it is kept");
    assert_eq!((kept.id, kept.expires_at), (one.id, other.expires_at));
    assert_eq!(done(store.media_file(other.id).await), None);
    assert_eq!(ended(&store, 3).await, [other.id]);
}

pub(super) async fn there_is_room_for_so_much_in_a_tenant_and_in_all(store: Arc<dyn Store>) {
    for raw in 1..=3 {
        keep(&store, &file(TENANT, raw)).await;
    }
    assert_eq!(reserve(&store, &file(TENANT, 4), 1).await, MediaReserved::Full);
    let large = MediaFile {
        bytes: MEDIA_BYTES_MIN + 1,
        ..file(OTHER_TENANT, 5)
    };
    assert_eq!(reserve(&store, &large, 1).await, MediaReserved::Full);
    keep(&store, &file(OTHER_TENANT, 6)).await;
    assert_eq!(
        reserve(&store, &file(OTHER_TENANT, 7), 1).await,
        MediaReserved::Full
    );
    // What is over takes its room until it is forgotten.
    let over = ended(&store, 1_000).await;
    assert_eq!(over.len(), 4);
    assert_eq!(
        reserve(&store, &file(TENANT, 8), 1_000).await,
        MediaReserved::Full
    );
    done(store.forget_media(over).await);
    assert_eq!(done(store.media_bytes(TENANT).await), 0);
    assert_eq!(
        reserve(&store, &file(TENANT, 8), 1_000).await,
        MediaReserved::Room
    );
}

pub(super) async fn what_is_over_or_given_up_is_told_until_it_is_forgotten(store: Arc<dyn Store>) {
    let (one, given_up) = (file(TENANT, 1), file(TENANT, 2));
    keep(&store, &one).await;
    assert_eq!(reserve(&store, &given_up, 1).await, MediaReserved::Room);
    assert_eq!(ended(&store, 100).await, []);
    assert_eq!(ended(&store, 101).await, [given_up.id]);
    assert_eq!(done(store.finish_media(given_up.clone(), at(101)).await), None);
    assert_eq!(ended(&store, 102).await, [given_up.id]);
    done(store.forget_media(vec![given_up.id, one.id]).await);
    assert!(
        done(store.media_file(one.id).await).is_some(),
        "it was not taken away"
    );
    assert_eq!(ended(&store, 999).await, []);
    assert_eq!(ended(&store, 1_000).await, [one.id]);
    assert_eq!(done(store.media_file(one.id).await), None);
    done(store.forget_media(vec![one.id]).await);
    assert_eq!(ended(&store, 1_000).await, []);
    let unwritten = file(TENANT, 5);
    assert_eq!(reserve(&store, &unwritten, 1).await, MediaReserved::Room);
    done(store.give_up_media(unwritten.id).await);
    assert_eq!(ended(&store, 2).await, [unwritten.id]);
    done(store.forget_media(vec![unwritten.id]).await);
    let few = [file(TENANT, 3), file(OTHER_TENANT, 4)];
    for file in &few {
        keep(&store, file).await;
    }
    done(store.give_up_media(few[0].id).await);
    assert!(done(store.media_file(few[0].id).await).is_some(), "it is there");
    assert_eq!(done(store.end_media(at(1_000), 1).await).len(), 1);
}

pub(super) async fn a_file_is_removed_by_its_tenant_with_the_deed(store: Arc<dyn Store>) {
    let one = file(TENANT, 1);
    keep(&store, &one).await;
    let (none, stranger) = (
        store.remove_media(TENANT, id(9), deed(TENANT)),
        store.remove_media(OTHER_TENANT, one.id, deed(OTHER_TENANT)),
    );
    assert!(!done(none.await) && !done(stranger.await));
    assert!(done(store.remove_media(TENANT, one.id, deed(TENANT)).await));
    assert!(
        !done(store.remove_media(TENANT, one.id, deed(TENANT)).await),
        "it is gone"
    );
    let page = Page {
        limit: 10,
        before: None,
    };
    for (tenant, deeds) in [(TENANT, 1), (OTHER_TENANT, 0)] {
        let noted = done(store.noted(tenant, AuditFilter::default(), page).await);
        assert_eq!(noted.items.len(), deeds, "{tenant}");
    }
    assert_eq!(done(store.media_file(one.id).await), None);
    assert_eq!(ended(&store, 3).await, [one.id], "its bytes are to go");
}

pub(super) async fn files_are_listed_newest_first_in_pages(store: Arc<dyn Store>) {
    for raw in 1..=3 {
        keep(&store, &file(TENANT, raw)).await;
    }
    keep(&store, &file(OTHER_TENANT, 4)).await;
    let page = |before| Page { limit: 2, before };
    let first = done(store.media_files(TENANT, page(None)).await);
    assert_eq!(first.items, [file(TENANT, 3), file(TENANT, 2)]);
    let rest = done(store.media_files(TENANT, page(first.next)).await);
    assert_eq!(rest.items, [file(TENANT, 1)]);
    assert_eq!(rest.next, None);
}

pub(super) async fn the_first_key_for_addresses_is_kept(store: Arc<dyn Store>) {
    let [one, other] = ["one", "other"].map(|text| Secret::new(text.to_owned()));
    assert_eq!(done(store.media_key(one.clone()).await), one);
    assert_eq!(done(store.media_key(other).await), one);
}

pub(super) async fn with_a_tenant_go_its_files(store: Arc<dyn Store>) {
    let tenant = Resource {
        id: 77,
        tenant: TenantId::DEFAULT,
        kind: Kind::Tenant,
        name: "acme".to_owned(),
        revision: 1,
        created_at: at(1),
        updated_at: at(1),
        deleted_at: Some(at(5)),
        definition: Definition::default(),
    };
    done(store.save(tenant, None).await);
    let (own, other) = (file(TenantId::from_raw(77), 1), file(TENANT, 2));
    keep(&store, &own).await;
    keep(&store, &other).await;
    done(store.forget_resources(at(6), 100, 10).await);
    assert_eq!(done(store.media_file(own.id).await), None);
    assert_eq!(ended(&store, 3).await, [own.id], "its bytes are to go");
    assert_eq!(done(store.media_file(other.id).await), Some(other));
}
