//! Fetches one file and has the relay keep it.

use relay_sdk::http::{self, HttpError, Response};
use relay_sdk::media::{self, Kept};
use relay_sdk::prelude::*;

use crate::Config;

/// The secret that is sent if the configuration says so.
const TOKEN: &str = "media-token";
/// How often an answer may lead elsewhere.
const REDIRECTS_MAX: usize = 3;
/// What a file is of which its server says nothing.
const ANY_TYPE: &str = "application/octet-stream";

/// The address that a JSON text is, if it is one that can be fetched.
pub(crate) fn address(json: &str) -> Option<String> {
    let text: String = serde_json::from_str(json).ok()?;
    let begins = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    (begins("https://") || begins("http://")).then_some(text)
}

/// Fetches the file at an address and has the relay keep it. The fault says whether it may work later.
pub(crate) fn capture(url: &str, config: &Config) -> Result<Kept, Fault> {
    let answer = fetch(url, config)?;
    let content_type = answer.header("content-type").unwrap_or(ANY_TYPE);
    if !is_wanted(&config.types, content_type) {
        return Err(Fault::invalid(format!(
            "it is {content_type}, which is not wanted"
        )));
    }
    Ok(media::keep(answer.body, content_type, config.ttl())?)
}

/// Follows where the answers lead. The token is for the first host alone.
fn fetch(url: &str, config: &Config) -> Result<Response, Fault> {
    let mut at = url.to_owned();
    for _ in 0..=REDIRECTS_MAX {
        let mut request = http::get(&at);
        if let Some(bytes) = config.bytes_max {
            request = request.max_bytes(bytes);
        }
        if config.bearer && origin(&at) == origin(url) {
            request = request.bearer_secret(TOKEN);
        }
        let answer = request.send().map_err(refused)?;
        match answer.status {
            200 => return Ok(answer),
            301..=303 | 307 | 308 => at = leads_to(&at, &answer)?,
            status @ (408 | 425 | 429 | 500..) => {
                return Err(Fault::unavailable(format!("its server answers {status}")));
            }
            status => return Err(Fault::invalid(format!("its server answers {status}"))),
        }
    }
    Err(Fault::invalid(format!(
        "it leads elsewhere more than {REDIRECTS_MAX} times"
    )))
}

fn refused(error: HttpError) -> Fault {
    let why = error.to_string();
    match error {
        HttpError::Denied(_) => Fault::misconfigured(why),
        HttpError::TooLarge(_) | HttpError::Invalid(_) => Fault::invalid(why),
        HttpError::Timeout | HttpError::Failed(_) => Fault::unavailable(why),
    }
}

fn leads_to(at: &str, answer: &Response) -> Result<String, Fault> {
    let location = answer.header("location").unwrap_or_default();
    if location.starts_with("https://") || location.starts_with("http://") {
        return Ok(location.to_owned());
    }
    let origin = origin(at);
    let scheme = origin.split_once("//").map_or("https:", |(scheme, _)| scheme);
    if location.starts_with("//") {
        return Ok(format!("{scheme}{location}"));
    }
    if location.starts_with('/') {
        return Ok(format!("{origin}{location}"));
    }
    Err(Fault::invalid(format!(
        "it leads to {location:?}, which is no address"
    )))
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let host = url.find("//").map_or(0, |slashes| slashes + 2);
    let end = url[host..]
        .find(['/', '?', '#', '\\'])
        .map_or(url.len(), |end| host + end);
    &url[..end]
}

/// Whether a media type is one of those wanted; none wanted: all are.
fn is_wanted(types: &[String], content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let fits = |wanted: &String| match wanted.strip_suffix('*') {
        Some(kind) => essence.starts_with(kind),
        None => essence == *wanted,
    };
    types.is_empty() || types.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_fetched_is_an_address() {
        for (json, expected) in [
            ("\"https://a.example/1\"", Some("https://a.example/1")),
            ("\"HTTP://a.example\"", Some("HTTP://a.example")),
            ("\"https:\\/\\/a.example\\/1\"", Some("https://a.example/1")),
            ("\"\"", None),
            ("\"ftp://a.example\"", None),
            ("\"contract.pdf\"", None),
            ("null", None),
            ("7", None),
            ("[\"https://a.example\"]", None),
        ] {
            assert_eq!(address(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn an_origin_ends_where_the_path_begins() {
        for (url, expected) in [
            ("https://a.example/b//c", "https://a.example"),
            ("https://a.example:8443?x", "https://a.example:8443"),
            ("https://a.example", "https://a.example"),
            ("https://a.example\\@b.example/", "https://a.example"),
        ] {
            assert_eq!(origin(url), expected);
        }
    }

    #[test]
    fn types_are_wanted_by_name_or_by_kind() {
        let wanted = ["image/*".to_owned(), "application/pdf".to_owned()];
        for (content_type, is) in [
            ("image/jpeg", true),
            ("Image/PNG; q=1", true),
            ("application/pdf", true),
            ("application/pdfx", false),
            ("imagex/png", false),
            ("text/html", false),
            ("", false),
        ] {
            assert_eq!(is_wanted(&wanted, content_type), is, "{content_type}");
        }
        assert!(is_wanted(&[], "text/html"));
    }
}
