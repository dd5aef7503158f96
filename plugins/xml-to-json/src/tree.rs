//! Elements as JSON values.

use roxmltree::Node;
use serde_json::{Map, Value};

use crate::Config;

/// Deepest element.
const DEPTH_MAX: usize = 64;

impl Config {
    /// What the member of an element is called.
    pub(crate) fn name_of(&self, element: Node<'_, '_>) -> String {
        let name = element.tag_name();
        let prefix = name.namespace().filter(|_| self.prefixes);
        qualified(prefix.and_then(|uri| element.lookup_prefix(uri)), name.name())
    }

    /// An element without attributes and elements is its text, or null; any other an object.
    pub(crate) fn value_of(&self, element: Node<'_, '_>, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err(format!("the XML is nested deeper than {DEPTH_MAX} elements"));
        }
        let mut members = Map::new();
        for attribute in element.attributes() {
            let prefix = attribute.namespace().and_then(|uri| prefix_of(element, uri));
            let name = self.attribute_prefix.clone() + &qualified(prefix, attribute.name());
            self.put(&mut members, name, attribute.value().into());
        }
        let mut text = String::new();
        for child in element.children() {
            if child.is_element() {
                let value = self.value_of(child, depth + 1)?;
                self.put(&mut members, self.name_of(child), value);
            } else if child.is_text() {
                text.push_str(child.text().unwrap_or_default());
            }
        }
        let text = Some(text.trim()).filter(|text| !text.is_empty());
        if members.is_empty() {
            return Ok(text.into());
        }
        if let Some(text) = text {
            self.put(&mut members, self.text.clone(), text.into());
        }
        Ok(Value::Object(members))
    }

    /// Adds a member; a second one of its name makes a list of it.
    fn put(&self, members: &mut Map<String, Value>, name: String, value: Value) {
        let is_list = self.arrays.contains(&name);
        match members.get_mut(&name) {
            None if is_list => drop(members.insert(name, Value::Array(vec![value]))),
            None => drop(members.insert(name, value)),
            // No element is an array by itself, so that this one is made of several.
            Some(Value::Array(elements)) => elements.push(value),
            Some(present) => *present = Value::Array(vec![present.take(), value]),
        }
    }
}

/// The prefix of a namespace; `xml` is bound without being declared.
fn prefix_of<'d>(element: Node<'d, '_>, uri: &str) -> Option<&'d str> {
    match uri {
        roxmltree::NS_XML_URI => Some("xml"),
        uri => element.lookup_prefix(uri),
    }
}

fn qualified(prefix: Option<&str>, name: &str) -> String {
    match prefix.filter(|prefix| !prefix.is_empty()) {
        Some(prefix) => format!("{prefix}:{name}"),
        None => name.to_owned(),
    }
}
