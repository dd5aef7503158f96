//! Plugins that are uploaded while the relay runs: used, promoted, rolled back, pinned, refused.

use http::Method;
use relay::plugins::COMPONENT_BYTES_MAX;
use relay_tests::client::Answer;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup};
use relay_tests::receiver::Receiver;
use relay_tests::{guests, strange};
use rusqlite::Connection;
use serde_json::{Value, json};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn code(answer: &Answer) -> String {
    text(&answer.problem()["code"]).to_owned()
}

/// Uploads a component as somebody, for the tenant that is named, if one is.
async fn upload_as(relay: &Relay, key: &str, tenant: &str, name: &str, component: &'static [u8]) -> Answer {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/wasm"),
        ("relay-tenant", tenant),
    ];
    let path = format!("/v1/plugins/{name}/versions");
    relay.send(Method::POST, &path, &headers, component).await
}

async fn upload(relay: &Relay, name: &str, component: &'static [u8]) -> Answer {
    upload_as(relay, ADMIN_KEY, "default", name, component).await
}

/// Uploads a version that has to be taken.
async fn uploaded(relay: &Relay, name: &str, component: &'static [u8]) -> String {
    let answer = upload(relay, name, component).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    text(&answer.json()["version"]).to_owned()
}

async fn post(relay: &Relay, path: &str, body: Value) -> Answer {
    let body = Some(body).filter(|body| !body.is_null());
    relay.admin(Method::POST, path, body).await
}

async fn promote(relay: &Relay, name: &str, version: &str) -> Answer {
    let path = format!("/v1/plugins/{name}/promote");
    post(relay, &path, json!({"version": version})).await
}

async fn delete(relay: &Relay, name: &str, version: &str) -> Answer {
    let path = format!("/v1/plugins/{name}/versions/{version}");
    relay.admin(Method::DELETE, &path, None).await
}

/// An endpoint that sends events as its plugin leaves them. Its configuration is right for `hostile`,
/// and `edits` takes any.
fn endpoint(name: &str, receiver: &Receiver, used: &str) -> Value {
    json!({
        "name": name, "url": receiver.url(), "format": "raw",
        "plugins": [{"use": used, "config": {"do": "nothing"}}],
    })
}

async fn make(relay: &Relay, path: &str, keys: Value) {
    let made = post(relay, path, keys).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

/// What the receiver gets of the event that is its `n`th.
async fn delivered(relay: &Relay, receiver: &Receiver, n: usize) -> Value {
    relay.event("a.b", json!({"n": n})).await;
    receiver.received(n).await[n - 1].json()
}

/// What `edits` makes of the `n`th event; `hostile` leaves it as it is.
fn edited(n: usize) -> Value {
    json!({"n": n, "processed_by": "relay"})
}

#[tokio::test]
async fn a_promoted_version_is_in_force_at_once_until_it_is_rolled_back() {
    let (following, pinned) = (Receiver::start(), Receiver::start());
    let relay = Relay::start("").await;
    let first = uploaded(&relay, "tidy", guests::EDITS).await;
    make(&relay, "/v1/endpoints", endpoint("crm", &following, "tidy")).await;
    let named = format!("tidy@{}", &first[..20]);
    make(&relay, "/v1/endpoints", endpoint("erp", &pinned, &named)).await;
    assert_eq!(delivered(&relay, &following, 1).await, edited(1));

    let second = uploaded(&relay, "tidy", guests::HOSTILE).await;
    assert_ne!(first, second);
    assert_eq!(
        delivered(&relay, &following, 2).await,
        edited(2),
        "not promoted yet"
    );
    let turned = promote(&relay, "tidy", &second[..19]).await;
    assert_eq!(turned.status, 200, "{}", turned.text());
    assert_eq!(turned.json()["version"], second.as_str());
    assert_eq!(delivered(&relay, &following, 3).await, json!({"n": 3}));

    let back = post(&relay, "/v1/plugins/tidy/rollback", Value::Null).await;
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(back.json()["version"], first.as_str());
    assert_eq!(delivered(&relay, &following, 4).await, edited(4));
    let further = post(&relay, "/v1/plugins/tidy/rollback", Value::Null).await;
    assert_eq!((further.status, code(&further).as_str()), (409, "nothing_before"));
    let kept = pinned.received(4).await;
    for (n, request) in (1..).zip(&kept) {
        assert_eq!(request.json(), edited(n), "a pinned use keeps its version");
    }
}

#[tokio::test]
async fn a_plugin_is_shown_with_its_versions_and_who_uses_it() {
    let receiver = Receiver::start();
    let redacts =
        "[[source]]\nname = \"door\"\nverify = { scheme = \"none\" }\nredact = { mask = [\"/a\"] }\n";
    let relay = Relay::start(redacts).await;
    let first = uploaded(&relay, "everything", guests::EVERYTHING).await;
    let second = uploaded(&relay, "everything", guests::EDITS).await;
    let again = upload(&relay, "everything", guests::EDITS).await;
    assert_eq!(
        (again.status, &again.json()["version"]),
        (200, &json!(second)),
        "what is there is not kept twice"
    );
    let used =
        json!([{"use": "everything", "config": {"greeting": "hi"}}, {"use": format!("everything@{second}")}]);
    let crm = json!({"name": "crm", "url": receiver.url(), "plugins": used});
    make(&relay, "/v1/endpoints", crm).await;

    let shown = relay.read("/v1/plugins/everything").await;
    assert_eq!(shown["from"], "api");
    assert_eq!(shown["version"], first.as_str());
    assert_eq!(
        (&shown["label"], &shown["wit"]),
        (&json!("1.2.3"), &json!("0.1.0"))
    );
    let hooks = json!(["setup", "authenticate", "filter", "transform", "respond"]);
    assert_eq!((&shown["hooks"], &shown["secrets"]), (&hooks, &json!(["key"])));
    assert_eq!(shown["config"]["required"], json!(["greeting"]));
    assert_eq!(shown["size"], guests::EVERYTHING.len());
    let users = shown["users"].as_array().expect("a list");
    assert_eq!((users.len(), &shown["used_by"]), (1, &json!(1)));
    assert_eq!(
        (&users[0]["name"], &users[0]["follows"]),
        (&json!("crm"), &json!(true))
    );
    assert_eq!(users[0]["pins"], json!([second]));
    let versions = &shown["versions"];
    assert_eq!(
        (&versions[0]["version"], &versions[1]["version"]),
        (&json!(second), &json!(first)),
        "newest first"
    );
    assert_eq!(
        (&versions[0]["current"], &versions[1]["current"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        (&versions[0]["pinned_by"], &versions[1]["pinned_by"]),
        (&json!(1), &json!(0))
    );
    assert!(
        versions[0]["made_at"].is_string() && versions[0]["made_by"].is_string(),
        "{versions}"
    );
    let listed = relay.read("/v1/plugins/everything/versions").await;
    assert_eq!(listed["data"], *versions);

    let all = relay.read("/v1/plugins").await["data"].take();
    let all = all.as_array().expect("a list");
    let names: Vec<_> = all.iter().map(|plugin| text(&plugin["name"])).collect();
    assert!(names.is_sorted() && names.contains(&"everything"), "{names:?}");
    let stock = all.iter().find(|plugin| plugin["name"] == "redact-fields");
    let stock = stock.expect("a stock plugin");
    assert_eq!(
        (&stock["from"], &stock["used_by"]),
        (&json!("stock"), &json!(1)),
        "{stock}"
    );
    assert_eq!(
        relay.admin(Method::GET, "/v1/plugins/nothing", None).await.status,
        404
    );
}

#[tokio::test]
async fn a_promotion_that_not_all_could_use_changes_nothing() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    uploaded(&relay, "tidy", guests::EDITS).await;
    make(&relay, "/v1/endpoints", endpoint("crm", &receiver, "tidy")).await;
    let door = json!({
        "name": "door", "verify": {"scheme": "none"},
        "plugins": [{"use": "tidy", "config": {"greeting": "hi"}}],
    });
    make(&relay, "/v1/sources", door).await;
    // It wants a greeting and nothing else, which the source gives and the endpoint does not.
    let second = uploaded(&relay, "tidy", guests::EVERYTHING).await;
    let refused = promote(&relay, "tidy", &second).await;
    assert_eq!((refused.status, code(&refused).as_str()), (422, "unusable"));
    let errors = refused.problem()["errors"].take();
    let errors = errors.as_array().expect("a list");
    assert_eq!(errors.len(), 1, "{errors:?}");
    let told = text(&errors[0]["message"]);
    assert!(told.contains("crm") && told.contains("greeting"), "{told}");
    assert_eq!(delivered(&relay, &receiver, 1).await, edited(1));
    let answer = relay
        .post_source("door", &[("content-type", "application/json")], "{}")
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(
        receiver.received(2).await[1].json(),
        json!({"processed_by": "relay"})
    );
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_with_its_reason() {
    let relay = Relay::start("").await;
    let cut = &guests::EDITS[..guests::EDITS.len() / 2];
    let needs = br#"(component (import "relay:plugin/radio@0.1.0" (instance)) (instance $h) (export "relay:plugin/filter@0.1.0" (instance $h)))"#;
    let needs = wat_of(needs);
    let mistyped: &'static [u8] = strange::filter("(func (result i32))").leak();
    let bursting: &'static [u8] = strange::bursting().leak();
    for (component, words) in [
        (&b"no component at all"[..], &["is not WebAssembly"][..]),
        (b"\0asm\x01\0\0\0", &["core module", "wasm32-wasip2"]),
        (b"\0asm\x0d\0\x01\0", &["exports no hook"]),
        (cut, &["is damaged"]),
        (needs, &["the power radio"]),
        (mistyped, &["cannot be compiled", "type mismatch"]),
        (bursting, &["cannot be compiled", "1024 MiB"]),
    ] {
        let answer = upload(&relay, "strange", component).await;
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (422, "unusable_component"),
            "{words:?}"
        );
        let told = answer.text();
        for word in words {
            assert!(told.contains(word), "{word:?} is not in: {told}");
        }
    }
    let large: &'static [u8] = vec![0; COMPONENT_BYTES_MAX + 1].leak();
    let answer = upload(&relay, "strange", large).await;
    assert_eq!((answer.status, code(&answer).as_str()), (413, "body_too_large"));
    let answer = post(&relay, "/v1/plugins/strange/versions", json!({})).await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (415, "unsupported_media_type")
    );
    let long = "x".repeat(65);
    let answer = upload(&relay, &long, guests::EDITS).await;
    assert_eq!((answer.status, code(&answer).as_str()), (422, "invalid_name"));
    assert_eq!(
        relay.admin(Method::GET, "/v1/plugins/strange", None).await.status,
        404
    );
    // The relay goes on as if nothing had been.
    uploaded(&relay, "strange", guests::EDITS).await;
}

/// A component from its text.
fn wat_of(text: &[u8]) -> &'static [u8] {
    wat::parse_bytes(text).expect("valid text").into_owned().leak()
}

#[tokio::test]
async fn names_of_the_operator_s_plugins_are_not_given_to_others() {
    let setup = Setup::new("");
    setup.file("plugins/tidy.wasm", guests::EDITS);
    let folder = setup.home().join("plugins").display().to_string();
    let relay = setup.variable("RELAY_PLUGINS__FOLDER", &folder).start().await;
    for (name, whose) in [("redact-fields", "comes with the relay"), ("tidy", "folder")] {
        let refused = upload(&relay, name, guests::HOSTILE).await;
        assert_eq!(
            (refused.status, code(&refused).as_str()),
            (409, "reserved_name"),
            "{name}"
        );
        assert!(refused.text().contains(whose), "{}", refused.text());
    }
    let shown = relay.read("/v1/plugins/tidy").await;
    assert_eq!(shown["from"], "folder");
    let version = text(&shown["version"]);
    assert_eq!(shown["versions"][0]["version"], version);
    // These can be pinned, too.
    let receiver = Receiver::start();
    let crm = endpoint("crm", &receiver, &format!("tidy@{version}"));
    make(&relay, "/v1/endpoints", crm).await;
    assert_eq!(delivered(&relay, &receiver, 1).await, edited(1));
    let other = endpoint("other", &receiver, "tidy@sha256:000000000000");
    let refused = post(&relay, "/v1/endpoints", other).await;
    assert_eq!((refused.status, code(&refused).as_str()), (422, "unusable"));
    assert!(refused.text().contains("has no version"), "{}", refused.text());
    let malformed = post(
        &relay,
        "/v1/endpoints",
        endpoint("other", &receiver, "tidy@1.2.0"),
    )
    .await;
    assert_eq!(malformed.status, 422, "{}", malformed.text());
    assert_eq!(malformed.problem()["errors"][0]["pointer"], "/plugins/0/use");
    // What is uploaded is for definitions of the API.
    uploaded(&relay, "mine", guests::EDITS).await;
    relay.reconfigure(&receiver.endpoint("filed", "plugins = [{ use = \"mine\" }]"));
    relay.logged("there is no plugin mine").await;
}

#[tokio::test]
async fn a_plugin_is_run_on_an_event_and_nothing_comes_of_it() {
    let relay = Relay::start("").await;
    let run = async |name: &str, body: Value| post(&relay, &format!("/v1/plugins/{name}/run"), body).await;
    let event = json!({"type": "a.b", "data": {"phone": "+4930123", "n": 9_007_199_254_740_993_u64}});
    let masked = run(
        "redact-fields",
        json!({"event": event, "config": {"mask": ["/phone"]}}),
    )
    .await;
    assert_eq!(masked.status, 200, "{}", masked.text());
    let data = &masked.json()["result"]["emit"][0]["data"];
    assert_ne!(data["phone"], "+4930123");
    assert_eq!(data["n"], 9_007_199_254_740_993_u64, "every digit stays");
    let refused = run("redact-fields", json!({"event": event, "config": {"mask": 1}})).await;
    let problems = refused.json()["result"]["problems"].clone();
    assert_eq!(
        (refused.status, problems[0]["at"] == "/mask"),
        (200, true),
        "{problems}"
    );
    // One that was uploaded, by its version and without; and one that breaks.
    let first = uploaded(&relay, "tidy", guests::EDITS).await;
    let second = uploaded(&relay, "tidy", guests::HOSTILE).await;
    let current = run("tidy", json!({"event": {"type": "a.b", "data": {"n": 1}}})).await;
    assert_eq!(current.json()["version"], first);
    assert_eq!(current.json()["result"]["emit"][0]["data"], edited(1));
    let traps = json!({"version": second, "event": {"type": "a.b"}, "config": {"do": "trap"}});
    let ended = run("tidy", traps).await;
    assert_eq!(ended.status, 200, "{}", ended.text());
    assert_eq!(ended.json()["result"]["fault"], "trapped", "{}", ended.text());
    for (name, body, status, wanted) in [
        ("tidy", json!({}), 422, "invalid_run"),
        (
            "tidy",
            json!({"hook": "respond", "event": {"type": "a.b"}}),
            422,
            "invalid_run",
        ),
        (
            "tidy",
            json!({"version": "latest", "event": {"type": "a.b"}}),
            422,
            "unknown_version",
        ),
        ("tidy", json!({"evnt": 1}), 400, "bad_body"),
        ("none", json!({"event": {"type": "a.b"}}), 404, "not_found"),
    ] {
        let answer = run(name, body).await;
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (status, wanted),
            "{}",
            answer.text()
        );
    }
    let events = relay.read("/v1/events").await;
    assert_eq!(events["data"], json!([]), "nothing was kept");
}

#[tokio::test]
async fn a_version_in_use_is_not_deleted() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let first = uploaded(&relay, "tidy", guests::EDITS).await;
    let second = uploaded(&relay, "tidy", guests::HOSTILE).await;
    make(&relay, "/v1/endpoints", endpoint("crm", &receiver, "tidy")).await;
    let pinned = endpoint("erp", &receiver, &format!("tidy@{second}"));
    make(&relay, "/v1/endpoints", pinned).await;
    for (version, why) in [(&first, "endpoint crm"), (&second, "endpoint erp")] {
        let refused = delete(&relay, "tidy", version).await;
        assert_eq!((refused.status, code(&refused).as_str()), (409, "version_in_use"));
        assert!(refused.text().contains(why), "{}", refused.text());
    }
    for name in ["crm", "erp"] {
        let gone = relay
            .admin(Method::DELETE, &format!("/v1/endpoints/{name}"), None)
            .await;
        assert_eq!(gone.status, 200, "{}", gone.text());
    }
    let refused = delete(&relay, "tidy", &first).await;
    assert_eq!(
        refused.status,
        409,
        "it is current, and not the last: {}",
        refused.text()
    );
    for version in [&second, &first] {
        assert_eq!(delete(&relay, "tidy", version).await.status, 204);
        assert_eq!(delete(&relay, "tidy", version).await.status, 404);
    }
    assert_eq!(
        relay.admin(Method::GET, "/v1/plugins/tidy", None).await.status,
        404
    );
    let actions: Vec<Value> = relay.read("/v1/audit?resource=tidy").await["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| entry["action"].clone())
        .collect();
    assert_eq!(
        actions,
        [
            "plugin.deleted",
            "plugin.deleted",
            "plugin.uploaded",
            "plugin.uploaded"
        ]
    );
}

#[tokio::test]
async fn w12_a_plugin_is_its_tenant_s_alone() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    make(&relay, "/v1/tenants", json!({"name": "acme"})).await;
    let taken = upload_as(&relay, ADMIN_KEY, "acme", "tidy", guests::EDITS).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    let version = text(&taken.json()["version"]).to_owned();
    assert_eq!(
        relay.admin(Method::GET, "/v1/plugins/tidy", None).await.status,
        404
    );
    let all = relay.read("/v1/plugins").await.to_string();
    assert!(!all.contains("tidy") && !all.contains(&version), "{all}");
    for used in ["tidy".to_owned(), format!("tidy@{version}")] {
        let refused = post(&relay, "/v1/endpoints", endpoint("crm", &receiver, &used)).await;
        assert_eq!((refused.status, code(&refused).as_str()), (422, "unusable"));
    }
    for answer in [
        promote(&relay, "tidy", &version).await,
        post(&relay, "/v1/plugins/tidy/rollback", Value::Null).await,
        delete(&relay, "tidy", &version).await,
    ] {
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
    let read = post(&relay, "/v1/keys", json!({"name": "r", "role": "read"})).await;
    let key = text(&read.json()["key"]).to_owned();
    let refused = upload_as(&relay, &key, "default", "tidy", guests::EDITS).await;
    assert_eq!(refused.status, 403, "reading is not enough: {}", refused.text());
    // The same name for somebody else is another plugin.
    let other = uploaded(&relay, "tidy", guests::HOSTILE).await;
    assert_ne!(other, version);
}

#[tokio::test]
async fn a_restart_keeps_versions_and_one_that_is_damaged_stops_its_users_alone() {
    let (sound, hurt) = (Receiver::start(), Receiver::start());
    let mut relay = Relay::start("").await;
    uploaded(&relay, "tidy", guests::HOSTILE).await;
    let second = uploaded(&relay, "tidy", guests::EDITS).await;
    assert_eq!(promote(&relay, "tidy", &second).await.status, 200);
    uploaded(&relay, "weak", guests::HOSTILE).await;
    make(&relay, "/v1/endpoints", endpoint("crm", &sound, "tidy")).await;
    make(&relay, "/v1/endpoints", endpoint("erp", &hurt, "weak")).await;
    assert_eq!(delivered(&relay, &sound, 1).await, edited(1));
    hurt.received(1).await;
    relay.stop().await;
    let store = Connection::open(relay.setup().home().join("relay.db")).expect("the store opens");
    let damaged = store
        .execute(
            "UPDATE plugin_versions SET component = zeroblob(100) WHERE name = 'weak'",
            [],
        )
        .expect("it can be written");
    assert_eq!(damaged, 1);
    store.close().expect("it is written");
    relay.start_again().await;
    assert_eq!(
        delivered(&relay, &sound, 2).await,
        edited(2),
        "the one that was promoted"
    );
    let rests = relay.read("/v1/endpoints/erp").await;
    assert!(text(&rests["unusable"]).contains("damaged"), "{rests}");
    let shown = relay.read("/v1/plugins/weak").await;
    assert!(
        text(&shown["users"][0]["unusable"]).contains("damaged"),
        "{shown}"
    );
    // Another version brings it back, with what has waited.
    let good = uploaded(&relay, "weak", guests::EDITS).await;
    let turned = promote(&relay, "weak", &good).await;
    assert_eq!(turned.status, 200, "{}", turned.text());
    assert_eq!(hurt.received(2).await[1].json(), edited(2));
}

#[tokio::test]
async fn a_repeated_upload_with_a_key_is_answered_as_the_first_was() {
    let relay = Relay::start("").await;
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/wasm"),
        ("idempotency-key", "once"),
    ];
    let path = "/v1/plugins/tidy/versions";
    let first = relay.send(Method::POST, path, &headers, guests::EDITS).await;
    let again = relay.send(Method::POST, path, &headers, guests::EDITS).await;
    assert_eq!((first.status, again.status), (201, 201), "{}", first.text());
    assert_eq!(first.json(), again.json());
    let other = relay.send(Method::POST, path, &headers, guests::HOSTILE).await;
    assert_eq!(
        (other.status, code(&other).as_str()),
        (422, "idempotency_key_reused")
    );
}

#[tokio::test]
async fn the_command_pushes_a_file_and_says_who_uses_it() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let first = relay.setup().file("everything.wasm", guests::EVERYTHING);
    let second = relay.setup().file("edits.wasm", guests::EDITS);
    let push = async |file: &std::path::Path, more: &[&str]| {
        let file = file.display().to_string();
        let arguments: Vec<&str> = ["plugin", "push", &file].iter().chain(more).copied().collect();
        relay.command(ADMIN_KEY, &arguments).await
    };
    let done = push(&first, &[]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.starts_with("everything@sha256:"), "{}", done.stdout);
    assert!(
        done.stdout.contains("uploaded, current\nused by nobody yet"),
        "{}",
        done.stdout
    );
    let crm = json!({
        "name": "crm", "url": receiver.url(), "format": "raw",
        "plugins": [{"use": "everything", "config": {"greeting": "hi"}}],
    });
    make(&relay, "/v1/endpoints", crm).await;
    let done = push(&second, &["--name", "everything", "--promote", "--json"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let told: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(
        (&told["current"], &told["users"][0]["name"]),
        (&json!(true), &json!("crm"))
    );
    assert_eq!(delivered(&relay, &receiver, 1).await, edited(1));
    let done = push(&second, &["--name", "redact-fields"]).await;
    assert!(
        done.code != Some(0) && done.stderr.contains("comes with the relay"),
        "{done:?}"
    );
    let none = relay.setup().file("none.wasm", b"no component at all");
    let done = push(&none, &[]).await;
    assert!(
        done.code != Some(0) && done.stderr.contains("is not WebAssembly"),
        "{done:?}"
    );
}
