//! Mail: what goes to endpoints whose URL is `mailto:`, by the one server that the operator names.
//!
//! [`mailto`] reads whom such a URL names, [`text`] makes of an event what people read, [`letter`]
//! puts that into the form of mail; `send` brings it to the server.

use lettre::Address;
use lettre::message::Mailbox;
use url::Host;

use crate::model::secret::Secret;

pub(super) mod letter;
pub mod mailto;
pub mod text;

/// The scheme of URLs that name people.
pub const SCHEME: &str = "mailto";

/// Whether a URL names people instead of leading somewhere.
pub fn is_mail(url: &url::Url) -> bool {
    url.scheme() == SCHEME
}

/// `[mail]`: the server, and on whose behalf it is used for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub host: Host,
    pub port: u16,
    pub tls: Tls,
    /// User and password.
    pub login: Option<(String, Secret)>,
    pub from: Mailbox,
    pub recipients: Recipients,
}

/// How the way to the server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Asked for in the clear, and nothing else is said before it is there (RFC 3207).
    StartTls,
    /// From the first byte on (RFC 8314).
    Implicit,
    /// Not at all.
    None,
}

/// Whom mail may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients(Vec<Allowed>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Anyone,
    /// In lower case.
    Domain(String),
    Address(Address),
}

impl Recipients {
    /// Reads `"*"`, domains and addresses.
    ///
    /// # Errors
    /// The first that is none of these.
    pub fn read(texts: &[&str]) -> Result<Self, String> {
        let read = |text: &&str| {
            let address = || text.parse().ok().map(Allowed::Address);
            let allowed = match *text {
                "*" => Some(Allowed::Anyone),
                text if text.contains('@') => address(),
                text => is_domain(text).then(|| Allowed::Domain(text.to_ascii_lowercase())),
            };
            allowed.ok_or_else(|| (*text).to_owned())
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether mail may be sent there: a domain stands for itself, not for what is below it.
    pub fn allow(&self, address: &Address) -> bool {
        self.0.iter().any(|allowed| match allowed {
            Allowed::Anyone => true,
            Allowed::Domain(domain) => domain.eq_ignore_ascii_case(address.domain()),
            Allowed::Address(known) => {
                known.user() == address.user() && known.domain().eq_ignore_ascii_case(address.domain())
            }
        })
    }
}

fn is_domain(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    text.bytes().all(is_plain)
        && matches!(Host::parse(text), Ok(Host::Domain(host)) if host.eq_ignore_ascii_case(text))
}

/// Reads whom mail is from: an address, or a name and an address in angle brackets.
///
/// # Errors
/// It is neither, or not in ASCII.
pub fn read_from(text: &str) -> Result<Mailbox, String> {
    let mailbox: Mailbox = text
        .parse()
        .map_err(|error: lettre::address::AddressError| error.to_string())?;
    match is_plain(&mailbox.email) {
        true => Ok(mailbox),
        false => Err("the address is not in ASCII".to_owned()),
    }
}

/// Whether an address is of printable ASCII alone: others need servers that few have (RFC 6531).
fn is_plain(address: &Address) -> bool {
    AsRef::<str>::as_ref(address)
        .bytes()
        .all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_domains_addresses_or_anyone() {
        let read = |texts: &[&str]| Recipients::read(texts).unwrap();
        let some = read(&["Acme.example", "me@mail.example"]);
        for (address, allowed) in [
            ("ops@acme.example", true),
            ("ops@ACME.example", true),
            ("ops@sub.acme.example", false),
            ("ops@notacme.example", false),
            ("me@mail.example", true),
            ("you@mail.example", false),
        ] {
            assert_eq!(some.allow(&address.parse().unwrap()), allowed, "{address}");
            assert!(!read(&[]).allow(&address.parse().unwrap()));
            assert!(read(&["*"]).allow(&address.parse().unwrap()));
        }
        for text in ["", "*.example", "a b", "@acme.example", "acme.example/x"] {
            assert!(Recipients::read(&[text]).is_err(), "{text}");
        }
    }

    #[test]
    fn senders_have_addresses() {
        for (text, address) in [
            ("relay@acme.example", "relay@acme.example"),
            ("Relay <relay@acme.example>", "relay@acme.example"),
        ] {
            let from = read_from(text).unwrap();
            assert_eq!(from.email.to_string(), address);
        }
        for text in ["", "relay", "Relay <relay>", "bücher@acme.example"] {
            assert!(read_from(text).is_err(), "{text}");
        }
    }
}
