//! Configuration: what is wrong is said at once, with its place, before anything runs.

use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::{Closed, endpoint};
use relay_tests::wait::eventually;
use serde_json::json;

const EXIT_USAGE: i32 = 64;
const EXIT_CONFIG: i32 = 78;

#[tokio::test]
async fn every_fault_is_listed_at_once_with_place_and_remedy() {
    let config = r#"
        [server]
        lisen = "127.0.0.1:80"
        [store]
        retention = "a while"
        [[source]]
        name = "door"
        verify = { scheme = "githup" }
        [[endpoint]]
        name = "crm"
        url = "ftp://example.com"
        timeout = 5
        [[endpoint]]
        name = "crm"
        url = "https://example.com"
        sources = ["dor"]
        headers = { x-key = { env = "NOT_SET" } }
        rate_limit = "fast"
        event_types = ["a..b"]
        on_fault = "retri"
    "#;
    let setup = Setup::new(config);
    for command in ["check", "serve"] {
        let ended = setup.run(&[command]).await;
        assert_eq!(ended.code, Some(EXIT_CONFIG), "{ended:?}");
        for (place, words) in [
            ("server.lisen", "did you mean listen?"),
            ("store.retention", "not a span of time"),
            ("source[0].verify", "github"),
            ("endpoint[0].url", "ftp"),
            ("endpoint[0].timeout", "not a string"),
            ("endpoint[1].name", "already"),
            ("endpoint[1].headers.x-key", "NOT_SET"),
            ("endpoint[1].rate_limit", "50/s"),
            ("endpoint[1].event_types", "a..b"),
            ("endpoint[1].on_fault", "retry"),
        ] {
            let line = ended.stderr.lines().find(|line| line.contains(place));
            assert!(
                line.is_some_and(|line| line.contains(words)),
                "{command}: {place}: {words}\n{}",
                ended.stderr
            );
        }
    }
}

#[tokio::test]
async fn single_faults_are_refused() {
    let once = |more: &str| format!("[[endpoint]]\nname = \"crm\"\nurl = \"https://example.com/\"\n{more}\n");
    let door = |verify: &str| format!("[[source]]\nname = \"door\"\nverify = {{ {verify} }}\n");
    for (config, place) in [
        ("server = [".to_owned(), "line 1"),
        ("[serve]\n".to_owned(), "serve"),
        ("[store]\nurl = \"mysql://x\"\n".to_owned(), "store.url"),
        ("[store]\nurl = \"postgres://x\"\n".to_owned(), "store.url"),
        (
            "[queue]\nconcurrency_max = 0\n".to_owned(),
            "queue.concurrency_max",
        ),
        ("[log]\nformat = \"xml\"\n".to_owned(), "log.format"),
        (
            "[[endpoint]]\nurl = \"https://example.com/\"\n".to_owned(),
            "endpoint[0].name",
        ),
        ("[[endpoint]]\nname = \"crm\"\n".to_owned(), "endpoint[0].url"),
        (
            "[[endpoint]]\nname = \"a/b\"\nurl = \"https://example.com/\"\n".to_owned(),
            "endpoint[0].name",
        ),
        (endpoint("crm", "nonsense", ""), "endpoint[0].url"),
        (
            endpoint("crm", "https://user:pass@example.com/", ""),
            "endpoint[0].url",
        ),
        (once("secret = \"whsec_short\""), "endpoint[0].secret"),
        (once("secret = \"\""), "endpoint[0].secret"),
        (once("headers = { host = \"x\" }"), "endpoint[0].headers"),
        (once("headers = { webhook-id = \"x\" }"), "endpoint[0].headers"),
        (once("concurrency = 0"), "endpoint[0].concurrency"),
        (
            once("retry = { schedule = [\"soon\"] }"),
            "endpoint[0].retry.schedule",
        ),
        (once("retry = { jitter = 2.0 }"), "endpoint[0].retry.jitter"),
        (
            once("filter = { data = { n = [{ numeric = [\"!\", 1] }] } }"),
            "endpoint[0].filter",
        ),
        (once("plugins = [{ config = {} }]"), "endpoint[0].plugins[0].use"),
        (
            once("plugins = [{ use = \"x\", timeout = \"1h\" }]"),
            "endpoint[0].plugins[0].timeout",
        ),
        (once("format = \"xml\""), "endpoint[0].format"),
        (once("method = \"TRACE\""), "endpoint[0].method"),
        (door("scheme = \"github\""), "source[0].verify"),
        (door("scheme = \"github\", secret = \"\""), "source[0].verify"),
        (
            door("scheme = \"github\", secret = { env = \"NOT_SET\" }"),
            "NOT_SET",
        ),
        (
            door("scheme = \"github\", secret = { file = \"not-there\" }"),
            "not-there",
        ),
        (
            door("scheme = \"token\", in = \"cookie:x\", secret = \"s3cr3t-key\""),
            "source[0].verify.in",
        ),
        ("[[source]]\nname = \"door\"\n".to_owned(), "source[0].verify"),
        (
            door("scheme = \"none\"") + &door("scheme = \"none\""),
            "source[1].name",
        ),
        (
            "[[source]]\nname = \"door\"\npreset = \"mumbel\"\nverify = { scheme = \"none\" }\n".to_owned(),
            "source[0].preset",
        ),
    ] {
        let ended = Setup::new(&config)
            .without("RELAY_STORE__URL")
            .run(&["check"])
            .await;
        assert_eq!(ended.code, Some(EXIT_CONFIG), "{config}\n{ended:?}");
        assert!(
            ended.stderr.contains(place),
            "{config}\n{place} is not in: {}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "", "faults are no result");
    }
}

#[tokio::test]
async fn a_configuration_without_faults_is_counted() {
    let config = "[[source]]\nname = \"door\"\nverify = { scheme = \"none\" }\n".to_owned()
        + &endpoint("crm", "https://example.com/", "");
    let ended = Setup::new(&config).run(&["check"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("no faults"), "{ended:?}");
}

#[tokio::test]
async fn secrets_come_from_variables_and_files_and_are_never_shown() {
    let receiver = relay_tests::receiver::Receiver::start();
    let settings = "headers = { x-one = { env = \"ONE\" }, x-two = { file = \"two\" } }";
    let setup = Setup::new(&receiver.endpoint("crm", settings))
        .variable("ONE", "first-s3cr3t")
        .variable("RELAY_LOG__LEVEL", "debug");
    setup.file("two", "second-s3cr3t\n");
    let relay = setup.start().await;
    let event = relay.event("a.b", json!(1)).await;
    let request = receiver.received(1).await.remove(0);
    assert_eq!(
        (request.header("x-one"), request.header("x-two")),
        ("first-s3cr3t", "second-s3cr3t")
    );
    relay.delivery(&event, "succeeded").await;
    assert!(!relay.log().contains("s3cr3t"), "{}", relay.log());
}

#[tokio::test]
async fn variables_override_the_file() {
    let relay = Setup::new("[server]\nbody_limit = \"1MiB\"\n")
        .variable("RELAY_SERVER__BODY_LIMIT", "50B")
        .start()
        .await;
    let answer = relay
        .post_events(
            &[("content-type", "application/json")],
            format!(r#"{{"type": "a.b", "data": "{}"}}"#, "x".repeat(50)),
        )
        .await;
    assert_eq!(answer.status, 413);
    let ended = Setup::new("")
        .variable("RELAY_SERVER__BODY_LIMMIT", "50B")
        .run(&["check"])
        .await;
    assert_eq!(ended.code, Some(EXIT_CONFIG));
    assert!(ended.stderr.contains("did you mean body_limit?"), "{ended:?}");
}

#[tokio::test]
async fn a_port_in_use_is_said_so() {
    let taken = relay_tests::receiver::Receiver::start();
    let ended = Setup::new("")
        .variable("RELAY_SERVER__LISTEN", &taken.address().to_string())
        .run(&["serve"])
        .await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(&taken.address().to_string()) && ended.stderr.contains("port"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_said_so() {
    let setup = Setup::new("");
    let file = setup.file(
        "no-store.db",
        "this is no database, however long it may be. ".repeat(100),
    );
    let setup = setup.variable("RELAY_STORE__URL", &format!("sqlite:{}", file.display()));
    let ended = setup.run(&["serve"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no-store.db"), "{ended:?}");
}

#[tokio::test]
async fn a_command_used_wrongly_is_told_from_a_faulty_configuration() {
    let setup = Setup::new("");
    for arguments in [&["serv"][..], &["serve", "--confg", "x"], &[]] {
        assert_eq!(setup.run(arguments).await.code, Some(EXIT_USAGE), "{arguments:?}");
    }
    let missing = setup.run(&["check", "--config", "not-there.toml"]).await;
    assert!(
        missing.code != Some(0) && missing.stderr.contains("not-there.toml"),
        "{missing:?}"
    );
    for arguments in [&["--help"][..], &["serve", "--help"], &["--version"]] {
        let ended = setup.run(arguments).await;
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
        assert!(!ended.stdout.is_empty());
    }
}

#[tokio::test]
async fn an_endpoint_taken_out_of_the_file_keeps_what_waits_for_it() {
    let closed = Closed::new();
    let config = endpoint(
        "crm",
        &closed.url(),
        "retry = { schedule = [\"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"1h\"] }",
    );
    let mut relay = Relay::start(&config).await;
    let event = relay.event("a.b", json!(1)).await;
    relay
        .delivery_that(&event, "tried", |delivery| {
            delivery["attempts"].as_u64() > Some(0)
        })
        .await;
    relay.stop().await;
    relay.setup().file("relay.toml", "");
    relay.start_again().await;
    relay.delivery(&event, "pending").await;
    relay.stop().await;
    relay.setup().file("relay.toml", config);
    let receiver = closed.open(|_, _| relay_tests::receiver::Reply::Status(200));
    relay.start_again().await;
    relay.delivery(&event, "succeeded").await;
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn the_first_start_shows_an_admin_key_once() {
    let mut relay = Setup::new("").without("RELAY_SERVER__ADMIN_KEY").start().await;
    let key = eventually("a key to be shown", || async {
        let printed = relay.printed();
        let key = printed
            .split_whitespace()
            .find(|word| word.starts_with("rk_"))
            .map(str::to_owned);
        key.ok_or(printed)
    })
    .await;
    assert!(
        !relay.log().contains(&key),
        "only on standard output, never in the log"
    );
    let bearer = format!("Bearer {key}");
    let keys = relay
        .send(http::Method::GET, "/v1/keys", &[("authorization", &bearer)], "")
        .await;
    assert_eq!(keys.status, 200, "{}", keys.text());
    relay.stop().await;
    relay.start_again().await;
    assert_eq!(relay.printed(), "", "not a second time");
    let keys = relay
        .send(http::Method::GET, "/v1/keys", &[("authorization", &bearer)], "")
        .await;
    assert_eq!(keys.status, 200, "but it stays good");
}

#[tokio::test]
async fn log_lines_are_json_where_that_is_asked_for() {
    let relay = Setup::new("").variable("RELAY_LOG__FORMAT", "json").start().await;
    relay.post_source("nobody", &[], "{}").await;
    relay.logged("refused").await;
    for line in relay.log().lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
}
