//! Floods of HTTP/2 that have brought servers down, and what its frames can hide.

use relay_tests::instance::Relay;
use relay_tests::wire::{END_HEADERS, END_STREAM, Kind, Wire, frame, frames, head};

use super::{DOOR, closed, impatient, is_well};

/// How many frames make a flood.
const MANY: u32 = 5_000;
/// The error of a GOAWAY to somebody who asks too much.
const ENHANCE_YOUR_CALM: u8 = 11;

fn get(path: &str) -> Vec<u8> {
    head(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "relay"),
    ])
}

fn post() -> Vec<u8> {
    head(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/in/door"),
        (":authority", "relay"),
    ])
}

/// The number of the nth stream that a client opens.
const fn stream(at: u32) -> u32 {
    2 * at + 1
}

/// Sends what it is given in one go and returns the error of the GOAWAY that ends it.
async fn ended(relay: &Relay, flood: &[u8]) -> u8 {
    let mut wire = Wire::open_http2(relay.address()).await;
    wire.write(flood).await;
    let answer = wire.rest().await;
    let goodbye = frames(&answer)
        .into_iter()
        .rev()
        .find(|(kind, _, _)| *kind == Kind::GoAway as u8);
    // A connection that was reset may have lost it.
    goodbye.map_or(ENHANCE_YOUR_CALM, |(_, _, payload)| payload[7])
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let relay = Relay::start(DOOR).await;
    let mut flood = Vec::new();
    for at in 0..MANY {
        flood.extend(frame(
            Kind::Headers,
            END_HEADERS | END_STREAM,
            stream(at),
            &get("/healthz"),
        ));
        flood.extend(frame(Kind::Reset, 0, stream(at), &8_u32.to_be_bytes()));
    }
    assert_eq!(ended(&relay, &flood).await, ENHANCE_YOUR_CALM);
    closed(&relay, "http2_abuse", 1).await;
    is_well(&relay).await;
}

#[tokio::test]
async fn streams_that_make_the_relay_reset_them_end_the_connection() {
    let relay = Relay::start(DOOR).await;
    let mut flood = Vec::new();
    for at in 0..MANY {
        flood.extend(frame(Kind::Headers, END_HEADERS, stream(at), &post()));
        // A window beyond its bound is an error of the stream (RFC 9113, section 6.9.1).
        let too_much = 0x7fff_ffff_u32.to_be_bytes();
        flood.extend(frame(Kind::WindowUpdate, 0, stream(at), &too_much));
    }
    assert_eq!(ended(&relay, &flood).await, ENHANCE_YOUR_CALM);
    closed(&relay, "http2_abuse", 1).await;
    is_well(&relay).await;
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let relay = Relay::start(DOOR).await;
    let mut flood = frame(Kind::Headers, 0, 1, &get("/healthz"));
    for _ in 0..MANY {
        flood.extend(frame(Kind::Continuation, 0, 1, &head(&[("x-more", "x")])));
    }
    ended(&relay, &flood).await;
    closed(&relay, "http2_abuse", 1).await;
    is_well(&relay).await;
}

#[tokio::test]
async fn a_body_of_empty_frames_ends_the_connection_or_is_given_up() {
    let relay = impatient().start().await;
    let mut wire = Wire::open_http2(relay.address()).await;
    wire.write(&frame(Kind::Headers, END_HEADERS, 1, &post())).await;
    let empty = frame(Kind::Data, 0, 1, &[]).repeat(1_000);
    for _ in 0..20 {
        wire.write(&empty).await;
    }
    // Either way, it is over soon.
    wire.rest().await;
    is_well(&relay).await;
}

#[tokio::test]
async fn who_is_silent_after_the_greeting_is_sent_away() {
    // Pings are as far apart as a head may take: one that is not answered must not end it first.
    let patient = impatient().variable("RELAY_SERVER__HEAD_TIMEOUT", "3s");
    let relay = patient.start().await;
    Wire::open_http2(relay.address()).await.rest().await;
    closed(&relay, "slow_head", 1).await;
    // One that was of use once is told goodbye, and not waited for, though it talks on.
    let mut wire = Wire::open_http2(relay.address()).await;
    let ask = frame(Kind::Headers, END_HEADERS | END_STREAM, 1, &get("/healthz"));
    wire.write(&ask).await;
    let answer = wire.rest().await;
    let is_goodbye = |frame: &(u8, u32, Vec<u8>)| frame.0 == Kind::GoAway as u8 && frame.2[4..8] == [0; 4];
    assert!(frames(&answer).iter().any(is_goodbye), "{:?}", frames(&answer));
    closed(&relay, "idle", 1).await;
}

#[tokio::test]
async fn a_head_keeps_the_rules_of_http1() {
    let relay = Relay::start(DOOR).await;
    let nobody = head(&[(":method", "GET"), (":scheme", "http"), (":path", "/healthz")]);
    let two = [get("/healthz"), head(&[("host", "other")])].concat();
    let many = [get("/healthz"), head(&[("x-many", "1")]).repeat(101)].concat();
    for (block, code) in [
        (nobody, "bad_host"),
        (two, "bad_host"),
        (get("/in/../healthz"), "bad_target"),
        (get("/in/%2e%2e/healthz"), "bad_target"),
        (many, "too_many_headers"),
    ] {
        let mut wire = Wire::open_http2(relay.address()).await;
        wire.write(&frame(Kind::Headers, END_HEADERS | END_STREAM, 1, &block))
            .await;
        let mut answer = Vec::new();
        let body = loop {
            answer.extend(wire.read().await);
            let body = frames(&answer)
                .into_iter()
                .find(|(kind, stream, _)| (*kind, *stream) == (Kind::Data as u8, 1));
            if let Some((_, _, body)) = body {
                break String::from_utf8_lossy(&body).into_owned();
            }
        };
        assert!(body.contains(&format!("\"code\":\"{code}\"")), "{code}: {body}");
    }
    is_well(&relay).await;
}
