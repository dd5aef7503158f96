//! Whether a request's head reads the same to everybody.
//!
//! A head that a proxy in front understands in one way and the relay in another is how requests
//! are smuggled past the proxy's rules, so whatever is ambiguous is refused. The parser sees to
//! the syntax of HTTP; here is what it lets pass.

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Request, Uri, Version};

/// Headers that may be there once: two readers could choose differently among several.
const SINGLE: [HeaderName; 2] = [CONTENT_TYPE, AUTHORIZATION];

/// The bounds of a head, beside its size as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub uri_bytes_max: usize,
    pub headers_max: usize,
}

/// What is wrong with a head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the URI is longer than {limit} bytes")]
    UriTooLong { limit: usize },
    #[error("there are more than {limit} headers")]
    TooManyHeaders { limit: usize },
    #[error("the request's target {0}")]
    Target(&'static str),
    #[error("the header host {0}")]
    Host(&'static str),
    #[error("the header transfer-encoding is not just \"chunked\"")]
    TransferEncoding,
    #[error("the header {0} is there more than once")]
    Repeated(HeaderName),
}

/// Holds a head against every rule.
///
/// # Errors
/// The first rule that it breaks.
pub fn check<B>(request: &Request<B>, limits: Limits) -> Result<(), Fault> {
    let (uri, headers) = (request.uri(), request.headers());
    let query = uri.query().map_or(0, |query| query.len() + 1);
    if uri.path().len() + query > limits.uri_bytes_max {
        return Err(Fault::UriTooLong {
            limit: limits.uri_bytes_max,
        });
    }
    // HTTP/1's parser has counted them; HTTP/2's counts bytes alone.
    if headers.len() > limits.headers_max {
        return Err(Fault::TooManyHeaders {
            limit: limits.headers_max,
        });
    }
    host(request.version(), uri, headers)?;
    transfer_encoding(headers)?;
    repeated(headers)?;
    path(uri.path()).map_err(Fault::Target)
}

/// One host, and the same one if it is said twice (RFC 9112, section 3.2; RFC 9113, section
/// 8.3.1). HTTP/1.0 may leave it out.
fn host(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    let authority = uri.authority().map(|authority| authority.as_str());
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Fault::Host("is there more than once"));
    }
    match (host.map(|host| host.as_bytes()), authority) {
        (None, None) if version <= Version::HTTP_10 => Ok(()),
        (None, Some(authority)) if version >= Version::HTTP_2 && is_host(authority.as_bytes()) => Ok(()),
        (None, _) => Err(Fault::Host("is missing")),
        (Some(host), _) if !is_host(host) => Err(Fault::Host("is no name or address with a port")),
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority.as_bytes()) => {
            Err(Fault::Host("is another one than the target's"))
        }
        (Some(_), _) => Ok(()),
    }
}

/// A name or an address, and perhaps a port: `host` of RFC 3986, section 3.2.2.
fn is_host(text: &[u8]) -> bool {
    let (name, rest) = match text {
        [b'[', inner @ ..] => {
            let Some(end) = memchr::memchr(b']', inner) else {
                return false;
            };
            let is_address = inner[..end]
                .iter()
                .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
            if !is_address {
                return false;
            }
            (&inner[..end], &inner[end + 1..])
        }
        _ => {
            let end = memchr::memchr(b':', text).unwrap_or(text.len());
            if !text[..end].iter().copied().all(is_name) {
                return false;
            }
            text.split_at(end)
        }
    };
    let is_port = match rest {
        [] => true,
        [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !name.is_empty() && is_port
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

/// The only coding of a request that has one reading (RFC 9112, section 6.1).
fn transfer_encoding(headers: &HeaderMap) -> Result<(), Fault> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    if is_plain {
        Ok(())
    } else {
        Err(Fault::TransferEncoding)
    }
}

fn repeated(headers: &HeaderMap) -> Result<(), Fault> {
    // Hardly a request has anything twice, and then there is nothing to look for.
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    match SINGLE
        .into_iter()
        .find(|name| headers.get_all(name).iter().nth(1).is_some())
    {
        None => Ok(()),
        Some(name) => Err(Fault::Repeated(name)),
    }
}

/// Paths are exact: nothing in one leads elsewhere, and none can be written in two ways that
/// matter.
fn path(path: &str) -> Result<(), &'static str> {
    let Some(segments) = path.strip_prefix('/') else {
        return Err("is no path");
    };
    if !path.is_ascii() || path.contains('\\') {
        return Err("has characters that have to be percent-encoded");
    }
    segments.split('/').try_for_each(segment)
}

fn segment(segment: &str) -> Result<(), &'static str> {
    let mut dots = 0;
    let mut others = 0;
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            escaped(bytes.next(), bytes.next()).ok_or("has a % without two digits behind it")?
        } else {
            byte
        };
        match byte {
            b'.' => dots += 1,
            b'/' | b'\\' => return Err("has an encoded slash"),
            0..0x20 | 0x7f => return Err("has a control character"),
            _ => others += 1,
        }
    }
    if others == 0 && (dots == 1 || dots == 2) {
        return Err("has a dot segment");
    }
    Ok(())
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        uri_bytes_max: 40,
        headers_max: 3,
    };

    fn request(version: Version, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    fn of_http1(uri: &str, headers: &[(&str, &str)]) -> Result<(), Fault> {
        check(&request(Version::HTTP_11, uri, headers), LIMITS)
    }

    #[test]
    fn a_path_says_one_thing() {
        for path in [
            "/",
            "/in/door",
            "/in/a%20b",
            "/in/..a",
            "/in/...",
            "/a//b",
            "/.well-known/x",
            "/%41",
        ] {
            assert_eq!(of_http1(path, &[("host", "relay")]), Ok(()), "{path}");
        }
        for path in [
            "/.",
            "/..",
            "/../in",
            "/in/./door",
            "/in/../v1",
            "/in/%2e%2e/v1",
            "/in/.%2E",
            "/%2e",
            "/in%2fdoor",
            "/in%2Fdoor",
            "/in%5cdoor",
            "/in/%",
            "/in/%4",
            "/in/%zz",
            "/in/%+1",
            "/in/%00",
            "/in/%7f",
            "/in/%0a",
            "*",
        ] {
            assert!(
                matches!(of_http1(path, &[("host", "relay")]), Err(Fault::Target(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn the_host_is_there_once_and_well_formed() {
        for host in [
            "relay",
            "relay.example.com:8080",
            "127.0.0.1",
            "[::1]:80",
            "a_b",
            "relay:",
        ] {
            assert_eq!(of_http1("/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "a,b:80:80",
            "[::1",
            "[::1]x",
            "[]",
            "[g]",
            "relay:x",
            "a:123456",
            "ü",
        ] {
            assert!(
                matches!(of_http1("/", &[("host", host)]), Err(Fault::Host(_))),
                "{host}"
            );
        }
        assert_eq!(of_http1("/", &[]), Err(Fault::Host("is missing")));
        assert!(of_http1("/", &[("host", "a"), ("host", "a")]).is_err());
        let old = request(Version::HTTP_10, "/", &[]);
        assert_eq!(check(&old, LIMITS), Ok(()));
    }

    #[test]
    fn a_host_that_is_said_twice_is_the_same() {
        assert_eq!(of_http1("http://relay/in/a", &[("host", "Relay")]), Ok(()));
        for headers in [&[][..], &[("host", "other")]] {
            assert!(of_http1("http://relay/in/a", headers).is_err(), "{headers:?}");
        }
        let of_http2 = |headers| check(&request(Version::HTTP_2, "http://relay/", headers), LIMITS);
        assert_eq!(of_http2(&[]), Ok(()));
        assert_eq!(of_http2(&[("host", "relay")]), Ok(()));
        assert!(of_http2(&[("host", "other")]).is_err());
        let nobody = request(Version::HTTP_2, "/", &[]);
        assert_eq!(check(&nobody, LIMITS), Err(Fault::Host("is missing")));
    }

    #[test]
    fn one_coding_is_understood() {
        let coded = |codings: &[&str]| {
            let mut headers = vec![("host", "relay")];
            headers.extend(codings.iter().map(|coding| ("transfer-encoding", *coding)));
            of_http1("/", &headers)
        };
        assert_eq!(coded(&["chunked"]), Ok(()));
        assert_eq!(coded(&[" Chunked "]), Ok(()));
        for codings in [
            &["chunked, chunked"][..],
            &["gzip, chunked"],
            &["chunked", "chunked"],
            &["identity"],
            &[""],
        ] {
            assert_eq!(coded(codings), Err(Fault::TransferEncoding), "{codings:?}");
        }
    }

    #[test]
    fn what_counts_once_is_there_once() {
        let twice = |name| of_http1("/", &[("host", "relay"), (name, "a"), (name, "a")]);
        assert_eq!(twice("content-type"), Err(Fault::Repeated(CONTENT_TYPE)));
        assert_eq!(twice("authorization"), Err(Fault::Repeated(AUTHORIZATION)));
        assert_eq!(twice("x-any"), Ok(()));
    }

    #[test]
    fn a_head_is_bounded() {
        let host = ("host", "relay");
        assert_eq!(of_http1(&format!("/?{}", "x".repeat(38)), &[host]), Ok(()));
        assert_eq!(
            of_http1(&format!("/?{}", "x".repeat(39)), &[host]),
            Err(Fault::UriTooLong { limit: 40 })
        );
        assert_eq!(
            of_http1("/", &[host, ("a", "1"), ("b", "1"), ("c", "1")]),
            Err(Fault::TooManyHeaders { limit: 3 })
        );
    }
}
