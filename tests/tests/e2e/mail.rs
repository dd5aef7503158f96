//! Endpoints whose URL is `mailto:`: events and alerts reach people by the operator's mail server.

use http::Method;
use relay_tests::instance::{Relay, Setup};
use relay_tests::mail_server::{MailServer, Manner, Tls};
use relay_tests::receiver::tls::{Authority, Validity};
use relay_tests::receiver::{Receiver, Reply, endpoint};
use serde_json::{Value, json};

const OPS: &str = "mailto:ops@acme.example";

async fn attempts(relay: &Relay, event: &str, status: &str) -> Vec<Value> {
    let delivery = relay.delivery(event, status).await;
    relay.attempts(&delivery).await
}

#[tokio::test]
async fn c16_an_event_arrives_as_mail_that_people_can_read() {
    let server = MailServer::start().await;
    let url = "mailto:ops@acme.example,on-call@acme.example";
    let relay = Relay::start(&(server.section("") + &endpoint("ops", url, ""))).await;
    let data = json!({"order": 7, "customer": {"name": "Zo\u{eb}"}, "note": ".\r\nQUIT"});
    let event = relay.event("order.paid", data).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    let attempt = relay.attempts(&delivery).await.remove(0);
    assert_eq!(
        attempt["outcome"],
        json!({"kind": "responded", "status": 250, "excerpt": "2.0.0 it is on its way", "by_mail": true})
    );
    let mail = server.received(1).await.remove(0);
    assert_eq!(mail.from, "relay@relay.example");
    assert_eq!(mail.to, ["ops@acme.example", "on-call@acme.example"]);
    assert_eq!(mail.header("subject"), "order.paid");
    assert_eq!(mail.header("from"), "Relay <relay@relay.example>");
    let id = delivery["id"].as_str().expect("an id").replace("dlv_", "msg_");
    assert_eq!(mail.header("message-id"), format!("<{id}@relay.example>"));
    assert_eq!(mail.header("webhook-id"), id);
    assert_eq!(mail.header("content-type"), "text/plain; charset=utf-8");
    assert!(mail.body().contains("\"order\": 7"), "{}", mail.body());
    assert!(mail.body().contains(&event), "{}", mail.body());

    // A retry by hand is known again.
    let path = format!("/v1/deliveries/{}/retry", delivery["id"].as_str().expect("an id"));
    let retried = relay.admin(Method::POST, &path, None).await;
    assert!(retried.status < 300, "{}", retried.text());
    let mails = server.received(2).await;
    assert_eq!(mails[0].header("message-id"), mails[1].header("message-id"));
}

#[tokio::test]
async fn c16_mail_is_tried_again_after_4xx_and_never_after_5xx() {
    let server = Manner::default()
        .replies(&[
            "451 4.7.1 greylisted, come back",
            "250 2.0.0 ok",
            "554 5.7.1 spam",
        ])
        .unknown("gone@acme.example")
        .start()
        .await;
    let retry = "retry = { schedule = [\"10ms\", \"1h\"], jitter = 0 }\nevent_types = [\"a.b\"]";
    let config = server.section("")
        + &endpoint("ops", OPS, retry)
        + &endpoint(
            "gone",
            "mailto:ops@acme.example,gone@acme.example",
            "event_types = [\"x.y\"]",
        );
    let relay = Relay::start(&config).await;
    let event = relay.event("a.b", json!(1)).await;
    let made = attempts(&relay, &event, "succeeded").await;
    let seen: Vec<_> = made
        .iter()
        .map(|attempt| (&attempt["outcome"]["status"], &attempt["error_class"]))
        .collect();
    assert_eq!(
        seen,
        [(&json!(451), &json!("smtp_4xx")), (&json!(250), &Value::Null)]
    );
    assert_eq!(made[0]["outcome"]["excerpt"], "4.7.1 greylisted, come back");

    let event = relay.event("a.b", json!(2)).await;
    let made = attempts(&relay, &event, "failed").await;
    assert_eq!((made.len(), &made[0]["error_class"]), (1, &json!("smtp_5xx")));
    // All recipients, or none.
    let event = relay.event("x.y", json!(3)).await;
    let made = attempts(&relay, &event, "failed").await;
    assert_eq!(
        made[0]["outcome"]["excerpt"],
        "5.1.1 there is nobody of that name"
    );
    assert_eq!((made.len(), server.offered()), (1, 3));
    assert_eq!(server.received(1).await.len(), 1);
    let listed = relay.read("/v1/deliveries?error_class=smtp_5xx").await;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2), "{listed}");
}

#[tokio::test]
async fn c16_the_mail_server_is_spoken_to_behind_tls_and_with_a_password() {
    let authority = Authority::new();
    let certificate = authority.issue("127.0.0.1", Validity::Valid);
    let login = "user = \"relay\"\npassword = { env = \"SMTP_PASSWORD\" }";
    for tls in [Tls::StartTls, Tls::Implicit] {
        let server = Manner::default()
            .tls(tls, &certificate)
            .login("relay", "sm7p-s3cr3t")
            .start()
            .await;
        let config = format!(
            "[outbound]\nca_files = [\"ca.pem\"]\n{}{}",
            server.section(login),
            endpoint("ops", OPS, "")
        );
        let setup = Setup::new(&config).variable("SMTP_PASSWORD", "sm7p-s3cr3t");
        setup.file("ca.pem", authority.pem());
        let relay = setup.start().await;
        let event = relay.event("a.b", json!({"n": 1})).await;
        relay.delivery(&event, "succeeded").await;
        assert!(server.received(1).await[0].was_encrypted);

        let answer = relay
            .admin(Method::POST, "/v1/endpoints/ops/diagnose", None)
            .await;
        let diagnosis = answer.json();
        assert_eq!(diagnosis["ok"], true, "{diagnosis}");
        let steps = diagnosis["steps"].as_array().expect("steps").iter();
        let steps: Vec<_> = steps.map(|step| (&step["step"], &step["outcome"])).collect();
        let ok = json!("ok");
        assert_eq!(
            steps,
            [
                (&json!("url"), &ok),
                (&json!("connect"), &ok),
                (&json!("smtp"), &ok)
            ]
        );
        assert_eq!(server.offered(), 1, "no mail was sent to find out");
    }
}

#[tokio::test]
async fn c16_nothing_is_sent_to_a_mail_server_that_proves_nothing() {
    let authority = Authority::new();
    let good = authority.issue("127.0.0.1", Validity::Valid);
    let stranger = Authority::new().issue("127.0.0.1", Validity::Valid);
    let login = "user = \"relay\"\npassword = \"sm7p-s3cr3t\"";
    let start = Manner::default;
    for (manner, class, told) in [
        (start().tls(Tls::StartTls, &stranger), "tls", "certificate"),
        (
            start().tls(Tls::StartTls, &good).injecting("250 ok\r\n"),
            "protocol",
            "no answer of SMTP",
        ),
        (
            start().tls(Tls::Implicit, &good).login("relay", "another"),
            "blocked",
            "535 5.7.8",
        ),
    ] {
        let server = manner.start().await;
        let config = format!(
            "[outbound]\nca_files = [\"ca.pem\"]\n{}{}",
            server.section(login),
            endpoint("ops", OPS, "retry = { schedule = [] }")
        );
        let setup = Setup::new(&config);
        setup.file("ca.pem", authority.pem());
        let relay = setup.start().await;
        let event = relay.event("a.b", json!(1)).await;
        let attempt = attempts(&relay, &event, "failed").await.remove(0);
        assert_eq!(attempt["error_class"], class, "{attempt}");
        assert!(attempt["outcome"].to_string().contains(told), "{attempt}");
        assert_eq!(server.offered(), 0);
    }
}

#[tokio::test]
async fn c16_an_alert_that_fires_reaches_people_by_mail_once_and_so_does_its_end() {
    let (server, crm) = (
        MailServer::start().await,
        Receiver::script([Reply::Status(500), Reply::Status(500)]),
    );
    let alert = "[[alert]]\nname = \"crm-fails\"\nwhen = { consecutive_failures = 2 }\n";
    let config = [
        server.section(""),
        alert.to_owned(),
        crm.endpoint("crm", "event_types = [\"a.b\"]\nretry = { schedule = [] }"),
        endpoint("ops", OPS, "event_types = [\"relay.alert.*\"]"),
    ];
    let relay = Relay::start(&config.concat()).await;
    for number in 0..2 {
        let event = relay.event("a.b", json!(number)).await;
        relay.delivery(&event, "failed").await;
    }
    let mail = server.received(1).await.remove(0);
    assert_eq!(
        mail.header("subject"),
        "The alert crm-fails fires for the endpoint crm"
    );
    assert!(
        mail.body()
            .starts_with("The alert crm-fails fires for the endpoint crm.\r\n"),
        "{mail:?}"
    );
    for line in [
        "alert name: crm-fails",
        "endpoint name: crm",
        "condition: consecutive_failures",
    ] {
        assert!(
            mail.body().contains(&format!("\r\n{line}\r\n")),
            "{line}: {mail:?}"
        );
    }
    let event = relay.event("a.b", json!(3)).await;
    relay.delivery(&event, "succeeded").await;
    let mails = server.received(2).await;
    assert_eq!(mails.len(), 2, "it fires once");
    assert_eq!(
        mails[1].header("subject"),
        "The alert crm-fails is resolved for the endpoint crm"
    );
}

#[tokio::test]
async fn c16_a_plugin_writes_the_mail() {
    let server = MailServer::start().await;
    let plugin = r#"plugins = [{ use = "render-template", config = { body = "<p>{{ data.text }}</p>", content_type = "text/html", headers = { subject = "{{ data.text }}" } } }]"#;
    let relay = Relay::start(&(server.section("") + &endpoint("ops", OPS, plugin))).await;
    let event = relay.event("a.b", json!({"text": "Gr\u{fc}\u{df}e"})).await;
    relay.delivery(&event, "succeeded").await;
    let mail = server.received(1).await.remove(0);
    assert_eq!(mail.header("subject"), "=?utf-8?b?R3LDvMOfZQ==?=");
    assert_eq!(mail.header("content-type"), "text/html; charset=utf-8");
    assert!(mail.body().starts_with("<p>Gr"), "{mail:?}");

    let tested = relay
        .admin(
            Method::POST,
            "/v1/endpoints/ops/test",
            Some(json!({"type": "a.b", "data": {"text": "hi"}})),
        )
        .await
        .json();
    let request = &tested["requests"][0];
    assert_eq!(
        (&request["method"], &request["url"]),
        (&json!("MAIL"), &json!(OPS))
    );
    assert_eq!(request["headers"][0], json!(["subject", "hi"]));
    let forged = Some(json!({"type": "a.b", "forge": true}));
    let refused = relay.admin(Method::POST, "/v1/endpoints/ops/test", forged).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
}

#[tokio::test]
async fn c16_mail_goes_only_where_the_operator_allows_it() {
    let none = Relay::start("").await;
    let keys = |url: &str| Some(json!({"name": "ops", "url": url}));
    let refused = none.admin(Method::POST, "/v1/endpoints", keys(OPS)).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("[mail]"), "{}", refused.text());

    let server = MailServer::start().await;
    let relay = Relay::start(&server.section("")).await;
    for (url, told) in [
        ("mailto:ops@elsewhere.example", "mail.recipients"),
        (
            "mailto:ops@acme.example,x@elsewhere.example",
            "x@elsewhere.example",
        ),
        ("mailto:ops@acme.example?bcc=x@acme.example", "subject"),
        ("mailto:ops%0D%0ARCPT@acme.example", "no mail address"),
    ] {
        let refused = relay.admin(Method::POST, "/v1/endpoints", keys(url)).await;
        assert_eq!(refused.status, 422, "{url}");
        assert!(refused.text().contains(told), "{url}: {}", refused.text());
    }
    let signed = Some(json!({"name": "ops", "url": OPS, "signatures": ["v1"], "method": "PUT"}));
    let refused = relay.admin(Method::POST, "/v1/endpoints", signed).await;
    assert_eq!(refused.status, 422);
    let made = relay.admin(Method::POST, "/v1/endpoints", keys(OPS)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let lints = relay.read("/v1/lints").await;
    assert!(!lints.to_string().contains("signature_unchecked"), "{lints}");
}
