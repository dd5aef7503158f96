//! How the bytes of a body are coded: not at all.
//!
//! A body is taken as it came, since a signature covers it so. One that is compressed could not
//! be looked into, and to decompress what a stranger sends is a way to fill the memory.

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::refuse::Refusal;

/// Longest part of a coding's name that is repeated to the caller.
const NAME_LEN_MAX: usize = 32;

/// Refuses a body that its head calls compressed.
///
/// # Errors
/// [`Refusal::ContentEncoding`] names the coding.
pub fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let coded = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .find(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    match coded {
        None => Ok(()),
        Some(coding) => {
            let name = String::from_utf8_lossy(coding.as_bytes());
            Err(Refusal::ContentEncoding(
                name.chars().take(NAME_LEN_MAX).collect(),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_is_not_coded_is_taken() {
        let coded = |codings: &[&'static str]| {
            let codings = codings
                .iter()
                .map(|coding| (CONTENT_ENCODING, HeaderValue::from_static(coding)));
            check(&codings.collect())
        };
        for codings in [&[][..], &["identity"], &[" Identity "]] {
            assert!(coded(codings).is_ok(), "{codings:?}");
        }
        for codings in [
            &["gzip"][..],
            &["br"],
            &["identity", "deflate"],
            &["identity, gzip"],
            &[""],
        ] {
            assert!(
                matches!(coded(codings), Err(Refusal::ContentEncoding(_))),
                "{codings:?}"
            );
        }
    }
}
