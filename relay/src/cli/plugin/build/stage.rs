//! The folder within a project in which a component is put together: the SDK that came with this
//! program, and the world of exactly this plugin.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::language::File;
use super::sdk;
use crate::cli::plugin::project::{ABOUT, Project};

/// The world that a component is built for.
pub(super) const WORLD: &str = "this-plugin";
/// Every hook, by the name of its function, with the interface that holds it.
const HOOKS: [(&str, &str); 5] = [
    ("authenticate", "authenticate"),
    ("filter", "lean-filter"),
    ("transform", "lean-transform"),
    ("respond", "respond"),
    ("check", "setup"),
];
/// What every plugin imports.
const USUAL: [&str; 5] = ["types", "call", "payload", "log", "config"];
/// What a plugin imports that uses it: what an owner sees of it, and may have to grant.
const POWERS: [&str; 6] = ["secrets", "crypto", "state", "http", "judge", "media"];

/// A folder in which a component is put together.
#[derive(Debug)]
pub(super) struct Stage {
    folder: PathBuf,
}

impl Stage {
    /// The one of a project, below what is built.
    pub(super) fn of(project: &Project) -> Self {
        let folder = project.folder.join("target").join(project.language.name());
        Self { folder }
    }

    /// Where a file or folder of it is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts files into it. One that is right is left alone.
    pub(super) fn put(&self, files: &[File]) -> anyhow::Result<()> {
        for file in files {
            let path = self.folder.join(&file.path);
            let parent = path.parent().unwrap_or(&self.folder);
            if std::fs::read(&path).is_ok_and(|present| present == file.text.as_bytes()) {
                continue;
            }
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, &file.text))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Takes a folder out of it, if it is there.
    pub(super) fn remove(&self, name: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        match path.exists() {
            true => {
                std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))
            }
            false => Ok(()),
        }
    }

    /// Puts the interface into its folder `wit`, with the world [`WORLD`]: these hooks, named by their
    /// functions, and these powers.
    pub(super) fn put_world(&self, hooks: &[&str], powers: &[&str]) -> anyhow::Result<PathBuf> {
        let mut files = sdk::below("wit/")
            .filter(|(path, _)| path.ends_with(".wit") && !path.ends_with("worlds.wit"))
            .map(|(path, text)| File::new(path, text))
            .collect::<Vec<_>>();
        files.push(File::new("wit/plugin.wit", world(hooks, powers)));
        self.put(&files)?;
        Ok(self.path("wit"))
    }
}

/// The hooks that are named, or else those that the source has as functions; `has` says so.
pub(super) fn hooks(
    named: Option<&[String]>,
    has: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<&'static str>> {
    let all = HOOKS.map(|(function, _)| function);
    chosen("hooks", &all, named, has)
}

/// The powers that are named, or else those that the source uses.
pub(super) fn powers(
    named: Option<&[String]>,
    uses: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<&'static str>> {
    chosen("powers", &POWERS, named, uses)
}

/// Refuses a power in a folder's `plugin.toml` that there is none of, before anything is built. Whatever
/// else is wrong with the file is told by the SDK, which reads the rest of it.
pub(super) fn check_powers(folder: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(folder.join(ABOUT)).unwrap_or_default();
    let about: toml::Table = text.parse().unwrap_or_default();
    let named = about.get("powers").and_then(toml::Value::as_array);
    let names = named.into_iter().flatten().filter_map(toml::Value::as_str);
    let names: Vec<_> = names.map(|name| name.trim_end_matches('?').to_owned()).collect();
    powers(Some(&names), |_| false).map(drop)
}

fn chosen(
    key: &str,
    all: &[&'static str],
    named: Option<&[String]>,
    is_in_use: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<&'static str>> {
    let Some(named) = named else {
        return Ok(all.iter().copied().filter(|name| is_in_use(name)).collect());
    };
    if let Some(unknown) = named.iter().find(|name| !all.contains(&name.as_str())) {
        bail!("plugin.toml: {key} names {unknown:?}; known: {}", all.join(", "));
    }
    let is_named = |name: &&str| named.iter().any(|named| named == name);
    Ok(all.iter().copied().filter(is_named).collect())
}

/// A world with these hooks and powers.
fn world(hooks: &[&str], powers: &[&str]) -> String {
    let mut text = format!("package relay:plugin@0.1.0;\n\nworld {WORLD} {{\n");
    for power in USUAL.iter().chain(powers) {
        text += &format!("    import {power};\n");
    }
    for (function, interface) in HOOKS {
        if hooks.contains(&function) {
            text += &format!("    export {interface};\n");
        }
    }
    text + "}\n"
}

/// Whether a text has a word, standing by itself.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_has_the_hooks_and_powers_of_one_plugin() {
        let source = "from relay_sdk import state\ndef filter(event): ...";
        let hooks = hooks(None, |name| source.contains(&format!("def {name}("))).expect("hooks");
        let powers = powers(None, |name| has_word(source, name)).expect("powers");
        assert_eq!(
            (hooks.as_slice(), powers.as_slice()),
            (&["filter"][..], &["state"][..])
        );
        let world = world(&hooks, &powers);
        for line in [
            "    import types;\n",
            "    import state;\n",
            "    export lean-filter;\n",
        ] {
            assert!(world.contains(line), "{line} is not in {world}");
        }
        assert!(
            !world.contains("secrets") && !world.contains("transform"),
            "{world}"
        );
    }

    #[test]
    fn what_plugin_toml_names_counts_and_has_to_be_known() {
        let named = ["check".to_owned()];
        assert_eq!(hooks(Some(&named), |_| true).expect("hooks"), ["check"]);
        let unknown = powers(Some(&["teleport".to_owned()]), |_| true).expect_err("unknown");
        assert!(
            unknown.to_string().contains("known: secrets, crypto"),
            "{unknown}"
        );
    }

    #[test]
    fn words_stand_by_themselves() {
        for (text, is_there) in [
            ("http.send(", true),
            ("import http", true),
            ("https://", false),
            ("my_http", false),
            ("", false),
        ] {
            assert_eq!(has_word(text, "http"), is_there, "{text}");
        }
    }
}
