//! Names with brackets, as PHP and Rails write them: `customer[name]`, `tags[]`, `items[0][id]`.

use relay_sdk::template::cut;
use serde_json::{Map, Value};

/// Deepest nesting that a name may ask for.
const DEPTH_MAX: usize = 8;

/// The object that fields are put into.
pub(crate) struct Tree {
    members: Map<String, Value>,
    is_nested: bool,
}

impl Tree {
    /// An empty object; names are taken apart only if they are nested.
    pub(crate) fn new(is_nested: bool) -> Self {
        Self {
            members: Map::new(),
            is_nested,
        }
    }

    /// Puts a value at its name.
    pub(crate) fn put(&mut self, name: &str, value: Value) -> Result<(), String> {
        let (first, rest) = if self.is_nested {
            taken_apart(name)
        } else {
            (name, Vec::new())
        };
        if rest.len() >= DEPTH_MAX {
            return Err(format!("is nested more than {DEPTH_MAX} deep"));
        }
        if rest.iter().rev().skip(1).any(|step| step.is_empty()) {
            return Err(
                "has `[]` before its end, which does not tell what belongs together: number the elements"
                    .into(),
            );
        }
        member(&mut self.members, first, &rest, value)
    }

    pub(crate) fn into_value(self) -> Value {
        self.members.into()
    }
}

/// Whether each value of that name is one more element of a list.
pub(crate) fn is_list(name: &str) -> bool {
    taken_apart(name).1.last() == Some(&"")
}

/// The name and what is in its brackets. Brackets that do not match are part of the name.
fn taken_apart(name: &str) -> (&str, Vec<&str>) {
    let whole = (name, Vec::new());
    let Some((first, rest)) = name.split_once('[').filter(|(first, _)| !first.is_empty()) else {
        return whole;
    };
    let Some(inner) = rest.strip_suffix(']') else {
        return whole;
    };
    let steps: Vec<&str> = inner.split("][").collect();
    if steps.iter().any(|step| step.contains(['[', ']'])) {
        return whole;
    }
    (first, steps)
}

fn member(members: &mut Map<String, Value>, name: &str, rest: &[&str], value: Value) -> Result<(), String> {
    match (members.get_mut(name), rest) {
        (None, _) => {
            let new = made(rest, value)?;
            members.insert(name.to_owned(), new);
            Ok(())
        }
        (Some(_), []) => Err(clash(name)),
        (Some(place), [step, rest @ ..]) => inside(place, name, step, rest, value),
    }
}

/// Puts a value into a container that an earlier field has made.
fn inside(place: &mut Value, name: &str, step: &str, rest: &[&str], value: Value) -> Result<(), String> {
    match place {
        Value::Object(members) if !step.is_empty() => member(members, step, rest, value),
        Value::Array(elements) => {
            let next = elements.len();
            let index = if step.is_empty() {
                Some(next)
            } else {
                step.parse().ok()
            };
            match (index.filter(|index| *index <= next), rest) {
                (Some(index), _) if index == next => {
                    elements.push(made(rest, value)?);
                    Ok(())
                }
                (Some(index), [step, rest @ ..]) => inside(&mut elements[index], name, step, rest, value),
                _ => Err(clash(name)),
            }
        }
        _ => Err(clash(name)),
    }
}

/// A value in the containers that the steps to it ask for.
fn made(steps: &[&str], value: Value) -> Result<Value, String> {
    steps.iter().rev().try_fold(value, |value, step| {
        Ok(match *step {
            "" | "0" => Value::Array(vec![value]),
            step => Value::Object(Map::from_iter([(step.to_owned(), value)])),
        })
    })
}

fn clash(name: &str) -> String {
    format!(
        "does not fit with an earlier field, which puts something else at {:?}",
        cut(name.to_owned(), 60)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn built(names: &[&str]) -> Result<Value, String> {
        let mut tree = Tree::new(true);
        for (number, name) in names.iter().enumerate() {
            tree.put(name, number.into())?;
        }
        Ok(tree.into_value())
    }

    #[test]
    fn brackets_make_objects_and_lists() {
        for (names, expected) in [
            (
                vec!["a", "b[c]", "b[d][e]"],
                json!({ "a": 0, "b": { "c": 1, "d": { "e": 2 } } }),
            ),
            (vec!["a[]", "a[]"], json!({ "a": [0, 1] })),
            (
                vec!["a[0][x]", "a[0][y]", "a[1][x]"],
                json!({ "a": [{ "x": 0, "y": 1 }, { "x": 2 }] }),
            ),
            (vec!["a[7]", "a[8]"], json!({ "a": { "7": 0, "8": 1 } })),
            (
                vec!["a[", "[b]", "a]b[", "a[b]c", "a[[b]]"],
                json!({ "a[": 0, "[b]": 1, "a]b[": 2, "a[b]c": 3, "a[[b]]": 4 }),
            ),
            (vec!["__proto__[x]"], json!({ "__proto__": { "x": 0 } })),
        ] {
            assert_eq!(built(&names), Ok(expected), "{names:?}");
        }
    }

    #[test]
    fn names_that_clash_or_go_too_deep_are_refused() {
        for (names, expected) in [
            (vec!["a", "a[b]"], "does not fit"),
            (vec!["a[b]", "a"], "does not fit"),
            (vec!["a[]", "a[b]"], "does not fit"),
            (vec!["a[]", "a[2]"], "does not fit"),
            (vec!["a[b]", "a[]"], "does not fit"),
            (vec!["a[][b]"], "number the elements"),
            (vec!["a[1][2][3][4][5][6][7][8]"], "more than 8 deep"),
        ] {
            let refused = built(&names).unwrap_err();
            assert!(refused.contains(expected), "{names:?}: {refused}");
        }
    }
}
