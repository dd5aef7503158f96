//! The guard of outgoing requests: a URL that it lets pass leads to nobody inside.

use std::net::{IpAddr, SocketAddr};

use relay::deliver::address::{Guard, LOCAL_SCHEME};
use url::{Host, Url};

use super::{Target, is_inside, texts};

pub(super) const TARGET: Target = Target {
    name: "addresses",
    seeds: || {
        texts(&[
            "https://hooks.example.com/in?x=1",
            "http://93.184.216.34:8080/",
            "https://[2606:2800:220:1::1]/a",
            "https://127.0.0.1/",
            "http://0x7f.1/",
            "http://[::ffff:169.254.169.254]/latest",
            "https://2130706433/",
            "https://user:secret@example.com/",
            "https://xn--bcher-kva.example/\u{fc}",
            "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{1}",
        ])
    },
    words: &[
        "https://",
        "http://",
        "[::1]",
        "::ffff:",
        "127.0.0.1",
        "169.254.169.254",
        "10.",
        "0x7f",
        "0177",
        ".1",
        "@",
        ":0",
        ":65536",
        "%00",
        "localhost",
        "64:ff9b::",
        "2002:7f00:1::",
        "fd00:ec2::254",
        "168.63.129.16",
    ],
    run,
};

fn run(input: &[u8]) {
    let guard = Guard::new(Vec::new(), false, Vec::new());
    if let Ok(Ok(url)) = std::str::from_utf8(input).map(Url::parse) {
        check_url(&guard, &url);
    }
    // As what a resolver has answered.
    if let Some(bytes) = input.first_chunk::<16>() {
        check_address(&guard, IpAddr::from(*bytes));
    }
    if let Some(bytes) = input.first_chunk::<4>() {
        check_address(&guard, IpAddr::from(*bytes));
        let [a, b, c, d] = *bytes;
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
        check_address(&guard, IpAddr::from(mapped));
    }
}

fn check_url(guard: &Guard, url: &Url) {
    if guard.check_url(url).is_err() {
        return;
    }
    // An inspector is reached without a connection.
    assert!(matches!(url.scheme(), "http" | "https" | LOCAL_SCHEME), "{url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    match url.host() {
        Some(Host::Domain(name)) => assert!(name.parse::<IpAddr>().is_err(), "{url}"),
        Some(Host::Ipv4(ip)) => assert!(!is_inside(ip.into()), "{url}"),
        Some(Host::Ipv6(ip)) => assert!(!is_inside(ip.into()), "{url}"),
        None => panic!("{url} has no host"),
    }
}

fn check_address(guard: &Guard, ip: IpAddr) {
    let passes = guard.check(SocketAddr::new(ip, 443)).is_ok();
    assert!(!(passes && is_inside(ip)), "{ip}");
}
