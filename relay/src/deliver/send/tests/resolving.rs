//! Names whose answers change, mix, fail or never come.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use super::*;

/// An address that may be reached, and one beside it that may not.
const OUTSIDE: &str = "127.0.0.2";
const INSIDE: &str = "127.0.0.1";

/// Answers by the number of the question.
struct Scripted {
    answer: Box<dyn Fn(usize) -> Vec<IpAddr> + Send + Sync>,
    asked: AtomicUsize,
    /// Questions that may be answered.
    leave: Semaphore,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Resolve for Scripted {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        self.leave.acquire().await.unwrap().forget();
        Ok((self.answer)(number))
    }
}

fn scripted(answer: impl Fn(usize) -> Vec<IpAddr> + Send + Sync + 'static) -> Arc<Scripted> {
    Arc::new(Scripted {
        answer: Box::new(answer),
        asked: AtomicUsize::new(0),
        leave: Semaphore::new(Semaphore::MAX_PERMITS),
    })
}

fn sender_asking(resolver: &Arc<Scripted>) -> Sender {
    let resolver = Arc::clone(resolver);
    let guard = Guard::new(vec![format!("{OUTSIDE}/32").parse().unwrap()], false, Vec::new());
    Sender::new(SenderSettings {
        guard,
        resolver,
        connect_timeout: Duration::from_secs(20),
        ..settings()
    })
    .unwrap()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Answers, and ends the connection, so that the next request asks for the name again.
fn once() -> Act {
    Act::AnswerAndClose(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec())
}

#[tokio::test]
async fn a_name_that_turns_inside_never_leads_there() {
    let inside = Receiver::start(|_, _| once()).await;
    let port = inside.address.port();
    let outside = Receiver::start_on(&format!("{OUTSIDE}:{port}"), |_, _| once()).await;
    // All that an attacker's name server may say beside a good answer, or instead of it.
    let turns: [&[&str]; 10] = [
        &[INSIDE],
        &[OUTSIDE, INSIDE],
        &[INSIDE, OUTSIDE],
        &["::ffff:127.0.0.1"],
        &[OUTSIDE, "::ffff:127.0.0.1"],
        &["::1"],
        &[OUTSIDE, "169.254.169.254"],
        &["0.0.0.0"],
        &["64:ff9b::7f00:1", OUTSIDE],
        &["::"],
    ];
    let mut many = vec![OUTSIDE; 100];
    many.push(INSIDE);
    let many = ips(&many);
    let turns = turns.map(ips);
    let resolver = scripted(move |number| match number {
        even if even % 2 == 0 => ips(&[OUTSIDE]),
        99 => many.clone(),
        odd => turns[(odd / 2) % turns.len()].clone(),
    });
    let sender = sender_asking(&resolver);
    for number in 0..100 {
        let outcome = send(&sender, &format!("http://turns.example:{port}/")).await;
        match number % 2 {
            0 => assert_eq!(status(&outcome), 200),
            _ => assert_eq!(outcome.class(), Some("blocked"), "{number} {outcome:?}"),
        }
    }
    assert_eq!(
        resolver.asked.load(Ordering::SeqCst),
        100,
        "asked once for each connection"
    );
    assert_eq!((inside.connections(), outside.connections()), (0, 50));
}

#[tokio::test]
async fn whatever_is_refused_is_refused_in_the_same_words() {
    let answers = [
        INSIDE,
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "fd00:ec2::254",
        "224.0.0.1",
    ]
    .map(|ip| ips(&[ip]));
    let count = answers.len();
    let resolver = scripted(move |number| answers[number].clone());
    let sender = sender_asking(&resolver);
    for _ in 0..count {
        let outcome = send(&sender, "http://turns.example/").await;
        let blocked = Outcome::Refused {
            reason: address::Blocked.to_string(),
        };
        assert_eq!(outcome, blocked);
    }
}

/// A place that takes no connection and refuses none: its backlog is full.
async fn swallowing(ip: &str) -> (Vec<TcpStream>, tokio::net::TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{ip}:0").parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        filling.push(stream.unwrap());
    }
    (filling, listener)
}

#[tokio::test]
async fn an_address_that_swallows_packets_costs_a_moment_only() {
    let (_filling, listener) = swallowing("127.0.0.3").await;
    let port = listener.local_addr().unwrap().port();
    let good = Receiver::start_on(&format!("127.0.0.4:{port}"), |_, _| {
        Act::Answer(answer(200, "ok"))
    })
    .await;
    // Nobody listens at the first; the second never answers; the last does.
    let resolver = scripted(|_| ips(&["127.0.0.5", "127.0.0.3", "127.0.0.4"]));
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()], false, Vec::new());
    let sender = Sender::new(SenderSettings {
        guard,
        resolver: resolver.clone(),
        connect_timeout: Duration::from_secs(60),
        ..settings()
    })
    .unwrap();
    let outcome = send_within(
        &sender,
        &format!("http://both.example:{port}/"),
        Duration::from_secs(15),
    )
    .await;
    assert_eq!((status(&outcome), good.connections()), (200, 1));
}

#[tokio::test]
async fn those_who_ask_for_one_name_at_a_time_share_one_lookup() {
    let receiver = Receiver::start_on(&format!("{OUTSIDE}:0"), |_, _| Act::Answer(answer(200, "ok"))).await;
    let resolver = scripted(|_| ips(&[OUTSIDE]));
    resolver.leave.forget_permits(Semaphore::MAX_PERMITS);
    let sender = sender_asking(&resolver);
    let url = format!("http://shared.example:{}/", receiver.address.port());
    // The first gives up waiting; its lookup goes on, and serves all who come after it.
    assert_eq!(cause(&send_within(&sender, &url, SHORT).await), Cause::Timeout);
    let sends = futures_util::future::join_all((0..32).map(|_| send(&sender, &url)));
    let answer = async {
        tokio::task::yield_now().await;
        resolver.leave.add_permits(1);
    };
    let (outcomes, ()) = tokio::join!(sends, answer);
    assert!(outcomes.iter().all(|outcome| status(outcome) == 200));
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_without_addresses_is_none() {
    let sender = sender_asking(&scripted(|_| Vec::new()));
    assert_eq!(cause(&send(&sender, "http://empty.example/").await), Cause::Dns);
}
