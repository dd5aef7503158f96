//! Which encoding a document says it is in.

/// Encodings that are UTF-8, or a part of it.
const UTF8: [&str; 4] = ["utf-8", "utf8", "us-ascii", "ascii"];

/// Refuses a document that is in another encoding than UTF-8 by its content type, or by its
/// declaration if that says nothing (RFC 7303, section 3). Plain ASCII is the same in all of
/// those that bytes without a zero can be in.
pub(crate) fn check(text: &str, content_type: &str) -> Result<(), String> {
    if text.is_ascii() || text.starts_with('\u{feff}') {
        return Ok(());
    }
    let named = charset(content_type)
        .or_else(|| declared(text))
        .unwrap_or("utf-8");
    if UTF8.iter().any(|known| named.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let shown: String = named.chars().take(40).collect();
    Err(format!("the XML is in {shown:?}; only UTF-8 can be read"))
}

/// The parameter `charset` of a content type.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"'))
    })
}

/// The encoding in `<?xml version="1.0" encoding="…"?>`.
fn declared(text: &str) -> Option<&str> {
    let (declaration, _) = text.strip_prefix("<?xml")?.split_once("?>")?;
    let (_, rest) = declaration.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    rest[1..].split_once(quote).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf_8_passes_for_itself() {
        for (text, content_type, passes) in [
            ("<a>ä</a>", "text/xml", true),
            ("<?xml version='1.0' encoding='UTF-8'?><a>ä</a>", "text/xml", true),
            (
                "<?xml version='1.0' encoding='ISO-8859-1'?><a>ä</a>",
                "text/xml",
                false,
            ),
            (
                "<?xml version='1.0' encoding='ISO-8859-1'?><a>a</a>",
                "text/xml",
                true,
            ),
            (
                "<?xml version='1.0' encoding='ISO-8859-1'?><a>ä</a>",
                "text/xml; charset=\"utf-8\"",
                true,
            ),
            ("<a>ä</a>", "text/xml; Charset=windows-1252", false),
            ("<?xml encoding", "text/xml", true),
            ("<?xml encoding=?>ä", "text/xml", true),
        ] {
            assert_eq!(check(text, content_type).is_ok(), passes, "{text} {content_type}");
        }
    }
}
