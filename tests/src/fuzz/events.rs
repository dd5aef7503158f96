//! The strict reader of `/v1/events`: what it takes is well-formed, what it refuses it refuses
//! with a problem that says where.

use relay::ingest::read_api;
use relay::model::event_type;
use relay::model::id::TenantId;

use super::{Post, Target, texts};

pub(super) const TARGET: Target = Target {
    name: "events",
    seeds: || {
        texts(&[
            "api\n/v1/events\ncontent-type: application/json\n\n{\"type\": \"a.b\", \"id\": \"1\", \"subject\": \"s\", \"time\": \"2026-01-02T03:04:05Z\", \"data\": {\"x\": [1, null]}}",
            "api\n/v1/events\ncontent-type: application/cloudevents+json\nidempotency-key: k\n\n{\"specversion\": \"1.0\", \"id\": \"1\", \"source\": \"s\", \"type\": \"a.b\", \"ext\": \"x\", \"data_base64\": \"AAEC\"}",
            "api\n/v1/events\ncontent-type: application/cloudevents-batch+json; charset=UTF-8\n\n[{\"specversion\": \"1.0\", \"id\": \"1\", \"source\": \"s\", \"type\": \"a.b\"}]",
            "api\n/v1/events\ncontent-type: text/plain\nce-specversion: 1.0\nce-id: 1\nce-source: %C3%BC\nce-type: a.b\nce-time: 2026-01-02T03:04:05+01:00\n\nany",
        ])
    },
    words: &[
        "\"type\": ",
        "\"id\": ",
        "\"data\": ",
        "\"data_base64\": ",
        "\"specversion\": \"1.0\"",
        "\"source\": ",
        "null",
        "{}",
        "[]",
        "\\ud800",
        "\\u0000",
        "ce-",
        "%00",
        "%zz",
        "content-type: ",
        "application/cloudevents",
        "+json",
        "charset=",
        "idempotency-key: ",
        "9999-12-31T23:59:60Z",
        "[[[[[[[[",
        "\"a\": {",
    ],
    run,
};

fn run(input: &[u8]) {
    let Some(post) = Post::read(input) else { return };
    match read_api(TenantId::DEFAULT, &post.headers, &post.body) {
        Ok(posts) => {
            assert!(posts.len() <= 1000);
            for post in posts {
                event_type::check(&post.envelope.kind).expect("an event has a type");
                assert!(!post.envelope.source.is_empty());
                assert!(post.envelope.id.is_none_or(|id| !id.is_empty()));
            }
        }
        Err(refusal) => {
            let problem = refusal.problem();
            assert!([400, 415].contains(&problem.status), "{problem:?}");
            let has_place = |pointer: &str| pointer.is_empty() || pointer.starts_with('/');
            assert!(
                problem.errors.iter().all(|flaw| has_place(&flaw.pointer)),
                "{problem:?}"
            );
            assert!(!refusal.to_string().is_empty());
        }
    }
}
