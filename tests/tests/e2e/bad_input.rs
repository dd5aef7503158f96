//! What strangers send: each gets an answer that says what was wrong, and costs nothing else.

use http::Method;
use relay_tests::client::exchange;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");

/// The problem that a body posted to `/v1/events` is refused with.
async fn refused(
    relay: &Relay,
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Value {
    let answer = relay.post_events(headers, body).await;
    assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
    answer.problem()
}

#[tokio::test]
async fn w11_a_malformed_event_is_refused_with_the_place_of_each_fault() {
    let relay = Relay::start("").await;
    let cases: [(&str, &[(&str, &str)]); 16] = [
        ("", &[("", "invalid_json")]),
        ("{", &[("", "invalid_json")]),
        ("{} {}", &[("", "invalid_json")]),
        ("[]", &[("", "wrong_type")]),
        ("\"a.b\"", &[("", "wrong_type")]),
        ("{}", &[("/type", "missing")]),
        (r#"{"type": null}"#, &[("/type", "missing")]),
        (r#"{"type": 5}"#, &[("/type", "wrong_type")]),
        (r#"{"type": ""}"#, &[("/type", "invalid_event_type")]),
        (r#"{"type": "a b"}"#, &[("/type", "invalid_event_type")]),
        (r#"{"type": "a.b", "tipe": 1}"#, &[("/tipe", "unknown_member")]),
        (r#"{"type": "a.b", "a/b~": 1}"#, &[("/a~1b~0", "unknown_member")]),
        (r#"{"type": "a.b", "type": "c"}"#, &[("/type", "duplicate")]),
        (r#"{"type": "a.b", "id": ""}"#, &[("/id", "empty")]),
        (
            r#"{"type": "a.b", "time": "yesterday"}"#,
            &[("/time", "invalid_time")],
        ),
        (
            r#"{"type": 1, "id": {}, "source": [], "subject": true, "time": 5}"#,
            &[
                ("/type", "wrong_type"),
                ("/id", "wrong_type"),
                ("/source", "wrong_type"),
                ("/subject", "wrong_type"),
                ("/time", "wrong_type"),
            ],
        ),
    ];
    for (body, faults) in cases {
        let problem = refused(&relay, 400, &[JSON], body).await;
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let mut found: Vec<(&str, &str)> = errors
            .iter()
            .map(|error| (text(&error["pointer"]), text(&error["code"])))
            .collect();
        let mut wanted = faults.to_vec();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{body}");
        assert!(
            errors.iter().all(|error| !text(&error["message"]).is_empty()),
            "{problem}"
        );
    }
    assert_eq!(
        relay.read("/v1/events").await["data"],
        json!([]),
        "nothing of it is stored"
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_and_nesting_without_end_are_refused() {
    let relay = Relay::start("").await;
    let problem = refused(
        &relay,
        400,
        &[JSON],
        &b"{\"type\": \"a.b\", \"data\": \"\xff\"}"[..],
    )
    .await;
    assert_eq!(problem["code"], "invalid_utf8");
    let deep = format!(
        r#"{{"type": "a.b", "data": {}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(refused(&relay, 400, &[JSON], deep).await["code"], "json_too_deep");
    let unclosed = format!(r#"{{"type": "a.b", "data": {}"#, "{\"a\":".repeat(100_000));
    assert_eq!(
        refused(&relay, 400, &[JSON], unclosed).await["code"],
        "json_too_deep"
    );
    let lone = r#"{"type": "a.b", "id": "\ud800"}"#;
    assert_eq!(refused(&relay, 400, &[JSON], lone).await["status"], 400);
    // Deep, but not too deep; and what looks deep within a string.
    let fine = format!(
        r#"{{"type": "a.b", "data": {}{}}}"#,
        "[".repeat(60),
        "]".repeat(60)
    );
    assert_eq!(relay.post_events(&[JSON], fine).await.status, 202);
    let string = json!({"type": "a.b", "data": "[".repeat(100_000)}).to_string();
    assert_eq!(relay.post_events(&[JSON], string).await.status, 202);
}

#[tokio::test]
async fn a_content_type_that_is_not_understood_is_refused() {
    let relay = Relay::start("").await;
    for content_type in [
        "text/plain",
        "application/xml",
        "application/json; charset=latin1",
        "application/cloudevents+avro",
        "application/cloudevents",
        "multipart/form-data",
        "nonsense",
    ] {
        let problem = refused(
            &relay,
            415,
            &[("content-type", content_type)],
            r#"{"type": "a.b"}"#,
        )
        .await;
        assert_eq!(problem["code"], "unsupported_media_type", "{content_type}");
    }
    for content_type in [
        "application/json",
        "application/json; charset=UTF-8",
        "APPLICATION/JSON",
    ] {
        let answer = relay
            .post_events(&[("content-type", content_type)], r#"{"type": "a.b"}"#)
            .await;
        assert_eq!(answer.status, 202, "{content_type}");
    }
}

#[tokio::test]
async fn malformed_cloudevents_are_refused_with_the_place_of_each_fault() {
    let relay = Relay::start("").await;
    let structured = [("content-type", "application/cloudevents+json")];
    for (body, pointer, code) in [
        (
            json!({"id": "1", "source": "s", "type": "a.b"}),
            "/specversion",
            "missing",
        ),
        (
            json!({"specversion": "0.3", "id": "1", "source": "s", "type": "a.b"}),
            "/specversion",
            "unknown_specversion",
        ),
        (
            json!({"specversion": "1.0", "source": "s", "type": "a.b"}),
            "/id",
            "missing",
        ),
        (
            json!({"specversion": "1.0", "id": "1", "source": "s", "type": "a.b", "Bad-Name": "x"}),
            "/Bad-Name",
            "invalid_attribute_name",
        ),
        (
            json!({"specversion": "1.0", "id": "1", "source": "s", "type": "a.b", "data_base64": "%"}),
            "/data_base64",
            "invalid_base64",
        ),
    ] {
        let problem = refused(&relay, 400, &structured, body.to_string()).await;
        assert_eq!(
            (
                text(&problem["errors"][0]["pointer"]),
                text(&problem["errors"][0]["code"])
            ),
            (pointer, code),
            "{body}"
        );
    }
    let problem = refused(
        &relay,
        400,
        &[("ce-specversion", "1.0"), ("ce-id", "1"), JSON],
        "{}",
    )
    .await;
    assert!(
        problem.to_string().contains("ce-type") && problem.to_string().contains("ce-source"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_batch_has_a_bound_and_may_be_empty() {
    let relay = Relay::start("").await;
    let batched = [("content-type", "application/cloudevents-batch+json")];
    let event = |n: usize| json!({"specversion": "1.0", "id": n.to_string(), "source": "s", "type": "a.b"});
    let list = |count: usize| Value::from((0..count).map(event).collect::<Vec<_>>()).to_string();
    assert_eq!(
        refused(&relay, 400, &batched, list(1001)).await["errors"][0]["code"],
        "too_many"
    );
    assert_eq!(
        refused(&relay, 400, &batched, "{}").await["errors"][0]["code"],
        "wrong_type"
    );
    let empty = relay.post_events(&batched, "[]").await;
    assert_eq!((empty.status, empty.json()), (202, json!({"data": []})));
    assert_eq!(relay.post_events(&batched, list(1000)).await.status, 202);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let relay =
        Setup::new("[[source]]\nname = \"door\"\nverify = { scheme = \"none\" }\nbody_limit = \"1KiB\"\n")
            .variable("RELAY_SERVER__BODY_LIMIT", "1KiB")
            .start()
            .await;
    let authorization = format!("authorization: Bearer {ADMIN_KEY}");
    for path in ["/v1/events", "/in/door"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: relay\r\n{authorization}\r\ncontent-type: application/json\r\n"
        );
        // Announced: refused without waiting for any of it.
        let announced = format!("{head}content-length: 1025\r\n\r\n");
        // Not announced: refused as soon as it is too much, though it never ends.
        let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
        let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}");
        for request in [announced, chunked] {
            let answer = exchange(relay.address(), request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
            assert!(
                answer.contains("application/problem+json") && answer.contains("\"code\":\"body_too_large\""),
                "{answer}"
            );
        }
    }
    let fits = format!(r#"{{"type": "a.b", "data": "{}"}}"#, "x".repeat(900));
    assert_eq!(relay.post_events(&[JSON], fits).await.status, 202);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let relay = Setup::new("[[source]]\nname = \"door\"\nverify = { scheme = \"none\" }\n")
        .variable("RELAY_SERVER__BODY_TIMEOUT", "1s")
        .start()
        .await;
    let request = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {ADMIN_KEY}\r\ncontent-length: 100\r\n\r\n{{\"type\""
        )
    };
    let (events, source) = (request("/v1/events"), request("/in/door"));
    let answers = tokio::join!(
        exchange(relay.address(), events.as_bytes()),
        exchange(relay.address(), source.as_bytes())
    );
    for answer in [answers.0, answers.1] {
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("\"code\":\"body_timeout\""), "{answer}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_or_never_ends_is_given_up() {
    let relay = Setup::new("")
        .variable("RELAY_SERVER__HEAD_TIMEOUT", "1s")
        .variable("RELAY_SERVER__HEAD_LIMIT", "8KiB")
        .start()
        .await;
    // What is left unread when the relay closes may cost the sender the answer.
    let is_refused = |answer: &str| answer.is_empty() || answer.starts_with("HTTP/1.1 431 ");
    let large = format!(
        "GET /healthz HTTP/1.1\r\nhost: relay\r\nx-large: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    let answer = exchange(relay.address(), large.as_bytes()).await;
    assert!(is_refused(&answer), "{answer}");
    let many = format!(
        "GET /healthz HTTP/1.1\r\nhost: relay\r\n{}\r\n",
        "x-many: 1\r\n".repeat(200)
    );
    let answer = exchange(relay.address(), many.as_bytes()).await;
    assert!(is_refused(&answer), "{answer}");
    let cut = exchange(relay.address(), b"GET /healthz HTTP/1.1\r\nhost: rel").await;
    assert!(cut.is_empty() || cut.starts_with("HTTP/1.1 408 "), "{cut}");
    let garbage = exchange(relay.address(), b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").await;
    assert!(
        garbage.is_empty() || garbage.starts_with("HTTP/1.1 400 "),
        "{garbage}"
    );
    assert_eq!(
        relay.send(Method::GET, "/healthz", &[], "").await.status,
        200,
        "and everyone else is answered"
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let relay = Relay::start("").await;
    let unknown = relay.post_source("nobody", &[], "{}").await;
    assert_eq!(
        (unknown.status, text(&unknown.problem()["code"])),
        (404, "unknown_source")
    );
    for (method, path) in [
        (Method::GET, "/v1/events/evt_00000000000g0"),
        (Method::GET, "/v1/events/nonsense"),
        (Method::GET, "/v1/events/evt_00000000000g0/payload"),
        (Method::GET, "/v1/deliveries/dlv_00000000000g1"),
        (Method::GET, "/v1/deliveries/evt_00000000000g0"),
        (Method::GET, "/v1/deliveries/dlv_00000000000g1/attempts"),
        (Method::POST, "/v1/deliveries/dlv_00000000000g1/retry"),
        (Method::GET, "/v1/endpoints/nobody/secret"),
        (Method::DELETE, "/v1/keys/nonsense"),
        (Method::GET, "/v1/nothing"),
        (Method::GET, "/"),
    ] {
        let answer = relay.admin(method.clone(), path, None).await;
        assert_eq!(
            (answer.status, text(&answer.problem()["code"])),
            (404, "not_found"),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_method_that_is_not_answered_is_said_so() {
    let relay = Relay::start("").await;
    for (method, path) in [
        (Method::DELETE, "/v1/events"),
        (Method::PUT, "/v1/deliveries"),
        (Method::POST, "/healthz"),
    ] {
        let answer = relay.admin(method.clone(), path, None).await;
        assert_eq!(
            (answer.status, text(&answer.problem()["code"])),
            (405, "method_not_allowed"),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn w10_w11_nobody_gets_in_without_a_key_in_force() {
    let relay = Relay::start("").await;
    let basic = "Basic cms6eA==".to_owned();
    for authorization in [
        None,
        Some("Bearer "),
        Some("Bearer rk_00000000000000000000000000000000"),
        Some(ADMIN_KEY),
        Some(basic.as_str()),
    ] {
        let headers: Vec<(&str, &str)> = authorization
            .map(|value| ("authorization", value))
            .into_iter()
            .collect();
        for (method, path) in [
            (Method::POST, "/v1/events"),
            (Method::GET, "/v1/events"),
            (Method::GET, "/v1/deliveries"),
            (Method::POST, "/v1/deliveries/dlv_00000000000g1/retry"),
            (Method::GET, "/v1/endpoints"),
            (Method::GET, "/v1/keys"),
        ] {
            let answer = relay.send(method.clone(), path, &headers, "").await;
            assert_eq!(
                (answer.status, text(&answer.problem()["code"])),
                (401, "unauthenticated"),
                "{method} {path} {authorization:?}"
            );
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(relay.send(Method::GET, path, &[], "").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_key_may_what_its_role_says_until_it_is_revoked() {
    let mut relay = Relay::start("").await;
    let routes = [
        (Method::POST, "/v1/events", r#"{"type": "a.b"}"#, 202),
        (Method::GET, "/v1/events", "", 200),
        (Method::GET, "/v1/endpoints/nobody/secret", "", 404),
        (Method::GET, "/v1/tenants", "", 200),
    ];
    for (role, may) in [
        ("admin", [true; 4]),
        ("manage", [true, true, true, false]),
        ("send", [true, false, false, false]),
        ("read", [false, true, false, false]),
    ] {
        let made = relay
            .admin(
                Method::POST,
                "/v1/keys",
                Some(json!({"name": role, "role": role})),
            )
            .await;
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        let bearer = format!("Bearer {}", text(&made["key"]));
        let headers = [("authorization", bearer.as_str()), JSON];
        for ((method, path, body, allowed), may) in routes.clone().into_iter().zip(may) {
            let answer = relay.send(method.clone(), path, &headers, body).await;
            assert_eq!(
                answer.status,
                if may { allowed } else { 403 },
                "{role}: {method} {path}: {}",
                answer.text()
            );
            if !may {
                assert_eq!(answer.problem()["code"], "forbidden");
            }
        }
        let revoked = relay
            .admin(Method::DELETE, &format!("/v1/keys/{}", text(&made["id"])), None)
            .await;
        assert_eq!(revoked.status, 204);
        assert_eq!(
            relay
                .send(Method::POST, "/v1/events", &headers, r#"{"type": "a.b"}"#)
                .await
                .status,
            401,
            "revoked"
        );
    }
    let kept = relay
        .admin(
            Method::POST,
            "/v1/keys",
            Some(json!({"name": "kept", "role": "send"})),
        )
        .await
        .json();
    let listed = relay.read("/v1/keys").await.to_string();
    assert!(
        listed.contains("kept") && !listed.contains(text(&kept["key"])),
        "a key is shown once"
    );
    relay.stop().await;
    relay.start_again().await;
    let bearer = format!("Bearer {}", text(&kept["key"]));
    let answer = relay
        .send(
            Method::POST,
            "/v1/events",
            &[("authorization", &bearer), JSON],
            r#"{"type": "a.b"}"#,
        )
        .await;
    assert_eq!(answer.status, 202, "a key outlives a restart");
}

#[tokio::test]
async fn parameters_and_bodies_of_the_api_are_checked() {
    let relay = Relay::start("").await;
    for path in [
        "/v1/events?limit=0",
        "/v1/events?limit=251",
        "/v1/events?limit=many",
        "/v1/events?cursor=nonsense",
        "/v1/events?cursor=-1",
        "/v1/events?since=yesterday",
        "/v1/events?source=nobody",
        "/v1/events?sauce=1",
        "/v1/deliveries?status=sent",
        "/v1/deliveries?endpoint=nobody",
        "/v1/deliveries?event=nonsense",
        "/v1/deliveries?until=1",
        "/v1/deliveries?unknown=1",
    ] {
        let answer = relay.admin(Method::GET, path, None).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        let problem = answer.problem();
        let (_, parameter) = path.split_once('?').unwrap_or_default();
        let name = parameter.split('=').next().unwrap_or_default();
        assert!(text(&problem["detail"]).contains(name), "{path}: {problem}");
    }
    for (method, path, body) in [
        (Method::POST, "/v1/keys", json!({"name": "x"})),
        (Method::POST, "/v1/keys", json!({"name": "", "role": "send"})),
        (Method::POST, "/v1/keys", json!({"name": "x", "role": "king"})),
        (
            Method::POST,
            "/v1/keys",
            json!({"name": "x", "role": "send", "more": 1}),
        ),
        (Method::PATCH, "/v1/endpoints/crm", json!([])),
    ] {
        let answer = relay.admin(method.clone(), path, Some(body.clone())).await;
        assert_eq!(answer.status, 400, "{method} {path} {body}: {}", answer.text());
        answer.problem();
    }
}

#[tokio::test]
async fn w11_a_body_of_another_shape_is_refused_with_its_place() {
    let relay = Relay::start("").await;
    let bearer = format!("Bearer {ADMIN_KEY}");
    let send = async |path: &str, content_type: Option<&str>, body: &str| {
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(content_type.map(|content_type| ("content-type", content_type)));
        relay.send(Method::POST, path, &headers, body.to_owned()).await
    };
    let json = Some("application/json");
    for (path, body, pointer, code) in [
        (
            "/v1/keys",
            r#"{"name": "x", "role": "send", "more": 1}"#,
            "/more",
            "unknown_member",
        ),
        ("/v1/keys", r#"{"name": "x"}"#, "/role", "missing"),
        ("/v1/keys", "", "/name", "missing"),
        ("/v1/keys", r#"{"name": "x", "role": "king"}"#, "/role", "invalid"),
        ("/v1/deliveries/retry", r#"{"ids": [1]}"#, "/ids/0", "wrong_type"),
        ("/v1/deliveries/retry", r#"{"status": 7}"#, "/status", "invalid"),
        (
            "/v1/definitions/plan",
            r#"{"endpoint": [1]}"#,
            "/endpoint/0",
            "wrong_type",
        ),
        ("/v1/endpoints", "[]", "", "wrong_type"),
        ("/v1/inspectors", "{", "", "invalid_json"),
    ] {
        let answer = send(path, json, body).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status, text(&problem["code"])),
            (400, "bad_body"),
            "{path} {body}"
        );
        let flaw = &problem["errors"][0];
        assert_eq!(
            (text(&flaw["pointer"]), text(&flaw["code"])),
            (pointer, code),
            "{problem}"
        );
        for word in ["expected", "struct", "field", "untagged"] {
            let is_rust = code != "invalid_json" && text(&problem["detail"]).contains(word);
            assert!(!is_rust, "{problem}");
        }
    }
    for path in [
        "/v1/keys",
        "/v1/endpoints",
        "/v1/inspectors",
        "/v1/deliveries/retry",
        "/v1/definitions/plan",
    ] {
        let answer = send(path, Some("application/x-www-form-urlencoded"), "{}").await;
        assert_eq!(
            (answer.status, text(&answer.problem()["code"])),
            (415, "unsupported_media_type"),
            "{path}"
        );
    }
    // What may be left out altogether, with the content type or without.
    for content_type in [json, None] {
        assert_eq!(send("/v1/inspectors", content_type, "").await.status, 201);
    }
    assert_eq!(
        send("/v1/inspectors", None, r#"{"name": "look"}"#).await.status,
        201
    );
}

#[tokio::test]
async fn a_path_that_is_no_text_is_a_problem_like_any_other() {
    let relay = Relay::start("").await;
    for path in [
        "/v1/events/%FF",
        "/v1/deliveries/%FF/attempts",
        "/v1/endpoints/%FF/secret",
        "/in/%FF",
    ] {
        let answer = relay.admin(Method::GET, path, None).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.text());
        answer.problem();
    }
}

#[tokio::test]
async fn an_idempotency_key_that_cannot_be_one_is_refused() {
    let relay = Relay::start("").await;
    let long = "k".repeat(256);
    for key in ["", long.as_str()] {
        let problem = refused(
            &relay,
            400,
            &[JSON, ("idempotency-key", key)],
            r#"{"type": "a.b"}"#,
        )
        .await;
        assert_eq!(problem["code"], "invalid_idempotency_key");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
