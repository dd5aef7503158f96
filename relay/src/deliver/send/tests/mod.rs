//! Against real receivers on loopback, most of them misbehaving.

mod kit;
mod resolving;
mod tunnel;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::clock::ManualClock;
use crate::model::attempt::EXCERPT_BYTES_MAX;
use crate::model::time::Timestamp;
use kit::{Act, Receiver, TlsReceiver, answer};

const TIMEOUT: Duration = Duration::from_secs(10);
/// For receivers that never finish: short, since the test waits for it.
const SHORT: Duration = Duration::from_millis(150);

fn settings() -> SenderSettings {
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()], false, Vec::new());
    SenderSettings::new(
        guard,
        Arc::new(ManualClock::starting_at(Timestamp::from_millis(0))),
    )
}

fn sender() -> Sender {
    Sender::new(settings()).unwrap()
}

async fn send_within(sender: &Sender, url: &str, timeout: Duration) -> Outcome {
    let target = sender.target(&url.parse().unwrap()).unwrap();
    let headers = [super::super::header::check_header("x-test", "1").unwrap()];
    let body = Bytes::from_static(b"{\"a\":1}");
    sender
        .send(Outgoing {
            target: &target,
            method: &Method::POST,
            headers: &headers,
            body,
            answer_bytes_max: EXCERPT_BYTES_MAX,
            timeout,
        })
        .await
}

async fn send(sender: &Sender, url: &str) -> Outcome {
    send_within(sender, url, TIMEOUT).await
}

fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Responded { status, .. } => *status,
        other => panic!("no answer: {other:?}"),
    }
}

fn cause(outcome: &Outcome) -> Cause {
    match outcome {
        Outcome::Unreachable { cause, .. } => *cause,
        other => panic!("not unreachable: {other:?}"),
    }
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made_and_its_answer_is_told() {
    let receiver = Receiver::start(|_, _| {
        Act::Answer(b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 5\r\n\r\nlater".to_vec())
    })
    .await;
    let outcome = send(&sender(), &receiver.url("/hooks/a%20b?x=y&z=%25#fragment")).await;
    let expected = Outcome::Responded {
        status: 503,
        excerpt: "later".to_owned(),
        retry_after_ms: Some(7000),
        declined: false,
        by_mail: false,
    };
    assert_eq!(outcome, expected);
    let request = receiver.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.split("\r\n").collect();
    lines.sort_unstable();
    let host = format!("host: {}", receiver.address);
    assert_eq!(
        lines,
        [
            "POST /hooks/a%20b?x=y&z=%25 HTTP/1.1",
            "content-length: 7",
            &host,
            "x-test: 1"
        ]
    );
    assert_eq!(body, "{\"a\":1}");
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let bodies = ["", "ok", &"x".repeat(5000)].map(|body| answer(200, body));
    let receiver = Receiver::start(move |_, request| Act::Answer(bodies[request % 3].clone())).await;
    let sender = sender();
    for _ in 0..12 {
        assert_eq!(status(&send(&sender, &receiver.url("/")).await), 200);
    }
    assert_eq!((receiver.connections(), sender.idle_connections()), (1, 1));
}

#[tokio::test]
async fn chunked_answers_are_read_to_their_end() {
    let receiver = Receiver::start(|_, _| {
        Act::Answer(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n".to_vec(),
        )
    })
    .await;
    let sender = sender();
    for _ in 0..3 {
        let Outcome::Responded { excerpt, .. } = send(&sender, &receiver.url("/")).await else {
            panic!()
        };
        assert_eq!(excerpt, "abcde");
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_the_receiver_ends_is_not_used_again() {
    let receiver =
        Receiver::start(|_, _| Act::Answer(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec()))
            .await;
    let sender = sender();
    for _ in 0..3 {
        assert_eq!(status(&send(&sender, &receiver.url("/")).await), 204);
    }
    assert_eq!((receiver.connections(), sender.idle_connections()), (3, 0));
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let receiver = Receiver::start(|_, request| {
        if request == 0 {
            Act::AnswerAndClose(answer(200, "ok"))
        } else {
            Act::Answer(answer(200, "ok"))
        }
    })
    .await;
    let sender = sender();
    assert_eq!(status(&send(&sender, &receiver.url("/")).await), 200);
    receiver.closed(1).await;
    assert_eq!(status(&send(&sender, &receiver.url("/")).await), 200);
    assert_eq!((receiver.connections(), receiver.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_request_lost_in_a_closing_connection_is_sent_once_more() {
    for act in [|| Act::Close, || Act::Reset] {
        let receiver = Receiver::start(move |connection, request| match (connection, request) {
            (0, 1) => act(),
            _ => Act::Answer(answer(200, "ok")),
        })
        .await;
        let sender = sender();
        for _ in 0..2 {
            assert_eq!(status(&send(&sender, &receiver.url("/")).await), 200);
        }
        assert_eq!((receiver.connections(), receiver.requests().len()), (2, 3));
    }
}

#[tokio::test]
async fn a_request_whose_answer_began_is_not_sent_again() {
    let receiver = Receiver::start(|_, request| match request {
        1 => Act::AnswerAndClose(b"HTTP/1.1 200".to_vec()),
        _ => Act::Answer(answer(200, "ok")),
    })
    .await;
    let sender = sender();
    assert_eq!(status(&send(&sender, &receiver.url("/")).await), 200);
    assert_eq!(cause(&send(&sender, &receiver.url("/")).await), Cause::Reset);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_fresh_connection_that_ends_early_is_a_failure() {
    for (act, expected) in [
        (Act::Close, Cause::Reset),
        (Act::Reset, Cause::Reset),
        (
            Act::AnswerAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_vec()),
            Cause::Reset,
        ),
        (
            Act::AnswerAndClose(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
            Cause::Protocol,
        ),
        (
            Act::AnswerAndClose(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec()),
            Cause::Protocol,
        ),
        (
            Act::AnswerAndClose(b"HTTP/1.1 2000 OK\r\n\r\n".to_vec()),
            Cause::Protocol,
        ),
    ] {
        let shown = format!("{act:?}");
        let receiver = Receiver::start(move |_, _| act.clone()).await;
        assert_eq!(
            cause(&send(&sender(), &receiver.url("/")).await),
            expected,
            "{shown}"
        );
        assert_eq!(receiver.connections(), 1);
    }
}

#[tokio::test]
async fn nobody_is_waited_for_past_the_deadline() {
    let slow: [fn() -> Act; 3] = [
        || Act::Hang(Vec::new()),
        || Act::Hang(b"HTTP/1.1 200 OK\r\n".to_vec()),
        || Act::Hang(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_vec()),
    ];
    for act in slow {
        let receiver = Receiver::start(move |_, _| act()).await;
        let sender = sender();
        assert_eq!(
            cause(&send_within(&sender, &receiver.url("/"), SHORT).await),
            Cause::Timeout,
            "{:?}",
            act()
        );
        assert_eq!(sender.idle_connections(), 0);
    }
}

#[tokio::test]
async fn an_answer_without_end_counts_once_its_beginning_came() {
    for (head, part) in [
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "3\r\nabc\r\n",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "abc"),
        ("HTTP/1.1 200 OK\r\n\r\n", "abc"),
    ] {
        let act = Act::Endless {
            head: head.into(),
            part: part.into(),
        };
        let receiver = Receiver::start(move |_, _| act.clone()).await;
        let sender = sender();
        let Outcome::Responded {
            status: 200, excerpt, ..
        } = send(&sender, &receiver.url("/")).await
        else {
            panic!("{head}")
        };
        assert_eq!(excerpt.len(), EXCERPT_BYTES_MAX);
        assert_eq!(sender.idle_connections(), 0);
    }
}

#[tokio::test]
async fn a_head_without_end_is_too_large() {
    for (head, part) in [
        (
            "HTTP/1.1 200 OK\r\n",
            "x-a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nx-a: ",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        ("", "HTTP/1.1 102 Processing\r\n\r\n"),
    ] {
        let act = Act::Endless {
            head: head.into(),
            part: part.into(),
        };
        let receiver = Receiver::start(move |_, _| act.clone()).await;
        assert_eq!(cause(&send(&sender(), &receiver.url("/")).await), Cause::TooLarge);
    }
}

#[tokio::test]
async fn redirects_are_answers_and_not_followed() {
    let receiver = Receiver::start(|_, _| {
        Act::Answer(b"HTTP/1.1 307 Elsewhere\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_vec())
    })
    .await;
    assert_eq!(status(&send(&sender(), &receiver.url("/")).await), 307);
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn informational_answers_are_passed_over() {
    let early = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start(|_, _| Act::Answer(early.to_vec())).await;
    assert_eq!(status(&send(&sender(), &receiver.url("/")).await), 200);
}

#[tokio::test]
async fn an_answer_that_no_request_asked_for_ends_its_connection() {
    let twice = [answer(200, "one"), answer(500, "two")].concat();
    let receiver = Receiver::start(move |_, _| Act::Answer(twice.clone())).await;
    let sender = sender();
    for _ in 0..2 {
        let Outcome::Responded { excerpt, .. } = send(&sender, &receiver.url("/")).await else {
            panic!()
        };
        assert_eq!(excerpt, "one");
    }
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    let receiver = Receiver::start(|_, _| Act::Close).await;
    let url = receiver.url("/");
    receiver.stop().await;
    assert_eq!(cause(&send(&sender(), &url).await), Cause::Connect);
}

#[tokio::test]
async fn names_that_do_not_resolve_say_so() {
    assert_eq!(
        cause(&send(&sender(), "http://nowhere.invalid/").await),
        Cause::Dns
    );
}

#[tokio::test]
async fn what_a_name_stands_for_is_guarded() {
    let receiver = Receiver::start(|_, _| Act::Answer(answer(200, ""))).await;
    let port = receiver.address.port();
    let guard = Guard::new(Vec::new(), false, Vec::new());
    let guarded = Sender::new(SenderSettings { guard, ..settings() }).unwrap();
    let blocked = Outcome::Refused {
        reason: address::Blocked.to_string(),
    };
    assert_eq!(
        send(&guarded, &format!("http://localhost:{port}/")).await,
        blocked
    );
    assert!(guarded.target(&receiver.url("/").parse().unwrap()).is_err());
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_connection_back_into_the_relay_is_refused() {
    let receiver = Receiver::start(|_, _| Act::Answer(answer(200, ""))).await;
    let own = vec![(IpAddr::V4(Ipv4Addr::UNSPECIFIED), receiver.address.port()).into()];
    let guard = Guard::new(
        vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        false,
        own,
    );
    let sender = Sender::new(SenderSettings { guard, ..settings() }).unwrap();
    let outcome = send(&sender, &format!("http://localhost:{}/", receiver.address.port())).await;
    assert_eq!(outcome.class(), Some("blocked"));
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn many_requests_at_once_keep_no_more_connections_than_allowed() {
    let receiver = Receiver::start(|_, _| Act::Answer(answer(200, "ok"))).await;
    let sender = Sender::new(SenderSettings {
        idle_per_origin: 8,
        idle_total: 4,
        ..settings()
    })
    .unwrap();
    let url = receiver.url("/");
    let sends = (0..64).map(|_| send(&sender, &url));
    for outcome in futures_util::future::join_all(sends).await {
        assert_eq!(status(&outcome), 200);
    }
    assert!((1..=4).contains(&sender.idle_connections()));
}

#[tokio::test]
async fn sweeping_closes_connections_that_grew_old_or_were_closed() {
    let receiver = Receiver::start(|_, request| {
        if request == 0 {
            Act::Answer(answer(200, "ok"))
        } else {
            Act::AnswerAndClose(answer(200, "ok"))
        }
    })
    .await;
    let fresh = sender();
    assert_eq!(status(&send(&fresh, &receiver.url("/")).await), 200);
    fresh.sweep();
    assert_eq!(fresh.idle_connections(), 1);
    assert_eq!(status(&send(&fresh, &receiver.url("/")).await), 200);
    receiver.closed(1).await;
    fresh.sweep();
    assert_eq!(fresh.idle_connections(), 0);

    let short = Sender::new(SenderSettings {
        idle_timeout: Duration::ZERO,
        ..settings()
    })
    .unwrap();
    assert_eq!(status(&send(&short, &receiver.url("/")).await), 200);
    short.sweep();
    assert_eq!((short.idle_connections(), short.lock_origins().len()), (0, 0));
}

fn trusting(receiver: &TlsReceiver) -> Sender {
    Sender::new(SenderSettings {
        extra_roots: receiver.root_pem.clone().into_bytes(),
        ..settings()
    })
    .unwrap()
}

#[tokio::test]
async fn https_is_spoken_with_receivers_that_prove_their_name() {
    for protocol in ["h2", "http/1.1"] {
        let receiver = TlsReceiver::start("localhost", protocol).await;
        let sender = trusting(&receiver);
        for _ in 0..4 {
            let Outcome::Responded {
                status: 200, excerpt, ..
            } = send(&sender, &receiver.url("/a?b")).await
            else {
                panic!("{protocol}")
            };
            let version = if protocol == "h2" { "HTTP/2.0" } else { "HTTP/1.1" };
            assert_eq!(excerpt, format!("{version} POST /a?b x-test=1 {{\"a\":1}}"));
        }
        assert_eq!(receiver.connections(), 1, "{protocol}");
    }
}

#[tokio::test]
async fn http2_requests_share_one_connection() {
    let receiver = TlsReceiver::start("localhost", "h2").await;
    let sender = trusting(&receiver);
    let url = receiver.url("/");
    for outcome in futures_util::future::join_all((0..32).map(|_| send(&sender, &url))).await {
        assert_eq!(status(&outcome), 200);
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_certificate_that_does_not_prove_the_name_is_refused() {
    let receiver = TlsReceiver::start("elsewhere.example", "http/1.1").await;
    // The authority is trusted, but the name is another.
    assert_eq!(
        cause(&send(&trusting(&receiver), &receiver.url("/")).await),
        Cause::Tls
    );
    // The authority is not trusted.
    let receiver = TlsReceiver::start("localhost", "http/1.1").await;
    assert_eq!(cause(&send(&sender(), &receiver.url("/")).await), Cause::Tls);
    assert_eq!(receiver.requests(), 0);
}

#[tokio::test]
async fn plain_text_where_tls_is_expected_is_a_tls_failure() {
    let receiver = Receiver::start_speaking(b"220 smtp ready\r\n").await;
    let url = receiver.url("/").replace("http:", "https:");
    assert_eq!(cause(&send(&sender(), &url).await), Cause::Tls);
}

#[tokio::test]
async fn a_tls_handshake_that_stalls_ends_in_time() {
    let receiver = Receiver::start_speaking(b"").await;
    let url = receiver.url("/").replace("http:", "https:");
    let sender = Sender::new(SenderSettings {
        connect_timeout: SHORT,
        ..settings()
    })
    .unwrap();
    assert_eq!(cause(&send(&sender, &url).await), Cause::Timeout);
}

#[test]
fn certificates_that_cannot_be_read_are_refused_at_once() {
    for pem in [
        &b"not pem"[..],
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(
            Sender::new(SenderSettings {
                extra_roots: pem.to_vec(),
                ..settings()
            })
            .is_err()
        );
    }
}
