//! `[mail]`: the server that mail is sent by, and to whom.

use url::Host;

use super::reader::Section;
use crate::deliver::mail::{Recipients, Settings, Tls, read_from};

/// Submission (RFC 6409), and the same behind TLS (RFC 8314).
const SUBMISSION_PORT: u16 = 587;
const SUBMISSIONS_PORT: u16 = 465;
/// Longest user and password, in bytes.
const LOGIN_BYTES_MAX: usize = 1 << 10;

/// Reads the section; without one no mail is sent.
pub(super) fn read(section: Option<Section<'_>>) -> Option<Settings> {
    let section = section?;
    let server = server(&section);
    let words = [
        ("starttls", Tls::StartTls),
        ("implicit", Tls::Implicit),
        ("none", Tls::None),
    ];
    let usual = match server {
        Some((_, SUBMISSIONS_PORT)) => Tls::Implicit,
        _ => Tls::StartTls,
    };
    let tls = section.choice("tls", &words).unwrap_or(usual);
    let login = login(&section, tls);
    let from = from(&section);
    let recipients = recipients(&section);
    section.finish();
    let (host, port) = server?;
    Some(Settings {
        host,
        port,
        tls,
        login,
        from: from?,
        recipients: recipients?,
    })
}

fn server(section: &Section<'_>) -> Option<(Host, u16)> {
    let text = section.required("server", "\"smtp.example.com:587\"")?;
    // The one reader of hosts and ports that there is.
    let url = url::Url::parse(&format!("smtp://{text}")).ok();
    let is_bare = |url: &url::Url| {
        let is_alone = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        is_alone && url.username().is_empty() && url.password().is_none()
    };
    let read = url.filter(is_bare).and_then(|url| {
        let port = url.port().unwrap_or(SUBMISSION_PORT);
        // Of schemes that it does not know the reader leaves hosts as they are.
        let host = Host::parse(url.host_str()?).ok()?;
        (port != 0).then_some((host, port))
    });
    if read.is_none() {
        let remedy = "write it as in \"smtp.example.com:587\"";
        section.fault("server", format!("is {text:?}, not a host and a port"), remedy);
    }
    read
}

fn login(section: &Section<'_>, tls: Tls) -> Option<(String, crate::model::secret::Secret)> {
    let user = section.string("user");
    let password = section.secret("password");
    for (key, other) in [("user", "password"), ("password", "user")] {
        if section.has(key) && !section.has(other) {
            section.fault(key, format!("has no {other}"), "give both, or neither");
        }
    }
    let is_usable =
        |text: &str| (1..=LOGIN_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if user.is_some_and(|user| !is_usable(user)) {
        section.fault("user", "is empty, too long, or has control characters", "");
    }
    if password
        .as_ref()
        .is_some_and(|password| !is_usable(password.reveal()))
    {
        section.fault("password", "is too long, or has control characters", "");
    }
    if password.is_some() && tls == Tls::None {
        let remedy = "use tls = \"starttls\" or \"implicit\"";
        section.fault(
            "password",
            "would be sent in the clear with tls = \"none\"",
            remedy,
        );
    }
    Some((user?.to_owned(), password?))
}

fn from(section: &Section<'_>) -> Option<lettre::message::Mailbox> {
    let text = section.required("from", "\"Relay <relay@example.com>\"")?;
    read_from(text)
        .inspect_err(|error| {
            let remedy = "write it as in \"Relay <relay@example.com>\"";
            section.fault("from", format!("is {text:?}: {error}"), remedy);
        })
        .ok()
}

/// Named and not by default, since whoever may make an endpoint may then have mail sent there.
fn recipients(section: &Section<'_>) -> Option<Recipients> {
    const EXAMPLE: &str = "list domains and addresses, as in [\"example.com\"], or \"*\" for anybody";
    let Some(texts) = section.strings("recipients") else {
        if !section.has("recipients") {
            section.require("recipients");
            section.fault("recipients", "is missing: mail could go to nobody", EXAMPLE);
        }
        return None;
    };
    Recipients::read(&texts)
        .inspect_err(|wrong| section.fault("recipients", format!("has {wrong:?}"), EXAMPLE))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::faults;
    use super::super::{load, reader::Process};
    use super::*;

    const USUAL: &str = "from = \"Relay <relay@acme.example>\"\nrecipients = [\"acme.example\"]\n";

    #[test]
    fn a_server_is_a_host_and_a_port_and_tls_follows_the_port() {
        for (server, host, port, tls) in [
            ("smtp.example.com", "smtp.example.com", 587, Tls::StartTls),
            ("SMTP.example.com:25", "smtp.example.com", 25, Tls::StartTls),
            ("smtp.example.com:465", "smtp.example.com", 465, Tls::Implicit),
            ("127.0.0.1:2525", "127.0.0.1", 2525, Tls::StartTls),
            ("[::1]:2525", "[::1]", 2525, Tls::StartTls),
        ] {
            let config = load(&format!("[mail]\n{USUAL}server = {server:?}"), &Process).expect(server);
            let mail = config.mail.expect("there is one");
            assert_eq!(
                (mail.host.to_string().as_str(), mail.port, mail.tls),
                (host, port, tls)
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_do() {
        let server = "server = \"smtp.example.com\"\n";
        for (text, fault) in [
            (USUAL.to_owned(), "mail.server: is missing"),
            (
                server.to_owned() + "from = \"a@b.example\"",
                "mail.recipients: is missing",
            ),
            (server.to_owned() + "recipients = \"*\"", "mail.from: is missing"),
            (format!("{USUAL}server = \"smtp://x\""), "not a host and a port"),
            (format!("{USUAL}server = \"u:p@x\""), "not a host and a port"),
            (
                format!("{USUAL}{server}user = \"u\""),
                "mail.user: has no password",
            ),
            (
                format!("{USUAL}{server}tls = \"none\"\nuser = \"u\"\npassword = \"p\""),
                "in the clear",
            ),
            (
                format!("{server}from = \"x\"\nrecipients = [\"@\"]"),
                "mail.recipients: has \"@\"",
            ),
            (format!("{USUAL}{server}colour = 1"), "not a known key"),
        ] {
            let told = faults(&format!("[mail]\n{text}")).join("\n");
            assert!(told.contains(fault), "{text}: {told}");
        }
    }

    #[test]
    fn an_endpoint_gets_mail_only_where_the_operator_lets_it() {
        let mail = format!("[mail]\nserver = \"smtp.example.com\"\n{USUAL}");
        let endpoint =
            |url: &str, more: &str| format!("[[endpoint]]\nname = \"ops\"\nurl = {url:?}\n{more}\n");
        let allowed = endpoint("mailto:ops@acme.example", "");
        assert!(load(&(mail.clone() + &allowed), &Process).is_ok());
        for (text, fault) in [
            (allowed.clone(), "names a mail server in [mail]"),
            (
                mail.clone() + &endpoint("mailto:ops@other.example", ""),
                "list its domain in mail.recipients",
            ),
            (
                mail.clone() + &endpoint("mailto:ops@acme.example?cc=x@acme.example", ""),
                "`subject`",
            ),
            (
                mail + &endpoint("mailto:ops@acme.example", "method = \"PUT\""),
                "this endpoint gets mail",
            ),
        ] {
            let told = faults(&text).join("\n");
            assert!(told.contains(fault), "{text}: {told}");
        }
    }
}
