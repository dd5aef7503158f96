//! Turns events into e-mail, through the HTTP API of a mail service.

mod address;
mod mail;
mod service;

use std::borrow::Cow;

use address::Address;
use mail::Mail;
use relay_sdk::prelude::*;
use relay_sdk::template::{Template, cut, replaced, verbatim};
use serde::Deserialize;
use service::Service;

/// Longest subject, in characters: what a line of a mail may have (RFC 5322, section 2.1.1) if
/// each of them takes four bytes.
const SUBJECT_MAX: usize = 240;
/// Longest text, and longest HTML, in bytes: both of them fit into the 1 MiB that a plugin may answer
/// with unless the operator allows more.
const BODY_BYTES_MAX: usize = 400 << 10;

struct NotifyEmail;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    service: Service,
    from: Template,
    to: Vec<Template>,
    #[serde(default)]
    cc: Vec<Template>,
    #[serde(default)]
    bcc: Vec<Template>,
    reply_to: Option<Template>,
    subject: Template,
    text: Option<Template>,
    html: Option<Template>,
    tag: Option<String>,
}

#[plugin]
impl NotifyEmail {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        let mail = config.mail(event)?;
        Ok(config.service.message(&mail, &secrets::get("api-key")?))
    }

    fn check(config: Config) -> Vec<Problem> {
        if config.text.is_some() || config.html.is_some() {
            return Vec::new();
        }
        vec![Problem::new("", "has neither a text nor html")]
    }
}

impl Config {
    fn mail(&self, event: &Event) -> Result<Mail, Fault> {
        let from = Address::of(&self.from, event, "/from")?
            .or_invalid("/from is empty once its variables are filled in")?;
        let to = addresses(&self.to, event, "/to")?;
        if to.is_empty() {
            return Err(Fault::invalid(
                "every address in /to is empty once its variables are filled in",
            ));
        }
        let reply_to = match &self.reply_to {
            Some(template) => Address::of(template, event, "/reply_to")?,
            None => None,
        };
        let text = body(&self.text, event, verbatim)?;
        let html = body(&self.html, event, escaped)?;
        if text.is_none() && html.is_none() {
            return Err(Fault::invalid(
                "text and html are empty once their variables are filled in",
            ));
        }
        Ok(Mail {
            from,
            to,
            cc: addresses(&self.cc, event, "/cc")?,
            bcc: addresses(&self.bcc, event, "/bcc")?,
            reply_to,
            subject: subject(&self.subject, event),
            text,
            html,
            tag: self.tag.clone(),
        })
    }
}

/// The addresses of a list; one that is empty once it is filled in is left out.
fn addresses(templates: &[Template], event: &Event, at: &str) -> Result<Vec<Address>, Fault> {
    let address = |(index, template)| Address::of(template, event, &format!("{at}/{index}")).transpose();
    templates.iter().enumerate().filter_map(address).collect()
}

/// One line, whatever the variables hold: a subject with a line of its own could add headers.
fn subject(template: &Template, event: &Event) -> String {
    let text = template.render(event);
    let words: Vec<&str> = text
        .split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    cut(words.join(" "), SUBJECT_MAX)
}

fn body(
    template: &Option<Template>,
    event: &Event,
    escape: fn(&str) -> Cow<'_, str>,
) -> Result<Option<String>, Fault> {
    let text = template
        .as_ref()
        .and_then(|template| template.render_some(event, escape));
    match &text {
        Some(text) if text.len() > BODY_BYTES_MAX => Err(Fault::invalid(format!(
            "the mail has more than {BODY_BYTES_MAX} bytes"
        ))),
        _ => Ok(text),
    }
}

/// What HTML reads as markup, so that a value stays text.
fn escaped(value: &str) -> Cow<'_, str> {
    replaced(value, |character| match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<NotifyEmail>();
    }

    #[test]
    fn no_value_adds_a_recipient_or_a_header() {
        for address in [
            "a@b.example, c@d.example",
            "a@b.example;c@d.example",
            "a@b.example\r\nBcc: c@d.example",
            "<a@b.example> <c@d.example>",
            "A <a@b.example>, C <c@d.example>",
            "a@b@c",
            "nobody",
            "@b",
            "a@",
            "a b@c.example",
            "a@b.example\u{0}",
        ] {
            for service in ["resend", "postmark", "sendgrid", "mailgun"] {
                let config = json!({
                    "service": service, "from": "us@shop.example", "to": ["{{/to}}"], "subject": "s", "text": "t",
                });
                let host = Host::new().config(config).secret("api-key", "k");
                let fault = host.transform::<NotifyEmail>(event("a").data(json!({ "to": address })));
                let fault = fault.unwrap_err().to_string();
                assert_eq!(fault, "invalid: /to/0 is no e-mail address", "{address}");
            }
        }
    }

    #[test]
    fn a_subject_is_one_line() {
        let sample = event("a").data(json!({ "s": format!("a\r\nBcc: b\t c\u{0}{}", "ä".repeat(500)) }));
        Host::new().run(sample, |event| {
            let subject = subject(&"{{/s}}".parse().unwrap(), event);
            assert!(subject.starts_with("a Bcc: b c ä"));
            assert_eq!(subject.chars().count(), SUBJECT_MAX);
        });
    }
}
