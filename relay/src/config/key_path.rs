//! Where something stands in a document: written for people in a file, for programs in JSON.

use std::fmt;

/// The way from the top of a document to one of its values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

impl KeyPath {
    /// The value under a key of the table here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// An item of the list here.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        self.then(Step::Item(index))
    }

    /// What a JSON Pointer leads to from here.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Self {
        let mut path = self.clone();
        for step in pointer.split('/').skip(1) {
            let step = match step.parse() {
                Ok(index) => Step::Item(index),
                Err(_) => Step::Key(step.replace("~1", "/").replace("~0", "~")),
            };
            path.0.push(step);
        }
        path
    }

    /// The rest of the way for what stands below that place.
    pub fn below(&self, place: &Self) -> Option<Self> {
        self.0
            .strip_prefix(place.0.as_slice())
            .map(|rest| Self(rest.to_vec()))
    }

    /// The steps from the top.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// As a JSON Pointer (RFC 6901), such as `/endpoint/2/retry/jitter`.
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.0 {
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Step::Item(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }
}

/// As in `endpoint[2].retry.jitter`.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if number == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_in_both_ways() {
        let path = KeyPath::default()
            .key("endpoint")
            .item(2)
            .key("headers")
            .key("x/y~z.w");
        assert_eq!(path.to_string(), "endpoint[2].headers.x/y~z.w");
        assert_eq!(path.pointer(), "/endpoint/2/headers/x~1y~0z.w");
        assert_eq!(KeyPath::default().at(&path.pointer()), path);
        assert_eq!(
            (KeyPath::default().to_string(), KeyPath::default().pointer()),
            Default::default()
        );
    }
}
