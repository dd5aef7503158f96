//! The lenient reader of sources: whatever a genuine post says, it becomes an event whose parts
//! are in order, and none of its credentials is kept.

use std::sync::LazyLock;

use relay::config;
use relay::ingest::headers::{HEADERS_BYTES_MAX, HEADERS_MAX};
use relay::ingest::map::{CONTENT_TYPE_LEN_MAX, VALUE_LEN_MAX};
use relay::ingest::read_source;
use relay::model::event_type;
use relay::model::source::Source;

use super::{Nowhere, Post, Target, texts};

pub(super) const TARGET: Target = Target {
    name: "posts",
    seeds: || {
        texts(&[
            "mumble\n/in/a\ncontent-type: application/json\nx-request-id: 1\n\n{\"event\": \"message.received\", \"timestamp\": 1700000000, \"message\": {\"id\": \"m\"}, \"conversation\": {\"id\": 5}}",
            "mumara\n/in/a?event=x\nauthorization: Bearer secret\n\n{\"event\": \"Opened Twice\", \"message_id\": \"1\", \"timestamp\": \"1700000000000\", \"email\": \"a@b\"}",
            "own\n/in/a?kind=q\ncontent-type: application/x-www-form-urlencoded\nx-kind: h\n\nkind=f&id=%C3%BC&time=1.7e9",
            "own\n/in/a\ncontent-type: text/plain\ncookie: session=1\n\n\u{0}\u{1}",
        ])
    },
    words: &[
        "mumble",
        "mumara",
        "whatsable",
        "calls",
        "vambe",
        "own",
        "kind=",
        "\"event\": ",
        "\"timestamp\": ",
        "\"id\": ",
        "1e308",
        "-1e308",
        "253402300800000",
        "null",
        "{}",
        "[]",
        "\\ud800",
        "%",
        "&",
        "x-kind: ",
        "authorization: ",
        "x-api-key: ",
        "content-type: ",
        "a. b..c",
        "\u{fc}",
    ],
    run,
};

const OWN: &str = r#"
[[source]]
name = "own"
verify = { scheme = "none" }
[source.event]
type = ["header:x-kind", "query:kind", "form:kind", "/kind"]
id = ["/id", "form:id"]
time = ["/time", "form:time"]
subject = "body-sha256"
dedupe = [["/id", "form:id"]]
"#;

static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let presets = ["mumble", "mumara", "whatsable", "calls", "vambe"];
    let preset = |name| {
        format!("[[source]]\nname = \"{name}\"\npreset = \"{name}\"\nverify = {{ scheme = \"none\" }}\n")
    };
    let text = presets.map(preset).concat() + OWN;
    config::load(&text, &Nowhere)
        .expect("the sources are valid")
        .sources
        .into_iter()
        .map(|declared| declared.item)
        .collect()
});

fn run(input: &[u8]) {
    let Some(post) = Post::read(input) else { return };
    let Some(source) = SOURCES.iter().find(|source| source.name == post.door) else {
        return;
    };
    let read = read_source(source, &post.request());
    event_type::check(&read.envelope.kind).expect("an event has a type");
    for value in [&read.envelope.id, &read.envelope.subject].into_iter().flatten() {
        assert!(!value.is_empty() && value.len() <= VALUE_LEN_MAX, "{value}");
    }
    let content_type = read.envelope.content_type.as_deref().unwrap_or_default();
    assert!(content_type.len() <= CONTENT_TYPE_LEN_MAX, "{content_type}");
    assert_eq!(read.data, post.body, "the bytes are as they came");
    assert!(read.headers.len() <= HEADERS_MAX);
    assert!(read.headers.iter().map(|(name, _)| name.len()).sum::<usize>() <= HEADERS_BYTES_MAX);
    for (name, value) in &read.headers {
        let is_credential = ["authorization", "cookie", "token", "secret"]
            .iter()
            .any(|word| name.contains(word));
        assert!(!is_credential, "{name}: {value}");
    }
}
