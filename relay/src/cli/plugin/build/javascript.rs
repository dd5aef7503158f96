//! Plugins in JavaScript and TypeScript: modules, put into one component with QuickJS. No tool is needed
//! for that but a relay that has it.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::language::{File, Language, Missing, New, fill};
use super::manifest::About;
use super::sdk;
use crate::cli::plugin::project::Project;

/// The types of the SDK: in the repository, and in a plugin.
const TYPES: &str = "sdk/javascript/types/plugin.d.ts";
const TYPES_HERE: &str = "types/relay-plugin.d.ts";
const PACKAGE: &str = include_str!("../../../../templates/javascript/package.json.template");

macro_rules! source {
    ($language:literal, $hook:literal, $ending:literal) => {
        (
            $hook,
            include_str!(concat!(
                "../../../../templates/",
                $language,
                "/",
                $hook,
                ".",
                $ending
            )),
        )
    };
}

/// One of the two languages.
#[derive(Debug)]
pub(super) struct Script {
    name: &'static str,
    /// The first module.
    entry: &'static str,
    /// What tells an editor where the types are.
    editor: (&'static str, &'static str),
    sources: [(&'static str, &'static str); 4],
}

pub(super) static JAVASCRIPT: Script = Script {
    name: "javascript",
    entry: "src/plugin.js",
    editor: (
        "jsconfig.json",
        include_str!("../../../../templates/javascript/jsconfig.json"),
    ),
    sources: [
        source!("javascript", "transform", "js"),
        source!("javascript", "filter", "js"),
        source!("javascript", "authenticate", "js"),
        source!("javascript", "respond", "js"),
    ],
};

pub(super) static TYPESCRIPT: Script = Script {
    name: "typescript",
    entry: "src/plugin.ts",
    editor: (
        "tsconfig.json",
        include_str!("../../../../templates/typescript/tsconfig.json"),
    ),
    sources: [
        source!("typescript", "transform", "ts"),
        source!("typescript", "filter", "ts"),
        source!("typescript", "authenticate", "ts"),
        source!("typescript", "respond", "ts"),
    ],
};

impl Language for Script {
    fn finds_powers(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn is_of(&self, folder: &Path) -> bool {
        folder.join(self.entry).is_file()
    }

    fn files(&self, new: &New<'_>) -> anyhow::Result<Vec<File>> {
        if new.sdk.is_some() {
            bail!(
                "--sdk is for rust: the SDK for {} is part of this program",
                self.name
            );
        }
        let places = [("name", new.name), ("description", new.description)];
        let (_, source) = self
            .sources
            .iter()
            .find(|(hook, _)| *hook == new.hook)
            .with_context(|| format!("there is no template for {}", new.hook))?;
        let (_, types) = sdk::below(TYPES)
            .next()
            .context("the types of the SDK are not in this program")?;
        let (editor, settings) = self.editor;
        Ok(vec![
            File::new("package.json", fill(PACKAGE, &places)),
            File::new(editor, settings),
            File::new(TYPES_HERE, types),
            File::new(self.entry, fill(source, &places)),
        ])
    }

    fn check_tools(&self, _: &Path) -> Result<(), Missing> {
        match cfg!(feature = "javascript") {
            true => Ok(()),
            false => Err(Missing {
                tool: "a relay with JavaScript and TypeScript (this one was built without)".to_owned(),
                install: "cargo build --release --locked -p relay --features javascript".to_owned(),
            }),
        }
    }

    fn build(&self, project: &Project, _: &str) -> anyhow::Result<Vec<u8>> {
        let about = About::read(project)?;
        if about.hooks.is_some() || about.powers.is_some() || about.sdk.is_some() {
            bail!(
                "plugin.toml: hooks, powers and sdk are not for {}, in which they follow from the source; take them out",
                self.name
            );
        }
        let component = component(&project.folder, self.entry)?;
        super::manifest::embed(component, project)
    }
}

#[cfg(feature = "javascript")]
fn component(folder: &Path, entry: &str) -> anyhow::Result<Vec<u8>> {
    Ok(relay_javascript::build(folder, entry)?)
}

#[cfg(not(feature = "javascript"))]
fn component(_: &Path, _: &str) -> anyhow::Result<Vec<u8>> {
    // Nobody gets here: the tools are checked first.
    bail!("this relay was built without JavaScript")
}
