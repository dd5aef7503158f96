//! What the commands have to know of a language that plugins are written in. Each is a file beside
//! this one, and a folder of templates.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::cli::plugin::project::Project;

use super::javascript::{JAVASCRIPT, TYPESCRIPT};
use super::python::Python;
use super::rust::Rust;

/// Every language.
pub(in crate::cli::plugin) static LANGUAGES: [&dyn Language; 4] = [&Rust, &Python, &JAVASCRIPT, &TYPESCRIPT];

/// The language that a plugin is written in if nobody says otherwise.
pub(in crate::cli::plugin) static USUAL: &dyn Language = &Rust;

/// A language that plugins are written in.
pub(in crate::cli::plugin) trait Language: fmt::Debug + Sync {
    /// What `plugin.toml` and `--lang` call it.
    fn name(&self) -> &'static str;

    /// Whether a folder that does not say what it is in is in this one.
    fn is_of(&self, folder: &Path) -> bool;

    /// What a new plugin consists of, beside `plugin.toml`, its fixtures and `.gitignore`, which are
    /// the same in all languages.
    fn files(&self, new: &New<'_>) -> anyhow::Result<Vec<File>>;

    /// Lines of a new plugin's `plugin.toml` that are this language's own.
    fn settings(&self, _: &New<'_>) -> anyhow::Result<String> {
        Ok(String::new())
    }

    /// Whether what it takes to build the plugin in a folder is on this machine.
    fn check_tools(&self, folder: &Path) -> Result<(), Missing>;

    /// Builds the component. What a tool says goes to standard error.
    fn build(&self, project: &Project, profile: &str) -> anyhow::Result<Vec<u8>>;

    /// Whether its own tools know best when there is nothing to build; otherwise the times of files
    /// decide.
    fn knows_what_changed(&self) -> bool {
        false
    }

    /// Whether the source alone says which powers a plugin needs, and `plugin.toml` may not.
    fn finds_powers(&self) -> bool {
        false
    }

    /// Whether an instance serves several calls unless the author says otherwise.
    fn reuses(&self) -> bool {
        false
    }
}

/// Names of languages in short, as of their files.
const SHORT: [(&str, &str); 4] = [
    ("rs", "rust"),
    ("py", "python"),
    ("js", "javascript"),
    ("ts", "typescript"),
];

/// The language of that name, whole or in short.
pub(in crate::cli::plugin) fn language(name: &str) -> Option<&'static dyn Language> {
    let whole = SHORT.iter().find(|(short, _)| *short == name);
    let name = whole.map_or(name, |(_, whole)| whole);
    LANGUAGES.into_iter().find(|language| language.name() == name)
}

/// A plugin to be made.
pub(in crate::cli::plugin) struct New<'n> {
    pub(in crate::cli::plugin) name: &'n str,
    /// The hook it begins with, as the interface calls it.
    pub(in crate::cli::plugin) hook: &'static str,
    pub(in crate::cli::plugin) description: &'static str,
    /// Where the SDK is, if its author said so.
    pub(in crate::cli::plugin) sdk: Option<&'n Path>,
}

/// A file of a new plugin.
pub(in crate::cli::plugin) struct File {
    /// Within its folder.
    pub(in crate::cli::plugin) path: PathBuf,
    pub(in crate::cli::plugin) text: String,
}

impl File {
    pub(in crate::cli::plugin) fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

/// A tool that is not there, and the one command that puts it there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{tool} is not installed; run: {install}")]
pub(in crate::cli::plugin) struct Missing {
    pub(in crate::cli::plugin) tool: String,
    pub(in crate::cli::plugin) install: String,
}

/// A template with its places filled in, which are written `{{place}}`.
pub(in crate::cli::plugin) fn fill(template: &str, places: &[(&str, &str)]) -> String {
    let fill = |text: String, (place, value): &(&str, &str)| text.replace(&format!("{{{{{place}}}}}"), value);
    places.iter().fold(template.to_owned(), fill)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_known_in_short_too() {
        for (short, whole) in SHORT {
            let found = language(short).map(Language::name);
            assert_eq!(found, Some(whole));
            assert_eq!(language(whole).map(Language::name), found);
        }
        assert!(language("cobol").is_none());
    }
}
