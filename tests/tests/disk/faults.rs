//! A disk that fills up, breaks, or has no room for one more open file.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use relay::model::page::{LIMIT_MAX, Page};
use relay::store::sqlite::{Settings, SqliteStore};
use relay::store::{Accepted, DeliveryQueue as _, Error, EventStore as _};
use relay_tests::disk::{self, Disk, Fault, Operation, Step, Syncs};
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

/// SQLite counts pages as copied into the database before it has synced them, if a read keeps it
/// from copying all: a sync that fails later must not lose those either.
#[tokio::test]
async fn a_sync_that_fails_after_half_a_copy_loses_no_page() {
    const SEEDS: u64 = 40;
    let disk = Disk::new();
    let settings = Settings {
        checkpoint_pages: 64,
        linger: Duration::ZERO,
        ..Settings::default()
    };
    let store = SqliteStore::open(&disk.path(DATABASE), settings).expect("a new store opens");
    let mut shop = Shop::new(9);
    // Fewer pages than are copied at once, the tables' first ones among them.
    for _ in 0..5 {
        store.accept(vec![shop.any()], NOW).await.expect("a sound disk");
    }
    let reader = rusqlite::Connection::open(disk.path(DATABASE)).expect("a reader");
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM events")
        .expect("a read begins");
    // More: those before the read are copied, and not yet synced.
    for _ in 0..60 {
        store.accept(vec![shop.any()], NOW).await.expect("a sound disk");
    }
    reader.execute_batch("COMMIT").expect("the read ends");
    disk.fail(Fault {
        files: ".db",
        ..Fault::always(Operation::Sync, disk::Error::Broken).times(1)
    });
    let mut accepted = 65;
    let is_over = eventually("the sync to fail and to be got over", || {
        let offered = shop.any();
        let (store, disk) = (&store, &disk);
        async move {
            let taken = store.accept(vec![offered], NOW).await.is_ok();
            let failed = disk
                .trace()
                .iter()
                .any(|step| matches!(step, Step::FailedSync { .. }));
            if taken && failed && store.health().is_ok() {
                Ok(taken)
            } else {
                Err(taken)
            }
        }
    });
    assert!(is_over.await);
    let known = store
        .events(
            TENANT,
            Default::default(),
            Page {
                limit: LIMIT_MAX,
                before: None,
            },
        )
        .await;
    accepted = accepted.max(known.expect("a list").items.len());
    let trace = disk.trace();
    for seed in 0..SEEDS {
        let image = disk::image(&trace, Syncs::Kept, &mut StdRng::seed_from_u64(seed));
        let cut = Disk::with(&image);
        let database = rusqlite::Connection::open(cut.path(DATABASE)).expect("the database opens");
        let sound: rusqlite::Result<String> =
            database.query_row("PRAGMA integrity_check", [], |row| row.get(0));
        assert_eq!(sound.as_deref(), Ok("ok"), "seed {seed}");
        let count: i64 = database
            .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
            .expect("a count");
        assert_eq!(usize::try_from(count), Ok(accepted), "seed {seed}");
    }
}
