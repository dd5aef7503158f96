use proptest::prelude::*;

use super::*;

/// Hosts that lead, or may lead, to places that are not the public internet, as an attacker
/// would write them.
const REFUSED_HOSTS: &[&str] = &[
    // Loopback in every notation that WHATWG reads as IPv4.
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.255",
    "127.0.0.1.",
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "0x7f.0x0.0x0.0x1",
    "0177.0x0.0.01",
    "127.0x1",
    "127.000.000.001",
    "127.0.0.0x",
    "00000177.0.0.1",
    "1%327.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127．0．0．1",
    "0x7f.1.",
    "2130706432",
    "2147483647",
    // This host, this network.
    "0.0.0.0",
    "0",
    "0x0",
    "00",
    "0.0",
    "0.1",
    "0.0.0.1",
    "0.255.255.255",
    "0x00000000",
    // Private.
    "10.0.0.0",
    "10.0.0.1",
    "10.1",
    "10.255.255.255",
    "167772161",
    "0xa000001",
    "012.0.0.1",
    "0xA.0.0.1",
    "172.16.0.1",
    "172.16.1",
    "172.31.255.255",
    "172.20.10.5",
    "0xac100001",
    "2886729729",
    "192.168.0.0",
    "192.168.1.1",
    "192.168.257",
    "192.168.255.255",
    "192.11010305",
    "0xc0a80001",
    "3232235521",
    "0300.0250.0.1",
    "100.64.0.0",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "0x64400001",
    // Link local, with the metadata services.
    "169.254.0.0",
    "169.254.169.254",
    "169.254.169.253",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.43518",
    "169.254.255.255",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "0251.254.0xa9fe",
    "169.16689662",
    "025177524776",
    "%31%36%39.254.169.254",
    "１６９.254.169.254",
    // Azure's host agent.
    "168.63.129.16",
    "0xa83f8110",
    "2822734096",
    "168.63.33040",
    "0250.077.0201.020",
    // Assigned to protocols, tests, documentation, benchmarks.
    "192.0.0.0",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.0",
    "192.88.99.2",
    "192.175.48.1",
    "198.18.0.0",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.0",
    "203.0.113.255",
    // Multicast, reserved, broadcast.
    "224.0.0.1",
    "224.0.0.251",
    "239.255.255.250",
    "240.0.0.1",
    "250.1.2.3",
    "255.255.255.254",
    "255.255.255.255",
    "4294967295",
    "0xffffffff",
    "037777777777",
    "3758096385",
    // IPv6 that is not public.
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::0.0.0.1]",
    "[::2]",
    // IPv4-mapped.
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::ffff:169.254.169.254]",
    "[::FFFF:a9fe:a9fe]",
    "[::ffff:10.0.0.1]",
    "[::ffff:192.168.1.1]",
    "[::ffff:0.0.0.0]",
    "[::ffff:168.63.129.16]",
    "[::ffff:255.255.255.255]",
    // IPv4-compatible and IPv4-translated.
    "[::127.0.0.1]",
    "[::8.8.8.8]",
    "[::7f00:1]",
    "[::a9fe:a9fe]",
    "[::ffff:0:127.0.0.1]",
    "[::ffff:0:8.8.8.8]",
    // NAT64, the well-known and the local prefix.
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b::8.8.8.8]",
    "[64:ff9b:1::a00:1]",
    "[64:ff9b:1:ffff::1]",
    // 6to4 and Teredo, with private and public addresses inside.
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2002:c0a8:101::1]",
    "[2002:808:808::1]",
    "[2001::1]",
    "[2001:0:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[2001:1::1]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[2001:1ff::1]",
    // Documentation, AS112, discard, SRv6, segment routing, dummy.
    "[2001:db8::1]",
    "[2001:db8:ffff::]",
    "[3fff::1]",
    "[3fff:fff:ffff::]",
    "[2620:4f:8000::1]",
    "[100::1]",
    "[100:0:0:1::1]",
    "[5f00::1]",
    // Unique local, with the metadata services of AWS and Google.
    "[fc00::1]",
    "[fd00::1]",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
    "[fd20:ce::254]",
    "[fdff:ffff:ffff::]",
    // Link local, site local, multicast, never assigned.
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[febf::1]",
    "[fec0::1]",
    "[feff::1]",
    "[ff00::1]",
    "[ff02::1]",
    "[ff0e::1]",
    "[4000::1]",
    "[8000::1]",
    "[1fff::1]",
    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]",
];

/// Hosts that are no hosts: they must not even parse, or fail the check for another reason.
const MALFORMED_HOSTS: &[&str] = &[
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[::1%lo]",
    "[::1",
    "::1",
    "[127.0.0.1]",
    "[]",
    "[:::1]",
    "[::ffff:999.0.0.1]",
    "256.0.0.1",
    "1.2.3.4.5",
    "4294967296",
    "0x100000000",
    "1.2.3.08",
    "127.0.0.256",
    "09.0.0.1",
    "%00",
    "a b",
    "a%00b",
    "a<b",
    "a^b",
    "a|b",
    "xn--",
    "*.example.com",
];

/// Places on the public internet, some just beside what is refused.
const PUBLIC_HOSTS: &[&str] = &[
    "1.1.1.1",
    "1.0.0.1",
    "8.8.8.8",
    "134744072",
    "0x08080808",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.31.195.255",
    "192.31.197.0",
    "192.52.192.255",
    "192.52.194.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "192.175.47.255",
    "192.175.49.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "[2000::1]",
    "[2001:200::1]",
    "[2001:4860:4860::8888]",
    "[2001:db7:ffff::1]",
    "[2001:db9::1]",
    "[2003::1]",
    "[2606:4700:4700::1111]",
    "[2620:4f:7fff::1]",
    "[2620:4f:8001::1]",
    "[2620:fe::fe]",
    "[2a00:1450:4001::200e]",
    "[3ffe::1]",
    "[3fff:1000::1]",
    "[3eff::1]",
    "[::ffff:8.8.8.8]",
    "[::ffff:808:808]",
];

fn guard(allow: &[&str], own: &[&str]) -> Guard {
    let allow = allow.iter().map(|network| network.parse().unwrap()).collect();
    Guard::new(
        allow,
        false,
        own.iter().map(|address| address.parse().unwrap()).collect(),
    )
}

fn check_url(guard: &Guard, url: &str) -> Result<(), UrlError> {
    guard.check_url(&Url::parse(url).unwrap())
}

#[test]
fn addresses_that_are_not_public_are_refused_in_every_notation() {
    let guard = guard(&[], &[]);
    for host in REFUSED_HOSTS {
        for url in [format!("https://{host}/"), format!("http://{host}:8080/in?x=y")] {
            let parsed = Url::parse(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(
                guard.check_url(&parsed),
                Err(UrlError::Blocked(Blocked)),
                "{url} as {parsed}"
            );
        }
    }
}

#[test]
fn hosts_that_are_no_hosts_get_nowhere() {
    let guard = guard(&["0.0.0.0/0", "::/0"], &[]);
    for host in MALFORMED_HOSTS {
        let url = format!("https://{host}/");
        let checked = Url::parse(&url).map(|url| guard.check_url(&url));
        assert!(!matches!(checked, Ok(Ok(()))), "{url} became {checked:?}");
    }
}

#[test]
fn public_addresses_are_let_through() {
    let guard = guard(&[], &[]);
    for host in PUBLIC_HOSTS {
        assert_eq!(check_url(&guard, &format!("https://{host}/")), Ok(()), "{host}");
    }
}

#[test]
fn every_refused_network_is_refused_from_end_to_end() {
    for (network, bits) in IPV4_REFUSED {
        let first = network.to_bits();
        let last = first | u32::MAX.checked_shr(bits).unwrap_or(0);
        for bits in [first, last, first + (last - first) / 2] {
            let ip = Ipv4Addr::from_bits(bits);
            assert!(
                !is_public(ip.into()) && !is_public(ip.to_ipv6_mapped().into()),
                "{ip}"
            );
        }
    }
    for (network, bits) in IPV6_REFUSED {
        let last = network.to_bits() | u128::MAX >> bits;
        assert!(
            !is_public(network.into()) && !is_public(Ipv6Addr::from_bits(last).into()),
            "{network}"
        );
    }
}

#[test]
fn allowed_networks_open_exactly_themselves() {
    let guard = guard(&["127.0.0.0/8", "10.1.0.0/16", "fd12::/16"], &[]);
    for (host, allowed) in [
        ("127.0.0.1", true),
        ("2130706433", true),
        ("[::ffff:127.0.0.1]", true),
        ("[::1]", false),
        ("[::127.0.0.1]", false),
        ("10.1.255.255", true),
        ("10.2.0.0", false),
        ("[fd12::1]", true),
        ("[fd13::1]", false),
        ("169.254.169.254", false),
    ] {
        assert_eq!(
            check_url(&guard, &format!("http://{host}/")).is_ok(),
            allowed,
            "{host}"
        );
    }
}

#[test]
fn the_relays_own_addresses_are_never_allowed() {
    let guard = guard(
        &["0.0.0.0/0", "::/0"],
        &["0.0.0.0:8080", "127.0.0.1:9090", "8.8.8.8:80"],
    );
    for (address, allowed) in [
        ("127.0.0.1:8080", false),
        ("127.9.9.9:8080", false),
        ("0.0.0.0:8080", false),
        ("[::1]:8080", false),
        ("[::ffff:127.0.0.1]:8080", false),
        ("127.0.0.1:9090", false),
        ("[::ffff:7f00:1]:9090", false),
        ("127.0.0.2:9090", true),
        ("127.0.0.1:8081", true),
        ("8.8.8.8:80", false),
        ("8.8.4.4:80", true),
    ] {
        assert_eq!(
            guard.check(address.parse().unwrap()).is_ok(),
            allowed,
            "{address}"
        );
    }
    for (local, peer, allowed) in [
        ("8.8.4.4:40000", "8.8.4.4:8080", false),
        ("8.8.4.4:40000", "8.8.4.4:8081", true),
        ("8.8.4.5:40000", "8.8.4.4:8080", true),
    ] {
        let checked = guard.check_connection(local.parse().unwrap(), peer.parse().unwrap());
        assert_eq!(checked.is_ok(), allowed, "{local} {peer}");
    }
}

#[test]
fn malformed_urls_say_what_is_wrong() {
    let guard = guard(&[], &[]);
    let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX));
    for (url, result) in [
        ("https://example.com/hooks?a=b", Ok(())),
        ("http://example.com:8080/", Ok(())),
        ("https://example.com./", Ok(())),
        ("http://my_service:8080/", Ok(())),
        ("https://bücher.example/ü?ü", Ok(())),
        ("ftp://example.com/", Err(UrlError::Scheme("ftp".to_owned()))),
        ("file:///etc/passwd", Err(UrlError::Scheme("file".to_owned()))),
        (
            "gopher://127.0.0.1:6379/_x",
            Err(UrlError::Scheme("gopher".to_owned())),
        ),
        ("unix:/run/docker.sock", Err(UrlError::Scheme("unix".to_owned()))),
        ("data:,x", Err(UrlError::Scheme("data".to_owned()))),
        ("https://user@example.com/", Err(UrlError::Credentials)),
        ("https://:password@example.com/", Err(UrlError::Credentials)),
        ("https://example.com:443@127.0.0.1/", Err(UrlError::Credentials)),
        ("https://example.com:0/", Err(UrlError::Port)),
        (&long, Err(UrlError::TooLong)),
    ] {
        assert_eq!(check_url(&guard, url), result, "{url}");
    }
}

#[test]
fn a_url_is_judged_as_the_one_parser_reads_it() {
    let guard = guard(&[], &[]);
    // What another parser may take for a host, or for no URL at all.
    for url in [
        "http:127.0.0.1/",
        "http:/127.0.0.1/",
        "http:///127.0.0.1/",
        "http:////127.0.0.1/",
        r"http:\\127.0.0.1\",
        r"http:/\127.0.0.1/",
        " http://127.0.0.1/ ",
        "HTTP://127.0.0.1/",
        "hTtPs://127.0.0.1",
        "ht\ntp://127.0.0.1/",
        "http://127.0.\t0.1/",
        "http://127.0.0.1\n/",
        "http://127.0.0.1:/",
        "http://127.0.0.1:00080/",
        "http://127.0.0.1?@example.com/",
        "http://127.0.0.1#@example.com/",
        "http://127.0.0.1/@example.com/",
        r"http://127.0.0.1\@example.com/",
        "http://@127.0.0.1/",
        "http://:@127.0.0.1/",
        "http://127.0.0.1/%2e%2e/",
        "http://127%2e0%2e0%2e1/",
        "http://%31%32%37.1/",
        "http://ⓛocalhost.@127.0.0.1/..",
        "http://0x7f%2e1/",
        "http://[::ffff:127.0.0.1]:80/",
        "http://[0:0::1]./",
    ] {
        let checked = Url::parse(url).map(|url| guard.check_url(&url));
        assert!(
            matches!(
                checked,
                Err(_) | Ok(Err(UrlError::Blocked(_) | UrlError::Credentials))
            ),
            "{url:?} became {checked:?}"
        );
    }
    // These lead where they seem to lead, and nowhere else.
    for (url, host) in [
        (r"http://example.com\@127.0.0.1/", "example.com"),
        ("http://example.com#@127.0.0.1/", "example.com"),
        ("http://example.com?@127.0.0.1/", "example.com"),
        ("http://example.com/@127.0.0.1/", "example.com"),
        ("http://127.0.0.1.example.com/", "127.0.0.1.example.com"),
        ("http://EXAMPLE.com/", "example.com"),
        ("http://exa\u{ad}mple.com/", "example.com"),
        ("http://ｅｘａｍｐｌｅ.com/", "example.com"),
        ("http://faß.example/", "xn--fa-hia.example"),
    ] {
        let url = Url::parse(url).expect("a URL");
        assert_eq!(
            (guard.check_url(&url), url.host_str()),
            (Ok(()), Some(host)),
            "{url}"
        );
    }
}

#[test]
fn plain_http_is_refused_where_https_is_asked_for() {
    let guard = Guard::new(Vec::new(), true, Vec::new());
    assert_eq!(check_url(&guard, "http://example.com/"), Err(UrlError::PlainHttp));
    assert_eq!(check_url(&guard, "https://example.com/"), Ok(()));
}

proptest! {
    #[test]
    fn a_mapped_address_is_judged_like_the_one_inside(bits in any::<u32>()) {
        let ip = Ipv4Addr::from_bits(bits);
        prop_assert_eq!(is_public(ip.into()), is_public(ip.to_ipv6_mapped().into()));
    }

    #[test]
    fn no_url_makes_the_guard_panic(text in "(https?|ftp)://[ -~]{0,40}") {
        if let Ok(url) = Url::parse(&text) {
            // Whether it passes does not matter here.
            drop(guard(&[], &[]).check_url(&url));
        }
    }
}
