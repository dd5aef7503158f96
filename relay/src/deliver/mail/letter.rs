//! A message in the form of mail.
//!
//! Source: RFC 5322, RFC 2045 to 2047. `Message-ID` is made of the message's own id, so that every
//! repeat of it is known again; `Auto-Submitted` (RFC 3834) keeps automatic answers away.

use std::time::{Duration, SystemTime};

use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};

use super::Settings;
use super::mailto::Mailto;
use crate::deliver::header::Parsed;
use crate::deliver::outcome::Failure;
use crate::model::time::Timestamp;

/// Largest body of a mail, in bytes: beyond what many servers take, encoded.
pub(in crate::deliver) const BODY_BYTES_MAX: usize = 4 << 20;

/// A mail as it goes to the server: to whom, and the bytes.
///
/// # Errors
/// It is too large, or no mail can be made of it.
pub(in crate::deliver) fn write(
    settings: &Settings,
    mailto: &Mailto,
    headers: &[Parsed],
    body: &[u8],
    now: Timestamp,
) -> Result<(Envelope, Vec<u8>), Failure> {
    if body.len() > BODY_BYTES_MAX {
        let reason = format!("the mail has {} bytes, of {BODY_BYTES_MAX} at most", body.len());
        return Err(Failure::refused(reason));
    }
    let header = |wanted: &str| {
        let mut headers = headers.iter();
        let value = headers.find_map(|(name, value)| (name.as_str() == wanted).then_some(value));
        value.map_or_else(String::new, |value| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        })
    };
    let content_type = match header("content-type").starts_with("text/html") {
        true => ContentType::TEXT_HTML,
        false => ContentType::TEXT_PLAIN,
    };
    let id = header("webhook-id");
    let mut mail = lettre::Message::builder()
        .from(settings.from.clone())
        .subject(header("subject"))
        .message_id(Some(format!("<{id}@{}>", settings.from.email.domain())))
        .date(at(now))
        .header(MIME_VERSION_1_0)
        .header(content_type)
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Webhook-Id"), id));
    for address in &mailto.to {
        mail = mail.to(Mailbox::new(None, address.clone()));
    }
    let mail = mail.body(String::from_utf8_lossy(body).into_owned());
    let mail = mail.map_err(|error| Failure::refused(format!("no mail can be made of it: {error}")))?;
    Ok((mail.envelope().clone(), mail.formatted()))
}

fn at(now: Timestamp) -> SystemTime {
    let since_1970 = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or_default());
    SystemTime::UNIX_EPOCH + since_1970
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use url::{Host, Url};

    use super::super::{Recipients, Tls, mailto, read_from};
    use super::*;

    fn written(subject: &str, media: &'static str, body: &str) -> String {
        let settings = Settings {
            host: Host::Domain("mail.example".to_owned()),
            port: 587,
            tls: Tls::StartTls,
            login: None,
            from: read_from("Relay <relay@acme.example>").unwrap(),
            recipients: Recipients::read(&["*"]).unwrap(),
        };
        let url = Url::parse("mailto:a@b.example,c@d.example").unwrap();
        let headers = [
            ("subject", HeaderValue::from_bytes(subject.as_bytes()).unwrap()),
            ("content-type", HeaderValue::from_static(media)),
            ("webhook-id", HeaderValue::from_static("msg_7")),
        ]
        .map(|(name, value)| (HeaderName::from_static(name), value));
        let now = Timestamp::from_millis(1_770_000_000_000);
        let mailto = mailto::read(&url).unwrap();
        let (envelope, bytes) = write(&settings, &mailto, &headers, body.as_bytes(), now).unwrap();
        assert_eq!(envelope.to().len(), 2);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_mail_has_the_headers_that_people_and_servers_expect() {
        let mail = written("Order 7 was paid", "text/plain; charset=utf-8", "It was.\n");
        for line in [
            "From: Relay <relay@acme.example>",
            "To: a@b.example, c@d.example",
            "Subject: Order 7 was paid",
            "Message-ID: <msg_7@acme.example>",
            "Webhook-Id: msg_7",
            "Date: Mon, 02 Feb 2026 02:40:00 +0000",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            "MIME-Version: 1.0",
            "It was.",
        ] {
            assert!(mail.split("\r\n").any(|found| found == line), "{line}:\n{mail}");
        }
        let html = written("x", "text/html; charset=utf-8", "<b>x</b>");
        assert!(
            html.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"),
            "{html}"
        );
    }

    #[test]
    fn other_alphabets_are_encoded() {
        let mail = written(
            "Zahlung 7 \u{fc}ber 5 \u{20ac}",
            "text/plain; charset=utf-8",
            "\u{e4}\n.\nX",
        );
        assert!(
            mail.is_ascii() && mail.contains("Subject: Zahlung 7 =?utf-8?"),
            "{mail}"
        );
    }
}
