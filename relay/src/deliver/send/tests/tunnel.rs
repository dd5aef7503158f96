//! Through a proxy.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use url::Host;

use super::kit::{Act, Receiver, TlsReceiver, answer};
use super::*;

/// A proxy that writes this, opens tunnels, and takes down the first line of each that was asked for.
async fn proxy(says: &'static str) -> (Proxy, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let line = head.lines().next().unwrap().to_owned();
                let target = line.split(' ').nth(1).unwrap().to_owned();
                log.lock().unwrap().push(line);
                let mut beyond = TcpStream::connect(target).await.unwrap();
                stream.write_all(says.as_bytes()).await.unwrap();
                copy_bidirectional(&mut stream, &mut beyond).await.ok();
            });
        }
    });
    let proxy = Proxy {
        host: Host::Domain("localhost".to_owned()),
        port,
        authorization: None,
    };
    (proxy, asked)
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_through_a_tunnel() {
    for protocol in ["h2", "http/1.1"] {
        let receiver = TlsReceiver::start("localhost", protocol).await;
        let (proxy, asked) = proxy("HTTP/1.1 200 ok\r\nx-via: 1\r\n\r\n").await;
        let sender = Sender::new(SenderSettings {
            extra_roots: receiver.root_pem.clone().into_bytes(),
            proxy: Some(proxy),
            ..settings()
        });
        let sender = sender.unwrap();
        for _ in 0..3 {
            assert_eq!(
                status(&send(&sender, &receiver.url("/")).await),
                200,
                "{protocol}"
            );
        }
        let port = receiver.url("").rsplit(':').next().unwrap().to_owned();
        let asked = asked.lock().unwrap().clone();
        assert_eq!(
            asked,
            [format!("CONNECT 127.0.0.1:{port} HTTP/1.1")],
            "{protocol}"
        );
    }
}

#[tokio::test]
async fn another_proxy_is_used_for_the_next_request_and_kept_connections_for_none() {
    let receiver = Receiver::start(|_, _| Act::Answer(answer(200, "ok"))).await;
    let sender = sender();
    let mut tunnels = Vec::new();
    for _ in 0..2 {
        let (proxy, asked) = proxy("HTTP/1.1 103 wait\r\n\r\nHTTP/1.1 200 ok\r\n\r\n").await;
        assert_eq!(status(&send(&sender, &receiver.url("/")).await), 200);
        sender.set_proxy(Some(proxy));
        assert_eq!(sender.idle_connections(), 0);
        assert_eq!(status(&send(&sender, &receiver.url("/")).await), 200);
        tunnels.push(asked);
    }
    let counts: Vec<_> = tunnels.iter().map(|asked| asked.lock().unwrap().len()).collect();
    assert_eq!((counts, receiver.connections()), (vec![1, 1], 3));
}

#[tokio::test]
async fn what_is_no_answer_to_connect_opens_no_tunnel() {
    let receiver = Receiver::start(|_, _| Act::Answer(answer(200, "ok"))).await;
    for says in [
        "SSH-2.0-proxy\r\n\r\n",
        "HTTP/1.1 200 ok\r\n\r\nHTTP/1.1 200 smuggled\r\n\r\n",
    ] {
        let (proxy, _) = proxy(says).await;
        let sender = sender();
        sender.set_proxy(Some(proxy));
        assert_eq!(
            cause(&send(&sender, &receiver.url("/")).await),
            Cause::Protocol,
            "{says}"
        );
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let sender = sender();
    sender.set_proxy(Some(Proxy {
        host: Host::Ipv4([127, 0, 0, 1].into()),
        port,
        authorization: None,
    }));
    let outcome = send(&sender, &receiver.url("/")).await;
    assert_eq!(cause(&outcome), Cause::Connect);
    assert!(outcome.summary().contains("the egress proxy: "), "{outcome:?}");
    assert!(receiver.requests().is_empty());
}
