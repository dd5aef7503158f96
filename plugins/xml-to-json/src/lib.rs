//! Turns an XML body into JSON.

mod attributes;
mod encoding;
mod tree;

use relay_sdk::prelude::*;
use relay_sdk::template::cut;
use roxmltree::{Document, ParsingOptions};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest document, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// Most elements and texts of a document.
const NODES_MAX: u32 = 100_000;
/// Longest error that is told, in characters.
const ERROR_MAX: usize = 200;

struct XmlToJson;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "at")]
    attribute_prefix: String,
    #[serde(default = "text")]
    text: String,
    #[serde(default)]
    arrays: Vec<String>,
    #[serde(default)]
    prefixes: bool,
    #[serde(default)]
    unwrap: bool,
    #[serde(default)]
    otherwise: Otherwise,
}

fn at() -> String {
    "@".into()
}

fn text() -> String {
    "#text".into()
}

/// What becomes of a payload that is no XML.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    #[default]
    Keep,
    Fail,
}

#[plugin]
impl XmlToJson {
    fn transform(event: &Event, config: &Config) -> Result<Outcome, Fault> {
        let content_type = event.content_type().unwrap_or_default();
        match (is_xml(content_type), config.otherwise) {
            (true, _) => {}
            (false, Otherwise::Keep) => return Ok(Outcome::Keep),
            (false, Otherwise::Fail) => {
                return Err(Fault::invalid(format!(
                    "the payload is no XML: its content type is {content_type:?}"
                )));
            }
        }
        let bytes = event.data().size();
        if bytes > BYTES_MAX {
            return Err(Fault::invalid(format!(
                "the XML has {bytes} bytes, more than {BYTES_MAX}"
            )));
        }
        let text = event.text().or_invalid("the XML is not UTF-8")?;
        encoding::check(&text, content_type).map_err(Fault::invalid)?;
        attributes::check(&text).map_err(Fault::invalid)?;
        Ok(Message::text(config.json(&text)?.to_string())
            .set_attribute("datacontenttype", "application/json")
            .into())
    }
}

impl Config {
    fn json(&self, text: &str) -> Result<Value, Fault> {
        // Without a document type there are no entities of one's own, and so none that grow.
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: NODES_MAX,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options)
            .map_err(|error| Fault::invalid(cut(format!("the XML: {error}"), ERROR_MAX)))?;
        let root = document.root_element();
        let value = self.value_of(root, 1).map_err(Fault::invalid)?;
        if self.unwrap {
            return Ok(value);
        }
        Ok(Value::Object(Map::from_iter([(self.name_of(root), value)])))
    }
}

/// Media types of XML, and those that are built on it (RFC 7303).
fn is_xml(content_type: &str) -> bool {
    let media_type = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    matches!(media_type.as_str(), "application/xml" | "text/xml") || media_type.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<XmlToJson>();
    }

    fn turned(xml: &str, config: Value) -> Result<Value, Fault> {
        let sample = event("a").content_type("application/xml").text(xml);
        Ok(Host::new().config(config).transform::<XmlToJson>(sample)?.json())
    }

    #[test]
    fn documents_become_objects() {
        for (xml, expected) in [
            ("<a/>", json!({ "a": null })),
            ("<a> x </a>", json!({ "a": "x" })),
            ("<a><![CDATA[<b>]]></a>", json!({ "a": "<b>" })),
            ("<a>1 &lt; 2 &#65;</a>", json!({ "a": "1 < 2 A" })),
            ("<a b=\"1\"/>", json!({ "a": { "@b": "1" } })),
            ("<a b=\"1\">x</a>", json!({ "a": { "@b": "1", "#text": "x" } })),
            (
                "<a><b>1</b><c/><b>2</b></a>",
                json!({ "a": { "b": ["1", "2"], "c": null } }),
            ),
            ("<a>x<b>1</b>y</a>", json!({ "a": { "b": "1", "#text": "xy" } })),
            (
                "<n:a xmlns:n=\"urn:n\"><n:b n:c=\"1\" c=\"2\"/></n:a>",
                json!({ "a": { "b": { "@n:c": "1", "@c": "2" } } }),
            ),
            (
                "<?xml version=\"1.0\"?><!-- x --><a>1<!-- y -->2<?pi?></a>",
                json!({ "a": "12" }),
            ),
            ("\u{feff}<a>ä</a>", json!({ "a": "ä" })),
        ] {
            assert_eq!(turned(xml, json!({})), Ok(expected), "{xml}");
        }
    }

    #[test]
    fn damage_and_bombs_are_refused() {
        let deep = "<a>".repeat(2_000) + &"</a>".repeat(2_000);
        let wide = format!("<a>{}</a>", "<b/>".repeat(120_000));
        let attributes = |count: u32| {
            let all: String = (0..count).map(|n| format!(" a{n}=\"\"")).collect();
            format!("<a{all}/>")
        };
        assert!(turned(&attributes(1_000), json!({})).is_ok());
        for (xml, expected) in [
            ("", "the XML"),
            ("plain", "the XML"),
            ("<a>", "the XML"),
            ("<a></b>", "expected 'a' tag"),
            ("<a b='1' b='2'/>", "attribute 'b'"),
            ("<a>&x;</a>", "entity"),
            ("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "DTD"),
            ("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", "DTD"),
            ("<x:a/>", "namespace"),
            ("<a>\u{1}</a>", "XML character"),
            (deep.as_str(), "nested deeper than 64"),
            (wide.as_str(), "nodes limit"),
            (attributes(30_000).as_str(), "more than 1000 attributes"),
        ] {
            let fault = turned(xml, json!({})).unwrap_err();
            let start = xml.get(..40).unwrap_or(xml);
            assert!(
                matches!(fault, Fault::Invalid(_)) && fault.message().contains(expected),
                "{start}: {fault}"
            );
        }
    }
}
