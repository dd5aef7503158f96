//! A store is copied while a relay uses it, and put back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use relay_tests::instance::{Ended, Relay, Setup};
use relay_tests::receiver::{Receiver, Reply};
use serde_json::json;

fn text(path: &Path) -> String {
    path.display().to_string()
}

async fn back_up(relay: &Relay, to: &Path) -> Ended {
    relay.setup().run(&["backup", &text(to)]).await
}

#[tokio::test]
async fn what_was_accepted_before_a_backup_is_in_it() {
    let receiver = Receiver::always(Reply::Status(500));
    let endpoint = receiver.endpoint("crm", "retry = { schedule = [\"50ms\", \"1h\"], jitter = 0 }");
    let mut relay = Relay::start(&endpoint).await;
    let mut before = Vec::new();
    for n in 0..20 {
        before.push(relay.event("a.b", json!(n)).await);
    }
    let secret = relay.secret("crm").await;
    let copy = relay.setup().home().join("copy.db");
    // Events come all the time while it is taken.
    let is_done = AtomicBool::new(false);
    let posting = async {
        while !is_done.load(Ordering::Relaxed) {
            relay.event("a.b", json!("meanwhile")).await;
        }
    };
    let backing_up = async {
        let ended = back_up(&relay, &copy).await;
        is_done.store(true, Ordering::Relaxed);
        ended
    };
    let ((), ended) = tokio::join!(posting, backing_up);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains(" events, "), "{}", ended.stdout);
    relay.stop().await;

    // Into a folder that is not there.
    let restored = Setup::new(&endpoint);
    let store = restored.home().join("new/data/relay.db");
    let restored = restored.variable("RELAY_STORE__URL", &format!("sqlite:{}", text(&store)));
    let key = std::fs::read(relay.setup().home().join("relay.db.master-key")).expect("the relay's own key");
    let ended = restored.run(&["restore", &text(&copy)]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    restored.file("new/data/relay.db.master-key", key);
    let restored = restored.start().await;
    assert_eq!(restored.secret("crm").await, secret);
    for event in &before {
        let delivery = restored.delivery(event, "pending").await;
        let path = format!("/v1/deliveries/{}/retry", delivery["id"].as_str().expect("an id"));
        let answer = restored.admin(http::Method::POST, &path, None).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_a_restore_neither() {
    let mut relay = Relay::start("").await;
    relay.event("a.b", json!(1)).await;
    let copy = relay.setup().home().join("copy.db");
    assert_eq!(back_up(&relay, &copy).await.code, Some(0));
    let again = back_up(&relay, &copy).await;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    let copy = text(&copy);
    let in_use = relay.setup().run(&["restore", &copy]).await;
    assert_eq!(in_use.code, Some(1));
    assert!(
        in_use.stderr.contains("in use by another relay"),
        "{}",
        in_use.stderr
    );
    relay.stop().await;
    let there = relay.setup().run(&["restore", &copy]).await;
    assert_eq!(there.code, Some(1));
    assert!(there.stderr.contains("is there already"), "{}", there.stderr);
}

#[tokio::test]
async fn what_is_no_backup_is_refused_and_leaves_nothing() {
    let setup = Setup::new("");
    let missing = setup.run(&["restore", "not-there.db"]).await;
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stderr.contains("cannot read not-there.db"),
        "{}",
        missing.stderr
    );
    setup.file(
        "text.db",
        "no database at all, but long enough to be looked at as if it were one",
    );
    setup.file("empty.db", "");
    for (name, problem) in [("text.db", "database"), ("empty.db", "no database of a relay")] {
        let refused = setup.run(&["restore", name]).await;
        assert_eq!(refused.code, Some(1), "{name}");
        assert!(refused.stderr.contains(problem), "{name}: {}", refused.stderr);
    }
    assert!(!setup.home().join("relay.db").exists());
    assert!(!setup.home().join("relay.db.partial").exists());
    let nothing = Setup::new("")
        .variable("RELAY_STORE__URL", "memory:")
        .run(&["backup", "copy.db"])
        .await;
    assert!(nothing.stderr.contains("keeps nothing"), "{}", nothing.stderr);
}
