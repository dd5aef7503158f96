//! Drops, masks or hashes fields of JSON payloads.

use relay_sdk::crypto::{Digest, Encoding};
use relay_sdk::pattern::{self, Pattern};
use relay_sdk::prelude::*;
use relay_sdk::repeated;
use serde::Deserialize;

/// What stands in for a masked object or array, whose text would tell its shape.
const MASKED_CHARACTERS: usize = 3;

struct RedactFields;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    drop: Vec<Pattern>,
    #[serde(default)]
    mask: Vec<Pattern>,
    #[serde(default)]
    keep_last: usize,
    #[serde(default = "asterisk")]
    mask_character: char,
    #[serde(default)]
    hash: Vec<Pattern>,
    #[serde(default)]
    unkeyed_hash: bool,
}

fn asterisk() -> char {
    '*'
}

#[plugin]
impl RedactFields {
    fn transform(event: &Event, config: &Config) -> Result<Edits, Fault> {
        if event.data().size() == 0 {
            return Ok(event.edit());
        }
        let texts = replaced(event, config)?;
        let drops = pattern::in_order_of_removal(&config.drop, event);
        if texts.is_empty() && drops.is_empty() && !is_repeating(event)? {
            return Ok(event.edit());
        }
        let patterns = config.mask.iter().chain(&config.hash).chain(&config.drop);
        let edits = patterns.fold(event.edit(), |edits, pattern| pattern.single_out(event, edits));
        let edits = texts.into_iter().fold(edits, |edits, (at, text)| match text {
            Some(text) => edits.set(at, text),
            None => edits.set_raw(at, "null"),
        });
        Ok(drops.into_iter().fold(edits, Edits::remove))
    }

    fn check(config: Config) -> Vec<Problem> {
        let both = |pattern: &&Pattern| config.mask.contains(pattern);
        let problem =
            |pattern: &Pattern| Problem::new("/hash", format!("{pattern} is masked too: choose one"));
        config.hash.iter().filter(both).map(problem).collect()
    }
}

/// Whether a name comes twice somewhere in the payload. What cannot be read must not pass for
/// redacted.
fn is_repeating(event: &Event) -> Result<bool, Fault> {
    let text = event.data().text();
    text.and_then(|text| repeated::is_in(&text))
        .ok_or_else(|| Fault::invalid("the payload is not JSON: nothing in it can be redacted"))
}

/// The masks and hashes with their pointers. `None` stands for null, which is written all the same: a
/// change to the last member of a name takes those before it away.
fn replaced(event: &Event, config: &Config) -> Result<Vec<(String, Option<String>)>, Fault> {
    let mut texts = Vec::new();
    for found in config.mask.iter().flat_map(|pattern| pattern.values(event)) {
        texts.push((found.at, masked(&found.json, config)));
    }
    for found in config.hash.iter().flat_map(|pattern| pattern.values(event)) {
        texts.push((found.at, hashed(&found.json, config)?));
    }
    // A value goes before what it lies in: both may be named.
    texts.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
    Ok(texts)
}

/// The text in place of a value; `None` leaves null as it is.
fn masked(json: &str, config: &Config) -> Option<String> {
    let text = match json.as_bytes().first()? {
        b'n' => return None,
        b'{' | b'[' | b't' | b'f' => return Some(covered(MASKED_CHARACTERS, config)),
        b'"' => serde_json::from_str(json).unwrap_or_default(),
        _ => json.to_owned(),
    };
    let length = text.chars().count();
    let kept = config.keep_last.min(length / 2);
    Some(covered(length - kept, config) + &text.chars().skip(length - kept).collect::<String>())
}

fn covered(length: usize, config: &Config) -> String {
    std::iter::repeat_n(config.mask_character, length).collect()
}

/// The digest of a string's text, or of another value's JSON; `None` leaves null as it is.
fn hashed(json: &str, config: &Config) -> Result<Option<String>, Fault> {
    let text = match json.as_bytes().first() {
        None | Some(b'n') => return Ok(None),
        Some(b'"') => serde_json::from_str(json)?,
        Some(_) => json.to_owned(),
    };
    let parts = [(&text).into()];
    if config.unkeyed_hash {
        return Ok(Some(crypto::hash(Digest::Sha256, &parts, Encoding::Hex)));
    }
    Ok(Some(crypto::hmac(
        "hash-key",
        Digest::Sha256,
        &parts,
        Encoding::Hex,
    )?))
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<RedactFields>();
    }

    #[test]
    fn what_is_masked_is_never_more_readable_than_covered() {
        let config = |keep| json!({ "mask": ["/v"], "keep_last": keep, "mask_character": "•" });
        for (value, keep, expected) in [
            (json!("4155552671"), 4, "••••••2671"),
            (json!("2671"), 4, "••71"),
            (json!("x"), 4, "•"),
            (json!(""), 4, ""),
            (json!("äöü"), 1, "••ü"),
            (json!(12345), 2, "•••45"),
            (json!({ "a": 1 }), 2, "•••"),
            (json!(true), 2, "•••"),
        ] {
            let host = Host::new().config(config(keep));
            let result = host
                .transform::<RedactFields>(event("a").data(json!({ "v": value })))
                .unwrap();
            assert_eq!(result.json()["v"], expected, "{value}");
        }
    }

    #[test]
    fn keyed_hashes_differ_from_plain_ones_and_need_the_secret() {
        let sample = || event("a").data(json!({ "v": "alex@example.com" }));
        let plain = Host::new().config(json!({ "hash": ["/v"], "unkeyed_hash": true }));
        let keyed = Host::new()
            .config(json!({ "hash": ["/v"] }))
            .secret("hash-key", "k");
        let hash = |host: &Host| host.transform::<RedactFields>(sample()).unwrap().json()["v"].clone();
        assert_ne!(hash(&plain), hash(&keyed));
        let fault = Host::new()
            .config(json!({ "hash": ["/v"] }))
            .transform::<RedactFields>(sample())
            .unwrap_err();
        assert!(matches!(fault, Fault::Misconfigured(_)), "{fault}");
    }
}
