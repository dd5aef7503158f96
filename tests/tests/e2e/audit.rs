//! The audit log: who changed what, and who looked at secrets.

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::Receiver;
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// What was done, oldest first, as action and name.
async fn actions(relay: &Relay) -> Vec<(String, String)> {
    let listed = relay.read("/v1/audit?limit=250").await;
    let entries = listed["data"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let actions = entries.iter().rev();
    actions
        .map(|entry| (text(&entry["action"]), text(&entry["resource"]["name"])))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = expected.iter();
    owned
        .map(|(action, name)| ((*action).to_owned(), (*name).to_owned()))
        .collect()
}

async fn done(relay: &Relay, method: Method, path: &str, body: Option<Value>) -> Value {
    let answer = relay.admin(method, path, body).await;
    assert!(answer.status < 300, "{path}: {}", answer.text());
    if answer.body.is_empty() {
        Value::Null
    } else {
        answer.json()
    }
}

#[tokio::test]
async fn c24_every_change_and_every_secret_revealed_is_noted_with_who_and_from_where() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let keys = json!({"name": "crm", "url": receiver.url(), "headers": {"x-token": "s3cr3t-header-value"}});
    relay
        .setup()
        .secrets()
        .add("s3cr3t-header-value", "a header's value");
    let made = done(&relay, Method::POST, "/v1/endpoints", Some(keys)).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/endpoints/{id}");
    let manager = json!({"name": "ci", "role": "manage"});
    let manager = done(&relay, Method::POST, "/v1/keys", Some(manager)).await;
    let bearer = format!("Bearer {}", manager["key"].as_str().expect("a key"));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let patch = json!({"description": "for sales"}).to_string();
    let patched = relay.send(Method::PATCH, &path, &headers, patch).await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    relay.secret("crm").await;
    let event = relay.event("a.b", json!(1)).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    let retry = format!("/v1/deliveries/{}/retry", delivery["id"].as_str().expect("an id"));
    done(&relay, Method::POST, &retry, None).await;
    done(&relay, Method::DELETE, &path, None).await;
    done(&relay, Method::POST, &format!("{path}/restore"), None).await;
    let key = manager["id"].as_str().expect("an id");
    done(&relay, Method::DELETE, &format!("/v1/keys/{key}"), None).await;
    // What was not done is not noted.
    relay
        .admin(Method::POST, "/v1/endpoints", Some(json!({"name": "crm"})))
        .await;
    relay.admin(Method::DELETE, "/v1/endpoints/nonesuch", None).await;

    assert_eq!(
        actions(&relay).await,
        pairs(&[
            ("endpoint.created", "crm"),
            ("key.made", "ci"),
            ("endpoint.changed", "crm"),
            ("endpoint.secret_revealed", "crm"),
            ("delivery.retried", ""),
            ("endpoint.deleted", "crm"),
            ("endpoint.restored", "crm"),
            ("key.revoked", "ci"),
        ])
    );
    let changed = relay.read(&format!("/v1/audit?actor={key}")).await;
    let entries = changed["data"].as_array().expect("a list");
    assert_eq!(entries.len(), 1, "{changed}");
    let entry = &entries[0];
    assert_eq!(
        (&entry["actor"], &entry["address"]),
        (&json!(key), &json!("127.0.0.1"))
    );
    assert_eq!(entry["resource"], json!({"id": id, "name": "crm"}));
    assert_eq!(entry["before"]["description"], Value::Null);
    assert_eq!(entry["after"]["description"], "for sales");
    assert_eq!(entry["after"]["headers"]["x-token"], json!({"sealed": true}));
    let all = relay.read("/v1/audit").await.to_string();
    assert!(
        !all.contains("s3cr3t-header-value") && !all.contains("rk_"),
        "{all}"
    );
    let numbers: Vec<_> = relay.read("/v1/audit?resource=crm&action=endpoint.created").await["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| entry["number"].clone())
        .collect();
    assert_eq!(numbers, [json!(1)]);
}

#[tokio::test]
async fn c24_recovery_inspectors_and_staged_urls_are_noted_too() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let endpoint = json!({"name": "crm", "url": receiver.url()});
    done(&relay, Method::POST, "/v1/endpoints", Some(endpoint)).await;
    let event = relay.event("a.b", json!({"mail": "ann@example.com"})).await;
    relay.delivery(&event, "succeeded").await;
    let url = json!({"url": receiver.url(), "verify": false});
    done(&relay, Method::POST, "/v1/endpoints/crm/url", Some(url)).await;
    let path = format!("/v1/events/{event}/replay");
    done(&relay, Method::POST, &path, Some(json!({}))).await;
    done(&relay, Method::POST, "/v1/endpoints/crm/purge", None).await;
    let erasure = json!({"pointer": "/mail", "equals": "ann@example.com"});
    let job = done(&relay, Method::POST, "/v1/erasures", Some(erasure)).await;
    // What is only counted changes nothing.
    let counted = json!({"q": "nobody", "dry_run": true});
    done(&relay, Method::POST, "/v1/erasures", Some(counted)).await;
    let inspector = json!({"name": "look"});
    let made = done(&relay, Method::POST, "/v1/inspectors", Some(inspector)).await;
    let path = format!("/v1/inspectors/{}", made["id"].as_str().expect("an id"));
    done(&relay, Method::DELETE, &path, None).await;
    let key = json!({"name": "shop", "role": "send"});
    let key = done(&relay, Method::POST, "/v1/keys", Some(key)).await;
    let path = format!("/v1/keys/{}", key["id"].as_str().expect("an id"));
    done(&relay, Method::PATCH, &path, Some(json!({"name": "store"}))).await;
    for (kind, definition) in [
        ("event-types", json!({"name": "a.b"})),
        ("sources", json!({"name": "shop", "verify": {"scheme": "none"}})),
    ] {
        let path = format!("/v1/{kind}");
        done(&relay, Method::POST, &path, Some(definition)).await;
    }

    assert_eq!(
        actions(&relay).await,
        pairs(&[
            ("endpoint.created", "crm"),
            ("endpoint.changed", "crm"),
            ("event.replayed", ""),
            ("endpoint.purged", ""),
            ("job.started", ""),
            ("inspector.created", "look"),
            ("inspector.deleted", "look"),
            ("key.made", "shop"),
            ("key.renamed", "shop"),
            ("event_type.created", "a.b"),
            ("source.created", "shop"),
        ])
    );
    let started = relay.read("/v1/audit?action=job.started").await;
    let entry = &started["data"][0];
    assert_eq!(
        (&entry["resource"]["id"], &entry["after"]["kind"]),
        (&job["id"], &json!("erase"))
    );
    // What was to be erased would be kept by its own note.
    assert!(!started.to_string().contains("ann@example.com"), "{started}");
    let verdict = relay.read("/v1/audit/verify").await;
    assert_eq!(
        (&verdict["intact"], &verdict["entries"]),
        (&json!(true), &json!(11))
    );
    let renamed = relay.read("/v1/audit?action=key.renamed").await["data"][0].take();
    assert_eq!(
        (&renamed["before"], &renamed["after"]),
        (&json!({"name": "shop"}), &json!({"name": "store"}))
    );
    for (action, hint) in [
        ("endpoint.change", "did you mean endpoint.changed?"),
        ("nothing", "such as"),
    ] {
        let path = format!("/v1/audit?action={action}");
        let refused = relay.admin(Method::GET, &path, None).await;
        assert_eq!(refused.status, 400);
        assert!(refused.text().contains(hint), "{}", refused.text());
    }
}

#[tokio::test]
async fn c24_what_the_configuration_file_changes_is_noted_and_so_is_a_switch_by_hand() {
    let declared = |name: &str| format!("[[endpoint]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:9/\"\n");
    let relay = Relay::start(&declared("crm")).await;
    for enabled in [false, false, true] {
        let patch = json!({ "enabled": enabled });
        done(&relay, Method::PATCH, "/v1/endpoints/crm", Some(patch)).await;
    }
    relay.reconfigure(&declared("other"));
    let reloaded = || async {
        let listed = relay.read("/v1/audit?action=configuration.reloaded").await;
        let is_there = listed["data"][0]["after"]["endpoints"] == json!(["other"]);
        if is_there { Ok(()) } else { Err(listed) }
    };
    eventually("the reload is noted", reloaded).await;
    let listed = relay.read("/v1/audit?action=configuration.reloaded").await;
    assert_eq!(listed["data"][0]["actor"], Value::Null);
    assert_eq!(
        actions(&relay).await,
        pairs(&[
            ("endpoint.disabled", "crm"),
            ("endpoint.enabled", "crm"),
            ("configuration.reloaded", ""),
        ])
    );
}

/// The chain is checked here with nothing but what an auditor has: the export.
#[tokio::test]
async fn c24_an_entry_that_was_changed_or_taken_away_is_found() {
    let mut relay = Relay::start("").await;
    for number in 0..4 {
        let key = json!({"name": format!("key {number}"), "role": "read"});
        done(&relay, Method::POST, "/v1/keys", Some(key)).await;
    }
    let verdict = relay.read("/v1/audit/verify").await;
    assert_eq!(
        (&verdict["intact"], &verdict["entries"]),
        (&json!(true), &json!(4))
    );

    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let export = relay.send(Method::GET, "/v1/audit/export", &headers, "").await;
    assert_eq!(export.header("content-type"), "application/x-ndjson");
    let mut before = [0; 32];
    for line in export.text().lines() {
        let (hash, entry) = line
            .strip_prefix("{\"hash\":\"")
            .and_then(|rest| rest.strip_suffix('}'))
            .and_then(|rest| rest.split_once("\",\"entry\":"))
            .expect("a line has a hash and an entry");
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(&before);
        context.update(entry.as_bytes());
        before.copy_from_slice(context.finish().as_ref());
        assert_eq!(hash, hex::encode(before));
    }
    assert_eq!(verdict["last_hash"], hex::encode(before));

    relay.stop().await;
    let path = relay.setup().home().join("relay.db");
    let tamper = |sql: &str| {
        let store = rusqlite::Connection::open(&path).expect("the store opens");
        store.execute(sql, []).expect("the store is changed");
    };
    tamper("UPDATE audit SET entry = replace(entry, 'key 2', 'key X') WHERE number = 3");
    relay.start_again().await;
    let verdict = relay.read("/v1/audit/verify").await;
    assert_eq!(verdict["intact"], false);
    assert_eq!(verdict["broken"]["number"], 3, "{verdict}");
    relay.stop().await;
    tamper("DELETE FROM audit WHERE number = 2");
    relay.start_again().await;
    let verdict = relay.read("/v1/audit/verify").await;
    assert_eq!(verdict["broken"]["number"], 3, "{verdict}");
    assert!(
        verdict["broken"]["why"]
            .as_str()
            .is_some_and(|why| why.contains("missing"))
    );
}
