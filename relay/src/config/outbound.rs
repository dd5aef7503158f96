//! `[outbound]`: what endpoints may reach, and by which way.

use std::time::Duration;

use super::Outbound;
use super::check::{networks, size};
use super::reader::Section;
use crate::deliver::send::Proxy;

/// Reads the section.
pub(super) fn read(section: Option<Section<'_>>) -> Outbound {
    let mut outbound = Outbound {
        https_only: true,
        allow_networks: Vec::new(),
        ca_files: Vec::new(),
        connect_timeout: Duration::from_secs(5),
        egress: Vec::new(),
        bind: Vec::new(),
        proxy: None,
        idle_connections_max: 64,
    };
    let Some(section) = section else { return outbound };
    outbound.https_only = section.boolean("https_only").unwrap_or(true);
    outbound.allow_networks = networks(&section, "allow_networks").unwrap_or_default();
    outbound.ca_files = section
        .strings("ca_files")
        .unwrap_or_default()
        .iter()
        .map(Into::into)
        .collect();
    outbound.connect_timeout = section
        .duration(
            "connect_timeout",
            Duration::from_millis(100)..=Duration::from_secs(60),
        )
        .unwrap_or(outbound.connect_timeout);
    outbound.egress = networks(&section, "egress").unwrap_or_default();
    outbound.bind = bind(&section);
    outbound.proxy = proxy(&section);
    outbound.idle_connections_max =
        size(section.integer("idle_connections_max", 0..=10_000)).unwrap_or(outbound.idle_connections_max);
    section.finish();
    outbound
}

/// The addresses to connect from: at most one of each family.
fn bind(section: &Section<'_>) -> Vec<std::net::IpAddr> {
    let texts = section.strings("bind").unwrap_or_default();
    let mut addresses: Vec<std::net::IpAddr> = Vec::new();
    for text in texts {
        match text.parse::<std::net::IpAddr>() {
            Ok(address) if addresses.iter().any(|known| known.is_ipv4() == address.is_ipv4()) => {
                let remedy = "give one of IPv4 and one of IPv6 at most";
                section.fault(
                    "bind",
                    format!("has {text:?} beside another of its family"),
                    remedy,
                );
            }
            Ok(address) => addresses.push(address),
            Err(_) => section.fault(
                "bind",
                format!("has {text:?}, which is no address"),
                "write it as in \"192.0.2.7\"",
            ),
        }
    }
    addresses
}

/// The proxy that connections are made through. It is the operator's own, so that it may be anywhere.
fn proxy(section: &Section<'_>) -> Option<Proxy> {
    let user = section.string("proxy_user");
    let password = section.secret("proxy_password");
    let Some(text) = section.string("proxy") else {
        for key in ["proxy_user", "proxy_password"] {
            if section.has(key) {
                let remedy = "name it, as in proxy = \"http://proxy.internal:3128\"";
                section.fault(key, "says nothing without proxy", remedy);
            }
        }
        return None;
    };
    let fault = |problem: &str| {
        let remedy = "write it as in \"http://proxy.internal:3128\"; user and password are proxy_user and proxy_password";
        section.fault("proxy", problem, remedy);
    };
    // Not shown: it may hold a password.
    let Ok(url) = url::Url::parse(text) else {
        fault("is no URL");
        return None;
    };
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if url.scheme() != "http" {
        fault("is not an http URL: only CONNECT over plain HTTP is spoken to a proxy");
    } else if !url.username().is_empty() || url.password().is_some() {
        fault("contains a user or a password");
    } else if !is_bare {
        fault("has more than a host and a port");
    }
    for (key, other) in [("proxy_user", "proxy_password"), ("proxy_password", "proxy_user")] {
        if section.has(key) && !section.has(other) {
            section.fault(key, format!("has no {other}"), "give both, or neither");
        }
    }
    if user.is_some_and(|user| user.contains(':')) {
        section.fault("proxy_user", "contains a colon", "RFC 7617 has no way to say so");
    }
    Some(Proxy {
        host: url.host()?.to_owned(),
        port: url.port_or_known_default().filter(|&port| port != 0)?,
        authorization: user
            .zip(password)
            .map(|(user, password)| Proxy::basic(user, &password)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::faults;
    use super::super::{load, reader::Process};

    #[test]
    fn the_proxy_is_checked_and_may_be_anywhere() {
        let text = "[outbound]\nproxy = \"http://10.0.0.3:3128\"\nproxy_user = \"u\"\nproxy_password = \"p\"";
        let config = load(text, &Process).expect("it can be used");
        let proxy = config.outbound.proxy.expect("there is one");
        assert_eq!((proxy.host.to_string().as_str(), proxy.port), ("10.0.0.3", 3128));
        let authorization = proxy.authorization.expect("it is authorized");
        assert_eq!(authorization.reveal(), "Basic dTpw");
        for (setting, fault) in [
            ("proxy = \"proxy:3128\"", "not an http URL"),
            ("proxy = \"https://proxy\"", "not an http URL"),
            ("proxy = \"http://u:p@proxy\"", "a user or a password"),
            ("proxy = \"http://proxy/x\"", "more than a host"),
            ("proxy_user = \"u\"", "without proxy"),
            (
                "proxy = \"http://p\"\nproxy_user = \"u\"",
                "has no proxy_password",
            ),
            (
                "proxy = \"http://p\"\nproxy_password = \"u\"",
                "has no proxy_user",
            ),
        ] {
            let told = faults(&format!("[outbound]\n{setting}")).join("\n");
            assert!(told.contains(fault), "{setting}: {told}");
        }
    }
}
