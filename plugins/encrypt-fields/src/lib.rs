//! Encrypts fields of JSON payloads as JWE.

mod jwe;

use jwe::Sealer;
use relay_sdk::pattern::Pattern;
use relay_sdk::prelude::*;
use relay_sdk::repeated;
use serde::Deserialize;

/// Most values of one event that are encrypted.
const VALUES_MAX: usize = 1_000;

struct EncryptFields;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    fields: Vec<Pattern>,
    key_id: Option<String>,
    #[serde(default)]
    missing: Missing,
}

/// What becomes of an event without one of the fields.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Missing {
    #[default]
    Keep,
    Fault,
}

#[plugin]
impl EncryptFields {
    fn transform(event: &Event, config: &Config) -> Result<Edits, Fault> {
        if event.data().size() == 0 {
            return Ok(event.edit());
        }
        check_readable(event)?;
        let mut values = config.values(event)?;
        if values.is_empty() {
            return Ok(event.edit());
        }
        // What lies in another of the values is encrypted with it: the inner one first, so that
        // it is there to be replaced.
        values.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        values.dedup_by(|(inner, _), (outer, _)| inner == outer || inner.starts_with(&format!("{outer}/")));
        let sealer = Sealer::new(&secrets::get("encryption-key")?, config.key_id.as_deref())?;
        values.into_iter().try_fold(event.edit(), |edits, (at, json)| {
            Ok(edits.set(at, sealer.seal(json.as_bytes())?))
        })
    }

    fn check(config: Config) -> Vec<Problem> {
        let repeated = |(index, pattern): &(usize, &Pattern)| config.fields[..*index].contains(pattern);
        config
            .fields
            .iter()
            .enumerate()
            .filter(repeated)
            .map(|(index, pattern)| {
                Problem::new(format!("/fields/{index}"), format!("{pattern} is there twice"))
            })
            .collect()
    }
}

/// What cannot be read must not pass for encrypted. Of a name that comes twice pointers lead to the
/// last member: what the one before it holds would stay in plain.
fn check_readable(event: &Event) -> Result<(), Fault> {
    let text = event.data().text();
    match text.and_then(|text| repeated::is_in(&text)) {
        None => Err(Fault::invalid(
            "the payload is not JSON: nothing in it can be encrypted",
        )),
        Some(true) => Err(Fault::invalid(
            "a name comes twice in one object: which of its values is to be encrypted cannot be said",
        )),
        Some(false) => Ok(()),
    }
}

impl Config {
    /// The pointers and JSON texts of what is to be encrypted. Null stays: there is nothing in it.
    fn values(&self, event: &Event) -> Result<Vec<(String, String)>, Fault> {
        let mut values = Vec::new();
        for pattern in &self.fields {
            let found = pattern.values(event);
            if found.is_empty() && matches!(self.missing, Missing::Fault) {
                return Err(Fault::invalid(format!("the payload has no value at {pattern}")));
            }
            let found = found.into_iter().filter(|found| found.json != "null");
            values.extend(found.map(|found| (found.at, found.json)));
            if values.len() > VALUES_MAX {
                return Err(Fault::invalid(format!(
                    "the fields have more than {VALUES_MAX} values in this event: encrypt what they lie in"
                )));
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};
    use serde_json::Value;

    use super::*;

    /// 32 bytes, counted up.
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn fixtures_hold() {
        fixtures::<EncryptFields>();
    }

    fn encrypted(fields: Value, data: Value) -> Value {
        let host = Host::new()
            .config(json!({ "fields": fields, "key_id": "k1" }))
            .secret("encryption-key", KEY);
        host.transform::<EncryptFields>(event("a").data(data))
            .unwrap()
            .json()
    }

    fn opened(value: &Value) -> Value {
        let text = jwe::tests::open(KEY, value.as_str().expect("a text"));
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn what_is_encrypted_can_be_opened_and_what_lies_in_it_is_not_encrypted_twice() {
        let card = json!({ "number": "4111", "cvc": 123 });
        let data =
            json!({ "card": card, "items": [{ "name": "ä" }, { "name": "b" }], "id": 7, "none": null });
        let sent = encrypted(
            json!(["/card/number", "/card", "/items/*/name", "/none", "/id"]),
            data,
        );
        assert_eq!(opened(&sent["card"]), card);
        assert_eq!(opened(&sent["items"][0]["name"]), "ä");
        assert_eq!(opened(&sent["items"][1]["name"]), "b");
        assert_eq!((opened(&sent["id"]), &sent["none"]), (json!(7), &json!(null)));
    }

    #[test]
    fn the_same_value_is_never_written_the_same_twice() {
        let data = json!({ "a": "x", "b": "x" });
        let one = encrypted(json!(["/a", "/b"]), data.clone());
        let other = encrypted(json!(["/a", "/b"]), data);
        assert!(one["a"] != one["b"] && one["a"] != other["a"]);
    }

    #[test]
    fn keys_are_read_in_the_ways_they_are_written_and_others_refused() {
        let hex: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        for key in [
            KEY,
            KEY.trim_end_matches('='),
            &hex,
            &hex.to_uppercase(),
            &format!(" {KEY}\n"),
        ] {
            let sealer = Sealer::new(key, None).expect("a key");
            assert_eq!(jwe::tests::open(KEY, &sealer.seal(b"1").unwrap()), b"1");
        }
        for key in ["", "hunter2", "AAECAwQFBgcICQoLDA0ODw==", &hex[2..], "é"] {
            let Err(fault) = Sealer::new(key, None) else {
                panic!("{key} is no key");
            };
            assert!(
                matches!(&fault, Fault::Misconfigured(text) if text.contains("32 bytes")),
                "{fault}"
            );
            assert!(key.is_empty() || !fault.message().contains(key));
        }
    }
}
