//! The list: every way in which receivers are known to misbehave.

use super::serve::OWN_URL;
use super::{Act, Certified, End, Expected, Kind, Speech};

use Expected::{Class, Success};

/// A body of 4 KiB that a decoder would make 4 MiB of.
fn gzip_bomb() -> Vec<u8> {
    let head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x01\x01\x00\x00\x00\x82\x20\xff\xaf\x6e\x48\x40\x01";
    let tail = b"\x7c\x1b\x6a\x40\x47\x11\x00\x00\x40\x00";
    [&head[..], &[0; 4063], tail].concat()
}

fn speech(words: impl Into<Vec<u8>>, end: End) -> Speech {
    Speech {
        words: words.into(),
        end,
    }
}

fn kind(name: &'static str, act: Act, expected: Expected) -> Kind {
    Kind {
        name,
        act,
        expected,
        again: false,
    }
}

/// Reads the request, says this, and ends so.
fn says(name: &'static str, words: impl Into<Vec<u8>>, end: End, expected: Expected) -> Kind {
    kind(name, Act::Answer(speech(words, end)), expected)
}

/// An answer with this status line's rest, these header lines and this body.
fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Answers in a way that the next request has to survive as well.
fn twice(name: &'static str, words: impl Into<Vec<u8>>, expected: Expected) -> Kind {
    Kind {
        again: true,
        ..says(name, words, End::Next, expected)
    }
}

/// Every kind there is.
pub fn kinds() -> Vec<Kind> {
    [
        connections(),
        silence(),
        floods(),
        malformed(),
        lengths(),
        answers(),
        tls(),
    ]
    .concat()
}

/// What can go wrong with a connection.
fn connections() -> Vec<Kind> {
    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
    vec![
        kind("refuses", Act::Refuse, Class(&["connect"])),
        // On a machine whose name server does not answer, the deadline comes first.
        kind("no-name", Act::Nameless, Class(&["dns", "timeout"])),
        kind(
            "resets-at-once",
            Act::AtOnce(speech("", End::Reset)),
            Class(&["reset", "connect"]),
        ),
        kind(
            "closes-at-once",
            Act::AtOnce(speech("", End::Close)),
            Class(&["reset"]),
        ),
        kind(
            "half-closes",
            Act::AtOnce(speech("", End::HalfClose)),
            Class(&["reset"]),
        ),
        says("closes", "", End::Close, Class(&["reset"])),
        says("resets", "", End::Reset, Class(&["reset"])),
        says(
            "closes-in-head",
            "HTTP/1.1 200 OK\r\nx-a: b",
            End::Close,
            Class(&["reset"]),
        ),
        says("resets-after-head", begun, End::Reset, Class(&["reset"])),
        says(
            "closes-in-body",
            format!("{begun}begin"),
            End::Close,
            Class(&["reset"]),
        ),
        says(
            "resets-in-body",
            format!("{begun}begin"),
            End::Reset,
            Class(&["reset"]),
        ),
        // Whether the answer is seen before the reset of what was not read is a race.
        kind(
            "answers-unasked",
            Act::AtOnce(speech(answer("413 Too Large", "", b""), End::Silence)),
            Class(&["http_4xx", "reset", "protocol"]),
        ),
    ]
}

/// What takes too long.
fn silence() -> Vec<Kind> {
    let late = Class(&["timeout"]);
    vec![
        kind("does-not-read", Act::AtOnce(speech("", End::Silence)), late),
        says("never-answers", "", End::Silence, late),
        says("stops-in-head", "HTTP/1.1 200 OK\r\n", End::Silence, late),
        says(
            "stops-in-body",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
            End::Silence,
            late,
        ),
        says("drips-head", "HTTP/1.1 200 OK\r\nx-a: ", End::Drip(b"a"), late),
        says(
            "drips-lines",
            "HTTP/1.1 200 OK\r\n",
            End::Drip(b"x-a: b\r\n"),
            late,
        ),
        says(
            "drips-body",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n",
            End::Drip(b"x"),
            late,
        ),
        says(
            "drips-chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            End::Drip(b"1\r\nx\r\n"),
            late,
        ),
        says(
            "drips-interim",
            "",
            End::Drip(b"HTTP/1.1 102 Processing\r\n\r\n"),
            late,
        ),
    ]
}

/// What is too much.
fn floods() -> Vec<Kind> {
    let large = Class(&["too_large"]);
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000)).into_bytes();
    vec![
        // Its beginning says that the message was taken; the rest is not read.
        says(
            "endless-chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            End::Repeat(chunk),
            Success,
        ),
        says(
            "endless-length",
            "HTTP/1.1 200 OK\r\ncontent-length: 9999999999999\r\n\r\n",
            End::Repeat(vec![b'x'; 4096]),
            Success,
        ),
        says(
            "endless-until-close",
            "HTTP/1.1 200 OK\r\n\r\n",
            End::Repeat(vec![b'x'; 4096]),
            Success,
        ),
        says(
            "endless-head",
            "HTTP/1.1 200 OK\r\n",
            End::Repeat(b"x-a: b\r\n".repeat(500)),
            large,
        ),
        says(
            "endless-header",
            "HTTP/1.1 200 OK\r\nx-a: ",
            End::Repeat(vec![b'x'; 4096]),
            large,
        ),
        says(
            "endless-status",
            "HTTP/1.1 200 ",
            End::Repeat(vec![b'x'; 4096]),
            large,
        ),
        says(
            "many-headers",
            answer("200 OK", &"x-a: b\r\n".repeat(200), b""),
            End::Silence,
            large,
        ),
        says(
            "interim-flood",
            "",
            End::Repeat(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(50)),
            large,
        ),
        says(
            "gzip-bomb",
            answer("200 OK", "content-encoding: gzip\r\n", &gzip_bomb()),
            End::Next,
            Success,
        ),
    ]
}

/// What is no HTTP.
fn malformed() -> Vec<Kind> {
    let broken = Class(&["protocol"]);
    vec![
        says(
            "another-protocol",
            "SSH-2.0-OpenSSH_9.9\r\n\r\n",
            End::Close,
            broken,
        ),
        says("http-0.9", "<html>hello</html>\n", End::Close, broken),
        says(
            "http-3",
            "HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            End::Close,
            broken,
        ),
        says(
            "status-of-words",
            "HTTP/1.1 two hundred\r\n\r\n",
            End::Close,
            broken,
        ),
        says(
            "status-of-four-digits",
            "HTTP/1.1 2000 OK\r\n\r\n",
            End::Close,
            broken,
        ),
        says(
            "header-without-colon",
            answer("200 OK", "nonsense\r\n", b""),
            End::Close,
            broken,
        ),
        says(
            "header-with-nul",
            answer("200 OK", "x-a: b\0c\r\n", b""),
            End::Close,
            broken,
        ),
        says(
            "header-with-escape",
            answer("200 OK", "x-a: \x1b[31m\r\n", b""),
            End::Close,
            broken,
        ),
        says(
            "binary",
            vec![0_u8, 1, 2, 3, 0xff, 0xfe, b'\r', b'\n'],
            End::Close,
            broken,
        ),
    ]
}

/// What is wrong with the length of an answer.
fn lengths() -> Vec<Kind> {
    let broken = Class(&["protocol"]);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
    vec![
        says(
            "length-negative",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            End::Close,
            broken,
        ),
        says(
            "length-twice",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
            End::Close,
            broken,
        ),
        says(
            "length-beyond-numbers",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
            End::Close,
            broken,
        ),
        says(
            "chunk-of-no-number",
            format!("{chunked}\r\nzz\r\nab\r\n"),
            End::Close,
            broken,
        ),
        says(
            "chunk-beyond-numbers",
            format!("{chunked}\r\nfffffffffffffffff\r\nab\r\n"),
            End::Close,
            broken,
        ),
        // The coding counts (RFC 9112, 6.3); the connection is not used again.
        twice(
            "length-and-chunks",
            format!("{chunked}content-length: 3\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            Success,
        ),
        // More than was announced: the rest must not become the answer to the next request.
        twice(
            "more-than-its-length",
            [answer("200 OK", "", b"ok"), b"extra".to_vec()].concat(),
            Success,
        ),
        twice(
            "two-answers",
            [answer("200 OK", "", b""), answer("500 No", "", b"")].concat(),
            Success,
        ),
        twice(
            "no-content-with-content",
            "HTTP/1.1 204 No Content\r\n\r\ncontent",
            Success,
        ),
    ]
}

/// What is HTTP, and still not what anyone wants.
fn answers() -> Vec<Kind> {
    let declined = Class(&["http_4xx"]);
    let failed = Class(&["http_5xx"]);
    let moved = Class(&["http_3xx"]);
    let location = |to: &str| answer("307 Elsewhere", &format!("location: {to}\r\n"), b"");
    let later = |status: &str, after: &str| answer(status, &format!("retry-after: {after}\r\n"), b"");
    vec![
        says(
            "redirects-inside",
            location("http://169.254.169.254/latest/meta-data/"),
            End::Next,
            moved,
        ),
        says("redirects-to-itself", location(OWN_URL), End::Next, moved),
        says(
            "redirects-to-a-file",
            location("file:///etc/passwd"),
            End::Next,
            moved,
        ),
        says(
            "switches-protocols",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            End::Silence,
            Class(&["http_other"]),
        ),
        says(
            "odd-status",
            answer("999 What", "", b""),
            End::Next,
            Class(&["http_other"]),
        ),
        says(
            "asks-for-a-password",
            answer("401 No", "www-authenticate: Negotiate\r\n", b""),
            End::Next,
            declined,
        ),
        says(
            "asks-for-a-proxy-password",
            answer("407 No", "proxy-authenticate: Basic realm=x\r\n", b""),
            End::Next,
            declined,
        ),
        says("is-gone", answer("410 Gone", "", b""), End::Next, declined),
        says("is-busy", answer("429 Slow Down", "", b""), End::Next, declined),
        says(
            "busy-for-a-year",
            later("503 Later", "31536000"),
            End::Next,
            failed,
        ),
        says("busy-since-before", later("503 Later", "-5"), End::Next, failed),
        says(
            "busy-until-never",
            later("429 Later", "Sun, 99 Nov 9999 99:99:99 GMT"),
            End::Next,
            declined,
        ),
        twice(
            "sets-a-cookie",
            answer("200 OK", "set-cookie: id=1; Path=/\r\n", b""),
            Success,
        ),
        twice(
            "names-another-way",
            answer("200 OK", "alt-svc: h3=\":1\"; ma=86400\r\n", b""),
            Success,
        ),
        twice(
            "hints-first",
            [
                b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(),
                answer("200 OK", "", b""),
            ]
            .concat(),
            Success,
        ),
        says(
            "paints-the-terminal",
            answer("500 No", "", b"\x1b]0;owned\x07\x1b[2J\x1b[31m\r\n\x00\x08"),
            End::Next,
            failed,
        ),
        says(
            "speaks-no-utf-8",
            [&b"HTTP/1.1 500 No\r\nx-a: \xff\xfe\xc0\r\ncontent-length: 4\r\n\r\n\xff\xc0\x80a"[..]].concat(),
            End::Next,
            failed,
        ),
    ]
}

/// What can go wrong with TLS.
fn tls() -> Vec<Kind> {
    let failed = Class(&["tls"]);
    let instead = |words: &[u8], end| Act::InsteadOfTls(speech(words, end));
    vec![
        kind("tls-other-name", Act::Tls(Certified::OtherName), failed),
        kind("tls-expired", Act::Tls(Certified::Expired), failed),
        kind("tls-self-signed", Act::Tls(Certified::SelfSigned), failed),
        kind(
            "tls-unknown-authority",
            Act::Tls(Certified::UnknownAuthority),
            failed,
        ),
        // handshake_failure, fatal.
        kind(
            "tls-alert",
            instead(b"\x15\x03\x03\x00\x02\x02\x28", End::HalfClose),
            failed,
        ),
        kind(
            "tls-plain-http",
            instead(&answer("400 Plain", "", b""), End::HalfClose),
            failed,
        ),
        kind(
            "tls-garbage",
            instead(&[0x16, 0x03, 0x03, 0xff, 0xff, 0, 1, 2], End::HalfClose),
            failed,
        ),
        kind("tls-closes", instead(b"", End::Close), failed),
        kind("tls-resets", instead(b"", End::Reset), Class(&["tls", "connect"])),
        kind("tls-hangs", instead(b"", End::Silence), Class(&["timeout"])),
        kind(
            "tls-drips",
            instead(b"\x16\x03\x03\x40\x00", End::Drip(b"\x02")),
            Class(&["timeout", "tls"]),
        ),
    ]
}
