//! Rules: what the relay notices over several events, and emits.

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay, accepted};
use relay_tests::receiver::{Receiver, Request};
use relay_tests::wait::{eventually, within};
use serde_json::{Value, json};

const RULES: &str = "/v1/rules";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A rule that tells when a ticket is closed.
fn closed() -> Value {
    json!({
        "name": "ticket-closed", "event_types": ["ticket.*"], "key": "/ticket/id",
        "changes": {"value": "/ticket/status", "from": ["open", "pending"], "to": ["closed"]},
        "emit": {"type": "ticket.was_closed"},
    })
}

/// A rule that tells when a conversation has been quiet for so long.
fn quiet(span: &str) -> Value {
    json!({
        "name": "quiet", "event_types": ["message.*"], "key": "/conversation", "inactive_for": span,
        "cancel_on": {"event_types": ["conversation.closed"], "key": "/id"},
        "emit": {"type": "conversation.inactive"},
    })
}

async fn make(relay: &Relay, keys: Value) -> Value {
    let answer = relay.admin(Method::POST, RULES, Some(keys)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

async fn change(relay: &Relay, name: &str, patch: Value) -> Value {
    let path = format!("{RULES}/{name}");
    let answer = relay.admin(Method::PATCH, &path, Some(patch)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn ticket(relay: &Relay, id: u32, status: &str) -> String {
    relay
        .event("ticket.updated", json!({"ticket": {"id": id, "status": status}}))
        .await
}

async fn message(relay: &Relay, conversation: &str, n: u32) -> String {
    relay
        .event("message.received", json!({"conversation": conversation, "n": n}))
        .await
}

/// Accepts events in one commit, so that no time passes between them.
async fn batch(relay: &Relay, events: impl IntoIterator<Item = (&str, Value)>) -> Vec<String> {
    let events: Vec<_> = events
        .into_iter()
        .enumerate()
        .map(|(n, (kind, data))| {
            json!({"specversion": "1.0", "id": n.to_string(), "source": "/test", "type": kind, "data": data})
        })
        .collect();
    let headers = [("content-type", "application/cloudevents-batch+json")];
    let answer = relay.post_events(&headers, Value::from(events).to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let accepted = answer.json();
    let accepted = accepted["data"].as_array().into_iter().flatten();
    accepted.map(|event| text(&event["id"]).to_owned()).collect()
}

/// A relay whose receiver gets what rules emit, and nothing else.
async fn relay_for(receiver: &Receiver, types: &str, rules: &str) -> Relay {
    let settings = format!("event_types = [{types}]");
    Relay::start(&format!("{}{rules}", receiver.endpoint("crm", &settings))).await
}

/// The word about why, in what was emitted.
fn why(request: &Request) -> Value {
    request.json()["data"]["relay"].clone()
}

/// How many events of a type were accepted.
async fn count(relay: &Relay, kind: &str) -> usize {
    let listed = relay.read(&format!("/v1/events?limit=250&type={kind}")).await;
    listed["data"].as_array().map_or(0, Vec::len)
}

/// What is kept of the keys of a rule.
async fn keys(relay: &Relay, name: &str) -> Vec<Value> {
    let listed = relay.read(&format!("{RULES}/{name}/keys")).await;
    listed["data"].as_array().cloned().unwrap_or_default()
}

async fn no_keys(relay: &Relay, name: &str) {
    eventually("no keys", || async {
        let keys = keys(relay, name).await;
        if keys.is_empty() { Ok(()) } else { Err(keys) }
    })
    .await;
}

#[tokio::test]
async fn m4_a_value_that_becomes_another_one_is_told_with_both() {
    let receiver = Receiver::start();
    let relay = relay_for(&receiver, "\"ticket.was_closed\"", "").await;
    let made = make(&relay, closed()).await;
    assert!(text(&made["id"]).starts_with("rul_"), "{made}");
    ticket(&relay, 1, "closed").await;
    ticket(&relay, 1, "open").await;
    ticket(&relay, 2, "pending").await;
    ticket(&relay, 2, "solved").await;
    ticket(&relay, 2, "closed").await;
    let cause = ticket(&relay, 1, "closed").await;
    ticket(&relay, 1, "closed").await;
    let requests = receiver.received(1).await;
    let expected = json!({"rule": "ticket-closed", "event": cause, "key": 1, "from": "open", "to": "closed"});
    assert_eq!(why(&requests[0]), expected);
    assert_eq!(requests[0].json()["data"]["ticket"]["status"], "closed");

    // The last values stand where they can be looked at, and a later change is told again.
    let kept = keys(&relay, "ticket-closed").await;
    let kept: Vec<_> = kept
        .iter()
        .map(|kept| (&kept["key"], text(&kept["value"])))
        .collect();
    assert_eq!(kept, [(&json!(1), "closed"), (&json!(2), "closed")]);
    ticket(&relay, 2, "pending").await;
    ticket(&relay, 2, "closed").await;
    let requests = receiver.received(2).await;
    assert_eq!(
        (&why(&requests[1])["key"], &why(&requests[1])["from"]),
        (&json!(2), &json!("pending"))
    );
    assert_eq!(count(&relay, "ticket.was_closed").await, 2);
}

#[tokio::test]
async fn m4_filters_sources_and_duplicates_decide_what_a_rule_sees() {
    let receiver = Receiver::start();
    let relay = relay_for(&receiver, "\"ticket.was_closed\"", "").await;
    let mut keys = closed();
    keys["filter"] = json!({"data": {"vip": [true]}});
    make(&relay, keys).await;
    let post = async |id: &str, vip: bool, status: &str| {
        let data = json!({"vip": vip, "ticket": {"id": 1, "status": status}});
        let body = json!({"type": "ticket.updated", "id": id, "data": data}).to_string();
        accepted(
            &relay
                .post_events(&[("content-type", "application/json")], body)
                .await,
        )
    };
    post("1", true, "open").await;
    post("2", false, "closed").await;
    post("3", true, "closed").await;
    receiver.received(1).await;
    // Were it not known already, this would open the ticket again.
    post("1", true, "open").await;
    post("4", true, "closed").await;
    post("5", true, "open").await;
    post("6", true, "closed").await;
    receiver.received(2).await;
    assert_eq!(count(&relay, "ticket.was_closed").await, 2);
}

#[tokio::test]
async fn m6_silence_of_a_key_is_told_once_unless_it_is_called_off() {
    let receiver = Receiver::start();
    let relay = relay_for(&receiver, "\"conversation.inactive\"", "").await;
    make(&relay, quiet("300ms")).await;
    let said =
        |conversation: &str, n: u32| ("message.received", json!({"conversation": conversation, "n": n}));
    let events = [
        said("called-off", 1),
        said("a", 1),
        ("conversation.closed", json!({"id": "called-off"})),
        said("a", 2),
        said("b", 1),
    ];
    let last = batch(&relay, events).await.swap_remove(3);
    let requests = receiver.received(2).await;
    let of_a = requests.iter().find(|request| why(request)["key"] == "a");
    let of_a = of_a.expect("one of two keys");
    assert_eq!(
        (text(&why(of_a)["event"]), &of_a.json()["data"]["n"]),
        (last.as_str(), &json!(2))
    );
    no_keys(&relay, "quiet").await;
    assert_eq!(count(&relay, "conversation.inactive").await, 2);
}

#[tokio::test]
async fn m6_debounce_emits_the_latest_event_after_silence() {
    let receiver = Receiver::start();
    let relay = relay_for(&receiver, "\"page.settled\"", "").await;
    let rule = json!({
        "name": "settled", "event_types": ["page.edited"], "key": "/page", "debounce": "300ms",
        "emit": {"type": "page.settled"},
    });
    make(&relay, rule).await;
    let edited = (1..=3).map(|n| ("page.edited", json!({"page": "x", "n": n})));
    batch(&relay, edited).await;
    let requests = receiver.received(1).await;
    assert_eq!(requests[0].json()["data"]["n"], 3);
    no_keys(&relay, "settled").await;
    assert_eq!(count(&relay, "page.settled").await, 1);
}

#[tokio::test]
async fn m6_max_wait_bounds_how_long_debounce_waits() {
    let receiver = Receiver::start();
    let relay = relay_for(&receiver, "\"page.settled\"", "").await;
    let rule = json!({
        "name": "settled", "event_types": ["page.edited"], "debounce": "500ms", "max_wait": "500ms",
        "emit": {"type": "page.settled"},
    });
    make(&relay, rule).await;
    within("what is emitted without a silence", async {
        while receiver.requests().is_empty() {
            relay.event("page.edited", json!({})).await;
        }
    })
    .await;
    assert_eq!(why(&receiver.requests()[0])["key"], Value::Null);
}

#[tokio::test]
async fn m6_each_event_comes_again_after_its_delay() {
    let receiver = Receiver::start();
    let relay = relay_for(&receiver, "\"order.reminder\"", "").await;
    let rule = json!({
        "name": "reminder", "event_types": ["order.placed"], "key": "/order", "delay": "300ms",
        "cancel_on": {"event_types": ["order.paid"]}, "emit": {"type": "order.reminder", "member": "why"},
    });
    make(&relay, rule).await;
    let placed = |order: u32| ("order.placed", json!({"order": order}));
    let paid = ("order.paid", json!({"order": 2}));
    batch(&relay, [placed(1), placed(1), placed(2), paid]).await;
    let requests = receiver.received(2).await;
    assert!(
        requests
            .iter()
            .all(|request| request.json()["data"]["why"]["key"] == 1)
    );
    no_keys(&relay, "reminder").await;
    assert_eq!(count(&relay, "order.reminder").await, 2);
}

#[tokio::test]
async fn m7_a_rule_that_is_off_sees_nothing_and_forgets() {
    let receiver = Receiver::start();
    let relay = relay_for(&receiver, "\"conversation.inactive\"", "").await;
    assert_eq!(make(&relay, quiet("5m")).await["enabled"], true);
    message(&relay, "a", 1).await;
    let armed = keys(&relay, "quiet").await;
    assert!(armed.len() == 1 && armed[0]["due_at"].is_string(), "{armed:?}");
    // What is only said of it, and what it emits, changes nothing of what it waits for.
    change(
        &relay,
        "quiet",
        json!({"description": "for sales", "emit": {"member": "why"}}),
    )
    .await;
    assert_eq!(keys(&relay, "quiet").await.len(), 1);

    assert_eq!(
        change(&relay, "quiet", json!({"enabled": false})).await["enabled"],
        false
    );
    message(&relay, "b", 1).await;
    change(&relay, "quiet", json!({"enabled": true})).await;
    assert_eq!(keys(&relay, "quiet").await.len(), 0);
    message(&relay, "c", 1).await;
    change(&relay, "quiet", json!({"inactive_for": "300ms"})).await;
    assert_eq!(keys(&relay, "quiet").await.len(), 0);
    message(&relay, "d", 1).await;
    let requests = receiver.received(1).await;
    assert_eq!(requests[0].json()["data"]["why"]["key"], "d");
    assert_eq!(count(&relay, "conversation.inactive").await, 1);
}

#[tokio::test]
async fn m7_a_rule_is_deleted_with_its_timers_and_restored_without() {
    let receiver = Receiver::start();
    let relay = relay_for(&receiver, "\"conversation.inactive\"", "").await;
    let made = make(&relay, quiet("1h")).await;
    message(&relay, "a", 1).await;
    let path = format!("{RULES}/{}", text(&made["id"]));
    assert_eq!(relay.admin(Method::DELETE, &path, None).await.status, 204);
    assert_eq!(relay.admin(Method::GET, &path, None).await.status, 404);
    let restored = relay.admin(Method::POST, &format!("{path}/restore"), None).await;
    assert_eq!(
        (restored.status, restored.json()["name"].clone()),
        (200, json!("quiet"))
    );
    assert!(keys(&relay, "quiet").await.is_empty());
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [("authorization", bearer.as_str()), ("if-match", "\"1\"")];
    let refused = relay.send(Method::DELETE, &path, &headers, "").await;
    assert_eq!(refused.status, 412, "{}", refused.text());
}

#[tokio::test]
async fn c22_a_kill_between_arming_and_firing_loses_nothing() {
    let receiver = Receiver::start();
    let mut relay = relay_for(&receiver, "\"conversation.inactive\"", "").await;
    make(&relay, quiet("300ms")).await;
    message(&relay, "a", 1).await;
    relay.kill().await;
    relay.start_again().await;
    let requests = receiver.received(1).await;
    assert_eq!(why(&requests[0])["key"], "a");
    relay.stop().await;
    relay.start_again().await;
    no_keys(&relay, "quiet").await;
    assert_eq!(count(&relay, "conversation.inactive").await, 1);
}

#[tokio::test]
async fn c22_a_kill_while_timers_fire_emits_each_once() {
    const KEYS: usize = 150;
    let receiver = Receiver::start();
    let mut relay = relay_for(&receiver, "\"conversation.inactive\"", "").await;
    make(&relay, quiet("200ms")).await;
    let messages = (0..KEYS).map(|n| ("message.received", json!({"conversation": n})));
    batch(&relay, messages).await;
    receiver.received(1).await;
    relay.kill().await;
    relay.start_again().await;
    no_keys(&relay, "quiet").await;
    assert_eq!(count(&relay, "conversation.inactive").await, KEYS);
    let emitted = relay
        .read("/v1/events?limit=250&type=conversation.inactive")
        .await;
    let ids: std::collections::BTreeSet<&str> = emitted["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| text(&event["id"]))
        .collect();
    assert_eq!(ids.len(), KEYS);
    receiver.received(KEYS).await;
}

#[tokio::test]
async fn c22_rules_of_the_file_keep_their_timers_over_a_restart_until_they_change() {
    let receiver = Receiver::start();
    let rule = |span: &str| {
        format!(
            "[[rule]]\nname = \"quiet\"\nevent_types = [\"message.*\"]\nkey = \"/conversation\"\n\
             inactive_for = \"{span}\"\nemit = {{ type = \"conversation.inactive\" }}\n"
        )
    };
    let types = "\"conversation.inactive\"";
    let mut relay = relay_for(&receiver, types, &rule("1h")).await;
    message(&relay, "a", 1).await;
    relay.stop().await;
    relay.start_again().await;
    let shown = relay.read("/v1/rules/quiet").await;
    assert_eq!(shown["managed_by"], "file", "{shown}");
    assert_eq!(keys(&relay, "quiet").await.len(), 1);
    let refused = relay.admin(Method::DELETE, "/v1/rules/quiet", None).await;
    assert_eq!(refused.status, 409, "{}", refused.text());

    let endpoint = receiver.endpoint("crm", &format!("event_types = [{types}]"));
    relay.reconfigure(&format!("{endpoint}{}", rule("300ms")));
    eventually("the new rule", || async {
        let shown = relay.read("/v1/rules/quiet").await;
        if shown["inactive_for"] == "300ms" {
            Ok(())
        } else {
            Err(shown)
        }
    })
    .await;
    no_keys(&relay, "quiet").await;
    message(&relay, "b", 1).await;
    assert_eq!(why(&receiver.received(1).await[0])["key"], "b");
}

#[tokio::test]
async fn m4_rules_that_follow_rules_come_to_an_end() {
    let receiver = Receiver::start();
    let relay = relay_for(&receiver, "\"a.b\"", "").await;
    let rule = |follows: bool, name: &str| {
        json!({
            "name": name, "event_types": ["a.*"], "delay": "10ms", "include_emitted": follows,
            "emit": {"type": "a.b"}
        })
    };
    make(&relay, rule(true, "round")).await;
    relay.event("a.start", json!({})).await;
    receiver.received(8).await;
    let told = "relay_rule_skips_total{rule=\"round\",reason=\"hops\"} 1";
    eventually(told, || async {
        let metrics = relay.admin(Method::GET, "/metrics", None).await.text();
        if metrics.lines().any(|line| line == told) {
            Ok(())
        } else {
            Err(metrics)
        }
    })
    .await;
    assert_eq!(count(&relay, "a.b").await, 8);
    change(&relay, "round", json!({"include_emitted": false})).await;
    relay.event("a.start", json!({})).await;
    receiver.received(9).await;
    no_keys(&relay, "round").await;
    assert_eq!(count(&relay, "a.b").await, 9);
}

#[tokio::test]
async fn m4_a_rule_is_tried_out_without_any_effect() {
    let relay = Relay::start("").await;
    make(&relay, closed()).await;
    make(&relay, quiet("1h")).await;
    ticket(&relay, 1, "open").await;
    let tried = async |name: &str, kind: &str, data: Value| {
        let path = format!("{RULES}/{name}/test");
        let body = json!({"event": {"type": kind, "data": data}});
        let answer = relay.admin(Method::POST, &path, Some(body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let status = |status: &str| json!({"ticket": {"id": 1, "status": status}});
    for _ in 0..2 {
        let verdict = tried("ticket-closed", "ticket.updated", status("closed")).await;
        assert_eq!(
            (&verdict["outcome"], &verdict["from"]),
            (&json!("emits"), &json!("open")),
            "{verdict}"
        );
        assert_eq!(verdict["emits"]["type"], "ticket.was_closed");
        assert_eq!(verdict["emits"]["data"]["relay"]["to"], "closed");
    }
    for (name, kind, data, outcome, reason) in [
        (
            "ticket-closed",
            "ticket.updated",
            status("pending"),
            "keeps",
            Value::Null,
        ),
        (
            "ticket-closed",
            "ticket.updated",
            json!({}),
            "skipped",
            json!("no_key"),
        ),
        (
            "ticket-closed",
            "message.received",
            status("closed"),
            "unwanted",
            Value::Null,
        ),
        (
            "quiet",
            "message.received",
            json!({"conversation": "a"}),
            "arms",
            Value::Null,
        ),
        (
            "quiet",
            "conversation.closed",
            json!({"id": "a"}),
            "cancels",
            Value::Null,
        ),
    ] {
        let verdict = tried(name, kind, data).await;
        assert_eq!(
            (&verdict["outcome"], &verdict["reason"]),
            (&json!(outcome), &reason),
            "{verdict}"
        );
    }
    assert!(keys(&relay, "quiet").await.is_empty());
    let bad = json!({"event": {"type": "a..b", "data": 1}});
    let refused = relay.admin(Method::POST, "/v1/rules/quiet/test", Some(bad)).await;
    assert_eq!(
        (refused.status, refused.json()["errors"][0]["pointer"].clone()),
        (400, json!("/event/type"))
    );
}

#[tokio::test]
async fn m4_what_cannot_be_a_rule_is_told_at_each_place() {
    let relay = Relay::start("").await;
    let mut keys = closed();
    keys["changes"]["value"] = json!("status");
    keys["emit"] = json!({"kind": "x"});
    keys["delay"] = json!("soon");
    let refused = relay.admin(Method::POST, RULES, Some(keys)).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let problem = refused.json();
    let pointers: Vec<_> = problem["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|error| text(&error["pointer"]))
        .collect();
    assert_eq!(
        pointers,
        ["/changes/value", "/delay", "/changes", "/emit/type", "/emit/kind"],
        "{problem}"
    );
}

#[tokio::test]
async fn m4_keys_are_listed_in_pages() {
    let relay = Relay::start("").await;
    make(&relay, closed()).await;
    for id in [3, 1, 2] {
        ticket(&relay, id, "open").await;
    }
    let first = relay.read("/v1/rules/ticket-closed/keys?limit=2").await;
    let cursor = text(&first["next_cursor"]);
    let rest = relay
        .read(&format!("/v1/rules/ticket-closed/keys?limit=2&cursor={cursor}"))
        .await;
    let ids = |page: &Value| -> Vec<Value> {
        let data = page["data"].as_array().into_iter().flatten();
        data.map(|kept| kept["key"].clone()).collect()
    };
    assert_eq!(
        (ids(&first), ids(&rest)),
        (vec![json!(1), json!(2)], vec![json!(3)])
    );
    assert_eq!(rest["next_cursor"], Value::Null);
    let refused = relay
        .admin(Method::GET, "/v1/rules/ticket-closed/keys?cursor=x", None)
        .await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}
