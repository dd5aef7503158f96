//! Event types: described, held against their schemas, and found again.

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay, accepted};
use relay_tests::receiver::Receiver;
use serde_json::{Value, json};

const PATH: &str = "/v1/event-types";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn make(relay: &Relay, keys: Value) -> Value {
    let answer = relay.admin(Method::POST, PATH, Some(keys)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn bounce(validate: &str) -> Value {
    json!({
        "name": "email.bounced",
        "description": "An e-mail came back",
        "validate": validate,
        "schema": {
            "type": "object",
            "required": ["bounce_type"],
            "properties": {"bounce_type": {"enum": ["hard", "soft"]}, "email": {"type": "string"}},
        },
        "sample": {"bounce_type": "hard", "email": "gone@example.org"},
    })
}

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    errors.iter().map(|error| text(&error["pointer"])).collect()
}

#[tokio::test]
async fn v3_event_types_are_described_found_changed_and_restored() {
    let declared = "[[event_type]]\nname = \"call.failed\"\nsample = { json = '{\"reason\": null}' }\ndeprecated = true\n";
    let mut relay = Relay::start(declared).await;
    let made = make(&relay, bounce("off")).await;
    let id = text(&made["id"]).to_owned();
    assert!(id.starts_with("etp_"), "{made}");
    for name in [id.as_str(), "email.bounced"] {
        assert_eq!(relay.read(&format!("{PATH}/{name}")).await, made);
        let sample = relay.read(&format!("{PATH}/{name}/sample")).await;
        assert_eq!(sample, bounce("off")["sample"]);
    }
    let list = relay.read(PATH).await;
    let names: Vec<_> = list["data"].as_array().expect("a list").iter().collect();
    assert_eq!(names.len(), 2, "{list}");
    let file = names
        .iter()
        .find(|one| one["name"] == "call.failed")
        .expect("declared");
    assert_eq!(
        (&file["managed_by"], &file["deprecated"]),
        (&json!("file"), &json!(true))
    );
    assert_eq!(
        relay.read(&format!("{PATH}/call.failed/sample")).await,
        json!({"reason": null})
    );
    let found = relay.read(&format!("{PATH}?q=CAME+back")).await;
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{found}");

    let changed = relay
        .admin(
            Method::PATCH,
            &format!("{PATH}/{id}"),
            Some(json!({"group": "mail", "sample": null})),
        )
        .await;
    assert_eq!((changed.status, &changed.json()["group"]), (200, &json!("mail")));
    let none = relay
        .admin(Method::GET, &format!("{PATH}/{id}/sample"), None)
        .await;
    assert_eq!(none.status, 404, "{}", none.text());
    let deleted = relay
        .admin(Method::DELETE, &format!("{PATH}/email.bounced"), None)
        .await;
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    relay.stop().await;
    relay.start_again().await;
    let gone = relay.admin(Method::GET, &format!("{PATH}/{id}"), None).await;
    assert_eq!(gone.status, 404);
    let restored = relay
        .admin(Method::POST, &format!("{PATH}/{id}/restore"), None)
        .await;
    assert_eq!(
        (restored.status, &restored.json()["group"]),
        (200, &json!("mail"))
    );
    let fixed = relay
        .admin(Method::DELETE, &format!("{PATH}/call.failed"), None)
        .await;
    assert_eq!(
        (fixed.status, text(&fixed.problem()["code"])),
        (409, "declared_in_file")
    );
}

#[tokio::test]
async fn m3_an_event_type_that_makes_no_sense_is_refused_with_its_faults() {
    let relay = Relay::start("").await;
    for (keys, pointer) in [
        (json!({"schema": {}}), "/name"),
        (json!({"name": "a b"}), "/name"),
        (json!({"name": "a.*"}), "/name"),
        (json!({"name": "a", "validate": "reject"}), "/validate"),
        (json!({"name": "a", "validate": "of"}), "/validate"),
        (json!({"name": "a", "schema": {"type": 7}}), "/schema/type"),
        (
            json!({"name": "a", "schema": {"items": {"$ref": "https://example.com/s"}}}),
            "/schema/items/$ref",
        ),
        (json!({"name": "a", "schema": {"$ref": "#"}}), "/schema/$ref"),
        (
            json!({"name": "a", "schema": {"properties": {"n": {"type": "integer"}}}, "sample": {"n": "x"}}),
            "/sample/n",
        ),
        (json!({"name": "a", "sample": "x".repeat(70_000)}), "/sample"),
        (json!({"name": "a", "samples": {}}), "/samples"),
    ] {
        let answer = relay.admin(Method::POST, PATH, Some(keys.clone())).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status, pointers(&problem)),
            (422, vec![pointer]),
            "{keys}: {problem}"
        );
    }
    assert_eq!(relay.read(PATH).await["data"], json!([]));
}

#[tokio::test]
async fn u6_an_event_that_does_not_satisfy_its_type_is_refused() {
    let source =
        "[[source]]\nname = \"mail\"\nverify = { scheme = \"none\" }\nevent = { type = \"/kind\" }\n";
    let receiver = Receiver::start();
    let relay = Relay::start(&format!("{source}{}", receiver.endpoint("all", ""))).await;
    make(&relay, bounce("reject")).await;
    let bearer = format!("Bearer {ADMIN_KEY}");
    let post = async |content_type: &str, body: Value| {
        let headers = [("authorization", bearer.as_str()), ("content-type", content_type)];
        relay
            .send(Method::POST, "/v1/events", &headers, body.to_string())
            .await
    };
    let plain = json!({"type": "email.bounced", "data": {"bounce_type": "odd", "email": 7}});
    let answer = post("application/json", plain).await;
    let problem = answer.problem();
    assert_eq!(
        (answer.status, text(&problem["code"])),
        (422, "schema_mismatch"),
        "{problem}"
    );
    let mut found = pointers(&problem);
    found.sort_unstable();
    assert_eq!(found, ["/data/bounce_type", "/data/email"]);
    assert!(
        !problem.to_string().contains("odd"),
        "the value may be personal: {problem}"
    );

    let event = |id: &str, data: Value| json!({"specversion": "1.0", "id": id, "source": "s", "type": "email.bounced", "data": data});
    let batch = json!([event("1", json!({"bounce_type": "soft"})), event("2", json!({}))]);
    let answer = post("application/cloudevents-batch+json", batch).await;
    assert_eq!(
        (answer.status, pointers(&answer.problem())),
        (422, vec!["/1/data"])
    );

    let json = [("content-type", "application/json")];
    let bad = json!({"kind": "email.bounced", "bounce_type": "odd"}).to_string();
    let answer = relay.post_source("mail", &json, bad).await;
    assert_eq!(
        (answer.status, pointers(&answer.problem())),
        (422, vec!["/bounce_type"])
    );
    relay.logged("schema_mismatch").await;
    assert_eq!(
        relay.read("/v1/events").await["data"],
        json!([]),
        "all or nothing was taken"
    );

    let good = json!({"kind": "email.bounced", "bounce_type": "soft"}).to_string();
    accepted(&relay.post_source("mail", &json, good).await);
    accepted(
        &relay
            .post_source("mail", &json, json!({"kind": "email.opened"}).to_string())
            .await,
    );
    receiver.received(2).await;
}

#[tokio::test]
async fn u6_a_type_that_warns_takes_the_event_and_tells() {
    let relay = Relay::start("").await;
    make(&relay, bounce("warn")).await;
    let id = relay.event("email.bounced", json!({"bounce_type": "odd"})).await;
    let line = relay.logged("does not satisfy its schema").await;
    assert!(
        line.contains("email.bounced") && line.contains("/bounce_type"),
        "{line}"
    );
    let event = relay.read(&format!("/v1/events/{id}")).await;
    assert_eq!(event["schema_errors"][0]["pointer"], "/bounce_type", "{event}");
    let metrics = relay.admin(Method::GET, "/metrics", None).await.text();
    let counted = "relay_schema_mismatches_total{event_type=\"email.bounced\",taken=\"yes\"} 1";
    assert!(metrics.contains(counted), "{metrics}");

    let fine = relay.event("email.bounced", json!({"bounce_type": "hard"})).await;
    let fine = relay.read(&format!("/v1/events/{fine}")).await;
    assert_eq!(fine["schema_errors"], json!([]));
    let other = relay.event("email.opened", json!(1)).await;
    let other = relay.read(&format!("/v1/events/{other}")).await;
    assert_eq!(other.get("schema_errors"), None, "{other}");
}

#[tokio::test]
async fn w13_u8_the_sample_of_a_platform_is_sent_as_its_post_would_be() {
    let receiver = Receiver::start();
    let source = "[[source]]\nname = \"bot\"\npreset = \"vambe\"\nverify = { scheme = \"none\" }\n";
    let relay = Relay::start(&format!("{source}{}", receiver.endpoint("crm", ""))).await;
    let post = json!({
        "event": "message.received", "timestamp": "2026-01-31T15:00:00Z", "data": {"contact_id": "c-1"},
    });
    for keys in [
        json!({"name": "message.received", "sample": post}),
        json!({"name": "invoice.paid", "sample": {"amount": 12}}),
    ] {
        let made = relay.admin(Method::POST, "/v1/event-types", Some(keys)).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let headers = [("content-type", "application/json")];
    relay.post_source("bot", &headers, post.to_string()).await;
    let real = receiver.received(1).await.remove(0);
    let test = async |body: Value| {
        let tested = relay
            .admin(Method::POST, "/v1/endpoints/crm/test", Some(body))
            .await;
        let event = tested.json()["event"].as_str().unwrap_or_default().to_owned();
        relay.read(&format!("/v1/events/{event}")).await
    };
    let event = test(json!({"type": "message.received"})).await;
    let sent = receiver.received(2).await.remove(1);
    assert_eq!(sent.json(), real.json());
    assert_eq!(
        (&event["source"], &event["subject"], &event["time"]),
        (&json!("bot"), &json!("c-1"), &json!("2026-01-31T15:00:00.000Z"))
    );
    // What no source would make of it, and what the caller made up, comes as from the API.
    test(json!({"type": "invoice.paid"})).await;
    test(json!({"type": "message.received", "data": post})).await;
    let sent = receiver.received(4).await;
    assert_eq!(sent[2].json()["data"], json!({"amount": 12}));
    assert_eq!(sent[3].json()["data"], post);
}

#[tokio::test]
async fn w13_u8_a_sample_is_pinned_from_an_event_and_sent_by_tests() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "enabled = false")).await;
    let schema = json!({"type": "object", "required": ["text"]});
    let keys =
        json!({"name": "message.received", "schema": schema, "sample": {"text": "made up", "old": true}});
    let made = relay.admin(Method::POST, "/v1/event-types", Some(keys)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let event = relay
        .event("message.received", json!({"text": "a real one"}))
        .await;
    let path = "/v1/event-types/message.received/sample";
    let pin = |event: &str| relay.admin(Method::POST, path, Some(json!({"event": event})));
    let pinned = pin(&event).await;
    assert_eq!(
        (pinned.status, &pinned.json()["sample"]),
        (200, &json!({"text": "a real one"})),
        "{}",
        pinned.text()
    );
    assert_eq!(relay.read(path).await, json!({"text": "a real one"}));
    let other = relay.event("other.thing", json!({"text": "x"})).await;
    let unfit = relay.event("message.received", json!({"no": "text"})).await;
    for (event, status) in [
        (other.as_str(), 422),
        (unfit.as_str(), 422),
        ("evt_0000000000000", 404),
    ] {
        assert_eq!(pin(event).await.status, status, "{event}");
    }
    let asked = json!({"type": "message.received"});
    let tested = relay
        .admin(Method::POST, "/v1/endpoints/crm/test", Some(asked))
        .await;
    assert_eq!(tested.status, 200, "{}", tested.text());
    let sent = receiver.received(1).await.remove(0).json();
    assert_eq!(sent["data"], json!({"text": "a real one"}));
}
