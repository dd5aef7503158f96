//! How many attributes an element has, before anything is parsed. The parser compares each with
//! all the others of its element, so that a few hundred kilobytes of them would take seconds.

/// Most attributes of one element.
const ATTRIBUTES_MAX: usize = 1_000;

/// Refuses a document with an element of too many attributes.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some((_, markup)) = rest.split_once('<') {
        let (count, after) = match opaque_end(markup) {
            Some(end) => (0, markup.split_once(end).map_or("", |(_, after)| after)),
            None => tag(markup),
        };
        if count > ATTRIBUTES_MAX {
            return Err(format!("an element has more than {ATTRIBUTES_MAX} attributes"));
        }
        rest = after;
    }
    Ok(())
}

/// What ends the markup in which anything may stand.
fn opaque_end(markup: &str) -> Option<&'static str> {
    let kinds = [("!--", "-->"), ("![CDATA[", "]]>"), ("?", "?>")];
    let kind = kinds.into_iter().find(|(begin, _)| markup.starts_with(begin));
    kind.map(|(_, end)| end)
}

/// The number of attributes of a tag, and what comes after it.
fn tag(markup: &str) -> (usize, &str) {
    let (mut count, mut quote) = (0, None);
    for (at, byte) in markup.bytes().enumerate() {
        match (byte, quote) {
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(open)) if open == byte => quote = None,
            (b'=', None) => count += 1,
            (b'>', None) => return (count, &markup[at + 1..]),
            _ => {}
        }
    }
    (count, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_attributes_are_counted() {
        let many = "a=\"\" ".repeat(ATTRIBUTES_MAX + 1);
        for (text, passes) in [
            (format!("<a {many}/>"), false),
            (format!("<b>ä</b><a {many}"), false),
            (format!("<!-- <a {many} --><a/>"), true),
            (format!("<a><![CDATA[<b {many}]]></a>"), true),
            (format!("<?pi {many} ?><a/>"), true),
            (format!("<a>{many}</a>"), true),
            (format!("<a b=\"{}\"/>", "=".repeat(5_000)), true),
            (format!("<a b='>{many}"), true),
            ("<".into(), true),
            ("<!--".into(), true),
        ] {
            assert_eq!(check(&text).is_ok(), passes, "{}", &text[..20.min(text.len())]);
        }
    }
}
