//! A JSON Schema that somebody else wrote: bounded when it is read, so that holding data against
//! it always ends, and soon.

use std::fmt;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

/// Schemas met on every way through a schema, references followed. A value is held against each
/// at most once, so this times the values of an event is what a check costs at most.
const STEPS_MAX: usize = 5_000;
/// Where this stands, a value is held again against all that is below, to find what was evaluated
/// there; once more on each level, so that it counts that often.
const AGAIN: [&str; 2] = ["unevaluatedProperties", "unevaluatedItems"];
const TIMES_AGAIN: usize = 3;
/// How deep schemas stand in one another, references followed.
const DEPTH_MAX: usize = 64;
/// Mismatches told at once.
pub const MISMATCHES_MAX: usize = 20;
/// Characters of one mismatch that are told.
const MESSAGE_CHARS_MAX: usize = 300;

/// Keywords with a schema, or a list of schemas.
const BELOW: [&str; 16] = [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "contentSchema",
    "not",
    "if",
    "then",
    "else",
    "allOf",
    "anyOf",
    "oneOf",
];
/// Keywords with a schema for each of several names.
const NAMED: [&str; 4] = [
    "properties",
    "patternProperties",
    "dependentSchemas",
    "dependencies",
];
/// References that only show where they lead once there is data.
const UNBOUNDED: [&str; 3] = ["$dynamicRef", "$recursiveRef", "$id"];

/// One value that does not satisfy a schema, or one part of a schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// A JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong there, without the value: that may be personal.
    pub problem: String,
}

/// A schema, ready to hold data against.
pub struct Schema(Validator);

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

impl Schema {
    /// Reads a schema of any draft since 4; without `$schema`, of draft 2020-12.
    ///
    /// # Errors
    /// Why it cannot be used: it is none, refers to something outside or to itself, or would take
    /// too long to hold data against.
    pub fn read(document: &Value) -> Result<Self, Mismatch> {
        Walk {
            root: document,
            steps: 0,
            via: Vec::new(),
        }
        .visit(document, "", 0)?;
        // Patterns that never go back: no text of a stranger makes them slow.
        jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(document)
            .map(Self)
            .map_err(|error| Mismatch {
                pointer: error.instance_path().as_str().to_owned(),
                problem: shortened(format!("makes it no schema: {error}")),
            })
    }

    /// Everything of a value that does not satisfy the schema, up to [`MISMATCHES_MAX`].
    pub fn mismatches(&self, value: &Value) -> Vec<Mismatch> {
        let errors = self.0.iter_errors(value).take(MISMATCHES_MAX);
        errors
            .map(|error| Mismatch {
                pointer: error.instance_path().as_str().to_owned(),
                problem: shortened(error.masked_with("what stands there").to_string()),
            })
            .collect()
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Goes every way through a schema once, as holding data against it would.
struct Walk<'s> {
    root: &'s Value,
    steps: usize,
    /// The references on the way here.
    via: Vec<&'s str>,
}

impl<'s> Walk<'s> {
    fn visit(&mut self, schema: &'s Value, at: &str, depth: usize) -> Result<(), Mismatch> {
        let Value::Object(keywords) = schema else {
            return Ok(());
        };
        self.steps += 1;
        if self.steps > STEPS_MAX || depth > DEPTH_MAX {
            return refuse(
                at,
                "",
                format!("is too much: up to {STEPS_MAX} schemas, {DEPTH_MAX} deep, with what they refer to"),
            );
        }
        for keyword in UNBOUNDED {
            if keywords.contains_key(keyword) && !(keyword == "$id" && depth == 0) {
                return refuse(at, keyword, format!("is not taken here; refer by {}", REFERENCE));
            }
        }
        let is_again = AGAIN.iter().any(|keyword| keywords.contains_key(*keyword));
        for _ in 0..if is_again { TIMES_AGAIN } else { 1 } {
            self.below(keywords, at, depth)?;
        }
        Ok(())
    }

    /// Looks at all schemas that stand in one, or that it refers to.
    fn below(&mut self, keywords: &'s Map<String, Value>, at: &str, depth: usize) -> Result<(), Mismatch> {
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            let Some(target) = self.target(reference) else {
                return refuse(
                    at,
                    "$ref",
                    format!("is {reference:?}; refer to a part of this schema by {REFERENCE}"),
                );
            };
            if reference == "#" || self.via.contains(&reference) {
                return refuse(
                    at,
                    "$ref",
                    format!("leads from {reference:?} back to itself; say how deep it goes instead"),
                );
            }
            self.via.push(reference);
            self.visit(target, &format!("{at}/$ref"), depth + 1)?;
            self.via.pop();
        }
        for keyword in BELOW {
            match keywords.get(keyword) {
                Some(Value::Array(list)) => {
                    for (index, item) in list.iter().enumerate() {
                        self.visit(item, &format!("{at}/{keyword}/{index}"), depth + 1)?;
                    }
                }
                Some(schema) => self.visit(schema, &format!("{at}/{keyword}"), depth + 1)?,
                None => {}
            }
        }
        for keyword in NAMED {
            let schemas = keywords
                .get(keyword)
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            for (name, schema) in schemas {
                let name = name.replace('~', "~0").replace('/', "~1");
                self.visit(schema, &format!("{at}/{keyword}/{name}"), depth + 1)?;
            }
        }
        Ok(())
    }

    /// What a reference within the schema leads to.
    fn target(&self, reference: &str) -> Option<&'s Value> {
        let pointer = reference.strip_prefix('#')?;
        // An escape could name the same place twice over.
        if pointer.contains('%') {
            return None;
        }
        self.root.pointer(pointer)
    }
}

fn refuse(at: &str, keyword: &str, problem: String) -> Result<(), Mismatch> {
    let pointer = if keyword.is_empty() {
        at.to_owned()
    } else {
        format!("{at}/{keyword}")
    };
    Err(Mismatch { pointer, problem })
}

/// How to refer to another part of a schema, for a message.
const REFERENCE: &str = "a JSON Pointer such as \"#/$defs/address\"";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(schema: &Value) -> String {
        let mismatch = Schema::read(schema)
            .err()
            .unwrap_or_else(|| panic!("{schema} is taken"));
        format!("{} {}", mismatch.pointer, mismatch.problem)
    }

    #[test]
    fn what_is_held_against_a_value_again_and_again_is_too_much() {
        let below = |levels| {
            (0..levels).fold(
                json!({"properties": {"a": true}}),
                |below, _| json!({"anyOf": [below], "unevaluatedProperties": false}),
            )
        };
        let few = Schema::read(&below(4)).expect("a few are taken");
        assert_eq!(few.mismatches(&json!({"a": 1})), []);
        assert!(!few.mismatches(&json!({"b": 1})).is_empty());
        assert!(fault(&below(40)).contains("is too much"));
    }

    #[test]
    fn all_that_does_not_fit_is_told_without_the_value() {
        let schema = Schema::read(&json!({
            "type": "object",
            "required": ["email"],
            "properties": {"age": {"type": "integer"}, "names": {"items": {"$ref": "#/$defs/name"}}},
            "$defs": {"name": {"type": "string", "maxLength": 3}},
        }))
        .expect("a schema");
        assert_eq!(schema.mismatches(&json!({"email": "a", "names": ["b"]})), []);
        let found = schema.mismatches(&json!({"age": "forty-two", "names": ["abc", "secret"]}));
        let mut places: Vec<_> = found.iter().map(|mismatch| mismatch.pointer.as_str()).collect();
        places.sort_unstable();
        assert_eq!(places, ["", "/age", "/names/1"]);
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
        assert!(!format!("{found:?}").contains("forty-two"), "{found:?}");
        assert!(schema.mismatches(&json!({"names": vec![1; 1000]})).len() == MISMATCHES_MAX);
    }

    #[test]
    fn nothing_is_fetched_and_nothing_goes_round_in_circles() {
        for (schema, problem) in [
            (json!({"$ref": "https://example.com/schema"}), "/$ref is \"https"),
            (
                json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}),
                "/properties/a/$ref",
            ),
            (json!({"$ref": "#/$defs/none"}), "/$ref"),
            (json!({"$ref": "#"}), "back to itself"),
            (
                json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}),
                "back to itself",
            ),
            (
                json!({"properties": {"a": {"$dynamicRef": "#x"}}}),
                "/properties/a/$dynamicRef",
            ),
            (
                json!({"items": {"$id": "https://example.com", "$ref": "#"}}),
                "/items/$id",
            ),
            (json!({"type": 7}), "no schema"),
            (json!({"pattern": "(a"}), "no schema"),
            (json!("x"), "no schema"),
        ] {
            assert!(fault(&schema).contains(problem), "{schema}: {}", fault(&schema));
        }
        let named =
            json!({"$id": "https://example.com/a", "properties": {"$id": {"type": "string"}, "$ref": {}}});
        assert!(Schema::read(&named).is_ok(), "a property may have any name");
    }

    #[test]
    fn a_schema_cannot_grow_by_what_it_refers_to() {
        let mut definitions = Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            definitions.insert(format!("d{level}"), json!({"allOf": [next, next]}));
        }
        definitions.insert("d40".to_owned(), json!(true));
        let bomb = json!({"$ref": "#/$defs/d0", "$defs": definitions});
        assert!(fault(&bomb).contains("too much"), "{}", fault(&bomb));
        let mut deep = json!({"type": "string"});
        for _ in 0..100 {
            deep = json!({"properties": {"a": deep}});
        }
        assert!(fault(&deep).contains("too much"), "{}", fault(&deep));
    }
}
