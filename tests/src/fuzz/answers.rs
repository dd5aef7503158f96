//! What receivers answer: whatever the head and the body say, little of it is kept, and the next
//! attempt comes neither before its time nor never.

use std::time::Duration;

use relay::deliver::decide::{Next, decide};
use relay::deliver::header::check_header;
use relay::deliver::outcome::responded;
use relay::model::attempt::{EXCERPT_BYTES_MAX, Outcome};
use relay::model::endpoint::RetryPolicy;
use relay::model::plugin::OnFault;

use super::{NOW, Target, headers, split, texts};

const SLOT: Duration = Duration::from_secs(300);

pub(super) const TARGET: Target = Target {
    name: "answers",
    seeds: || {
        texts(&[
            "500\nretry-after: 120\n\ntry later",
            "429\nretry-after: Wed, 15 Nov 2023 06:00:00 GMT\n\n",
            "503\nretry-after: 99999999999999999999\ncontent-type: text/html\n\n<html>",
            "302\nlocation: http://127.0.0.1/\nretry-after: -1\n\n\u{fc}\u{1F600}",
        ])
    },
    words: &[
        "retry-after: ",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "9999",
        "18446744073709551616",
        "\n\n",
        "transfer-encoding",
        "webhook-id",
        "\r\n",
    ],
    run,
};

fn run(input: &[u8]) {
    let (head, body) = split(input, b"\n\n");
    let (status, head) = split(head, b"\n");
    let status = std::str::from_utf8(status)
        .ok()
        .and_then(|text| text.parse().ok());
    let outcome = responded(status.unwrap_or(500), &headers(head), body, NOW);
    if let Outcome::Responded { excerpt, .. } = &outcome {
        assert!(excerpt.len() <= EXCERPT_BYTES_MAX, "{}", excerpt.len());
    }
    let policy = RetryPolicy {
        schedule: vec![SLOT],
        jitter: 0.2,
        max_age: None,
    };
    for jitter in [0.0, 0.5, 1.0] {
        if let Next::RetryAt(due) = decide(&policy, 1, &outcome, OnFault::Retry, None, NOW, jitter) {
            let wait = due.since(NOW);
            assert!(
                (SLOT.mul_f64(0.79)..=SLOT * 4).contains(&wait),
                "{wait:?}: {outcome:?}"
            );
        }
    }
    // As headers that a plugin sets.
    for line in head.split(|byte| *byte == b'\n') {
        let (name, value) = split(line, b": ");
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
            continue;
        };
        if let Ok((name, value)) = check_header(name, value) {
            assert!(!value.as_bytes().contains(&b'\r') && !name.as_str().starts_with("webhook-"));
            assert!(!["host", "content-length", "transfer-encoding"].contains(&name.as_str()));
        }
    }
}
