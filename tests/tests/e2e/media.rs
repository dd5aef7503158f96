//! Media whose addresses die: fetched, kept and served by the relay, and removed in time.

use std::path::PathBuf;

use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::{Receiver, Reply, Request};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// What addresses begin with.
const BASE: &str = "https://hooks.example.com/relay";

/// Serves a file of its own at each path, so many bytes longer than one piece.
fn media_server() -> Receiver {
    Receiver::answering(|request, _| file_at(request))
}

fn file_at(request: &Request) -> Reply {
    if request.path.contains("gone") {
        return Reply::Status(404);
    }
    Reply::Full {
        status: 200,
        headers: vec![("content-type".to_owned(), "image/png; q=1".to_owned())],
        body: bytes_of(&request.path),
    }
}

fn bytes_of(path: &str) -> String {
    format!("{path} ").repeat(20_000)
}

/// Scheme, host and port.
fn origin(server: &Receiver) -> String {
    server.url().trim_end_matches("/hook").to_owned()
}

/// A use of the plugin that may fetch from there.
fn capture(server: &Receiver, config: &Value) -> Value {
    let host = origin(server).trim_start_matches("http://").to_owned();
    json!({
        "use": "capture-media", "config": config, "grants": {"http": [host], "media": true}, "http_calls": 16,
    })
}

fn endpoint(receiver: &Receiver, used: &Value) -> Value {
    json!({"name": "crm", "url": receiver.url(), "format": "raw", "plugins": [used]})
}

async fn make(relay: &Relay, keys: Value) {
    let answer = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// A relay whose files are at an address that the world knows.
async fn start(settings: &str) -> Relay {
    Relay::start(&format!(
        "[server]\npublic_url = \"{BASE}/\"\n[media]\n{settings}"
    ))
    .await
}

/// Where an address of the relay's leads, behind the part that the world knows.
fn path(url: &Value) -> String {
    let url = url.as_str().unwrap_or_default();
    let path = url.strip_prefix(BASE);
    path.unwrap_or_else(|| panic!("{url} is no address of the relay's"))
        .to_owned()
}

async fn get(relay: &Relay, path: &str, headers: &[(&str, &str)]) -> Answer {
    relay.send(Method::GET, path, headers, "").await
}

/// The files on the disk.
fn files(relay: &Relay) -> Vec<PathBuf> {
    let Ok(entries) = relay.setup().home().join("media").read_dir() else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect()
}

async fn no_files(relay: &Relay) {
    eventually("the files to be gone from the disk", || async {
        let left = files(relay);
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

#[tokio::test]
async fn w8_media_lasts_after_its_own_address_has_died() {
    let (server, receiver) = (media_server(), Receiver::start());
    let mut relay = start("").await;
    let config = json!({"urls": ["/messages/*/media_url", "/attachment_url"], "expires": true});
    make(&relay, endpoint(&receiver, &capture(&server, &config))).await;
    let (one, gone) = (
        format!("{}/one", origin(&server)),
        format!("{}/gone", origin(&server)),
    );
    let data = json!({
        "messages": [{"media_url": one}, {"text": "hi"}, {"media_url": gone}], "attachment_url": one,
    });
    let event = relay.event("message.received", data.clone()).await;
    let sent = receiver.received(1).await.remove(0).json();
    let url = &sent["attachment_url"];
    assert_eq!(sent["messages"][0]["media_url"], *url);
    assert_eq!(sent["messages"][2]["media_url"], gone, "what cannot be had stays");
    assert_eq!(server.requests().len(), 2, "each address is asked for once");
    let ends = sent["attachment_url_expires"].as_str().unwrap_or_default();
    assert!(ends.ends_with(".000Z"), "{sent}");
    drop(server);
    let path = path(url);
    for again in [false, true] {
        if again {
            relay.stop().await;
            relay.start_again().await;
        }
        let answer = get(&relay, &path, &[]).await;
        assert_eq!((answer.status, answer.text()), (200, bytes_of("/one")));
        assert_eq!(answer.header("content-type"), "image/png");
    }
    // The log says of what could not be had why, and the event is as it came.
    let delivery = relay.delivery(&event, "succeeded").await;
    let attempts = json!(relay.attempts(&delivery).await).to_string();
    assert!(
        attempts.contains("/messages/2/media_url was not captured"),
        "{attempts}"
    );
    let bearer = format!("Bearer {ADMIN_KEY}");
    let payload = format!("/v1/events/{event}/payload");
    let payload = get(&relay, &payload, &[("authorization", &bearer)]).await;
    assert_eq!(payload.json(), data);
}

#[tokio::test]
async fn w8_players_fetch_parts_and_browsers_run_nothing() {
    let (server, receiver) = (media_server(), Receiver::start());
    let relay = start("").await;
    make(
        &relay,
        endpoint(&receiver, &capture(&server, &json!({"urls": ["/url"]}))),
    )
    .await;
    relay
        .event("a.b", json!({"url": format!("{}/one", origin(&server))}))
        .await;
    let path = path(&receiver.received(1).await.remove(0).json()["url"]);
    let whole = bytes_of("/one");
    let total = whole.len();
    let answer = get(&relay, &path, &[]).await;
    for (name, value) in [
        ("content-length", total.to_string().as_str()),
        ("accept-ranges", "bytes"),
        ("content-disposition", "inline"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "private, max-age=86400"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let etag = answer.header("etag").to_owned();
    let head = relay.send(Method::HEAD, &path, &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), total.to_string());
    for (range, part) in [
        ("bytes=0-3", &whole[..4]),
        ("bytes=70000-", &whole[70_000..]),
        ("bytes=-5", &whole[total - 5..]),
    ] {
        let answer = get(&relay, &path, &[("range", range)]).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.text(), part, "{range}");
        let told = answer.header("content-range");
        assert!(told.ends_with(&format!("/{total}")), "{told}");
        let held = get(&relay, &path, &[("range", range), ("if-range", "\"other\"")]).await;
        assert_eq!((held.status, held.body.len()), (200, total));
        let held = get(&relay, &path, &[("range", range), ("if-range", &etag)]).await;
        assert_eq!(held.status, 206);
    }
    let beyond = get(&relay, &path, &[("range", "bytes=999999999-")]).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{total}"));
    let known = get(&relay, &path, &[("if-none-match", &etag)]).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
}

#[tokio::test]
async fn w8_only_an_address_that_the_relay_made_leads_to_a_file() {
    let (server, receiver) = (media_server(), Receiver::start());
    let relay = start("").await;
    make(
        &relay,
        endpoint(&receiver, &capture(&server, &json!({"urls": ["/*"]}))),
    )
    .await;
    let data = json!({
        "one": format!("{}/one", origin(&server)), "two": format!("{}/two", origin(&server)),
    });
    relay.event("a.b", data).await;
    let sent = receiver.received(1).await.remove(0).json();
    let (one, two) = (path(&sent["one"]), path(&sent["two"]));
    let (file, signed) = one.split_once('?').expect("it is signed");
    let (other, _) = two.split_once('?').expect("it is signed");
    let (expires, signature) = signed.split_once('&').expect("there are two parameters");
    let later = expires.replace("expires=1", "expires=2");
    let other_end = if signature.ends_with('A') { "E" } else { "A" };
    for forged in [
        file.to_owned(),
        format!("{file}?{expires}"),
        format!("{file}?{signature}"),
        format!("{file}?{later}&{signature}"),
        format!("{other}?{signed}"),
        format!(
            "{file}?{expires}&{}{other_end}",
            &signature[..signature.len() - 1]
        ),
        format!("{file}?expires=x&{signature}"),
    ] {
        let answer = get(&relay, &forged, &[]).await;
        assert_eq!(
            (answer.status, &answer.problem()["code"]),
            (403, &json!("bad_signature")),
            "{forged}"
        );
    }
    for unknown in [
        "/media/",
        "/media/x",
        "/media/../relay.db",
        "/media/%2e%2e%2frelay.db",
    ] {
        let status = get(&relay, &format!("{unknown}?{signed}"), &[]).await.status;
        assert!(matches!(status, 400 | 404), "{unknown}: {status}");
    }
    assert_eq!(relay.send(Method::POST, &one, &[], "").await.status, 405);
    assert_eq!(get(&relay, &one, &[]).await.status, 200);
    // With the key that a receiver may have besides, too.
    let bearer = format!("Bearer {ADMIN_KEY}");
    assert_eq!(get(&relay, &one, &[("authorization", &bearer)]).await.status, 200);
}

#[tokio::test]
async fn w8_an_address_expires_and_its_file_goes_from_the_disk() {
    let (server, receiver) = (media_server(), Receiver::start());
    let relay = start("ttl = \"1s\"").await;
    make(
        &relay,
        endpoint(&receiver, &capture(&server, &json!({"urls": ["/url"]}))),
    )
    .await;
    relay
        .event("a.b", json!({"url": format!("{}/one", origin(&server))}))
        .await;
    let path = path(&receiver.received(1).await.remove(0).json()["url"]);
    no_files(&relay).await;
    let answer = get(&relay, &path, &[]).await;
    assert_eq!(
        (answer.status, &answer.problem()["code"]),
        (410, &json!("expired"))
    );
    let listed = relay.read("/v1/media").await;
    assert_eq!(listed["data"], json!([]));
}

#[tokio::test]
async fn w8_the_same_bytes_are_one_file_and_those_of_others_are_theirs() {
    let (server, receiver) = (media_server(), Receiver::start());
    let relay = start("").await;
    let used = capture(&server, &json!({"urls": ["/url"]}));
    make(&relay, endpoint(&receiver, &used)).await;
    let made = relay
        .admin(Method::POST, "/v1/tenants", Some(json!({"name": "acme"})))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let bearer = format!("Bearer {ADMIN_KEY}");
    let of_acme = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("relay-tenant", "acme"),
    ];
    let ask = async |method: Method, path: &str, body: Value| {
        let body = Some(body).filter(|body| !body.is_null());
        let body = body.map_or_else(String::new, |body| body.to_string());
        relay.send(method, path, &of_acme, body).await
    };
    let made = ask(Method::POST, "/v1/endpoints", endpoint(&receiver, &used)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let data = json!({"url": format!("{}/one", origin(&server))});
    for _ in 0..2 {
        relay.event("a.b", data.clone()).await;
    }
    let event = json!({"type": "a.b", "data": data});
    assert_eq!(ask(Method::POST, "/v1/events", event).await.status, 202);
    let sent = receiver.received(3).await;
    let paths: Vec<String> = sent.iter().map(|sent| path(&sent.json()["url"])).collect();
    eventually("a file for each of the two", || async {
        let there = files(&relay);
        if there.len() == 2 { Ok(()) } else { Err(there) }
    })
    .await;
    let own = relay.read("/v1/media").await["data"].clone();
    let theirs = ask(Method::GET, "/v1/media", Value::Null).await.json()["data"].clone();
    assert_eq!(
        (own.as_array().map(Vec::len), theirs.as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
    assert_eq!(own[0]["sha256"], theirs[0]["sha256"]);
    assert_ne!(own[0]["id"], theirs[0]["id"]);
    assert_eq!(own[0]["bytes"], bytes_of("/one").len());
    let one = format!("/v1/media/{}", own[0]["id"].as_str().unwrap_or_default());
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(ask(method, &one, Value::Null).await.status, 404);
    }
    // Taken away by its tenant, it is gone at once, and the audit log says so.
    let gone = relay.admin(Method::DELETE, &one, None).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    assert_eq!(relay.admin(Method::DELETE, &one, None).await.status, 404);
    assert_eq!(files(&relay).len(), 1);
    let noted = relay.read("/v1/audit?action=media.deleted").await;
    assert_eq!(noted["data"][0]["resource"]["id"], own[0]["id"], "{noted}");
    let mut served = Vec::new();
    for path in &paths {
        served.push(get(&relay, path, &[]).await.status);
    }
    served.sort_unstable();
    assert_eq!(served, [200, 404, 404]);
    // With a tenant go its files.
    let gone = relay.admin(Method::DELETE, "/v1/tenants/acme", None).await;
    assert!(gone.status < 300, "{}", gone.text());
    for path in &paths {
        assert_eq!(get(&relay, path, &[]).await.status, 404);
    }
}

#[tokio::test]
async fn w8_a_tenant_has_no_more_files_than_there_is_room_for() {
    let (server, receiver) = (media_server(), Receiver::start());
    let relay = start("tenant_limit = \"250KiB\"\nfile_limit = \"150KiB\"").await;
    let config = json!({"urls": ["/*"]});
    make(&relay, endpoint(&receiver, &capture(&server, &config))).await;
    let at = |path: &str| json!(format!("{}{path}", origin(&server)));
    let data = json!({"a": at("/one"), "b": at("/two"), "c": at("/six"), "large": at("/much-longer")});
    relay.event("a.b", data.clone()).await;
    let sent = receiver.received(1).await.remove(0).json();
    path(&sent["a"]);
    path(&sent["b"]);
    assert_eq!((&sent["c"], &sent["large"]), (&data["c"], &data["large"]));
    let kept = relay.read("/v1/media").await["data"].clone();
    let kept: Vec<String> = kept
        .as_array()
        .into_iter()
        .flatten()
        .map(|file| file["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(kept.len(), 2);
    let usage = relay.read("/v1/usage").await;
    let limits = usage["limits"].as_array().expect("a list");
    let media = limits.iter().find(|limit| limit["limit"] == "media_bytes");
    let media = media.unwrap_or_else(|| panic!("no media in {usage}"));
    let bytes: usize = ["/one", "/two"].map(|path| bytes_of(path).len()).iter().sum();
    assert_eq!(
        (&media["used"], &media["max"]),
        (&json!(bytes), &json!(250 << 10))
    );
    let full = json!({"name": "full", "when": {"quota_above": 0.75, "limits": ["media_bytes"]}});
    let made = relay.admin(Method::POST, "/v1/alerts", Some(full)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    eventually("the alert to fire", || async {
        let shown = relay.read("/v1/alerts/full").await;
        if shown["state"] == "firing" {
            Ok(())
        } else {
            Err(shown)
        }
    })
    .await;
    relay
        .admin(Method::DELETE, &format!("/v1/media/{}", kept[0]), None)
        .await;
    relay.event("a.b", json!({"c": at("/six")})).await;
    path(&receiver.received(2).await.remove(1).json()["c"]);
}

#[tokio::test]
async fn w8_a_relay_that_nobody_can_reach_says_what_to_set() {
    let (server, receiver) = (media_server(), Receiver::start());
    let relay = Relay::start("").await;
    let config = json!({"urls": ["/url"], "on_failure": "fault"});
    let keys = json!({
        "name": "crm", "url": receiver.url(), "plugins": [capture(&server, &config)], "on_fault": "dead-letter",
    });
    make(&relay, keys).await;
    let event = relay
        .event("a.b", json!({"url": format!("{}/one", origin(&server))}))
        .await;
    // What is configured wrongly is mended, not given up.
    let tried = |delivery: &Value| delivery["attempts"] != json!(0);
    let delivery = relay.delivery_that(&event, "tried", tried).await;
    let attempts = json!(relay.attempts(&delivery).await).to_string();
    assert!(attempts.contains("server.public_url"), "{attempts}");
    assert!(files(&relay).is_empty());
    // And without the grant it is not even saved.
    let mut ungranted = capture(&server, &json!({"urls": ["/url"]}));
    ungranted["grants"] = json!({"http": ["127.0.0.1:1"]});
    let changed = json!({"plugins": [ungranted]});
    let refused = relay
        .admin(Method::PATCH, "/v1/endpoints/crm", Some(changed))
        .await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("media = true"), "{}", refused.text());
}
