//! Where a source is reached since its path was rotated.

use super::secret::Secret;
use super::time::Timestamp;

/// See the module. Whoever knows a path may post by it, so none is shown in passing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The last segment of the path in force.
    pub current: Secret,
    pub retiring: Vec<RetiringPath>,
}

/// A path that was replaced, and leads to the source until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiringPath {
    /// `None`: by the source's id and, in the default tenant, its name, as before the first rotation.
    pub path: Option<Secret>,
    pub until: Timestamp,
}

impl Paths {
    /// Whether a path still leads to the source; `None`: its id and name.
    pub fn is_open(&self, path: Option<&str>, now: Timestamp) -> bool {
        let is_asked = |own: Option<&Secret>| own.map(Secret::reveal) == path;
        let mut retiring = self.retiring.iter();
        is_asked(Some(&self.current))
            || retiring.any(|retiring| now < retiring.until && is_asked(retiring.path.as_ref()))
    }

    /// Every path that leads to the source, or did.
    pub fn all(&self) -> impl Iterator<Item = &Secret> {
        let retiring = self.retiring.iter().filter_map(|retiring| retiring.path.as_ref());
        std::iter::once(&self.current).chain(retiring)
    }

    /// Until when what was replaced last leads there, too, if it still does.
    pub fn overlap_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.retiring.iter().map(|retiring| retiring.until).max();
        until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_leads_there_until_its_time_is_over() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let at = Timestamp::from_millis;
        let retiring = |path: Option<&str>, until| RetiringPath {
            path: path.map(secret),
            until: at(until),
        };
        let paths = Paths {
            current: secret("c"),
            retiring: vec![retiring(Some("b"), 9), retiring(None, 5)],
        };
        for (path, now, is_open) in [
            (Some("c"), 100, true),
            (Some("b"), 8, true),
            (Some("b"), 9, false),
            (None, 4, true),
            (None, 5, false),
            (Some("a"), 0, false),
        ] {
            assert_eq!(paths.is_open(path, at(now)), is_open, "{path:?} at {now}");
        }
        assert_eq!(paths.overlap_until(at(8)), Some(at(9)));
        assert_eq!(paths.overlap_until(at(9)), None);
    }
}
