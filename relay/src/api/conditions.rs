//! `ETag` and `If-Match` (RFC 9110, section 13): changes meant for what the caller has read.

use http::{HeaderMap, HeaderValue, header};

use super::errors::Failure;
use crate::http::problem::Problem;

/// The tag of a revision.
pub(super) fn etag(revision: u64) -> HeaderValue {
    // Digits and quotes alone: always a value.
    HeaderValue::try_from(format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// The revision that a change is meant for; `None`: whichever it is.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let revision = tag.and_then(|tag| tag.parse().ok());
    revision.map(Some).ok_or_else(|| {
        Failure(Problem::new(
            412,
            "changed_meanwhile",
            "Changed meanwhile",
            "If-Match is no tag that was given out here; send the ETag of what you read",
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_out_is_understood() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_str(value).expect("a value"));
            if_match(&headers).ok()
        };
        let tag = etag(7);
        assert_eq!(read(tag.to_str().expect("text")), Some(Some(7)));
        assert_eq!((read("*"), read(" \"12\" ")), (Some(None), Some(Some(12))));
        for other in ["7", "\"x\"", "W/\"7\"", ""] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(if_match(&HeaderMap::new()).ok(), Some(None));
    }
}
