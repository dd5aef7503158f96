//! Requests of HTTP/1 that are malformed, ambiguous or too much.

use relay_tests::client::exchange;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::wire::Wire;

use super::{DOOR, closed, counted, events, impatient, is_well};

/// What stands behind each request on its connection: were it ever read as a request, there
/// would be an event.
const SMUGGLED: &str = "POST /in/door HTTP/1.1\r\nhost: relay\r\ncontent-length: 2\r\n\r\n{}";

/// The answer to a request, which has to be the only one.
async fn only_answer(relay: &Relay, request: &str) -> String {
    let answer = exchange(relay.address(), format!("{request}{SMUGGLED}").as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}:\n{answer}");
    answer
}

/// Whether a request is refused with that status and code, alone on its connection.
async fn refused(relay: &Relay, request: &str, status: u16, code: &str) {
    let answer = only_answer(relay, request).await;
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{request:?}:\n{answer}"
    );
    let is_named = answer.contains("content-type: application/problem+json")
        && answer.contains(&format!("\"code\":\"{code}\""));
    assert!(is_named, "{request:?}:\n{answer}");
}

fn post(target: &str, head: &str) -> String {
    format!("POST {target} HTTP/1.1\r\n{head}\r\n")
}

#[tokio::test]
async fn what_reads_in_two_ways_is_refused_and_ends_the_connection() {
    let relay = Relay::start(DOOR).await;
    let host = "host: relay\r\n";
    let long = format!("/in/door?{}", "x".repeat(8 << 10));
    let chunks = "2\r\n{}\r\n0\r\n\r\n";
    let cases = [
        (post("/in/door", "content-length: 0\r\n"), 400, "bad_host"),
        (post("/in/door", "host: a\r\nhost: a\r\n"), 400, "bad_host"),
        (post("/in/door", "host:\r\n"), 400, "bad_host"),
        (post("/in/door", "host: a b\r\n"), 400, "bad_host"),
        (post("/in/door", "host: user@relay\r\n"), 400, "bad_host"),
        (post("/in/door", "host: relay:80:80\r\n"), 400, "bad_host"),
        (post("http://other/in/door", host), 400, "bad_host"),
        (
            post(
                "/in/door",
                &format!("{host}transfer-encoding: chunked, chunked\r\n"),
            ) + chunks,
            400,
            "bad_transfer_encoding",
        ),
        (
            post("/in/door", &format!("{host}transfer-encoding: gzip, chunked\r\n")) + chunks,
            400,
            "bad_transfer_encoding",
        ),
        (
            post(
                "/in/door",
                &format!("{host}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
            ) + chunks,
            400,
            "bad_transfer_encoding",
        ),
        (
            post(
                "/v1/events",
                &format!("{host}content-type: a/b\r\ncontent-type: c/d\r\n"),
            ),
            400,
            "repeated_header",
        ),
        (post("/in/../v1/events", host), 400, "bad_target"),
        (post("/in/./door", host), 400, "bad_target"),
        (post("/in/%2e%2E/door", host), 400, "bad_target"),
        (post("/in%2Fdoor", host), 400, "bad_target"),
        (post("/in%5cdoor", host), 400, "bad_target"),
        (post("/in/do%or", host), 400, "bad_target"),
        (post("/in/door%0", host), 400, "bad_target"),
        (post("/in/door%00", host), 400, "bad_target"),
        (
            "OPTIONS * HTTP/1.1\r\nhost: relay\r\n\r\n".to_owned(),
            400,
            "bad_target",
        ),
        (
            "CONNECT relay:80 HTTP/1.1\r\nhost: relay:80\r\n\r\n".to_owned(),
            400,
            "bad_target",
        ),
        (post(&long, host), 414, "uri_too_long"),
    ];
    for (request, status, code) in &cases {
        refused(&relay, request, *status, code).await;
    }
    assert_eq!(events(&relay).await, 0, "nothing was taken in");
    for (code, count) in [("bad_host", 7), ("bad_transfer_encoding", 3), ("bad_target", 10)] {
        let name = format!("relay_refused_total{{status=\"400\",code=\"{code}\"}}");
        assert_eq!(counted(&relay, &name).await, count, "{code}");
        let logged = relay.log().matches(&format!("code=\"{code}\"")).count();
        assert_eq!(logged as u64, count, "one line each: {code}");
    }
    is_well(&relay).await;
}

#[tokio::test]
async fn what_is_no_http_is_refused_by_the_parser() {
    let relay = Relay::start(DOOR).await;
    let host = "host: relay\r\n";
    let many = "x-many: 1\r\n".repeat(100);
    let malformed = [
        post("/in/door", &format!("{host}transfer-encoding: identity\r\n")),
        post("/in/door", &format!("{host}transfer-encoding: chunked, gzip\r\n")),
        post(
            "/in/door",
            &format!("{host}content-length: 2\r\ncontent-length: 3\r\n"),
        ),
        post("/in/door", &format!("{host}content-length: -1\r\n")),
        post("/in/door", &format!("{host}content-length: +2\r\n")),
        post("/in/door", &format!("{host}content-length: 0x2\r\n")),
        post(
            "/in/door",
            &format!("{host}content-length: 99999999999999999999\r\n"),
        ),
        post("/in/door", &format!("{host}content-length : 2\r\n")),
        post("/in/door", &format!("{host}x-folded: a\r\n b\r\n")),
        post("/in/door", &format!("{host}x-nul: a\0b\r\n")),
        post("/in/door", &format!("{host}\r: x\r\n")),
        "POST /in/door HTTP/1.0\r\nhost: relay\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "POST /in/door HTTP/9.9\r\nhost: relay\r\n\r\n".to_owned(),
        "POST  /in/door HTTP/1.1\r\nhost: relay\r\n\r\n".to_owned(),
        "P\0ST /in/door HTTP/1.1\r\nhost: relay\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".to_owned(),
        "GET /in/door\r\n\r\n".to_owned(),
    ];
    for request in &malformed {
        let answer = only_answer(&relay, request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}:\n{answer}");
    }
    closed(&relay, "head_malformed", malformed.len() as u64).await;
    let answer = only_answer(&relay, &post("/in/door", &format!("{host}{many}"))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    closed(&relay, "head_too_large", 1).await;
    is_well(&relay).await;
}

/// RFC 9112, section 6.1: a request may be read by its coding alone, if the connection ends.
#[tokio::test]
async fn a_length_beside_a_coding_counts_for_nothing_and_ends_the_connection() {
    let relay = Relay::start(DOOR).await;
    for (at, fields) in [
        "content-length: 100\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 2\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let request = post("/in/door", &format!("host: relay\r\n{fields}")) + "2\r\n{}\r\n0\r\n\r\n";
        let answer = only_answer(&relay, &request).await;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        assert_eq!(events(&relay).await, at + 1);
    }
}

#[tokio::test]
async fn a_body_is_refused_before_it_comes_if_its_head_says_enough() {
    let relay = Relay::start(DOOR).await;
    let authorization = format!("authorization: Bearer {ADMIN_KEY}\r\n");
    for path in ["/in/door", "/v1/events", "/v1/keys"] {
        let head = format!("host: relay\r\n{authorization}content-type: application/json\r\n");
        // Nothing of the body is sent, nor asked for.
        let expecting = format!("{head}expect: 100-continue\r\ncontent-length: 1048577\r\n");
        refused(&relay, &post(path, &expecting), 413, "body_too_large").await;
        // All of it is sent, and the answer still arrives.
        let length = 5 << 20;
        let body = "x".repeat(length);
        let sent = post(path, &format!("{head}content-length: {length}\r\n")) + &body;
        refused(&relay, &sent, 413, "body_too_large").await;
    }
    for path in ["/in/door", "/v1/events"] {
        let head = format!("host: relay\r\n{authorization}content-encoding: gzip\r\ncontent-length: 2\r\n");
        let answer = exchange(
            relay.address(),
            post(path, &format!("{head}connection: close\r\n")).as_bytes(),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
        assert!(answer.contains("accept-encoding: identity"), "{answer}");
    }
    is_well(&relay).await;
}

#[tokio::test]
async fn who_sends_a_head_or_a_body_drop_by_drop_is_cut_off() {
    let relay = impatient().start().await;
    let head = "POST /in/door HTTP/1.1\r\nhost: relay\r\n";
    let drops = |begin: String| {
        let address = relay.address();
        async move {
            let mut wire = Wire::open(address).await;
            let mut pace = tokio::time::interval(std::time::Duration::from_millis(100));
            let mut goes_on = wire.write(begin.as_bytes()).await;
            while goes_on && wire.is_quiet() {
                pace.tick().await;
                goes_on = wire.write(b"x").await;
            }
            String::from_utf8_lossy(&wire.rest().await).into_owned()
        }
    };
    let of_head = drops(format!("{head}x-slow: "));
    let of_body = drops(format!("{head}content-length: 1000\r\n\r\n"));
    let silent = async { Wire::open(relay.address()).await.rest().await };
    let (of_head, _, silent) = tokio::join!(of_head, of_body, silent);
    assert_eq!(
        (of_head.as_str(), silent.as_slice()),
        ("", &b""[..]),
        "there was no request to answer"
    );
    closed(&relay, "slow_head", 2).await;
    let name = "relay_refused_total{status=\"408\",code=\"body_timeout\"}";
    assert_eq!(counted(&relay, name).await, 1);
    is_well(&relay).await;
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed() {
    let relay = impatient().start().await;
    let mut wire = Wire::open(relay.address()).await;
    for _ in 0..2 {
        wire.write(b"GET /healthz HTTP/1.1\r\nhost: relay\r\n\r\n").await;
        let answer = wire.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(wire.rest().await.is_empty());
    closed(&relay, "idle", 1).await;
}
