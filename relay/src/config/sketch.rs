//! What a reader takes, as a JSON Schema: the reader is run over next to nothing, and each of its
//! questions is noted. So the schema cannot say anything else than the reader.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::key_path::{KeyPath, Step};

/// The key under which the entries of a map are read whose keys are anybody's.
pub(super) const ANY_KEY: &str = "*";

/// What was asked for so far.
#[derive(Debug, Default)]
pub(super) struct Sketch(RefCell<Node>);

/// One place of a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// What may stand here, apart from what is below; any of them.
    shapes: Vec<Value>,
    below: Below,
    is_required: bool,
}

#[derive(Debug, Clone, Default)]
enum Below {
    #[default]
    Nothing,
    Table(Vec<(String, Node)>),
    List(Box<Node>),
}

impl Sketch {
    /// Notes what may stand at a place.
    pub(super) fn note(&self, path: &KeyPath, shape: Value) {
        let mut root = self.0.borrow_mut();
        let shapes = &mut root.at(path).shapes;
        if !shapes.contains(&shape) {
            shapes.push(shape);
        }
    }

    /// Notes that something has to stand at a place.
    pub(super) fn require(&self, path: &KeyPath) {
        self.0.borrow_mut().at(path).is_required = true;
    }

    /// Notes that a table may stand at a place, even if nothing is known below it.
    pub(super) fn table(&self, path: &KeyPath) {
        let mut root = self.0.borrow_mut();
        let node = root.at(path);
        if matches!(node.below, Below::Nothing) {
            node.below = Below::Table(Vec::new());
        }
    }

    /// Everything that was noted.
    pub(super) fn into_node(self) -> Node {
        self.0.into_inner()
    }
}

impl Node {
    fn at(&mut self, path: &KeyPath) -> &mut Self {
        path.steps().iter().fold(self, |node, step| match step {
            Step::Key(key) => node.under(key),
            Step::Item(_) => node.items(),
        })
    }

    fn under(&mut self, key: &str) -> &mut Self {
        if !matches!(self.below, Below::Table(_)) {
            self.below = Below::Table(Vec::new());
        }
        let Below::Table(keys) = &mut self.below else {
            unreachable!("it was made a table just now");
        };
        let at = keys.iter().position(|(known, _)| known == key);
        let at = at.unwrap_or_else(|| {
            keys.push((key.to_owned(), Self::default()));
            keys.len() - 1
        });
        &mut keys[at].1
    }

    fn items(&mut self) -> &mut Self {
        if !matches!(self.below, Below::List(_)) {
            self.below = Below::List(Box::default());
        }
        let Below::List(items) = &mut self.below else {
            unreachable!("it was made a list just now");
        };
        items
    }

    /// What either of two readings takes: the same reader asks for different keys depending on
    /// what it has read.
    pub(super) fn or(mut self, other: Self) -> Self {
        for shape in other.shapes {
            if !self.shapes.contains(&shape) {
                self.shapes.push(shape);
            }
        }
        self.is_required &= other.is_required;
        self.below = match (self.below, other.below) {
            (Below::Nothing, below) | (below, Below::Nothing) => below,
            (Below::List(one), Below::List(another)) => Below::List(Box::new(one.or(*another))),
            (Below::Table(one), Below::Table(another)) => Below::Table(either(one, another)),
            (below, _) => below,
        };
        self
    }

    /// As a JSON Schema (2020-12).
    pub(super) fn schema(&self) -> Value {
        let mut schemas = specific(&self.shapes);
        match &self.below {
            Below::Nothing => {}
            Below::List(items) => schemas.push(json!({"type": "array", "items": items.schema()})),
            Below::Table(keys) => schemas.push(table(keys)),
        }
        schemas.retain(says_something);
        any_of(schemas)
    }
}

/// Whether a schema says more than that anything may be there.
fn says_something(schema: &Value) -> bool {
    schema.as_object().is_some_and(|schema| !schema.is_empty())
}

/// The keys of both; what only one of them has is required by neither.
fn either(one: Vec<(String, Node)>, mut another: Vec<(String, Node)>) -> Vec<(String, Node)> {
    let mut keys: Vec<_> = one
        .into_iter()
        .map(|(key, node)| {
            let twin = another.iter().position(|(other, _)| *other == key);
            let node = match twin {
                Some(at) => node.or(another.remove(at).1),
                None => Node {
                    is_required: false,
                    ..node
                },
            };
            (key, node)
        })
        .collect();
    keys.extend(another.into_iter().map(|(key, node)| {
        let node = Node {
            is_required: false,
            ..node
        };
        (key, node)
    }));
    keys
}

fn table(keys: &[(String, Node)]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut additional = Value::Bool(false);
    for (key, node) in keys {
        if key == ANY_KEY {
            additional = node.schema();
        } else if node.is_required {
            required.push(key.as_str());
            properties.insert(key.clone(), node.schema());
        } else {
            // `null` is as good as nothing.
            properties.insert(key.clone(), or_null(node.schema()));
        }
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema["additionalProperties"] = additional;
    schema
}

/// Leaves out what is said more exactly beside it: readers ask for a text first, and look at it
/// then.
fn specific(shapes: &[Value]) -> Vec<Value> {
    let mut words = Vec::new();
    for shape in shapes {
        for word in shape["enum"].as_array().into_iter().flatten() {
            if !words.contains(word) {
                words.push(word.clone());
            }
        }
    }
    let mut rest: Vec<Value> = shapes
        .iter()
        .filter(|shape| shape.get("enum").is_none())
        .cloned()
        .collect();
    if !words.is_empty() {
        rest.push(json!({"type": "string", "enum": words}));
    }
    let says_more =
        |shape: &Value| shape["type"] == "string" && shape.as_object().is_some_and(|keys| keys.len() > 1);
    if rest.iter().any(says_more) {
        rest.retain(|shape| *shape != text());
    }
    let any_texts = texts(&text());
    let is_list = |shape: &Value| shape["anyOf"][1]["type"] == "array";
    if rest.iter().any(|shape| is_list(shape) && *shape != any_texts) {
        rest.retain(|shape| *shape != any_texts);
    }
    rest
}

fn any_of(mut schemas: Vec<Value>) -> Value {
    match schemas.len() {
        0 => json!({}),
        1 => schemas.remove(0),
        _ => {
            let mut flat = Vec::new();
            for schema in schemas {
                match schema.get("anyOf").and_then(Value::as_array) {
                    Some(inner) => flat.extend(inner.iter().cloned()),
                    None => flat.push(schema),
                }
            }
            let mut seen: Vec<Value> = Vec::new();
            for schema in flat {
                if !seen.contains(&schema) {
                    seen.push(schema);
                }
            }
            json!({"anyOf": seen})
        }
    }
}

/// The same schema, `null` too.
fn or_null(schema: Value) -> Value {
    if !says_something(&schema) {
        return schema;
    }
    any_of(vec![schema, json!({"type": "null"})])
}

/// The schema of a merge patch (RFC 7396) of what a schema describes: nothing is required, and
/// `null` takes anything away. Lists are replaced whole.
pub fn patch(schema: &Value) -> Value {
    let mut patch = schema.clone();
    if let Some(keys) = patch.as_object_mut() {
        keys.remove("required");
        if let Some(properties) = keys.get_mut("properties").and_then(Value::as_object_mut) {
            for value in properties.values_mut() {
                *value = or_null(self::patch(value));
            }
        }
        if let Some(others) = keys.get_mut("additionalProperties")
            && others.is_object()
        {
            *others = or_null(self::patch(others));
        }
        if let Some(any) = keys.get_mut("anyOf").and_then(Value::as_array_mut) {
            for value in any.iter_mut() {
                *value = self::patch(value);
            }
        }
    }
    patch
}

// ---- what the questions of a reader come to ----------------------------------------------

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn words<'a>(words: impl Iterator<Item = &'a str>) -> Value {
    json!({"type": "string", "enum": words.collect::<Vec<_>>()})
}

pub(super) fn integer(range: &RangeInclusive<u64>) -> Value {
    json!({"type": "integer", "minimum": range.start(), "maximum": range.end()})
}

pub(super) fn number(range: &RangeInclusive<f64>) -> Value {
    json!({"type": "number", "minimum": range.start(), "maximum": range.end()})
}

pub(super) fn duration() -> Value {
    json!({"type": "string", "pattern": "^\\s*([0-9]+(ms|s|m|h|d))+\\s*$", "examples": ["30s"]})
}

pub(super) fn bytes(range: &RangeInclusive<usize>) -> Value {
    json!({"anyOf": [
        {"type": "integer", "minimum": range.start(), "maximum": range.end()},
        {"type": "string", "pattern": "^\\s*[0-9]+\\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)?\\s*$", "examples": ["64KiB"]},
    ]})
}

/// One text, or a list of them.
pub(super) fn texts(text: &Value) -> Value {
    json!({"anyOf": [text, {"type": "array", "items": text}]})
}

/// As it is sent; `{"sealed": true}` keeps the secret that is there.
pub(super) fn secret() -> Value {
    json!({"anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "number"},
        {
            "type": "object",
            "description": "keeps the secret that is there",
            "properties": {"sealed": {"type": "boolean", "enum": [true]}},
            "required": ["sealed"],
            "additionalProperties": false,
        },
    ]})
}

/// One secret, or a list of them.
pub(super) fn secrets() -> Value {
    let one = secret();
    any_of(vec![one.clone(), json!({"type": "array", "items": one})])
}
