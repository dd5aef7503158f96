//! What a filter asks for by name: a field that has to be one of some texts. Filters that ask for
//! others than an event has need not be held against it.

use smallvec::SmallVec;

use sonic_rs::{JsonValueTrait as _, Value};

use super::super::view::{Node, View};
use super::test::{Literal, Test};
use super::{Filter, Pattern, Rule};

/// Alternatives beyond which a clause is no key: each is an entry of an index.
const TEXTS_MAX: usize = 16;

/// A clause that an event has to meet, of which all alternatives are texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The names of the fields that lead there.
    pub path: Vec<String>,
    pub texts: Vec<String>,
}

/// Texts that stand in one place of an event.
pub type Texts<'v> = SmallVec<[&'v str; 4]>;

impl Filter {
    /// Every key of the pattern.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        self.0.keys(&mut Vec::new(), &mut keys);
        keys
    }
}

impl Pattern {
    fn keys(&self, path: &mut Vec<String>, keys: &mut Vec<Key>) {
        for field in &self.fields {
            path.push(field.name.clone());
            match &field.rule {
                Rule::Below(pattern) => pattern.keys(path, keys),
                Rule::OneOf { tests, .. } if (1..=TEXTS_MAX).contains(&tests.len()) => {
                    let texts: Option<Vec<String>> = tests.iter().map(text).collect();
                    keys.extend(texts.map(|texts| Key {
                        path: path.clone(),
                        texts,
                    }));
                }
                Rule::OneOf { .. } => {}
            }
            path.pop();
        }
    }
}

fn text(test: &Test) -> Option<String> {
    match test {
        Test::Equal(Literal::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

/// Every text that a clause at the end of a path may be held against: of arrays on the way, and at
/// the end, those in each element. No filter looks at a text that is not among them.
pub fn texts_at<'v>(view: &'v View<'_>, path: &[String]) -> Texts<'v> {
    let mut texts = Texts::new();
    collect(Node::Event(view), path, &mut texts);
    texts.sort_unstable();
    texts.dedup();
    texts
}

fn collect<'v>(node: Node<'v>, path: &[String], texts: &mut Texts<'v>) {
    if let Some(elements) = node.elements() {
        for element in elements {
            collect(Node::Json(element), path, texts);
        }
        return;
    }
    match (path.split_first(), node) {
        (Some((name, rest)), _) => collect(node.field(name), rest, texts),
        (None, Node::Text(text)) => texts.push(text),
        (None, Node::Json(value)) => texts.extend(Value::as_str(value)),
        (None, Node::Event(_) | Node::Absent) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_clauses_of_texts_that_have_to_hold() {
        let pattern = json!({
            "type": ["a", "b"],
            "data": {
                "customer": {"id": ["c1"]},
                "total": [{"numeric": [">", 3]}],
                "mixed": ["a", 1],
                "not": [{"anything-but": ["x"]}],
            },
            "$or": [{"subject": ["s"]}, {"id": ["i"]}],
        });
        let keys = Filter::parse(&pattern).expect("a pattern").keys();
        let keys: Vec<String> = keys
            .iter()
            .map(|key| format!("{}={}", key.path.join("."), key.texts.join(",")))
            .collect();
        assert_eq!(keys, ["type=a,b", "data.customer.id=c1"]);
    }
}
