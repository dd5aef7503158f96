//! As much of HTTP/1.1 as load generator and receiver need, and the event that is sent.
//!
//! Both share the processors with what they measure, so they read only the end of a head and
//! its `content-length`, and write bytes that were laid out beforehand.

use memchr::memmem;

/// Marks the sequence number in an event's data; the receiver looks for it.
const MARK: &[u8] = b"SEQUENCE:";
/// Decimal digits of a sequence number: always all of them, so it is patched in place.
const SEQUENCE_DIGITS: usize = 12;
/// Decimal digits that tell one event type from another.
const KIND_DIGITS: usize = 5;
/// The size of an event as it is posted.
pub(super) const BODY_BYTES: usize = 1024;
/// Part of every event; the scenario with `redact-fields` must not let it through.
pub(super) const PHONE_NUMBER: &str = "+31612345678";

/// Why bytes are not a message this program understands.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    #[error("content-length is no number")]
    Length,
    #[error("transfer-encoding is not understood")]
    TransferEncoding,
    #[error("the status is no number")]
    Status,
}

/// Where a head ends and how long the body after it is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub head: usize,
    pub body: usize,
}

impl Head {
    /// Finds the end of the head in what has come so far; `None` while it has not come.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut body = 0;
        for (name, value) in headers(&bytes[..end]) {
            if name.eq_ignore_ascii_case(b"content-length") {
                body = number(value).ok_or(Malformed::Length)?;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                return Err(Malformed::TransferEncoding);
            }
        }
        Ok(Some(Self { head: end + 4, body }))
    }

    /// The bytes of the whole message.
    pub(super) const fn total(self) -> usize {
        self.head + self.body
    }
}

/// The header lines of a head, without the first line.
fn headers(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = head;
    std::iter::from_fn(move || {
        let line = memchr::memchr(b'\n', rest)? + 1;
        rest = &rest[line..];
        let end = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
        let colon = memchr::memchr(b':', &rest[..end]).unwrap_or(end);
        let value = rest[..end].get(colon + 1..).unwrap_or_default();
        Some((&rest[..colon], value.trim_ascii()))
    })
}

/// The value of one header of a head, as text.
pub(super) fn header<'a>(head: &'a [u8], wanted: &str) -> Option<&'a str> {
    let (_, value) = headers(head).find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))?;
    std::str::from_utf8(value).ok()
}

/// The status of an answer whose head has been read.
pub(super) fn status(answer: &[u8]) -> Result<u16, Malformed> {
    let digits = answer
        .get("HTTP/1.1 ".len()..)
        .and_then(|rest| rest.get(..3))
        .ok_or(Malformed::Status)?;
    number(digits)
        .and_then(|status| u16::try_from(status).ok())
        .ok_or(Malformed::Status)
}

/// The sequence number in the body of a delivery.
pub(super) fn sequence(body: &[u8]) -> Option<u64> {
    let at = memmem::find(body, MARK)? + MARK.len();
    number(body.get(at..at + SEQUENCE_DIGITS)?).and_then(|number| u64::try_from(number).ok())
}

fn number(digits: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A request laid out once, in which only the numbers change from event to event.
#[derive(Debug, Clone)]
pub(super) struct Template {
    bytes: Vec<u8>,
    sequence_at: usize,
    kind_at: usize,
    kinds: u64,
}

/// The event type with the number `kind`.
pub(super) fn event_type(prefix: &str, kind: u64) -> String {
    format!("{prefix}.{kind:0KIND_DIGITS$}")
}

impl Template {
    /// A `POST` of one event to `/v1/events`, whose types are `prefix` with numbers below `kinds`.
    pub(super) fn new(host: &str, key: &str, prefix: &str, kinds: u64) -> Self {
        let body = body(prefix);
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let bytes = [head.as_bytes(), body.as_bytes()].concat();
        let after = |text: &[u8]| memmem::find(&bytes, text).map_or(0, |at| at + text.len());
        let sequence_at = after(MARK);
        let kind_at = after(format!("{prefix}.").as_bytes());
        Self {
            bytes,
            sequence_at,
            kind_at,
            kinds,
        }
    }

    /// The request with this sequence number.
    pub(super) fn numbered(&mut self, sequence: u64) -> &[u8] {
        patch(
            &mut self.bytes[self.sequence_at..self.sequence_at + SEQUENCE_DIGITS],
            sequence,
        );
        if self.kinds > 1 {
            patch(
                &mut self.bytes[self.kind_at..self.kind_at + KIND_DIGITS],
                sequence % self.kinds,
            );
        }
        &self.bytes
    }
}

/// The event, as long as [`BODY_BYTES`] with the notes filled up.
fn body(prefix: &str) -> String {
    let kind = event_type(prefix, 0);
    let mark = String::from_utf8_lossy(MARK);
    let start = format!(
        r#"{{"type":"{kind}","data":{{"mark":"{mark}{:0SEQUENCE_DIGITS$}","phone_number":"{PHONE_NUMBER}","name":"Ada Lovelace","labels":["lead","sales","newsletter"],"amount":1250,"urgent":false,"address":{{"street":"Herengracht 1","city":"Amsterdam","country":"NL"}},"notes":""#,
        0
    );
    let end = r#""}}"#;
    let notes: String = "the quick brown fox jumps over the lazy dog, "
        .chars()
        .cycle()
        .take(BODY_BYTES - start.len() - end.len())
        .collect();
    format!("{start}{notes}{end}")
}

/// Writes `number` over `digits`, with leading zeros.
fn patch(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_kibibyte_of_json_with_its_number_in_it() {
        let mut template = Template::new("127.0.0.1:1", "rk_x", "bench.event", 100);
        let request = template.numbered(1234).to_vec();
        let head = Head::read(&request).expect("well-formed").expect("complete");
        assert_eq!((head.body, head.total()), (BODY_BYTES, request.len()));
        assert_eq!(sequence(&request[head.head..]), Some(1234));
        let event: serde_json::Value = serde_json::from_slice(&request[head.head..]).expect("JSON");
        assert_eq!(event["type"], "bench.event.00034");
        assert_eq!(event["data"]["phone_number"], PHONE_NUMBER);
    }

    #[test]
    fn a_head_is_read_whatever_the_case_of_its_names() {
        let answer = b"HTTP/1.1 202 Accepted\r\nDate: x\r\nContent-Length:  5\r\n\r\nhello";
        assert_eq!(
            Head::read(answer).expect("well-formed"),
            Some(Head { head: 54, body: 5 })
        );
        assert_eq!(status(answer).expect("a status"), 202);
        assert_eq!(header(&answer[..54], "date"), Some("x"));
        assert!(Head::read(&answer[..40]).expect("well-formed so far").is_none());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for head in [
            "a: b\r\ncontent-length: x",
            "transfer-encoding: chunked",
            "content-length: -1",
        ] {
            assert!(
                Head::read(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes()).is_err(),
                "{head}"
            );
        }
    }
}
