//! What only this store promises: files, reopening, one writer, damage.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::model::attempt::{Attempt, Outcome, Trigger};
use crate::model::delivery::{Progress, State};
use crate::model::event::{Envelope, Event};
use crate::model::id::{AttemptId, EndpointId, EventId, TenantId};
use crate::model::message::{Message, Messages};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::{
    Accepted, Begins, DeliveryQueue as _, EventStore as _, Named, NewEvent, Planned, PluginState as _,
    Record, Registry as _, Retried, Scope, SigningSecrets, Store, contract,
};

const TENANT: TenantId = TenantId::DEFAULT;
const ENDPOINT: EndpointId = EndpointId::from_raw(101);
const NOW: Timestamp = Timestamp::from_millis(1_770_000_000_000);

/// A database in a folder that goes with it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("relay.db")
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path(), Settings::default()).unwrap()
    }

    /// Runs SQL behind the store's back.
    fn tamper(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }
}

fn event(ids: &IdMaker, waits: bool) -> NewEvent {
    let event = Event {
        id: ids.event(NOW, 1),
        tenant: TENANT,
        source: None,
        received_at: NOW,
        envelope: Envelope {
            source: "shop".to_owned(),
            kind: "push".to_owned(),
            ..Envelope::default()
        },
        headers: vec![("x-a".to_owned(), "1".to_owned())],
        data: Bytes::from_static(b"{\"total\":1}"),
    };
    let deliveries = vec![Planned {
        endpoint: ENDPOINT,
        begins: if waits { Begins::Waiting } else { Begins::InMemory },
    }];
    NewEvent {
        event: Arc::new(event),
        deliveries,
        dedupe: None,
        rules: None,
    }
}

fn failed(id: EventId) -> Record {
    let attempt = Attempt {
        id: AttemptId::from_raw(1),
        number: 1,
        trigger: Trigger::Scheduled,
        started_at: NOW,
        duration_us: 10,
        outcome: Outcome::Refused {
            reason: "no".to_owned(),
        },
        plugins: Vec::new(),
        log: Vec::new(),
    };
    let message = Message {
        id: "msg_1".to_owned(),
        headers: Vec::new(),
        body: Bytes::from_static(b"frozen"),
    };
    Record {
        delivery: id.delivery(0),
        event: id,
        endpoint: ENDPOINT,
        tenant: TENANT,
        attempts: 1,
        progress: Progress {
            state: State::Pending,
            due: Some(NOW),
            reason: None,
            attempt: Some(attempt),
            messages: Some(Messages {
                list: vec![message],
                sent: 0,
            }),
        },
    }
}

async fn due(store: &SqliteStore) -> Vec<crate::store::Due> {
    store
        .due(ENDPOINT, NOW, Default::default(), 10)
        .await
        .unwrap()
        .due
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let place = Place::new();
    let number = std::sync::atomic::AtomicUsize::new(0);
    contract::exercise(|| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = place.0.path().join(format!("{number}.db"));
        // Nothing is measured here, so nobody has to linger.
        let settings = Settings {
            linger: Duration::ZERO,
            ..Settings::default()
        };
        async move { Arc::new(SqliteStore::open(&path, settings).unwrap()) as Arc<dyn Store> }
    })
    .await;
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let place = Place::new();
    let ids = IdMaker::new(0);
    let (done, flying) = (event(&ids, false), event(&ids, false));
    let scope = Scope {
        tenant: TENANT,
        owner: 1,
        plugin: "p".to_owned(),
    };
    let secrets = |text: &str| SigningSecrets {
        symmetric: Secret::new(text.to_owned()),
        asymmetric: Secret::new(text.to_owned()),
    };
    let store = place.open();
    store
        .accept(vec![done.clone(), flying.clone()], NOW)
        .await
        .unwrap();
    store.record(&[failed(done.event.id)]).await.unwrap();
    store.set_state(&scope, "k", vec![1], None, NOW).await.unwrap();
    store
        .signing_secrets(TENANT, ENDPOINT, secrets("a"))
        .await
        .unwrap();
    store.set_checkpoint(EventId::from_raw(7)).await.unwrap();
    let names = store
        .identify(TENANT, Named::Source, vec!["a".to_owned()], NOW)
        .await
        .unwrap();
    drop(store);

    let store = place.open();
    assert_eq!(
        store.event(TENANT, done.event.id).await.unwrap().as_ref(),
        Some(&done.event)
    );
    assert_eq!(
        due(&store).await[0].messages,
        failed(done.event.id).progress.messages
    );
    assert_eq!(
        store
            .attempts(TENANT, done.event.id.delivery(0))
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(store.state_value(&scope, "k", NOW).await.unwrap(), Some(vec![1]));
    assert_eq!(
        store
            .signing_secrets(TENANT, ENDPOINT, secrets("b"))
            .await
            .unwrap(),
        secrets("a")
    );
    assert_eq!(store.checkpoint().await.unwrap(), EventId::from_raw(7));
    assert_eq!(
        store.last_raw_id().await.unwrap(),
        flying.event.id.delivery(0).raw()
    );
    let known = ["b", "a"].map(str::to_owned).to_vec();
    let known = store.identify(TENANT, Named::Source, known, NOW).await.unwrap();
    assert!(
        known[1] == names[0] && known[0] > names[0],
        "ids go on after those known"
    );
    let page = store.unfinished(EventId::from_raw(0), 10).await.unwrap();
    let unfinished: Vec<_> = page.events.iter().map(|unfinished| unfinished.event.id).collect();
    assert_eq!(unfinished, [flying.event.id]);
}

#[tokio::test]
async fn closing_writes_what_is_queued_and_leaves_no_log() {
    let place = Place::new();
    let store = place.open();
    let ids = IdMaker::new(0);
    let new = event(&ids, false);
    store.accept(vec![new.clone()], NOW).await.unwrap();
    // It would linger; closing ends that.
    let records = [failed(new.event.id)];
    let (recorded, ()) = tokio::join!(store.record(&records), store.close());
    recorded.unwrap();
    let log = beside(&place.path(), "-wal");
    assert!(!log.exists() || log.metadata().unwrap().len() == 0);
    assert!(matches!(store.checkpoint().await, Err(Error::Unavailable(_))));
    assert!(matches!(
        store.accept(vec![event(&ids, false)], NOW).await,
        Err(Error::Unavailable(_))
    ));
    assert_eq!(
        Connection::open(place.path())
            .unwrap()
            .query_row("SELECT count(*) FROM deliveries", [], |row| row.get(0)),
        Ok(1)
    );
}

#[tokio::test]
async fn a_second_writer_is_refused_until_the_first_ends() {
    let place = Place::new();
    let store = place.open();
    let refused = SqliteStore::open(&place.path(), Settings::default())
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("in use by another relay"), "{refused}");
    drop(store);
    place.open();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let place = Place::new();
    drop(place.open());
    place.tamper("PRAGMA user_version = 99");
    let refused = SqliteStore::open(&place.path(), Settings::default()).err();
    assert!(
        matches!(refused, Some(Error::Schema { found: 99, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date() {
    let place = Place::new();
    place.tamper(concat!(
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0001_first.sql")),
        "PRAGMA application_id = 0x524c4159; PRAGMA user_version = 1;"
    ));
    assert_eq!(place.open().failing().await.unwrap(), []);
}

#[tokio::test]
async fn files_of_others_are_refused() {
    let place = Place::new();
    place.tamper("PRAGMA application_id = 1; CREATE TABLE theirs (a)");
    assert!(matches!(
        SqliteStore::open(&place.path(), Settings::default()),
        Err(Error::Corrupt(_))
    ));
    std::fs::write(
        place.path(),
        "not a database, but long enough to be taken for one".repeat(100),
    )
    .unwrap();
    assert!(matches!(
        SqliteStore::open(&place.path(), Settings::default()),
        Err(Error::Corrupt(_))
    ));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let store = place.open();
    store
        .accept(vec![event(&IdMaker::new(0), false)], NOW)
        .await
        .unwrap();
    for path in [place.path(), beside(&place.path(), "-wal")] {
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{}",
            path.display()
        );
    }
}

#[tokio::test]
async fn damaged_events_are_corrupt_whatever_was_damaged() {
    for damage in [
        "data = X'00'",
        "data = zeroblob(length(data))",
        "kind = 'pushed'",
        "endpoints = X'00'",
        "endpoints = zeroblob(8)",
        "meta = '{'",
        "meta = '{\"headers\":[],\"extensions\":[]}'",
        "tenant = 1, received_at = received_at + 1",
        "subject = ''",
        "checksum = checksum + 1",
    ] {
        let place = Place::new();
        let new = event(&IdMaker::new(0), true);
        let store = place.open();
        store.accept(vec![new.clone()], NOW).await.unwrap();
        place.tamper(&format!("UPDATE events SET {damage}"));
        let read = store.event(TENANT, new.event.id).await;
        assert!(matches!(read, Err(Error::Corrupt(_))), "{damage}: {read:?}");
    }
}

#[tokio::test]
async fn damaged_attempts_and_states_are_corrupt() {
    let place = Place::new();
    let new = event(&IdMaker::new(0), false);
    let store = place.open();
    store.accept(vec![new.clone()], NOW).await.unwrap();
    store.record(&[failed(new.event.id)]).await.unwrap();
    place.tamper("UPDATE deliveries SET last = '{', state = 9");
    let id = new.event.id.delivery(0);
    assert!(matches!(store.attempts(TENANT, id).await, Err(Error::Corrupt(_))));
    assert!(matches!(store.delivery(TENANT, id).await, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn a_damaged_row_does_not_hold_up_those_behind_it() {
    let place = Place::new();
    let ids = IdMaker::new(0);
    let (bad, good) = (event(&ids, false), event(&ids, true));
    let store = place.open();
    store.accept(vec![bad.clone(), good.clone()], NOW).await.unwrap();
    store.record(&[failed(bad.event.id)]).await.unwrap();
    place.tamper("UPDATE deliveries SET messages = X'01' WHERE messages IS NOT NULL");
    let due = due(&store).await;
    assert_eq!(
        due.iter().map(|due| due.event.id).collect::<Vec<_>>(),
        [good.event.id]
    );
    let shown = store
        .delivery(TENANT, bad.event.id.delivery(0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(shown.state, State::Pending, "it is kept");
}

#[tokio::test]
async fn a_delivery_that_its_event_does_not_plan_is_not_made() {
    for damage in ["endpoint = 102", "event = event + 1", "id = id + 256"] {
        let place = Place::new();
        let new = event(&IdMaker::new(0), true);
        let store = place.open();
        store.accept(vec![new], NOW).await.unwrap();
        place.tamper(&format!("UPDATE deliveries SET {damage}"));
        for endpoint in [ENDPOINT, EndpointId::from_raw(102)] {
            let batch = store.due(endpoint, NOW, Default::default(), 10).await.unwrap();
            assert!(batch.due.is_empty(), "{damage}: {batch:?}");
        }
    }
}

#[tokio::test]
async fn a_damaged_checkpoint_looks_at_every_event_again() {
    for damage in ["value = value + 1", "value = 0"] {
        let place = Place::new();
        let store = place.open();
        store.set_checkpoint(EventId::from_raw(7)).await.unwrap();
        assert_eq!(store.checkpoint().await.unwrap(), EventId::from_raw(7));
        place.tamper(&format!("UPDATE marks SET {damage} WHERE name = 'checkpoint'"));
        assert_eq!(
            store.checkpoint().await.unwrap(),
            EventId::from_raw(0),
            "{damage}"
        );
    }
}

#[tokio::test]
async fn a_damaged_event_does_not_stop_pruning_or_lists() {
    let place = Place::new();
    let ids = IdMaker::new(0);
    let (bad, good) = (event(&ids, false), event(&ids, false));
    let store = place.open();
    store.accept(vec![bad.clone(), good.clone()], NOW).await.unwrap();
    store.set_checkpoint(good.event.id).await.unwrap();
    place.tamper(&format!(
        "UPDATE events SET endpoints = X'00' WHERE id = {}",
        bad.event.id.raw()
    ));
    let list = store
        .events(TENANT, Default::default(), Default::default())
        .await
        .unwrap();
    assert_eq!(list.items, [good.event]);
    let later = NOW + Duration::from_secs(1);
    let pruned = store.prune(later, NOW, NOW, 10).await.unwrap();
    assert_eq!((pruned.events, pruned.more), (1, false));
}

#[tokio::test]
async fn a_bad_call_does_not_fail_those_in_its_batch() {
    let place = Place::new();
    let ids = IdMaker::new(0);
    let taken = event(&ids, false);
    let store = place.open();
    store.accept(vec![taken.clone()], NOW).await.unwrap();
    let calls = (0..20).map(|number| {
        let new = if number % 5 == 0 {
            taken.clone()
        } else {
            event(&ids, false)
        };
        store.accept(vec![new], NOW)
    });
    let answers = futures_util::future::join_all(calls).await;
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(accepted) => assert_eq!((number % 5 != 0, accepted), (true, vec![Accepted::New])),
            Err(error) => assert_eq!(number % 5, 0, "{error}"),
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_got_over() {
    let place = Place::new();
    let store = place.open();
    let ids = IdMaker::new(0);
    // SQLite's own bound on the size of the file stands in for the disk's.
    let bound = |pages: i64| {
        move |session: &mut session::Session<'_>| {
            session
                .connection()
                .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            Ok(())
        }
    };
    store.writer.run(Weight::SMALL, bound(1)).await.unwrap();
    let big = || {
        let mut new = event(&ids, false);
        Arc::make_mut(&mut new.event).data = Bytes::from(vec![0; 1 << 20]);
        new
    };
    let refused = store.accept(vec![big()], NOW).await;
    assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
    store.writer.run(Weight::SMALL, bound(1 << 20)).await.unwrap();
    assert_eq!(store.accept(vec![big()], NOW).await.unwrap(), [Accepted::New]);
}

#[tokio::test]
async fn a_broken_connection_is_opened_again() {
    let place = Place::new();
    let store = place.open();
    let ids = IdMaker::new(0);
    let broken = |_: &mut session::Session<'_>| -> Result<(), failure::Failure> {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        Err(rusqlite::Error::SqliteFailure(code, None).into())
    };
    let refused = store.writer.run(Weight::SMALL, broken).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(
        store.accept(vec![event(&ids, false)], NOW).await.unwrap(),
        [Accepted::New]
    );
}

#[tokio::test]
async fn outcomes_linger_and_an_accept_ends_that() {
    let place = Place::new();
    let settings = Settings {
        linger: Duration::from_secs(3600),
        ..Settings::default()
    };
    let store = SqliteStore::open(&place.path(), settings).unwrap();
    let ids = IdMaker::new(0);
    let first = event(&ids, false);
    store.accept(vec![first.clone()], NOW).await.unwrap();
    let records = [failed(first.event.id)];
    let (recorded, accepted) = tokio::join!(
        store.record(&records),
        store.accept(vec![event(&ids, false)], NOW)
    );
    recorded.unwrap();
    assert_eq!(accepted.unwrap(), [Accepted::New]);
}

#[tokio::test]
async fn a_retry_and_the_log_survive_many_calls_at_once() {
    let place = Place::new();
    let settings = Settings {
        queue_max: 3,
        batch_events_max: 2,
        readers: 1,
        ..Settings::default()
    };
    let store = SqliteStore::open(&place.path(), settings).unwrap();
    let ids = IdMaker::new(0);
    let events: Vec<_> = (0..50).map(|_| event(&ids, true)).collect();
    let accepts = events.iter().map(|new| store.accept(vec![new.clone()], NOW));
    assert!(
        futures_util::future::join_all(accepts)
            .await
            .iter()
            .all(Result::is_ok)
    );
    let retries = events
        .iter()
        .map(|new| store.retry(TENANT, new.event.id.delivery(0), NOW));
    let retried = futures_util::future::join_all(retries).await;
    assert!(
        retried
            .iter()
            .all(|retried| matches!(retried, Ok(Retried::Waits(ENDPOINT))))
    );
}

#[tokio::test]
async fn the_log_is_copied_back_while_the_store_runs() {
    let place = Place::new();
    let store = SqliteStore::open(
        &place.path(),
        Settings {
            checkpoint_pages: 8,
            ..Settings::default()
        },
    )
    .unwrap();
    let log = || beside(&place.path(), "-wal").metadata().unwrap().len();
    let schema = log();
    let ids = IdMaker::new(0);
    for _ in 0..200 {
        store.accept(vec![event(&ids, false)], NOW).await.unwrap();
    }
    // The events would be several hundred pages more.
    let whole = log();
    assert!(
        whole < schema + 40 * 8192,
        "{whole} bytes, {schema} of them the schema"
    );
}

#[test]
fn the_folder_of_a_bare_name_is_the_one_the_relay_runs_in() {
    for (path, folder) in [("relay.db", "."), ("data/relay.db", "data"), ("/relay.db", "/")] {
        let key = beside(Path::new(path), ".master-key");
        assert_eq!(folder_of(&key), Path::new(folder), "{path}");
    }
}
