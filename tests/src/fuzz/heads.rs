//! Heads of requests: a path that passes is the path that any other reader makes of it, and a
//! host that passes is one.

use http::Request;
use relay::http::head::{Limits, check};
use url::Url;

use super::{Target, headers, split, texts};

pub(super) const TARGET: Target = Target {
    name: "heads",
    seeds: || {
        texts(&[
            "/in/door?x=1\nhost: relay.example.com:8080\ncontent-type: a/b",
            "/v1/events/evt_1/payload\nhost: [::1]:80\ntransfer-encoding: chunked",
            "/in/%41%20b/..c/.d\nhost: 127.0.0.1",
            "http://relay/a\nhost: relay",
        ])
    },
    words: &[
        "/..",
        "/.",
        "%2e",
        "%2F",
        "%5c",
        "%00",
        "%",
        "//",
        "?",
        "#",
        "\\",
        ";",
        "host: ",
        "transfer-encoding: chunked",
        ", chunked",
        "@",
        ":80",
        "[::1]",
        "http://",
        "*",
    ],
    run,
};

const LIMITS: Limits = Limits {
    uri_bytes_max: 8 << 10,
    headers_max: 100,
};

fn run(input: &[u8]) {
    let (target, head) = split(input, b"\n");
    let Ok(mut request) = Request::builder().uri(target).body(()) else {
        return;
    };
    *request.headers_mut() = headers(head);
    if check(&request, LIMITS).is_err() {
        return;
    }
    let path = request.uri().path();
    let host = request.headers().get("host").and_then(|host| host.to_str().ok());
    let url = Url::parse(&format!("http://{}{path}", host.unwrap_or("relay")));
    // A name that is none for everybody is refused by whoever resolves it.
    let Ok(url) = url else { return };
    assert_eq!(url.path().split('/').count(), path.split('/').count(), "{path}");
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    let segments = decoded.split(|byte| *byte == b'/');
    assert_eq!(segments.clone().count(), path.split('/').count(), "{path}");
    assert!(
        segments
            .into_iter()
            .all(|segment| segment != b"." && segment != b".."),
        "{path}"
    );
    assert!(url.username().is_empty() && url.password().is_none(), "{host:?}");
    assert!(request.headers().get_all("transfer-encoding").iter().count() <= 1);
}
