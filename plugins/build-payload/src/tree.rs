//! A JSON document that grows row by row and keeps the spelling of every value.

use std::fmt;

use crate::convert::quoted;

/// A value: one of a row, or one made to hold others.
pub(crate) enum Tree {
    Object(Vec<(String, Self)>),
    Array(Vec<Self>),
    Json(String),
}

impl Default for Tree {
    fn default() -> Self {
        Self::Object(Vec::new())
    }
}

impl Tree {
    /// Puts a value (JSON text) at a key, or at a path that begins with a slash.
    pub(crate) fn put(&mut self, key: &str, json: String) -> Result<(), String> {
        let steps: Vec<String> = match key.strip_prefix('/') {
            None => vec![key.to_owned()],
            Some(path) => path
                .split('/')
                .map(|step| step.replace("~1", "/").replace("~0", "~"))
                .collect(),
        };
        let mut place = self;
        for (index, step) in steps.iter().enumerate() {
            place = place.at(step, steps.get(index + 1).map(String::as_str))?;
        }
        match place {
            Self::Json(text) if text.is_empty() => *text = json,
            _ => return Err("another row writes to the same place".into()),
        }
        Ok(())
    }

    /// The member or element at a step, made to hold `next` if it is new.
    fn at(&mut self, step: &str, next: Option<&str>) -> Result<&mut Self, String> {
        match self {
            Self::Object(members) => {
                let index = members
                    .iter()
                    .position(|(name, _)| name == step)
                    .unwrap_or_else(|| {
                        members.push((step.to_owned(), Self::holding(next)));
                        members.len() - 1
                    });
                Ok(&mut members[index].1)
            }
            Self::Array(elements) => {
                let index = if step == "-" {
                    Some(elements.len())
                } else {
                    step.parse().ok()
                };
                let index = index.filter(|index| *index <= elements.len());
                let index = index.ok_or_else(|| format!("`{step}` is not the next element of the array"))?;
                if index == elements.len() {
                    elements.push(Self::holding(next));
                }
                Ok(&mut elements[index])
            }
            Self::Json(_) => Err("another row writes a value where this one needs an object or array".into()),
        }
    }

    /// What a new place begins as: an array if the next step is its first element.
    fn holding(next: Option<&str>) -> Self {
        match next {
            None => Self::Json(String::new()),
            Some("0" | "-") => Self::Array(Vec::new()),
            Some(_) => Self::default(),
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(json) => formatter.write_str(json),
            Self::Array(elements) => {
                let written = elements.iter().map(ToString::to_string).collect::<Vec<_>>();
                write!(formatter, "[{}]", written.join(","))
            }
            Self::Object(members) => {
                let written = members
                    .iter()
                    .map(|(name, member)| format!("{}:{member}", quoted(name)));
                write!(formatter, "{{{}}}", written.collect::<Vec<_>>().join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(rows: &[(&str, &str)]) -> Result<String, String> {
        let mut tree = Tree::default();
        rows.iter()
            .try_for_each(|(key, json)| tree.put(key, (*json).to_owned()))?;
        Ok(tree.to_string())
    }

    #[test]
    fn keys_keep_their_order_and_values_their_spelling() {
        let rows = [
            ("b", "1.50"),
            ("Free text, with \"dots.\"", "\"x\""),
            ("/a/c", "1e3"),
            ("/a/~1d", "null"),
        ];
        let expected = r#"{"b":1.50,"Free text, with \"dots.\"":"x","a":{"c":1e3,"/d":null}}"#;
        assert_eq!(built(&rows).as_deref(), Ok(expected));
        assert_eq!(built(&[]).as_deref(), Ok("{}"));
    }

    #[test]
    fn first_elements_make_arrays() {
        let rows = [
            ("/list/0/sku", "1"),
            ("/list/0/count", "2"),
            ("/list/1/sku", "3"),
            ("/tags/-", "4"),
            ("/tags/-", "5"),
        ];
        assert_eq!(
            built(&rows).as_deref(),
            Ok(r#"{"list":[{"sku":1,"count":2},{"sku":3}],"tags":[4,5]}"#)
        );
    }

    #[test]
    fn rows_that_clash_are_refused() {
        for (rows, expected) in [
            (vec![("a", "1"), ("a", "2")], "same place"),
            (vec![("/a/b", "1"), ("a", "2")], "same place"),
            (vec![("a", "1"), ("/a/b", "2")], "needs an object"),
            (vec![("/a/0", "1"), ("/a/2", "2")], "`2` is not the next element"),
            (vec![("/a/0", "1"), ("/a/x", "2")], "`x` is not the next element"),
        ] {
            let fault = built(&rows).unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
