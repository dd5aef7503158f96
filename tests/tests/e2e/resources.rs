//! Sources and endpoints made, changed, deleted and restored over the API while the relay runs.

use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup, accepted};
use relay_tests::receiver::{Receiver, Reply, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

const ENDPOINTS: &str = "/v1/endpoints";
const SOURCES: &str = "/v1/sources";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn make(relay: &Relay, path: &str, keys: Value) -> Value {
    let answer = relay.admin(Method::POST, path, Some(keys)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// An answer to a change that is meant for one revision.
async fn conditional(relay: &Relay, path: &str, tag: &str, keys: Value) -> Answer {
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/merge-patch+json"),
        ("if-match", tag),
    ];
    relay.send(Method::PATCH, path, &headers, keys.to_string()).await
}

fn codes(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    errors
        .iter()
        .map(|error| (text(&error["pointer"]), text(&error["message"])))
        .collect()
}

#[tokio::test]
async fn m1_a_name_and_a_url_are_enough_to_get_every_event() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let made = make(&relay, ENDPOINTS, json!({"name": "crm", "url": receiver.url()})).await;
    assert!(text(&made["id"]).starts_with("ep_"), "{made}");
    assert_eq!(
        (&made["enabled"], &made["managed_by"]),
        (&json!(true), &json!("api"))
    );
    for kind in ["message.received", "ticket.closed"] {
        relay.event(kind, json!({"n": 1})).await;
    }
    receiver.received(2).await;
}

#[tokio::test]
async fn m1_a_url_alone_is_enough_and_gives_the_name() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let first = make(&relay, ENDPOINTS, json!({"url": receiver.url()})).await;
    let second = make(&relay, ENDPOINTS, json!({"url": receiver.url()})).await;
    assert_eq!(
        (&first["name"], &second["name"]),
        (&json!("127.0.0.1"), &json!("127.0.0.1-2"))
    );
    relay.event("message.received", json!({"n": 1})).await;
    receiver.received(2).await;
    for keys in [
        json!({}),
        json!({"url": "nowhere"}),
        json!({"url": "mailto:a@example.com"}),
    ] {
        let refused = relay.admin(Method::POST, ENDPOINTS, Some(keys)).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
    }
}

#[tokio::test]
async fn w3_an_id_of_elsewhere_may_be_a_number_and_is_found() {
    let relay = Relay::start("").await;
    for (name, id) in [("a", json!(4711)), ("b", json!("4711-b"))] {
        let keys = json!({"name": name, "url": "https://example.com", "external_id": id});
        assert_eq!(make(&relay, ENDPOINTS, keys).await["external_id"], id);
    }
    for (asked, found) in [("4711", "a"), ("4711-b", "b")] {
        let list = relay.read(&format!("{ENDPOINTS}?external_id={asked}")).await;
        let names: Vec<&str> = list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| text(&one["name"]))
            .collect();
        assert_eq!(names, [found]);
    }
}

#[tokio::test]
async fn v1_endpoints_are_made_listed_read_changed_and_deleted() {
    let (old, new) = (Receiver::start(), Receiver::start());
    let relay = Relay::start("").await;
    let keys = json!({"name": "crm", "url": old.url(), "event_types": ["a.*"], "description": "for sales"});
    let made = make(&relay, ENDPOINTS, keys).await;
    let path = format!("{ENDPOINTS}/{}", text(&made["id"]));
    assert_eq!(relay.read(&path).await, relay.read("/v1/endpoints/crm").await);
    relay.event("a.b", json!(1)).await;
    old.received(1).await;

    let changed = relay
        .admin(Method::PATCH, &path, Some(json!({"url": new.url()})))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["description"], "for sales");
    relay.event("a.b", json!(2)).await;
    new.received(1).await;

    let put = json!({"name": "crm", "url": new.url()});
    let replaced = relay.admin(Method::PUT, &path, Some(put)).await;
    assert_eq!(
        (replaced.status, &replaced.json()["event_types"]),
        (200, &Value::Null)
    );
    relay.event("x.y", json!(3)).await;
    new.received(2).await;

    let deleted = relay.admin(Method::DELETE, &path, None).await;
    assert_eq!((deleted.status, &deleted.json()["cancelled"]), (200, &json!(0)));
    assert_eq!(relay.admin(Method::GET, &path, None).await.status, 404);
    let event = relay.event("a.b", json!(4)).await;
    assert!(relay.deliveries(&event).await.is_empty());
    assert_eq!(relay.read(ENDPOINTS).await["data"], json!([]));
    assert_eq!((old.requests().len(), new.requests().len()), (1, 2));
}

#[tokio::test]
async fn v2_a_deleted_endpoint_is_restored_with_the_secret_it_had() {
    let receiver = Receiver::start();
    let mut relay = Relay::start("").await;
    let made = make(&relay, ENDPOINTS, json!({"name": "crm", "url": receiver.url()})).await;
    let id = text(&made["id"]).to_owned();
    let secret = relay.secret("crm").await;
    relay.admin(Method::DELETE, "/v1/endpoints/crm", None).await;
    relay.stop().await;
    relay.start_again().await;
    let deleted = relay.read("/v1/endpoints?deleted=true").await;
    assert_eq!(deleted["data"][0]["id"], json!(id), "{deleted}");
    assert!(deleted["data"][0]["deleted_at"].is_string());

    let restore = format!("{ENDPOINTS}/{id}/restore");
    let restored = relay.admin(Method::POST, &restore, None).await;
    assert_eq!((restored.status, &restored.json()["id"]), (200, &json!(id)));
    assert_eq!(relay.secret("crm").await, secret);
    relay.event("a.b", json!(1)).await;
    receiver.received(1).await;
    let again = relay.admin(Method::POST, &restore, None).await;
    assert_eq!(again.status, 404, "{}", again.text());
}

#[tokio::test]
async fn u9_w5_deleting_an_endpoint_cancels_what_waits_for_it() {
    let receiver = Receiver::always(Reply::Status(500));
    let relay = Relay::start("").await;
    let retry = json!({"schedule": ["1h"], "jitter": 0});
    make(
        &relay,
        ENDPOINTS,
        json!({"name": "crm", "url": receiver.url(), "retry": retry}),
    )
    .await;
    let mut events = Vec::new();
    for n in 0..3 {
        events.push(relay.event("a.b", json!(n)).await);
    }
    receiver.received(3).await;
    for event in &events {
        relay
            .delivery_that(event, "tried once", |delivery| delivery["attempts"] == 1)
            .await;
    }
    let deleted = relay.admin(Method::DELETE, "/v1/endpoints/crm", None).await;
    assert_eq!(deleted.json()["cancelled"], json!(3), "{}", deleted.text());
    for event in &events {
        let delivery = relay.delivery(event, "cancelled").await;
        assert!(text(&delivery["reason"]).contains("deleted"), "{delivery}");
    }
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test]
async fn w5_an_attempt_under_way_at_the_deletion_is_the_last() {
    let receiver = Receiver::always(Reply::Never);
    let relay = Relay::start("").await;
    let retry = json!({"schedule": ["10ms"], "jitter": 0});
    let keys = json!({"name": "crm", "url": receiver.url(), "retry": retry, "timeout": "1s"});
    make(&relay, ENDPOINTS, keys).await;
    let event = relay.event("a.b", json!(1)).await;
    receiver.received(1).await;
    let deleted = relay.admin(Method::DELETE, "/v1/endpoints/crm", None).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    let delivery = relay.delivery(&event, "cancelled").await;
    assert_eq!(delivery["attempts"], 1, "{delivery}");
    let path = format!("/v1/deliveries/{}/retry", text(&delivery["id"]));
    let retried = relay.admin(Method::POST, &path, None).await;
    assert_eq!(
        (retried.status, text(&retried.problem()["code"])),
        (409, "endpoint_gone")
    );
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn w3_what_was_made_is_there_after_a_restart_newest_first() {
    let receiver = Receiver::start();
    let mut relay = Relay::start("").await;
    for name in ["first", "second", "third"] {
        make(&relay, ENDPOINTS, json!({"name": name, "url": receiver.url()})).await;
    }
    relay.kill().await;
    relay.start_again().await;
    let first = relay.read("/v1/endpoints?limit=2").await;
    let names = |list: &Value| -> Vec<String> {
        let data = list["data"].as_array().cloned().unwrap_or_default();
        data.iter().map(|one| text(&one["name"]).to_owned()).collect()
    };
    assert_eq!(names(&first), ["third", "second"]);
    let rest = relay
        .read(&format!("/v1/endpoints?cursor={}", text(&first["next_cursor"])))
        .await;
    assert_eq!(
        (names(&rest), &rest["next_cursor"]),
        (vec!["first".to_owned()], &Value::Null)
    );
    relay.event("a.b", json!(1)).await;
    receiver.received(3).await;
}

#[tokio::test]
async fn w2_endpoints_are_found_by_text_tag_and_owner() {
    let relay = Relay::start("").await;
    for (name, url, tag, owner) in [
        ("sales", "https://example.com/Hooks/Sales", "crm", "ann"),
        ("mail", "https://example.org/in", "mail", "bob"),
    ] {
        make(
            &relay,
            ENDPOINTS,
            json!({"name": name, "url": url, "tags": [tag], "owner": owner}),
        )
        .await;
    }
    for (query, found) in [
        ("q=hooks/sales", vec!["sales"]),
        ("q=EXAMPLE", vec!["mail", "sales"]),
        ("tag=mail", vec!["mail"]),
        ("owner=ann", vec!["sales"]),
        ("q=nothing", vec![]),
    ] {
        let list = relay.read(&format!("{ENDPOINTS}?{query}")).await;
        let data = list["data"].as_array().expect("a list");
        let names: Vec<&str> = data.iter().map(|one| text(&one["name"])).collect();
        assert_eq!(names, found, "{query}");
    }
}

#[tokio::test]
async fn w4_every_fault_of_a_definition_is_told_at_its_place() {
    let relay = Relay::start("").await;
    let keys = json!({
        "name": "crm", "url": "ftp://example.com", "retry": {"jiter": 1}, "timeout": "soon",
        "plugins": [{"use": "redact-fields", "timeout": "0s"}], "headers": {"x-a": {"env": "PATH"}},
    });
    let answer = relay.admin(Method::POST, ENDPOINTS, Some(keys)).await;
    let problem = answer.problem();
    assert_eq!(
        (answer.status, text(&problem["code"])),
        (422, "invalid_definition"),
        "{problem}"
    );
    let mut pointers: Vec<&str> = codes(&problem).iter().map(|(pointer, _)| *pointer).collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/headers/x-a",
            "/plugins/0/timeout",
            "/retry/jiter",
            "/timeout",
            "/url"
        ]
    );
    let found = codes(&problem);
    let of = |wanted: &str| {
        found
            .iter()
            .find(|(pointer, _)| *pointer == wanted)
            .expect("told")
            .1
    };
    assert!(of("/retry/jiter").contains("did you mean jitter?"), "{problem}");
    for (keys, pointer) in [
        (json!({}), "/name"),
        (json!({"name": "crm"}), "/url"),
        (json!({"name": "crm", "url": "http://169.254.169.254/"}), "/url"),
        (json!({"name": "../x", "url": "https://example.com"}), "/name"),
    ] {
        let answer = relay.admin(Method::POST, ENDPOINTS, Some(keys.clone())).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status, codes(&problem)[0].0),
            (422, pointer),
            "{keys}: {problem}"
        );
    }
    for keys in [json!([]), json!("x"), json!(null)] {
        let answer = relay.admin(Method::POST, ENDPOINTS, Some(keys.clone())).await;
        assert_eq!(answer.status, 400, "{keys}: {}", answer.text());
        answer.problem();
    }
    let unknown = json!({"name": "crm", "url": "https://example.com", "plugins": [{"use": "redact-field"}]});
    let answer = relay.admin(Method::POST, ENDPOINTS, Some(unknown)).await;
    let problem = answer.problem();
    assert_eq!((answer.status, text(&problem["code"])), (422, "unusable"));
    assert!(text(&problem["detail"]).contains("redact-fields"), "{problem}");
    assert_eq!(relay.read(ENDPOINTS).await["data"], json!([]), "nothing was made");
}

#[tokio::test]
async fn of_two_changes_of_what_was_read_once_the_first_counts() {
    let relay = Relay::start("").await;
    make(
        &relay,
        ENDPOINTS,
        json!({"name": "crm", "url": "https://example.com"}),
    )
    .await;
    let path = "/v1/endpoints/crm";
    let read = relay.admin(Method::GET, path, None).await;
    let tag = read.header("etag").to_owned();
    let first = conditional(&relay, path, &tag, json!({"timeout": "5s"})).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_ne!(first.header("etag"), tag);
    let second = conditional(&relay, path, &tag, json!({"timeout": "7s"})).await;
    let problem = second.problem();
    assert_eq!(
        (second.status, text(&problem["code"])),
        (412, "changed_meanwhile")
    );
    assert_eq!(relay.read(path).await["timeout"], "5s");
    assert_eq!(
        conditional(&relay, path, "*", json!({"timeout": null}))
            .await
            .status,
        200
    );
    assert_eq!(relay.read(path).await["timeout"], Value::Null);
}

#[tokio::test]
async fn names_are_taken_once_in_the_file_and_over_the_api() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("declared", "")).await;
    make(
        &relay,
        ENDPOINTS,
        json!({"name": "made", "url": "https://example.com"}),
    )
    .await;
    for name in ["declared", "made"] {
        let keys = json!({"name": name, "url": "https://example.com"});
        let answer = relay.admin(Method::POST, ENDPOINTS, Some(keys)).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status, text(&problem["code"])),
            (409, "name_taken"),
            "{name}"
        );
    }
    for (method, body) in [
        (Method::PATCH, Some(json!({"url": "https://example.com"}))),
        (
            Method::PUT,
            Some(json!({"name": "declared", "url": "https://example.com"})),
        ),
        (Method::DELETE, None),
    ] {
        let answer = relay.admin(method.clone(), "/v1/endpoints/declared", body).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status, text(&problem["code"])),
            (409, "declared_in_file"),
            "{method}"
        );
    }
    let shown = relay.read("/v1/endpoints/declared").await;
    assert_eq!(shown["managed_by"], "file");
}

#[tokio::test]
async fn c13_a_secret_is_never_shown_and_kept_where_it_says_sealed() {
    const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSBtYW5hZ2VtZW50IEFQSSB0ZXN0";
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let keys = json!({
        "name": "crm", "url": receiver.url(), "secret": SECRET, "headers": {"x-token": "t0p-s3cr3t"},
    });
    let made = make(&relay, ENDPOINTS, keys).await;
    let sealed = json!({"sealed": true});
    assert_eq!((&made["secret"], &made["headers"]["x-token"]), (&sealed, &sealed));
    let shown = relay.read("/v1/endpoints/crm").await;
    assert!(!shown.to_string().contains("t0p-s3cr3t") && !shown.to_string().contains(SECRET));
    // What was read can be sent back.
    let put = relay.admin(Method::PUT, "/v1/endpoints/crm", Some(shown)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    relay.event("a.b", json!(1)).await;
    assert_eq!(receiver.received(1).await[0].header("x-token"), "t0p-s3cr3t");
    assert_eq!(relay.secret("crm").await, SECRET);
    let moved = json!({"headers": {"x-other": sealed}});
    let answer = relay.admin(Method::PATCH, "/v1/endpoints/crm", Some(moved)).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
}

#[tokio::test]
async fn m21_a_source_is_reached_by_a_path_that_nobody_guesses() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    make(
        &relay,
        ENDPOINTS,
        json!({"name": "crm", "url": receiver.url(), "sources": ["shop"]}),
    )
    .await;
    let token = json!({"scheme": "token", "in": "header:x-token", "secret": "s3same-0pen"});
    let made = make(&relay, SOURCES, json!({"name": "shop", "verify": token})).await;
    assert_eq!(made["verify"]["secret"], json!({"sealed": true}), "{made}");
    let path = text(&made["path"]);
    let id = path.strip_prefix("/in/").expect("a path").to_owned();
    assert!(id.starts_with("src_"), "{made}");
    for name in [id.as_str(), "shop"] {
        let headers = [("content-type", "application/json"), ("x-token", "s3same-0pen")];
        accepted(&relay.post_source(name, &headers, "{}").await);
        assert_eq!(
            relay
                .post_source(name, &[("x-token", "wrong")], "{}")
                .await
                .status,
            401
        );
    }
    receiver.received(2).await;
    let deleted = relay.admin(Method::DELETE, "/v1/sources/shop", None).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    assert_eq!(
        relay
            .post_source("shop", &[("x-token", "s3same-0pen")], "{}")
            .await
            .status,
        404
    );
    let restored = relay
        .admin(Method::POST, &format!("{SOURCES}/{id}/restore"), None)
        .await;
    assert_eq!(restored.status, 200, "{}", restored.text());
    accepted(
        &relay
            .post_source("shop", &[("x-token", "s3same-0pen")], "{}")
            .await,
    );
}

#[tokio::test]
async fn m7_a_switch_holds_deliveries_back_until_it_is_on_again() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    make(
        &relay,
        ENDPOINTS,
        json!({"name": "crm", "url": receiver.url(), "enabled": false}),
    )
    .await;
    let event = relay.event("a.b", json!(1)).await;
    relay.delivery(&event, "pending").await;
    let on = relay
        .admin(Method::PATCH, "/v1/endpoints/crm", Some(json!({"enabled": true})))
        .await;
    assert_eq!((on.status, &on.json()["enabled"]), (200, &json!(true)));
    receiver.received(1).await;
    let off = relay
        .admin(
            Method::PATCH,
            "/v1/endpoints/crm",
            Some(json!({"enabled": false})),
        )
        .await;
    assert_eq!((off.status, &off.json()["enabled"]), (200, &json!(false)));
    let event = relay.event("a.b", json!(2)).await;
    relay.delivery(&event, "pending").await;
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn a_reload_keeps_what_was_made_over_the_api() {
    let (declared, made) = (Receiver::start(), Receiver::start());
    let relay = Relay::start(&declared.endpoint("declared", "")).await;
    make(&relay, ENDPOINTS, json!({"name": "made", "url": made.url()})).await;
    relay.reconfigure(&endpoint("other", &declared.url(), ""));
    eventually("the other endpoint", || async {
        let list = relay.read(ENDPOINTS).await;
        let names: Vec<Value> = list["data"]
            .as_array()
            .map(|data| data.iter().map(|one| one["name"].clone()).collect())
            .unwrap_or_default();
        if names.contains(&json!("other")) && names.contains(&json!("made")) && names.len() == 2 {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    relay.event("a.b", json!(1)).await;
    declared.received(1).await;
    made.received(1).await;
}

#[tokio::test]
async fn what_the_rules_refuse_after_a_restart_keeps_its_events() {
    let receiver = Receiver::start();
    let lax = "[outbound]\nhttps_only = false\nallow_networks = [\"127.0.0.0/8\"]\n";
    let setup = Setup::new(lax)
        .without("RELAY_OUTBOUND__HTTPS_ONLY")
        .without("RELAY_OUTBOUND__ALLOW_NETWORKS");
    let mut relay = setup.start().await;
    let crm = json!({"name": "crm", "url": receiver.url(), "event_types": ["a.*"]});
    make(&relay, ENDPOINTS, crm).await;
    relay.stop().await;
    relay.setup().file("relay.toml", "");
    relay.start_again().await;
    let shown = relay.read("/v1/endpoints/crm").await;
    assert!(text(&shown["unusable"]).contains("https"), "{shown}");
    let other = relay.event("b.c", json!(1)).await;
    let wanted = relay.event("a.b", json!(1)).await;
    relay.delivery(&wanted, "pending").await;
    assert_eq!(relay.deliveries(&other).await, [] as [Value; 0]);
    relay.stop().await;
    relay.setup().file("relay.toml", lax);
    relay.start_again().await;
    relay.delivery(&wanted, "succeeded").await;
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn what_the_file_declares_counts_and_the_other_of_that_name_can_be_seen() {
    let (declared, made) = (Receiver::start(), Receiver::start());
    let relay = Relay::start("").await;
    let id = make(&relay, ENDPOINTS, json!({"name": "crm", "url": made.url()})).await["id"].clone();
    relay.reconfigure(&declared.endpoint("crm", ""));
    eventually("the declared one", || async {
        let list = relay.read(ENDPOINTS).await;
        let by = |at: usize| list["data"][at]["managed_by"].clone();
        if [by(0), by(1)] == ["file", "api"] {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    let shadowed = relay.read(&format!("{ENDPOINTS}/{}", text(&id))).await;
    assert!(text(&shadowed["unusable"]).contains("declares"), "{shadowed}");
    relay.event("a.b", json!(1)).await;
    declared.received(1).await;
    assert_eq!(made.requests().len(), 0);
    let renamed = json!({"name": "crm-two"});
    let path = format!("{ENDPOINTS}/{}", text(&id));
    let answer = relay.admin(Method::PATCH, &path, Some(renamed)).await;
    assert_eq!((answer.status, &answer.json()["unusable"]), (200, &Value::Null));
    relay.event("a.b", json!(2)).await;
    made.received(1).await;
}

#[tokio::test]
async fn an_endpoint_is_shown_under_its_new_name_when_it_is_renamed_by_the_old() {
    let relay = Relay::start("").await;
    let crm = json!({"name": "crm", "url": "https://example.com"});
    relay.admin(Method::POST, ENDPOINTS, Some(crm)).await;
    let path = format!("{ENDPOINTS}/crm");
    let answer = relay
        .admin(Method::PATCH, &path, Some(json!({"name": "crm-two"})))
        .await;
    assert_eq!((answer.status, &answer.json()["name"]), (200, &json!("crm-two")));
}

#[tokio::test]
async fn a_switch_of_what_the_file_declares_heeds_if_match() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let off = json!({"enabled": false});
    let stale = conditional(&relay, "/v1/endpoints/crm", "\"7\"", off.clone()).await;
    assert_eq!(stale.status, 412, "{}", stale.text());
    let current = conditional(&relay, "/v1/endpoints/crm", "\"0\"", off).await;
    assert_eq!((current.status, &current.json()["enabled"]), (200, &json!(false)));
}

#[tokio::test]
async fn what_was_deleted_comes_back_only_where_there_is_room() {
    // With those of the file a tenant has as many rules as it may have, but for one.
    let rule = |number| {
        format!("[[rule]]\nname = \"r{number}\"\ninactive_for = \"1h\"\nemit = {{ type = \"a.c\" }}\n")
    };
    let relay = Relay::start(&(0..999).map(rule).collect::<String>()).await;
    let rule = |name: &str| json!({"name": name, "inactive_for": "1h", "emit": {"type": "a.c"}});
    make(&relay, "/v1/rules", rule("first")).await;
    let id = text(&relay.read("/v1/rules/first").await["id"]).to_owned();
    let deleted = relay.admin(Method::DELETE, "/v1/rules/first", None).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    make(&relay, "/v1/rules", rule("second")).await;
    for (path, body) in [
        ("/v1/rules".to_owned(), Some(rule("third"))),
        (format!("/v1/rules/{id}/restore"), None),
    ] {
        let refused = relay.admin(Method::POST, &path, body).await;
        assert_eq!(
            refused.problem()["code"],
            "too_many",
            "{path}: {}",
            refused.text()
        );
    }
    relay.admin(Method::DELETE, "/v1/rules/second", None).await;
    let restored = relay
        .admin(Method::POST, &format!("/v1/rules/{id}/restore"), None)
        .await;
    assert_eq!(restored.status, 200, "{}", restored.text());
}
