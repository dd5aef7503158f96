//! The listener speaks TLS: what it shows changes while it runs, and who may connect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use relay_tests::client::exchange;
use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::Receiver;
use relay_tests::receiver::tls::{Authority, Certificate, Validity};
use relay_tests::tls::TlsClient;
use relay_tests::wait::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const BOTH: [&str; 2] = ["h2", "http/1.1"];
const SECTION: &str = "[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";
const EVENT: &str = r#"{"type": "a.b", "data": 1}"#;

fn certificate(authority: &Authority) -> Certificate {
    authority.issue("localhost", Validity::Valid)
}

fn put(setup: &Setup, certificate: &Certificate) {
    // The key first: between the two files they do not go together.
    setup.file("key.pem", certificate.key_pem());
    setup.file("cert.pem", certificate.pem());
}

/// A relay with a certificate of `authority`, and this behind its `[server.tls]`.
async fn start(authority: &Authority, more: &str) -> Relay {
    let setup = Setup::new(&format!("{SECTION}{more}"));
    put(&setup, &certificate(authority));
    setup.start().await
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_over_tls() {
    let authority = Authority::new();
    let receiver = Receiver::start();
    let relay = start(&authority, &receiver.endpoint("crm", "")).await;
    for (protocols, is_http2) in [(&BOTH[..], true), (&BOTH[1..], false), (&[][..], false)] {
        let client = TlsClient::new(&authority, protocols, None);
        let mut connection = client.open(relay.address()).await.expect("a handshake");
        assert_eq!(connection.is_http2(), is_http2, "{protocols:?}");
        for _ in 0..2 {
            let answer = connection
                .call("POST", "/v1/events", EVENT)
                .await
                .expect("an answer");
            assert_eq!(answer.status, 202, "{answer:?}");
        }
    }
    receiver.received(6).await;
    let stranger = TlsClient::new(&Authority::new(), &BOTH, None);
    assert!(stranger.open(relay.address()).await.is_err(), "it trusts another");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_one_failed_request() {
    let authority = Authority::new();
    let relay = start(&authority, "").await;
    let address = relay.address();
    let client = TlsClient::new(&authority, &BOTH, None);
    let (is_over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load = |is_kept: bool| {
        let (client, is_over, count) = (client.clone(), Arc::clone(&is_over), Arc::clone(&count));
        tokio::spawn(async move {
            let mut connection = client.open(address).await.expect("a handshake");
            while !is_over.load(Ordering::Relaxed) {
                if !is_kept {
                    connection = client.open(address).await.expect("a handshake");
                }
                let answer = connection.call("POST", "/v1/events", EVENT).await;
                assert_eq!(answer.expect("an answer").status, 202);
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let running = [load(true), load(false)];
    for by_signal in [true, false, true] {
        let renewed = certificate(&authority);
        put(relay.setup(), &renewed);
        if by_signal {
            relay.hang_up();
        }
        let before = count.load(Ordering::Relaxed);
        eventually("the renewed certificate", || async {
            let shown = client.open(address).await.expect("a handshake").certificate;
            (shown == renewed.der()).then_some(()).ok_or("the old one")
        })
        .await;
        eventually("more requests", || async {
            let now = count.load(Ordering::Relaxed);
            (now > before + 10).then_some(()).ok_or(now)
        })
        .await;
    }
    is_over.store(true, Ordering::Relaxed);
    for task in running {
        task.await.expect("no request failed");
    }
}

/// The certificates are in a folder in which nothing happens, as they are on a server.
#[tokio::test]
async fn endpoints_change_and_a_stop_is_heeded_while_certificates_rest() {
    let authority = Authority::new();
    let (old, new) = (Receiver::start(), Receiver::start());
    let section = SECTION
        .replace("\"cert.pem", "\"tls/cert.pem")
        .replace("\"key.pem", "\"tls/key.pem");
    let setup = Setup::new(&format!("{section}{}", old.endpoint("old", "")));
    let shown = certificate(&authority);
    setup.file("tls/key.pem", shown.key_pem());
    setup.file("tls/cert.pem", shown.pem());
    let mut relay = setup.start().await;
    relay.reconfigure(&format!("{section}{}", new.endpoint("new", "")));
    relay.logged("configuration reloaded").await;
    let client = TlsClient::new(&authority, &BOTH, None);
    let mut connection = client.open(relay.address()).await.expect("a handshake");
    let answer = connection.call("POST", "/v1/events", EVENT).await;
    assert_eq!(answer.expect("an answer").status, 202);
    new.received(1).await;
    drop(connection);
    relay.stop().await;
}

#[tokio::test]
async fn a_broken_certificate_leaves_the_old_one_in_force() {
    let authority = Authority::new();
    let relay = start(&authority, "").await;
    let client = TlsClient::new(&authority, &BOTH, None);
    let first = client
        .open(relay.address())
        .await
        .expect("a handshake")
        .certificate;
    relay.setup().file("key.pem", certificate(&authority).key_pem());
    let line = relay.logged("the changed certificate cannot be used").await;
    assert!(
        line.contains("server.tls.key") && line.contains("is not the key of"),
        "{line}"
    );
    relay.hang_up();
    let line = relay.logged("the configuration cannot be used").await;
    assert!(line.contains("server.tls.key"), "{line}");
    let again = client.open(relay.address()).await.expect("a handshake");
    assert_eq!(again.certificate, first);
    let renewed = certificate(&authority);
    put(relay.setup(), &renewed);
    relay.logged("other certificates are in force").await;
    let told = relay
        .log()
        .matches("the changed certificate cannot be used")
        .count();
    assert_eq!(told, 1, "{}", relay.log());
}

#[tokio::test]
async fn an_expired_certificate_is_warned_of() {
    let authority = Authority::new();
    let setup = Setup::new(SECTION);
    put(&setup, &authority.issue("localhost", Validity::Expired));
    let relay = setup.start().await;
    relay.logged("the certificate has expired").await;
}

#[tokio::test]
async fn only_clients_with_a_certificate_are_let_in() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (known, unknown) = (certificate(&clients), certificate(&Authority::new()));
    for (mode, without) in [
        ("", false),
        ("client_auth = \"required\"\n", false),
        ("client_auth = \"optional\"\n", true),
    ] {
        let setup = Setup::new(&format!("{SECTION}client_ca = \"clients.pem\"\n{mode}"));
        setup.file("clients.pem", clients.pem());
        put(&setup, &certificate(&authority));
        let relay = setup.start().await;
        for (shown, is_let_in) in [(Some(&known), true), (Some(&unknown), false), (None, without)] {
            let client = TlsClient::new(&authority, &BOTH, shown);
            // In TLS 1.3 a client hears of its refusal only with the first answer.
            let answer = match client.open(relay.address()).await {
                Ok(mut connection) => connection.call("POST", "/v1/events", EVENT).await,
                Err(error) => Err(error),
            };
            let status = answer.as_ref().ok().map(|answer| answer.status);
            assert_eq!(status, is_let_in.then_some(202), "{mode:?} {answer:?}");
        }
    }
}

#[tokio::test]
async fn whom_to_ask_for_a_certificate_changes_while_it_runs() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let config = |mode: &str| format!("{SECTION}client_ca = \"clients.pem\"\nclient_auth = \"{mode}\"\n");
    let setup = Setup::new(&config("optional"));
    setup.file("clients.pem", clients.pem());
    put(&setup, &certificate(&authority));
    let relay = setup.start().await;
    let client = TlsClient::new(&authority, &BOTH, None);
    let is_let_in = async || match client.open(relay.address()).await {
        Ok(mut connection) => connection.call("POST", "/v1/events", EVENT).await.is_ok(),
        Err(_) => false,
    };
    assert!(is_let_in().await, "at first");
    for (mode, wanted) in [("required", false), ("optional", true)] {
        relay.reconfigure(&config(mode));
        eventually(mode, || async {
            let found = is_let_in().await;
            (found == wanted).then_some(()).ok_or(found)
        })
        .await;
    }
}

#[tokio::test]
async fn who_speaks_no_tls_is_turned_away_in_order() {
    let authority = Authority::new();
    let setup = Setup::new(SECTION).variable("RELAY_SERVER__HEAD_TIMEOUT", "1s");
    put(&setup, &certificate(&authority));
    let relay = setup.start().await;
    let request = format!("POST /v1/events HTTP/1.1\r\nhost: a\r\n\r\n{}", "x".repeat(8000));
    let mut stream = TcpStream::connect(relay.address())
        .await
        .expect("the relay listens");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it can be written");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .await
        .expect("it is closed in order, not reset");
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 2"));
    // Nothing at all, and half a handshake: closed when the time is over.
    for bytes in [&b""[..], b"\x16\x03\x01\x02"] {
        assert_eq!(exchange(relay.address(), bytes).await, "");
    }
    let client = TlsClient::new(&authority, &BOTH, None);
    let mut connection = client.open(relay.address()).await.expect("a handshake");
    let metrics = connection
        .call("GET", "/metrics", "")
        .await
        .expect("an answer")
        .text();
    for line in [
        r#"relay_tls_handshake_failures_total{reason="plaintext"} 1"#,
        r#"relay_tls_handshake_failures_total{reason="timeout"} 2"#,
        "relay_tls_handshakes_total 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    assert!(
        metrics.contains("relay_tls_certificate_expiry_timestamp_seconds "),
        "{metrics}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_the_files_is_said_with_its_place() {
    let authority = Authority::new();
    let good = certificate(&authority);
    let other = certificate(&authority);
    for (cert, key, more, told) in [
        (
            "",
            good.key_pem(),
            "",
            "server.tls.cert: cert.pem has no certificate that can be read",
        ),
        (
            &good.pem()[..],
            "no key".to_owned(),
            "",
            "server.tls.key: key.pem has no private key that can be read",
        ),
        (
            &good.pem(),
            other.key_pem(),
            "",
            "server.tls.key: key.pem is not the key of",
        ),
        (
            &good.pem(),
            good.key_pem(),
            "client_ca = \"none.pem\"",
            "server.tls.client_ca: none.pem cannot be read",
        ),
        (
            &good.pem(),
            good.key_pem(),
            "client_auth = \"required\"",
            "server.tls.client_auth: says nothing",
        ),
        (&good.pem(), good.key_pem(), "certs = 1", "did you mean cert?"),
    ] {
        let setup = Setup::new(&format!("{SECTION}{more}"));
        setup.file("cert.pem", cert);
        setup.file("key.pem", &key);
        for command in ["check", "serve"] {
            let ended = setup.run(&[command]).await;
            assert_eq!(ended.code, Some(78), "{ended:?}");
            assert!(ended.stderr.contains(told), "{told} in {}", ended.stderr);
            assert!(!ended.stderr.contains("PRIVATE"), "{}", ended.stderr);
        }
    }
}

/// A variable or a form that swallows line breaks does that to a key.
#[tokio::test]
async fn a_key_in_one_line_is_refused_without_being_quoted() {
    let authority = Authority::new();
    let good = certificate(&authority);
    let flat = good.key_pem().replace('\n', "");
    let body = good
        .key_pem()
        .lines()
        .nth(1)
        .expect("a line of base64")
        .to_owned();
    let bytes = |text: &str| format!("{:?}", text.as_bytes()).replace(['[', ']'], "");
    let check = |said: &str| {
        for quoted in [
            &body[..],
            &body[..16],
            &bytes(&body),
            &bytes("-----BEGIN"),
            "PRIVATE",
        ] {
            assert!(!said.contains(quoted), "{quoted} in {said}");
        }
    };
    // In its own file, and in that of the certificate.
    for (cert, key, told) in [
        (
            good.pem(),
            flat.clone(),
            "server.tls.key: key.pem has no private key",
        ),
        (
            format!("{}{flat}", good.pem()),
            good.key_pem(),
            "server.tls.cert: cert.pem has no certificate",
        ),
    ] {
        let setup = Setup::new(SECTION);
        setup.file("cert.pem", &cert);
        setup.file("key.pem", &key);
        for command in ["check", "serve"] {
            let ended = setup.run(&[command]).await;
            assert_eq!(ended.code, Some(78), "{ended:?}");
            assert!(ended.stderr.contains(told), "{}", ended.stderr);
            check(&ended.stderr);
        }
    }
    let relay = start(&authority, "").await;
    relay.setup().file("key.pem", &flat);
    relay.logged("the changed certificate cannot be used").await;
    relay.hang_up();
    relay.logged("the configuration cannot be used").await;
    check(&relay.log());
}
