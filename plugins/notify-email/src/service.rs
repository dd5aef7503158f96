//! What each mail service takes, and how it knows who asks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relay_sdk::{Envelope as _, Message, call};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::mail::Mail;

/// A mail service.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Service {
    /// `POST https://api.resend.com/emails`
    Resend,
    /// `POST https://api.postmarkapp.com/email`
    Postmark,
    /// `POST https://api.sendgrid.com/v3/mail/send`
    Sendgrid,
    /// `POST https://api.mailgun.net/v3/DOMAIN/messages`
    Mailgun,
}

impl Service {
    pub(crate) fn message(self, mail: &Mail, api_key: &str) -> Message {
        let message = match self {
            Self::Resend => Message::json(Resend::of(mail)),
            Self::Postmark => Message::json(Postmark::of(mail)),
            Self::Sendgrid => Message::json(Sendgrid::of(mail)),
            Self::Mailgun => Message::text(form(mail))
                .set_attribute("datacontenttype", "application/x-www-form-urlencoded"),
        };
        let message = match self {
            Self::Postmark => message.set_header("x-postmark-server-token", api_key),
            Self::Mailgun => {
                let credentials = STANDARD.encode(format!("api:{api_key}"));
                message.set_header("authorization", format!("Basic {credentials}"))
            }
            Self::Resend | Self::Sendgrid => message.set_header("authorization", format!("Bearer {api_key}")),
        };
        // A retry whose first answer was lost is no second mail.
        match (self, call::current().delivery) {
            (Self::Resend, Some(delivery)) => message.set_header("idempotency-key", delivery),
            _ => message,
        }
    }
}

#[derive(Serialize)]
struct Resend<'m> {
    from: String,
    to: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cc: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bcc: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
    subject: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<[ResendTag<'m>; 1]>,
}

#[derive(Serialize)]
struct ResendTag<'m> {
    name: &'static str,
    value: &'m str,
}

impl<'m> Resend<'m> {
    fn of(mail: &'m Mail) -> Self {
        Self {
            from: mail.from.to_string(),
            to: written(&mail.to),
            cc: written(&mail.cc),
            bcc: written(&mail.bcc),
            reply_to: mail.reply_to.as_ref().map(ToString::to_string),
            subject: &mail.subject,
            text: mail.text.as_deref(),
            html: mail.html.as_deref(),
            tags: mail.tag.as_deref().map(|value| {
                [ResendTag {
                    name: "category",
                    value,
                }]
            }),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Postmark<'m> {
    from: String,
    to: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    bcc: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
    subject: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_body: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html_body: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'m str>,
}

impl<'m> Postmark<'m> {
    fn of(mail: &'m Mail) -> Self {
        Self {
            from: mail.from.to_string(),
            to: written(&mail.to).join(", "),
            cc: written(&mail.cc).join(", "),
            bcc: written(&mail.bcc).join(", "),
            reply_to: mail.reply_to.as_ref().map(ToString::to_string),
            subject: &mail.subject,
            text_body: mail.text.as_deref(),
            html_body: mail.html.as_deref(),
            tag: mail.tag.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Sendgrid<'m> {
    personalizations: [Recipients<'m>; 1],
    from: Person<'m>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Person<'m>>,
    subject: &'m str,
    /// The plain text has to come first.
    content: Vec<Content<'m>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<[&'m str; 1]>,
}

#[derive(Serialize)]
struct Recipients<'m> {
    to: Vec<Person<'m>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cc: Vec<Person<'m>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bcc: Vec<Person<'m>>,
}

#[derive(Serialize)]
struct Person<'m> {
    email: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'m str>,
}

#[derive(Serialize)]
struct Content<'m> {
    r#type: &'static str,
    value: &'m str,
}

impl<'m> Sendgrid<'m> {
    fn of(mail: &'m Mail) -> Self {
        let text = mail.text.as_deref().map(|value| Content {
            r#type: "text/plain",
            value,
        });
        let html = mail.html.as_deref().map(|value| Content {
            r#type: "text/html",
            value,
        });
        Self {
            personalizations: [Recipients {
                to: mail.to.iter().map(Person::of).collect(),
                cc: mail.cc.iter().map(Person::of).collect(),
                bcc: mail.bcc.iter().map(Person::of).collect(),
            }],
            from: Person::of(&mail.from),
            reply_to: mail.reply_to.as_ref().map(Person::of),
            subject: &mail.subject,
            content: text.into_iter().chain(html).collect(),
            categories: mail.tag.as_deref().map(|tag| [tag]),
        }
    }
}

impl<'m> Person<'m> {
    fn of(address: &'m Address) -> Self {
        Self {
            email: &address.email,
            name: address.name.as_deref(),
        }
    }
}

/// The form that Mailgun takes.
fn form(mail: &Mail) -> String {
    let recipients = [("to", &mail.to), ("cc", &mail.cc), ("bcc", &mail.bcc)];
    let recipients = recipients
        .into_iter()
        .flat_map(|(name, addresses)| addresses.iter().map(move |address| (name, address.to_string())));
    let optional = [
        ("h:Reply-To", mail.reply_to.as_ref().map(ToString::to_string)),
        ("text", mail.text.clone()),
        ("html", mail.html.clone()),
        ("o:tag", mail.tag.clone()),
    ];
    let optional = optional
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let fields = [("from", mail.from.to_string()), ("subject", mail.subject.clone())];
    let written = fields
        .into_iter()
        .chain(recipients)
        .chain(optional)
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(&value)));
    written.collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn written(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}
