//! Which endpoints an event goes to, by what is in it.

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::Receiver;
use serde_json::{Value, json};

/// An endpoint that only collects, and what it wants.
fn wanting(name: &str, wants: &str) -> String {
    format!("[[endpoint]]\nname = \"{name}\"\ndelivery = \"poll\"\n{wants}\n")
}

/// The names of the endpoints that an event goes to, sorted.
async fn went_to(relay: &Relay, event: &str) -> Vec<String> {
    let deliveries = relay.deliveries(event).await;
    let name = |delivery: &Value| delivery["endpoint_name"].as_str().map(str::to_owned);
    let mut names: Vec<String> = deliveries.iter().filter_map(name).collect();
    names.sort();
    names
}

/// Posts each event's data and compares where it went.
async fn check(relay: &Relay, kind: &str, cases: &[(Value, &[&str])]) {
    for (data, wanted) in cases {
        let event = relay.event(kind, data.clone()).await;
        assert_eq!(went_to(relay, &event).await, *wanted, "{data}");
    }
}

#[tokio::test]
async fn u2_fields_have_alternatives_and_all_fields_have_to_match() {
    let config = [
        wanting(
            "bounces",
            "filter = { data = { sending_domain = [\"a.example\", \"b.example\"], sending_node = [\"n1\", \"n2\"] } }",
        ),
        wanting(
            "own-address",
            "filter = { data = { ip = [{ cidr = \"203.0.113.0/24\" }, { cidr = \"2001:db8::/32\" }] } }",
        ),
        wanting(
            "other-bridge",
            "filter = { data = { bridge = [{ anything-but = [\"smtp-1\", \"smtp-2\"] }] } }",
        ),
    ];
    let relay = Relay::start(&config.concat()).await;
    let cases: [(Value, &[&str]); 6] = [
        (
            json!({"sending_domain": "b.example", "sending_node": "n1"}),
            &["bounces"],
        ),
        (json!({"sending_domain": "b.example", "sending_node": "n3"}), &[]),
        (
            json!({"sending_domain": "c.example", "sending_node": "n1", "ip": "203.0.113.9"}),
            &["own-address"],
        ),
        (json!({"ip": "198.51.100.1", "bridge": "smtp-2"}), &[]),
        (
            json!({"ip": "2001:db8::5", "bridge": "smtp-3"}),
            &["other-bridge", "own-address"],
        ),
        (json!({}), &[]),
    ];
    check(&relay, "email.bounced", &cases).await;
}

#[tokio::test]
async fn w6_w9_labels_and_kinds_of_messages_lead_to_different_endpoints() {
    let config = [
        wanting(
            "sales",
            "filter = { data = { labels = [{ wildcard = \"*sales*\" }] } }",
        ),
        wanting(
            "documents",
            "filter = { data = { message_type = [\"document\", \"location\"] } }",
        ),
        wanting(
            "bot-said",
            "filter = { data = { last_messages = { type = [\"bot\"], content_type = [\"image\"] } } }",
        ),
        wanting(
            "bare",
            "filter = { json = '{\"data\": {\"attachment_url\": [null]}}' }",
        ),
    ];
    let relay = Relay::start(&config.concat()).await;
    let messages =
        |bot: &str| json!([{"type": "user", "content_type": "image"}, {"type": "bot", "content_type": bot}]);
    let cases: [(Value, &[&str]); 5] = [
        (
            json!({"labels": "vip, pre-sales, lisbon", "message_type": "text"}),
            &["sales"],
        ),
        (
            json!({"labels": "support", "message_type": "location"}),
            &["documents"],
        ),
        (json!({"last_messages": messages("text")}), &[]),
        (
            json!({"last_messages": messages("image"), "attachment_url": null}),
            &["bare", "bot-said"],
        ),
        (json!({"attachment_url": "https://x.example/a.pdf"}), &[]),
    ];
    check(&relay, "message.received", &cases).await;
}

#[tokio::test]
async fn w24_moments_are_compared_by_age_and_by_time() {
    let config = [
        wanting(
            "fresh",
            "filter = { data = { at = [{ age = [\"<\", \"10m\"] }] } }",
        ),
        wanting(
            "late",
            "filter = { data = { at = [{ age = [\">=\", \"1h\"] }] } }",
        ),
        wanting(
            "january",
            "filter = { data = { at = [{ time = [\">=\", \"2026-01-01T00:00:00Z\", \"<\", \"2026-02-01T00:00:00Z\"] }] } }",
        ),
    ];
    let relay = Relay::start(&config.concat()).await;
    let now = relay_tests::sign::now_secs(0);
    let cases: [(Value, &[&str]); 6] = [
        (json!({"at": now}), &["fresh"]),
        (json!({"at": now * 1000}), &["fresh"]),
        (json!({"at": now - 1800}), &[]),
        (json!({"at": now - 7200}), &["late"]),
        (json!({"at": "2026-01-31T23:59:59Z"}), &["january", "late"]),
        (json!({"at": "yesterday"}), &[]),
    ];
    check(&relay, "message.received", &cases).await;
    let wrong = json!({"filter": {"data": {"at": [{"age": ["<", "soon"]}]}}, "event": {"type": "a.b"}});
    let refused = relay.admin(Method::POST, "/v1/filters/test", Some(wrong)).await;
    assert_eq!(
        (refused.status, &refused.problem()["errors"][0]["pointer"]),
        (422, &json!("/filter/data/at/0/age"))
    );
}

#[tokio::test]
async fn u12_what_is_not_wanted_is_never_queued_and_a_sample_is_a_share() {
    const EVENTS: usize = 200;
    let config = [
        wanting("opened", "event_types = [\"email.opened\"]\nsample = 0.2"),
        wanting("twin", "event_types = [\"email.opened\"]\nsample = 0.2"),
        wanting("none", "event_types = [\"email.opened\"]\nsample = 0"),
        wanting("bounced", "event_types = [\"email.bounced\"]"),
    ];
    let relay = Relay::start(&config.concat()).await;
    let mut taken = 0;
    let mut left_out = None;
    for n in 0..EVENTS {
        let event = relay.event("email.opened", json!({"n": n})).await;
        match went_to(&relay, &event).await.as_slice() {
            [] => left_out = Some(event),
            [one, two] if one == "opened" && two == "twin" => taken += 1,
            other => panic!("the same share is of the same events, and others get none: {other:?}"),
        }
    }
    // Six standard deviations around 40.
    assert!((6..=74).contains(&taken), "{taken} of {EVENTS}");
    let left_out = left_out.expect("most events are left out");
    let explained = relay
        .read(&format!("/v1/events/{left_out}/explain?endpoint=opened"))
        .await;
    let explained = &explained["data"][0];
    let last = explained["steps"].as_array().and_then(|steps| steps.last());
    assert_eq!(
        last.map(|step| (&step["check"], &step["answer"])),
        Some((&json!("sample"), &json!("no"))),
        "{explained}"
    );
    assert_eq!(explained["matched"], false);
}

#[tokio::test]
async fn w23_a_platform_subscribes_and_unsubscribes_by_itself() {
    let (flow, other) = (Receiver::start(), Receiver::start());
    let relay = Relay::start("").await;
    let subscribe = |url: String| {
        let hook = json!({"url": url, "event_types": ["contact.created"]});
        relay.admin(Method::POST, "/v1/endpoints", Some(hook))
    };
    let first = subscribe(flow.url()).await;
    let second = subscribe(other.url()).await;
    assert_eq!((first.status, second.status), (201, 201), "{}", second.text());
    relay.event("contact.created", json!({"name": "Ann"})).await;
    relay.event("contact.deleted", json!({"name": "Ann"})).await;
    let sent = flow.received(1).await.remove(0);
    assert_eq!(sent.header("content-type"), "application/json");
    assert_eq!(
        (sent.json()["type"].clone(), sent.json()["data"].clone()),
        (json!("contact.created"), json!({"name": "Ann"}))
    );
    let path = format!("/v1/endpoints/{}", first.json()["id"].as_str().expect("an id"));
    assert_eq!(relay.admin(Method::DELETE, &path, None).await.status, 200);
    relay.event("contact.created", json!({"name": "Bob"})).await;
    other.received(2).await;
    assert_eq!(flow.requests().len(), 1, "it has unsubscribed");
}

#[tokio::test]
async fn c20_two_systems_kept_in_step_do_not_go_round_in_circles() {
    let (one, two) = (Receiver::start(), Receiver::start());
    let config = [
        "[[source]]\nname = \"one\"\nverify = { scheme = \"none\" }\n",
        "[[source]]\nname = \"two\"\nverify = { scheme = \"none\" }\n",
        &two.endpoint(
            "to-two",
            "sources = [\"one\"]\nfilter = { data = { changed_by = [{ exists = false }] } }\n\
             plugins = [{ use = \"build-payload\", config = { rows = [{ key = \"name\", from = \"/name\" }, \
             { key = \"changed_by\", value = \"relay\" }] } }]",
        ),
        &one.endpoint("to-one", "sources = [\"two\"]"),
    ];
    let relay = Relay::start(&config.concat()).await;
    let json = ("content-type", "application/json");
    relay.post_source("one", &[json], r#"{"name": "Ann"}"#).await;
    let told = two.received(1).await.remove(0);
    assert_eq!(told.json(), json!({"name": "Ann", "changed_by": "relay"}));
    assert_eq!(told.header("relay-hops"), "1");

    // The second system tells its change with the tag, and passes on how far it came; so does the first.
    let headers = [json, ("relay-hops", told.header("relay-hops"))];
    relay.post_source("two", &headers, told.body.clone()).await;
    let back = one.received(1).await.remove(0);
    assert_eq!(back.header("relay-hops"), "2");
    let headers = [json, ("relay-hops", back.header("relay-hops"))];
    let ended = relay.post_source("one", &headers, back.body.clone()).await;
    let ended = relay_tests::instance::accepted(&ended);
    assert_eq!(went_to(&relay, &ended).await, [""; 0], "the tag has stopped it");

    // Without a tag it is the eighth relay that says no, by either door.
    for (hops, status) in [("7", 202), ("8", 508), ("99999", 508), ("many", 202)] {
        let headers = [json, ("relay-hops", hops)];
        let answer = relay.post_source("two", &headers, r#"{"name": "Bob"}"#).await;
        assert_eq!(answer.status, status, "{hops}: {}", answer.text());
        let answer = relay.post_events(&headers, r#"{"type": "a.b"}"#).await;
        assert_eq!(answer.status, status, "{hops}: {}", answer.text());
    }
    let event = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "a.b", "relayhops": "8"});
    let structured = [("content-type", "application/cloudevents+json")];
    let answer = relay.post_events(&structured, event.to_string()).await;
    assert_eq!(
        (answer.status, &answer.problem()["code"]),
        (508, &json!("loop_detected"))
    );
}
