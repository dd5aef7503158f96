//! Nothing secret stands in the store's files, and only the right key in the right place
//! opens what does.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::super::{Settings, SqliteStore, messages, schema};
use super::{BITE_BYTES, Vault, seal_messages};
use crate::model::delivery::{Progress, State};
use crate::model::event::{Envelope, Event};
use crate::model::id::{DeliveryId, EndpointId, EventId, IdMaker, TenantId};
use crate::model::message::{Message, Messages};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::seal::MasterKey;
use crate::store::{
    Begins, DeliveryQueue as _, Error, EventStore as _, NewEvent, Planned, PluginState as _, Record,
    Registry as _, Scope, SigningSecrets,
};

const ENDPOINT: EndpointId = EndpointId::from_raw(101);
const NOW: Timestamp = Timestamp::from_millis(1_770_000_000_000);
/// Stands in every secret of these tests, and in nothing else.
const MARK: &str = "Zq7Kp2Wx9Lr4";

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("relay.db")
    }

    fn own_key(&self) -> PathBuf {
        self.0.path().join("relay.db.master-key")
    }

    fn try_open(&self, keys: &[&Arc<MasterKey>]) -> Result<SqliteStore, Error> {
        let settings = Settings {
            master_keys: keys.iter().map(|key| Arc::clone(key)).collect(),
            ..Settings::default()
        };
        SqliteStore::open(&self.path(), settings)
    }

    fn open(&self) -> SqliteStore {
        self.try_open(&[]).unwrap()
    }

    fn sql(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// The files in which a text stands.
    fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let files = self
            .0
            .path()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files
            .filter(|path| memchr::memmem::find(&std::fs::read(path).unwrap(), text.as_bytes()).is_some())
            .collect()
    }
}

fn key() -> Arc<MasterKey> {
    Arc::new(MasterKey::generate().0)
}

fn scope() -> Scope {
    Scope {
        tenant: TenantId::DEFAULT,
        owner: 101,
        plugin: "notify".to_owned(),
    }
}

fn secrets() -> SigningSecrets {
    SigningSecrets {
        symmetric: Secret::new(format!("whsec_{MARK}")),
        asymmetric: Secret::new(format!("whsk_{MARK}")),
    }
}

fn frozen() -> Messages {
    Messages {
        list: vec![Message {
            id: "msg_1".to_owned(),
            headers: vec![("x-token".to_owned(), MARK.to_owned())],
            body: Bytes::from(format!("token={MARK}")),
        }],
        sent: 0,
    }
}

/// An event with a delivery that waits, whose messages are frozen.
async fn fill(store: &SqliteStore) -> DeliveryId {
    let ids = IdMaker::new(0);
    let event = Event {
        id: ids.event(NOW, 1),
        tenant: TenantId::DEFAULT,
        source: None,
        received_at: NOW,
        envelope: Envelope::default(),
        headers: Vec::new(),
        data: Bytes::from_static(b"{}"),
    };
    let (event, planned) = (
        Arc::new(event),
        Planned {
            endpoint: ENDPOINT,
            begins: Begins::Waiting,
        },
    );
    let new = NewEvent {
        event: Arc::clone(&event),
        deliveries: vec![planned],
        dedupe: None,
        rules: None,
    };
    store.accept(vec![new], NOW).await.unwrap();
    let delivery = event.id.delivery(0);
    store.record(&[failed(event.id, delivery)]).await.unwrap();
    assert_eq!(
        store
            .signing_secrets(TenantId::DEFAULT, ENDPOINT, secrets())
            .await
            .unwrap(),
        secrets()
    );
    let written = store
        .set_state(&scope(), "token", MARK.into(), None, NOW)
        .await
        .unwrap();
    assert_eq!(written, crate::store::Written::Done(()));
    delivery
}

fn failed(event: EventId, delivery: DeliveryId) -> Record {
    Record {
        delivery,
        event,
        endpoint: ENDPOINT,
        tenant: TenantId::DEFAULT,
        attempts: 1,
        progress: Progress {
            state: State::Failed,
            due: None,
            reason: None,
            attempt: None,
            messages: Some(frozen()),
        },
    }
}

/// Whether everything that `fill` stored is read back.
async fn check(store: &SqliteStore, delivery: DeliveryId) {
    let other = SigningSecrets {
        symmetric: Secret::new("whsec_other".to_owned()),
        asymmetric: Secret::new("whsk_other".to_owned()),
    };
    assert_eq!(
        store
            .signing_secrets(TenantId::DEFAULT, ENDPOINT, other)
            .await
            .unwrap(),
        secrets()
    );
    let value = store.state_value(&scope(), "token", NOW).await.unwrap();
    assert_eq!(value.as_deref(), Some(MARK.as_bytes()));
    store.retry(TenantId::DEFAULT, delivery, NOW).await.unwrap();
    let due = store.due(ENDPOINT, NOW, [].into(), 10).await.unwrap().due;
    assert_eq!(due[0].messages.as_ref(), Some(&frozen()));
}

#[tokio::test]
async fn no_file_holds_a_secret_in_the_clear() {
    let place = Place::new();
    let store = place.open();
    let delivery = fill(&store).await;
    assert_eq!(place.files_with(MARK), Vec::<PathBuf>::new(), "while it is open");
    check(&store, delivery).await;
    store.close().await;
    drop(store);
    assert_eq!(place.files_with(MARK), Vec::<PathBuf>::new(), "when it is closed");
    check(&place.open(), delivery).await;
}

/// A store as it was before anything was sealed, with the messages of so many deliveries.
fn old_store(place: &Place, deliveries: i64, messages: &[u8]) -> Connection {
    let id = 1_i64 << 40;
    let connection = place.sql();
    connection.execute_batch("PRAGMA journal_mode = wal").unwrap();
    connection
        .execute_batch(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/migrations/0001_first.sql"
        )))
        .unwrap();
    connection
        .execute_batch("PRAGMA application_id = 0x524c4159; PRAGMA user_version = 1")
        .unwrap();
    for row in 0..deliveries {
        let row = params![id + row, messages];
        let sql = "INSERT INTO deliveries (id, event, endpoint, tenant, state, attempts, manual, updated_at, messages)
                   VALUES (?1, 1, 102, 1, 2, 1, 0, 0, ?2)";
        connection.execute(sql, row).unwrap();
    }
    let sql = "INSERT INTO signing_secrets (endpoint, symmetric, asymmetric) VALUES (101, ?1, ?2)";
    let both = secrets();
    connection
        .execute(sql, [both.symmetric.reveal(), both.asymmetric.reveal()])
        .unwrap();
    let sql = "INSERT INTO state (tenant, owner, plugin, key, value) VALUES (?1, 101, 'notify', 'token', ?2)";
    let tenant = TenantId::DEFAULT.raw();
    connection.execute(sql, params![tenant, MARK.as_bytes()]).unwrap();
    connection
}

/// How many deliveries have sealed messages.
fn sealed(place: &Place) -> i64 {
    let sealed = "SELECT count(*) FROM deliveries WHERE hex(substr(messages, 1, 1)) = '02'";
    place.sql().query_row(sealed, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn what_was_in_the_clear_is_sealed_on_opening() {
    let place = Place::new();
    drop(old_store(&place, 2500, &messages::encode(&frozen()).unwrap()));
    assert_eq!(place.files_with(MARK), [place.path()], "it stands there at first");

    let store = place.open();
    assert_eq!(place.files_with(MARK), Vec::<PathBuf>::new());
    assert_eq!(
        store
            .signing_secrets(TenantId::DEFAULT, ENDPOINT, secrets())
            .await
            .unwrap(),
        secrets()
    );
    let value = store.state_value(&scope(), "token", NOW).await.unwrap();
    assert_eq!(value.as_deref(), Some(MARK.as_bytes()));
    store.close().await;
    drop(store);
    assert_eq!(sealed(&place), 2500);
    assert_eq!(place.files_with(MARK), Vec::<PathBuf>::new());
    place.open();
}

#[tokio::test]
async fn a_store_that_cannot_be_rewritten_is_used_and_rewritten_later() {
    let place = Place::new();
    let mut connection = old_store(&place, 10, &messages::encode(&frozen()).unwrap());
    schema::migrate(&mut connection, &place.path()).unwrap();
    // Rewriting makes the index anew, and there is no such order of texts.
    connection
        .execute_batch(
            "CREATE TABLE odd (a);
             CREATE INDEX odd_a ON odd (a);
             PRAGMA writable_schema = on;
             UPDATE sqlite_schema SET sql = 'CREATE INDEX odd_a ON odd (a COLLATE nowhere)' WHERE name = 'odd_a'",
        )
        .unwrap();
    drop(connection);
    for _ in 0..2 {
        let store = place.open();
        let found = store
            .signing_secrets(TenantId::DEFAULT, ENDPOINT, secrets())
            .await
            .unwrap();
        assert_eq!(found, secrets());
        store.close().await;
        drop(store);
        assert_eq!(sealed(&place), 10);
        let mark = "SELECT value FROM marks WHERE name = 'sealed'";
        assert_eq!(place.sql().query_row(mark, [], |row| row.get::<_, i64>(0)), Ok(0));
    }
    place.sql().execute_batch("DROP TABLE odd").unwrap();
    drop(place.open());
    assert_eq!(place.files_with(MARK), Vec::<PathBuf>::new());
}

#[test]
fn large_messages_are_sealed_a_few_at_a_time() {
    let place = Place::new();
    drop(old_store(&place, 10, &vec![1; BITE_BYTES / 3 + 1]));
    let mut connection = place.sql();
    schema::migrate(&mut connection, &place.path()).unwrap();
    let vault = Vault::open(&mut connection, &place.path(), &[]).unwrap();
    let mut bites = Vec::new();
    let mut after = 0;
    while let Some(last) = seal_messages(&mut connection, &vault, after).unwrap() {
        bites.push(last - after);
        after = last;
    }
    assert_eq!(bites[1..], [3, 3, 1], "the first counts from zero");
    assert_eq!(sealed(&place), 10);
}

#[tokio::test]
async fn a_sealed_value_opens_in_its_own_place_alone() {
    let place = Place::new();
    let store = place.open();
    fill(&store).await;
    store
        .set_state(&scope(), "other", b"theirs".to_vec(), None, NOW)
        .await
        .unwrap();
    store.close().await;
    drop(store);
    place
        .sql()
        .execute_batch(
            "UPDATE state SET value = (SELECT value FROM state WHERE key = 'token') WHERE key = 'other';
             UPDATE signing_secrets SET asymmetric = symmetric",
        )
        .unwrap();
    let store = place.open();
    let moved = store.state_value(&scope(), "other", NOW).await;
    assert!(matches!(moved, Err(Error::Corrupt(_))), "{moved:?}");
    let moved = store
        .signing_secrets(TenantId::DEFAULT, ENDPOINT, secrets())
        .await;
    assert!(matches!(moved, Err(Error::Corrupt(_))), "{moved:?}");
}

#[tokio::test]
async fn only_its_master_key_opens_a_store() {
    let place = Place::new();
    let (first, second) = (key(), key());
    let store = place.try_open(&[&first]).unwrap();
    let delivery = fill(&store).await;
    drop(store);
    for wrong in [&[&second][..], &[]] {
        let refused = place.try_open(wrong).err().unwrap();
        assert!(matches!(refused, Error::Sealed { .. }), "{refused}");
        let told = refused.to_string();
        assert!(told.contains(&hex::encode(first.id())), "{told}");
        assert!(told.contains("store.master_key"), "{told}");
    }
    assert!(
        !place.own_key().exists(),
        "no key is made for a store that has one"
    );
    check(&place.try_open(&[&first]).unwrap(), delivery).await;
}

/// The right master key is there: to look for another one would lead nowhere.
#[test]
fn a_damaged_data_key_is_told_from_a_missing_master_key() {
    let place = Place::new();
    drop(place.open());
    place
        .sql()
        .execute_batch("UPDATE data_keys SET sealed = zeroblob(length(sealed))")
        .unwrap();
    let refused = place.try_open(&[]).err().unwrap();
    assert!(matches!(refused, Error::Corrupt(_)), "{refused:?}");
    let told = refused.to_string();
    assert!(
        told.contains("data key 1 is damaged") && told.contains("backup"),
        "{told}"
    );
}

#[tokio::test]
async fn master_keys_rotate_at_a_start_and_while_it_runs() {
    let place = Place::new();
    let (first, second, third) = (key(), key(), key());
    let store = place.open();
    let delivery = fill(&store).await;
    drop(store);
    drop(place.try_open(&[&first]).unwrap());
    std::fs::remove_file(place.own_key()).unwrap();
    drop(place.try_open(&[&second, &first]).unwrap());
    assert!(place.try_open(&[&first]).is_err(), "the old one is of no use");
    let store = place.try_open(&[&second]).unwrap();
    store.seal_with(&[Arc::clone(&third)]).await.unwrap();
    check(&store, delivery).await;
    drop(store);
    assert!(place.try_open(&[&second]).is_err());
    let store = place.try_open(&[&third]).unwrap();
    store.seal_with(&[]).await.unwrap();
    drop(store);
    check(&place.open(), delivery).await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_relays_own_key_is_for_its_owners_eyes_and_never_made_anew() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    fill(&place.open()).await;
    let mode = place.own_key().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept = std::fs::read(place.own_key()).unwrap();
    drop(place.open());
    assert_eq!(std::fs::read(place.own_key()).unwrap(), kept);
    std::fs::remove_file(place.own_key()).unwrap();
    let refused = place.try_open(&[]).err().unwrap().to_string();
    assert!(refused.contains("relay.db.master-key"), "{refused}");
    assert!(!place.own_key().exists());
}

#[tokio::test]
async fn each_tenant_has_a_key_of_its_own() {
    let place = Place::new();
    let store = place.open();
    let theirs = Scope {
        tenant: TenantId::from_raw(77),
        ..scope()
    };
    for scope in [&theirs, &scope()] {
        store
            .set_state(scope, "token", MARK.into(), None, NOW)
            .await
            .unwrap();
    }
    store.close().await;
    drop(store);
    let keys = "SELECT count(DISTINCT substr(value, 2, 4)) FROM state";
    assert_eq!(place.sql().query_row(keys, [], |row| row.get::<_, i64>(0)), Ok(2));
    let value = place.open().state_value(&theirs, "token", NOW).await.unwrap();
    assert_eq!(value.as_deref(), Some(MARK.as_bytes()));
}

/// Both calls are on their way before either hears an answer.
#[tokio::test]
async fn a_data_key_made_while_the_master_key_rotates_is_sealed_with_the_new_one() {
    let place = Place::new();
    let masters = [key(), key(), key()];
    let theirs = |tenant| Scope {
        tenant: TenantId::from_raw(tenant),
        ..scope()
    };
    let store = place.try_open(&[&masters[0]]).unwrap();
    let write = async |tenant| {
        let scope = theirs(tenant);
        let written = store.set_state(&scope, "token", MARK.into(), None, NOW);
        written.await.unwrap()
    };
    let (sealed, _) = tokio::join!(store.seal_with(&masters[1..2]), write(77));
    sealed.unwrap();
    let (_, sealed) = tokio::join!(write(78), store.seal_with(&masters[2..]));
    sealed.unwrap();
    store.close().await;
    drop(store);
    let store = place.try_open(&[&masters[2]]).unwrap();
    for tenant in [77, 78] {
        let value = store.state_value(&theirs(tenant), "token", NOW).await.unwrap();
        assert_eq!(value.as_deref(), Some(MARK.as_bytes()));
    }
}

/// The same with the moments told apart: one is durable and not kept yet, one is made before the
/// answer has come back.
#[test]
fn no_data_key_is_left_with_the_old_master_key() {
    let place = Place::new();
    let (old, new) = (key(), key());
    drop(place.try_open(&[&old]).unwrap());
    let mut connection = place.sql();
    let mut open = |master: &Arc<MasterKey>| {
        let given = [Arc::clone(master)];
        Vault::open(&mut connection, &place.path(), &given).unwrap()
    };
    let vault = open(&old);
    let sql = place.sql();
    drop(vault.make(&sql, TenantId::from_raw(77)).unwrap());
    vault.expect(Arc::clone(&new));
    vault.seal_keys(&sql, &new).unwrap();
    drop(vault.make(&sql, TenantId::from_raw(78)).unwrap());
    let reopened = open(&new);
    for tenant in [77, 78] {
        assert!(reopened.key(TenantId::from_raw(tenant)).is_some());
    }
}
