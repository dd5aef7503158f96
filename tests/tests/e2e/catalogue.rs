//! Plugins for services of others, on the whole path: what comes to the service is what it takes.

use http::Method;
use relay_tests::instance::{Relay, accepted};
use relay_tests::receiver::{Receiver, Reply};
use serde_json::{Value, json};

/// Makes an endpoint with one plugin.
async fn make(relay: &Relay, name: &str, url: &str, plugin: Value) {
    let keys = json!({"name": name, "url": url, "plugins": [plugin]});
    let answer = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

fn order() -> Value {
    json!({"id": 7, "total": 12.5, "customer": {"name": "Zoë", "email": "zoe@example.org"}, "visitor": "123.456"})
}

#[tokio::test]
async fn u11_c21_events_become_mail_and_no_value_adds_a_recipient() {
    let service = Receiver::start();
    let relay = Relay::start("").await;
    let config = json!({
        "service": "resend", "from": "Shop <shop@example.org>", "to": ["{{/customer/name}} <{{/customer/email}}>"],
        "subject": "Order {{/id}}", "html": "<p>{{/customer/name}}</p>",
    });
    let plugin =
        json!({"use": "notify-email", "config": config, "secrets": {"api-key": "re_k3y-of-the-shop"}});
    make(&relay, "mail", &service.url(), plugin).await;
    let event = relay.event("order.paid", order()).await;
    let sent = service.received(1).await.remove(0);
    let wanted = json!({
        "from": "\"Shop\" <shop@example.org>", "to": ["\"Zoë\" <zoe@example.org>"], "subject": "Order 7",
        "html": "<p>Zoë</p>",
    });
    assert_eq!(sent.json(), wanted);
    assert_eq!(sent.header("authorization"), "Bearer re_k3y-of-the-shop");
    let delivery = relay.delivery(&event, "succeeded").await;
    assert_eq!(sent.header("idempotency-key"), delivery["id"]);

    let mut forged = order();
    forged["customer"]["email"] = json!("zoe@example.org>, eve <eve@evil.example");
    let refused = relay.event("order.paid", forged).await;
    let failed = relay.delivery(&refused, "failed").await;
    let attempt = relay.attempts(&failed).await.remove(0).to_string();
    assert!(attempt.contains("/to/0 is no e-mail address"), "{attempt}");
    assert_eq!(service.requests().len(), 1);
    let shown = relay.read(&format!("/v1/events/{event}")).await.to_string() + &attempt + &relay.log();
    assert!(!shown.contains("re_k3y-of-the-shop") && !attempt.contains("evil"));
}

#[tokio::test]
async fn c21_an_incident_begins_and_ends_with_what_is_broken() {
    let service = Receiver::always(Reply::with_body(202, r#"{"status":"success"}"#));
    let relay = Relay::start("").await;
    let config = json!({
        "summary": "{{/service}} is {{/state}}", "dedup_key": "{{/service}}",
        "actions": [{"of": "/state", "is": ["ok"], "then": "resolve"}],
        "severities": [{"of": "/state", "is": ["down"], "then": "critical"}],
    });
    let secrets = json!({"pagerduty-routing-key": "R0UT1NG-of-the-team"});
    make(
        &relay,
        "pager",
        &service.url(),
        json!({"use": "notify-pagerduty", "config": config, "secrets": secrets}),
    )
    .await;
    for state in ["down", "ok"] {
        let event = relay
            .event("check.changed", json!({"service": "api", "state": state}))
            .await;
        relay.delivery(&event, "succeeded").await;
    }
    let sent = service.received(2).await;
    let (begun, ended) = (sent[0].json(), sent[1].json());
    assert_eq!(begun["event_action"], "trigger");
    assert_eq!(
        (&begun["payload"]["summary"], &begun["payload"]["severity"]),
        (&json!("api is down"), &json!("critical"))
    );
    let wanted = json!({"routing_key": "R0UT1NG-of-the-team", "event_action": "resolve", "dedup_key": "api"});
    assert_eq!((&begun["dedup_key"], ended), (&json!("api"), wanted));
}

#[tokio::test]
async fn u11_records_are_upserted_and_events_tracked_without_anything_in_between() {
    let (crm, analytics) = (Receiver::start(), Receiver::start());
    let relay = Relay::start("").await;
    let config = json!({
        "shape": "hubspot", "key": {"name": "email", "value": "{{/customer/email}}"},
        "properties": {"firstname": "{{/customer/name}}", "last_total": "{{/total}}", "phone": "{{/customer/phone}}"},
    });
    make(
        &relay,
        "crm",
        &crm.url(),
        json!({"use": "upsert-crm", "config": config}),
    )
    .await;
    let config = json!({
        "service": "ga4", "name": "purchase", "client": "{{/visitor}}", "properties": {"value": "{{/total}}"},
    });
    make(
        &relay,
        "analytics",
        &analytics.url(),
        json!({"use": "track-event", "config": config}),
    )
    .await;
    relay.event("order.paid", order()).await;
    let properties = json!({"firstname": "Zoë", "last_total": "12.5"});
    assert_eq!(
        crm.received(1).await.remove(0).json(),
        json!({"inputs": [{"id": "zoe@example.org", "idProperty": "email", "properties": properties}]})
    );
    // A preset and a token are enough.
    let contacts = Receiver::start();
    let config = json!({"preset": "hubspot-contact", "person": "/customer"});
    let plugin = json!({"use": "upsert-crm", "config": config, "secrets": {"token": "t0ken-of-hubspot"}});
    make(&relay, "contacts", &contacts.url(), plugin).await;
    relay.event("order.paid", order()).await;
    let sent = contacts.received(1).await.remove(0);
    assert_eq!(sent.header("authorization"), "Bearer t0ken-of-hubspot");
    let properties = json!({"firstname": "Zoë"});
    assert_eq!(
        sent.json(),
        json!({"inputs": [{"id": "zoe@example.org", "idProperty": "email", "properties": properties}]})
    );

    let tracked = analytics.received(1).await.remove(0).json();
    assert_eq!(tracked["client_id"], "123.456");
    assert_eq!(
        tracked["events"],
        json!([{"name": "purchase", "params": {"value": 12.5}}])
    );
}

#[tokio::test]
async fn c23_events_without_attributes_become_cloudevents_that_a_broker_routes_by() {
    let broker = Receiver::start();
    let relay = Relay::start("").await;
    let config = json!({
        "type": "com.example.{{event.type}}.v1", "source": "/shops/north", "subject": "order/{{/id}}",
        "extensions": {"partitionkey": "{{/visitor}}"},
    });
    let keys = json!({
        "name": "broker", "url": broker.url(), "format": "cloudevents",
        "plugins": [{"use": "to-cloudevents", "config": config}],
    });
    let made = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    relay.event("order.paid", order()).await;
    let sent = broker.received(1).await.remove(0);
    assert!(
        sent.header("content-type")
            .starts_with("application/cloudevents+json")
    );
    let sent = sent.json();
    for (name, value) in [
        ("type", "com.example.order.paid.v1"),
        ("source", "/shops/north"),
        ("subject", "order/7"),
        ("partitionkey", "123.456"),
    ] {
        assert_eq!(sent[name], value, "{sent}");
    }
    assert_eq!(sent["data"], order());
}

#[tokio::test]
async fn w17_what_comes_twice_under_several_fields_goes_on_once_also_if_the_first_attempt_fails() {
    let receiver = Receiver::script([Reply::with_body(500, ""), Reply::with_body(200, "")]);
    let relay = Relay::start("").await;
    let keys = json!({
        "name": "once", "url": receiver.url(), "retry": {"schedule": ["50ms"], "jitter": 0},
        "plugins": [{"use": "dedupe", "config": {"key": ["/order", "event.type"]}, "grants": {"state": true}}],
    });
    let made = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let first = relay.event("order.paid", json!({"order": 7, "n": 1})).await;
    assert_eq!(relay.delivery(&first, "succeeded").await["attempts"], 2);
    let again = relay.event("order.paid", json!({"n": 2, "order": 7})).await;
    let dropped = relay.delivery(&again, "dropped").await;
    assert!(dropped.to_string().contains("a duplicate"), "{dropped}");
    let other = relay.event("order.sent", json!({"order": 7})).await;
    relay.delivery(&other, "succeeded").await;
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test]
async fn m8_xml_of_a_source_is_mapped_for_an_endpoint() {
    let receiver = Receiver::start();
    let config = receiver.endpoint(
        "shop",
        "plugins = [{ use = \"map-json\", config = { expression = \"{order: to_number(order.\\\"@id\\\"), skus: order.item[*].sku}\" } }]",
    );
    let source = "[[source]]\nname = \"soap\"\nverify = { scheme = \"none\" }\nplugins = [{ use = \"xml-to-json\", config = { arrays = [\"item\"] } }]\n";
    let relay = Relay::start(&format!("{source}{config}")).await;
    let xml = "<order id=\"7\"><item><sku>a-1</sku></item></order>";
    let answer = relay
        .post_source("soap", &[("content-type", "text/xml")], xml)
        .await;
    accepted(&answer);
    let sent = receiver.received(1).await.remove(0);
    assert_eq!(sent.text(), r#"{"order":7,"skus":["a-1"]}"#);
    let bomb = "<!DOCTYPE l [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><l>&b;</l>";
    let refused = relay
        .post_source("soap", &[("content-type", "text/xml")], bomb)
        .await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    // The operator reads why.
    relay.logged("DTD").await;
}
