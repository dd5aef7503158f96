//! A disk that fills up, breaks, or has no room for one more open file.

use std::time::Duration;

use relay::store::sqlite::SqliteStore;
use relay::store::{Accepted, DeliveryQueue as _, Error, EventStore as _};
use relay_tests::disk::{self, Disk, Fault, Operation};
use relay_tests::torture::shop::{NOW, Shop, TENANT};
use relay_tests::torture::workload::DATABASE;
use relay_tests::wait::eventually;
use tokio::time::timeout;

/// A refusal takes no longer: the promise is a second, a busy machine gets two.
const PROMPT: Duration = Duration::from_secs(2);
/// Refusals looked at while the fault lasts.
const REFUSALS: usize = 20;

/// A store on a disk, with an event that it has accepted.
struct Place {
    disk: Disk,
    store: SqliteStore,
    shop: Shop,
}

impl Place {
    async fn new() -> Self {
        let disk = Disk::new();
        let store = SqliteStore::open(&disk.path(DATABASE), Default::default()).expect("a new store opens");
        let mut place = Self {
            disk,
            store,
            shop: Shop::new(7),
        };
        place.accepts().await;
        place
    }

    async fn accepts(&mut self) {
        let post = self.shop.post();
        let offered = self.shop.offer(&post);
        let accepted = self.store.accept(vec![offered], NOW).await;
        assert_eq!(accepted.expect("the store takes events"), [Accepted::New]);
    }

    /// Offers an event again and again; it has to be refused every time, and at once.
    async fn refuses(&mut self) -> Error {
        let post = self.shop.post();
        let mut last = None;
        for _ in 0..REFUSALS {
            let offered = self.shop.offer(&post);
            let answer = timeout(PROMPT, self.store.accept(vec![offered], NOW)).await;
            let answer = answer.expect("a refusal is answered at once");
            last = Some(answer.expect_err("nothing is accepted on a broken disk"));
        }
        // What was refused is not known as accepted later.
        self.disk.heal();
        self.is_well_by_itself().await;
        let offered = self.shop.offer(&post);
        let answer = self.store.accept(vec![offered], NOW).await;
        assert_eq!(answer.expect("the disk is sound again"), [Accepted::New]);
        last.expect("there were refusals")
    }

    /// Without another call that writes.
    async fn is_well_by_itself(&self) {
        eventually("the store to take writes again", || async { self.store.health() }).await;
    }

    /// Everything accepted so far is there, now and in a store that is opened anew.
    async fn has_all(self, accepted: usize) {
        let Self { disk, store, .. } = self;
        let listed = store.events(TENANT, Default::default(), Default::default()).await;
        assert_eq!(listed.expect("a list").items.len(), accepted);
        drop(store);
        let store = SqliteStore::open(&disk.path(DATABASE), Default::default()).expect("the store opens");
        let listed = store.events(TENANT, Default::default(), Default::default()).await;
        assert_eq!(listed.expect("a list").items.len(), accepted);
    }
}

#[tokio::test]
async fn a_sync_that_fails_once_acknowledges_nothing_and_is_got_over() {
    let mut place = Place::new().await;
    let broken = Fault::always(Operation::Sync, disk::Error::Broken).on_log();
    place.disk.fail(broken.times(1));
    let offered = place.shop.any();
    let refused = place.store.accept(vec![offered], NOW).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    place.is_well_by_itself().await;
    place.accepts().await;
    place.has_all(2).await;
}

#[tokio::test]
async fn while_no_sync_works_nothing_is_acknowledged() {
    let mut place = Place::new().await;
    place
        .disk
        .fail(Fault::always(Operation::Sync, disk::Error::Broken));
    let refused = place.refuses().await;
    assert!(matches!(refused, Error::Unavailable(_)), "{refused}");
    place.has_all(2).await;
}

#[tokio::test]
async fn while_no_write_works_nothing_is_acknowledged() {
    let mut place = Place::new().await;
    place
        .disk
        .fail(Fault::always(Operation::Write, disk::Error::Broken));
    let refused = place.refuses().await;
    assert!(matches!(refused, Error::Unavailable(_)), "{refused}");
    place.has_all(2).await;
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_until_there_is_room() {
    let mut place = Place::new().await;
    place
        .disk
        .fail(Fault::always(Operation::Write, disk::Error::Full));
    let refused = place.refuses().await;
    assert!(matches!(refused, Error::Full(_)), "{refused}");
    place.has_all(2).await;
}

#[tokio::test]
async fn a_read_that_fails_fails_that_call_alone() {
    let mut place = Place::new().await;
    place
        .disk
        .fail(Fault::always(Operation::Read, disk::Error::Broken));
    let read = place.store.checkpoint().await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    place.disk.heal();
    place
        .store
        .checkpoint()
        .await
        .expect("the disk can be read again");
    place.accepts().await;
    place.has_all(2).await;
}

#[tokio::test]
async fn without_files_to_open_events_are_still_accepted() {
    let mut place = Place::new().await;
    place
        .disk
        .fail(Fault::always(Operation::Open, disk::Error::TooManyFiles));
    let read = place.store.checkpoint().await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    for _ in 0..REFUSALS {
        place.accepts().await;
    }
    place.disk.heal();
    place.has_all(REFUSALS + 1).await;
}
