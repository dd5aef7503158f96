//! What a relay does, as it does it.

use std::process::Stdio;

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::{Receiver, Reply, endpoint};
use relay_tests::wait::within;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// One who watches.
struct Watcher {
    lines: Lines<BufReader<OwnedReadHalf>>,
    _open: tokio::net::tcp::OwnedWriteHalf,
}

impl Watcher {
    /// Begins to watch; sees whatever comes from now on.
    async fn start(relay: &Relay, query: &str) -> Self {
        Self::start_with(ADMIN_KEY, relay, query).await
    }

    async fn start_with(key: &str, relay: &Relay, query: &str) -> Self {
        let stream = TcpStream::connect(relay.address())
            .await
            .expect("the relay listens");
        let (read, mut write) = stream.into_split();
        let request = format!(
            "GET /v1/stream{query} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\n\r\n",
            relay.address()
        );
        write
            .write_all(request.as_bytes())
            .await
            .expect("the relay reads");
        let mut watcher = Self {
            lines: BufReader::new(read).lines(),
            _open: write,
        };
        watcher.line_with(": watching").await;
        watcher
    }

    /// The next line that begins so.
    async fn line_with(&mut self, beginning: &str) -> String {
        let search = async {
            loop {
                let line = self.lines.next_line().await.expect("the stream goes on");
                let line = line.expect("the stream goes on");
                if line.starts_with(beginning) {
                    return line;
                }
            }
        };
        within(&format!("a line {beginning:?}"), search).await
    }

    /// The next thing that happens: its kind and what is told of it.
    async fn next(&mut self) -> (String, Value) {
        let kind = self.line_with("event: ").await;
        let data = self.line_with("data: ").await;
        let data: Value = serde_json::from_str(&data["data: ".len()..]).expect("it is JSON");
        let kind = kind["event: ".len()..].to_owned();
        assert_eq!(data["kind"], json!(kind));
        (kind, data)
    }

    /// Waits for the end of the stream.
    async fn end(mut self) {
        let end = async { while let Ok(Some(_)) = self.lines.next_line().await {} };
        within("the end of the stream", end).await;
    }
}

#[tokio::test]
async fn c21_events_and_attempts_are_seen_as_they_happen_and_the_stream_ends_with_the_relay() {
    let (good, bad) = (Receiver::start(), Receiver::always(Reply::Status(500)));
    let config = [
        good.endpoint("good", "event_types = [\"a.*\"]"),
        endpoint("bad", &bad.url(), "retry = { schedule = [\"1h\"], jitter = 0 }"),
    ];
    let mut relay = Relay::start(&config.join("\n")).await;
    let mut all = Watcher::start(&relay, "").await;
    let mut good_only = Watcher::start(&relay, "?endpoint=good&status=succeeded").await;
    let mut others = Watcher::start(&relay, "?type=x.*").await;
    let event = relay.event("a.b", json!(1)).await;
    let (kind, seen) = all.next().await;
    assert_eq!(
        (kind.as_str(), &seen["id"], &seen["type"]),
        ("event", &json!(event), &json!("a.b"))
    );
    assert_eq!(seen["endpoints"].as_array().map(Vec::len), Some(2));
    let mut attempts = [all.next().await.1, all.next().await.1];
    attempts.sort_by_key(|attempt| attempt["endpoint_name"].to_string());
    let [failed, taken] = &attempts;
    assert_eq!(
        (&failed["endpoint_name"], &failed["status"]),
        (&json!("bad"), &json!("pending"))
    );
    assert_eq!(failed["error_class"], "http_5xx");
    assert_eq!(
        (&taken["event"], &taken["status"]),
        (&json!(event), &json!("succeeded"))
    );
    assert_eq!(good_only.next().await.1["delivery"], taken["delivery"]);
    relay.event("x.y", json!(2)).await;
    assert_eq!(others.next().await.1["type"], "x.y");
    relay.terminate();
    all.end().await;
    relay.stopped().await;
}

#[tokio::test]
async fn w10_a_revoked_key_watches_no_longer() {
    let relay = Relay::start("").await;
    let made = json!({"name": "watcher", "role": "read"});
    let made = relay.admin(Method::POST, "/v1/keys", Some(made)).await.json();
    let key = made["key"].as_str().expect("a key");
    let mut watcher = Watcher::start_with(key, &relay, "").await;
    let path = format!("/v1/keys/{}", made["id"].as_str().expect("an id"));
    let revoked = relay.admin(Method::DELETE, &path, None).await;
    assert_eq!(revoked.status, 204, "{}", revoked.text());
    let busy = async {
        loop {
            relay.event("a.b", json!(1)).await;
        }
    };
    // The answer is over with a chunk of no length; the connection may go on.
    tokio::select! {
        _ = watcher.line_with("0") => {}
        () = busy => {}
    }
}

#[tokio::test]
async fn c21_tail_prints_a_readable_line_of_each() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let url = format!("http://{}", relay.address());
    let mut tail = relay
        .setup()
        .process(&["tail", "--endpoint", "crm", "--status", "succeeded"])
        .env("RELAY_URL", url)
        .env("RELAY_KEY", ADMIN_KEY)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the relay can be run");
    let mut lines = BufReader::new(tail.stdout.take().expect("its output is piped")).lines();
    let first = async {
        // It begins to watch when it likes: whatever happens from then on is seen.
        loop {
            relay.event("a.b", json!(1)).await;
            let line = tokio::time::timeout(std::time::Duration::from_millis(100), lines.next_line());
            if let Ok(line) = line.await {
                return line.expect("it prints").expect("it goes on");
            }
        }
    };
    let line = within("a line", first).await;
    assert!(
        line.contains(" a.b → crm: succeeded (the receiver answered 200, attempt 1,"),
        "{line}"
    );
    tail.kill().await.expect("it can be killed");
}

#[tokio::test]
async fn c21_only_so_many_may_watch_and_only_with_a_key() {
    let relay = Relay::start("").await;
    assert_eq!(relay.send(Method::GET, "/v1/stream", &[], "").await.status, 401);
    for query in ["?endpoint=nobody", "?status=fine", "?type=a*"] {
        let answer = relay
            .admin(Method::GET, &format!("/v1/stream{query}"), None)
            .await;
        assert!((400..500).contains(&answer.status), "{query}: {}", answer.text());
    }
    let mut watchers = Vec::new();
    for _ in 0..64 {
        watchers.push(Watcher::start(&relay, "").await);
    }
    let answer = relay.admin(Method::GET, "/v1/stream", None).await;
    assert_eq!(
        (answer.status, &answer.problem()["code"]),
        (503, &json!("too_many_watchers"))
    );
}
