//! `relay plugin new`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::build::{File, LANGUAGES, Language, New as Wanted, USUAL, fill, language};
use crate::plugins::stock;

/// Longest name of a plugin.
const NAME_CHARS_MAX: usize = 64;

const ABOUT: &str = include_str!("../../../templates/plugin.toml.template");
/// What is said of powers, where the source does not say it all.
const POWERS: &str = "
# Powers that it wants to be granted, with a `?` behind one that it does without.
# powers = [\"state\", \"http\"]
";
const IGNORED: &str = include_str!("../../../templates/gitignore.template");

#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// What it is called; its folder is made here
    name: String,
    /// The language it is written in
    #[arg(long, value_name = "LANGUAGE", default_value_t = USUAL.name().to_owned())]
    lang: String,
    /// The hook it begins with
    #[arg(long, value_enum, default_value_t = Hook::Transform)]
    hook: Hook,
    /// A clone of the relay whose SDK is used, in place of a copy of the SDK in the plugin's folder
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Hook {
    Transform,
    Filter,
    Authenticate,
    Respond,
}

/// What a new plugin begins with: the same in all languages.
struct Beginning {
    hook: &'static str,
    description: &'static str,
    secrets: &'static str,
    fixtures: &'static [(&'static str, &'static str)],
}

macro_rules! fixture {
    ($hook:literal, $name:literal) => {
        (
            concat!("tests/", $name, ".json"),
            include_str!(concat!("../../../templates/tests/", $hook, "/", $name, ".json")),
        )
    };
}

impl Hook {
    const fn beginning(self) -> Beginning {
        match self {
            Self::Transform => Beginning {
                hook: "transform",
                description: "Drops tests, and takes cards out of what is passed on",
                secrets: "",
                fixtures: &[
                    fixture!("transform", "edits-an-order"),
                    fixture!("transform", "drops-a-test"),
                ],
            },
            Self::Filter => Beginning {
                hook: "filter",
                description: "Drops tests",
                secrets: "",
                fixtures: &[
                    fixture!("filter", "keeps-an-order"),
                    fixture!("filter", "drops-a-test"),
                ],
            },
            Self::Authenticate => Beginning {
                hook: "authenticate",
                description: "Accepts only posts that carry a shared token",
                secrets: "\"token\"",
                fixtures: &[
                    fixture!("authenticate", "accepts-the-token"),
                    fixture!("authenticate", "rejects-another"),
                ],
            },
            Self::Respond => Beginning {
                hook: "respond",
                description: "Says in an answer what it is about",
                secrets: "",
                fixtures: &[fixture!("respond", "edits-the-answer")],
            },
        }
    }
}

impl New {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        check_name(&self.name)?;
        let Some(language) = language(&self.lang) else {
            let known: Vec<_> = LANGUAGES.iter().map(|language| language.name()).collect();
            bail!(
                "plugins are not written in {:?}; known: {}",
                self.lang,
                known.join(", ")
            );
        };
        let folder = Path::new(&self.name);
        if folder.exists() {
            bail!("{} is there already; choose another name", folder.display());
        }
        for file in self.files(language)? {
            write(&folder.join(&file.path), &file.text)?;
        }
        println!("{}/ is a plugin in {}. Next:", self.name, language.name());
        println!("  relay plugin test {}", self.name);
        println!("  relay plugin build {}", self.name);
        if let Err(missing) = language.check_tools(folder) {
            println!("{missing}");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn files(&self, language: &dyn Language) -> anyhow::Result<Vec<File>> {
        let beginning = self.hook.beginning();
        let wanted = Wanted {
            name: &self.name,
            hook: beginning.hook,
            description: beginning.description,
            sdk: self.sdk.as_deref(),
        };
        let places = [
            ("name", self.name.as_str()),
            ("description", beginning.description),
            ("language", language.name()),
            ("powers", if language.finds_powers() { "" } else { POWERS }),
            ("secrets", beginning.secrets),
            (
                "reuse",
                if language.reuses() {
                    "reuse = true"
                } else {
                    "# reuse = true"
                },
            ),
        ];
        let mut files = language.files(&wanted)?;
        let about = fill(ABOUT, &places) + &language.settings(&wanted)?;
        files.push(File::new("plugin.toml", about));
        files.push(File::new(".gitignore", IGNORED));
        for (path, text) in beginning.fixtures {
            files.push(File::new(*path, fill(text, &places)));
        }
        Ok(files)
    }
}

/// A name that does for a plugin, a folder, and a package in every language.
fn check_name(name: &str) -> anyhow::Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = name.len() <= NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(is_plain);
    if !is_name {
        bail!(
            "{name:?} is no name for a plugin; use up to {NAME_CHARS_MAX} small letters, digits and `-`, beginning with a letter, as in only-paid"
        );
    }
    if stock::find(name).is_some() {
        bail!("a plugin {name} comes with the relay; choose another name");
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_for_plugins_folders_and_packages() {
        for name in ["only-paid", "a", "tidy2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "Only", "2nd", "../x", "a_b", "a-", "redact-fields", "a.b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name(&"a".repeat(NAME_CHARS_MAX + 1)).is_err());
    }

    fn is_sdk(path: &Path) -> bool {
        path.starts_with("vendor") || path.starts_with("relay_sdk")
    }

    #[test]
    fn every_hook_begins_with_fixtures_of_its_own_in_every_language() {
        for language in LANGUAGES {
            for hook in Hook::value_variants() {
                let new = New {
                    name: "tidy".to_owned(),
                    lang: language.name().to_owned(),
                    hook: *hook,
                    sdk: None,
                };
                let files = new.files(language).expect("files");
                for file in files.iter().filter(|file| !is_sdk(&file.path)) {
                    assert!(
                        !file.text.contains("{{"),
                        "{}:\n{}",
                        file.path.display(),
                        file.text
                    );
                }
                let count = files.iter().filter(|file| file.path.starts_with("tests")).count();
                assert!(count > 0, "{hook:?}");
            }
        }
    }
}
