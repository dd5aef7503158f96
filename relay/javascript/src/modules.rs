//! The modules of a project, found by what they import.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::source::{Import, Source};
use crate::world::interface;
use crate::{Error, Place, sdk};

/// The hooks, by the names under which a module exports them.
const HOOKS: [&str; 5] = ["authenticate", "filter", "transform", "respond", "check"];
/// Modules of one plugin.
const MODULES_MAX: usize = 1_000;

/// All modules of a plugin. Paths begin with `/`, which is the project's folder.
pub(crate) struct Modules {
    pub(crate) hooks: Vec<&'static str>,
    pub(crate) powers: Vec<&'static str>,
    entry: String,
    texts: BTreeMap<String, String>,
    /// Who imports what, and where that is.
    found: BTreeMap<(String, String), String>,
}

impl Modules {
    /// Reads the first module, and what it imports, and so on.
    pub(crate) fn read(folder: &Path, entry: &str) -> Result<Self, Error> {
        let folder = &folder.canonicalize().map_err(|error| unreadable(".", error))?;
        let mut modules = Self {
            hooks: Vec::new(),
            powers: Vec::new(),
            entry: format!("/{entry}"),
            texts: BTreeMap::new(),
            found: BTreeMap::new(),
        };
        let mut powers = BTreeSet::new();
        let mut waiting = vec![modules.entry.clone()];
        while let Some(path) = waiting.pop() {
            if modules.texts.contains_key(&path) {
                continue;
            }
            let source = read(folder, &path)?;
            if path == modules.entry {
                modules.hooks = hooks(&source, entry)?;
            }
            powers.extend(source.powers.iter().copied());
            for import in &source.imports {
                let target = target(folder, &path, import)?;
                if target != sdk::INDEX {
                    waiting.push(target.clone());
                }
                let key = (path.clone(), import.specifier.clone());
                modules.found.insert(key, target);
            }
            modules.texts.insert(path, source.text);
            if modules.texts.len() > MODULES_MAX {
                return Err(Error::Tool(anyhow::anyhow!(
                    "there are more than {MODULES_MAX} modules"
                )));
            }
        }
        modules.powers = sdk::POWERS
            .into_iter()
            .filter(|power| powers.contains(power))
            .collect();
        Ok(modules)
    }

    /// The module that QuickJS is started with: it exports the author's hooks as interfaces.
    pub(crate) fn entry_text(&self) -> String {
        // First what gives modules their `console`.
        let mut text = format!(
            "import * as hooks from \"{}/hooks.js\";\nimport * as plugin from {:?};\n",
            sdk::MODULE,
            self.entry
        );
        for hook in &self.hooks {
            text.push_str(&format!(
                "export const {} = {{ {hook}: hooks.{hook}(plugin.{hook}) }};\n",
                camel(interface(hook))
            ));
        }
        // What was left over while modules were evaluated does not become part of the component.
        text + "__cqjs.runGc();\n"
    }

    /// Where an import leads to.
    pub(crate) fn resolve(&self, referrer: &str, specifier: &str) -> Result<String, String> {
        let key = (referrer.to_owned(), specifier.to_owned());
        if let Some(found) = self.found.get(&key) {
            return Ok(found.clone());
        }
        if referrer == sdk::ENTRY && specifier == self.entry {
            return Ok(specifier.to_owned());
        }
        let inner = specifier
            .strip_prefix("@relay/plugin/")
            .filter(|_| referrer == sdk::ENTRY)
            .or_else(|| {
                specifier
                    .strip_prefix("./")
                    .filter(|_| referrer.starts_with("/@relay/"))
            });
        match inner {
            Some(name) => Ok(format!("/@relay/plugin/{name}")),
            None => Err(format!("{specifier} was not found when the plugin was read")),
        }
    }

    /// The text of a module.
    pub(crate) fn load(&self, path: &str) -> Result<String, String> {
        if path == sdk::INDEX {
            return Ok(self.index());
        }
        let own = self.texts.get(path).map(String::as_str);
        own.or_else(|| sdk::module(path))
            .map(str::to_owned)
            .ok_or_else(|| format!("there is no module {path}"))
    }

    /// The SDK with the powers that are used: the relay is asked for no other.
    fn index(&self) -> String {
        let mut text = sdk::module(sdk::INDEX).unwrap_or_default().to_owned();
        for power in &self.powers {
            text.push_str(&format!("export * as {power} from \"./{power}.js\";\n"));
        }
        text
    }
}

/// A name of an interface as QuickJS is linked by it.
fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |made, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        made + &head.to_uppercase() + tail
    })
}

fn unreadable(file: &str, error: io::Error) -> Error {
    Error::File {
        file: file.trim_start_matches('/').to_owned(),
        error,
    }
}

fn read(folder: &Path, path: &str) -> Result<Source, Error> {
    let name = path.trim_start_matches('/');
    let text = std::fs::read_to_string(folder.join(name)).map_err(|error| unreadable(name, error))?;
    if !name.ends_with(".json") {
        return Source::read(name, &text);
    }
    // A JSON document is an expression of JavaScript.
    Source::read(
        name,
        &format!("export default {}\n;", text.trim_start_matches('\u{feff}')),
    )
}

fn hooks(source: &Source, entry: &str) -> Result<Vec<&'static str>, Error> {
    let hooks: Vec<_> = HOOKS
        .into_iter()
        .filter(|hook| source.exports.iter().any(|export| export == hook))
        .collect();
    match hooks.is_empty() {
        false => Ok(hooks),
        true => Err(Error::Source {
            at: Place {
                file: entry.to_owned(),
                line: 1,
                column: 1,
            },
            message: format!(
                "exports no hook; export at least one function of these names: {}",
                HOOKS.join(", ")
            ),
        }),
    }
}

/// The module that an import names.
fn target(folder: &Path, referrer: &str, import: &Import) -> Result<String, Error> {
    let specifier = import.specifier.as_str();
    let wrong = |message: String| Error::Source {
        at: import.at.clone(),
        message,
    };
    if specifier == sdk::MODULE {
        return Ok(sdk::INDEX.to_owned());
    }
    if !specifier.starts_with("./") && !specifier.starts_with("../") {
        return Err(wrong(foreign(specifier)));
    }
    let base = Path::new(referrer).parent().unwrap_or_else(|| Path::new("/"));
    let path = plain(&base.join(specifier)).ok_or_else(|| {
        wrong(format!(
            "{specifier:?} is outside of the plugin's folder; modules have to be in it"
        ))
    })?;
    for candidate in candidates(&path) {
        let file = folder.join(candidate.trim_start_matches('/'));
        let Ok(real) = file.canonicalize() else { continue };
        if real.is_file() {
            return match real.starts_with(folder) {
                true => Ok(candidate),
                false => Err(wrong(format!("{specifier:?} leads out of the plugin's folder"))),
            };
        }
    }
    Err(wrong(format!("there is no file for {specifier:?}")))
}

fn foreign(specifier: &str) -> String {
    if specifier.starts_with("node:") {
        return format!(
            "{specifier:?} is a part of Node, which is not there in a plugin; it has what docs/writing-plugins-javascript.md lists"
        );
    }
    format!(
        "{specifier:?} is a package, and packages are not looked up; bundle it into one file, as with `npx esbuild {specifier} --bundle --format=esm --outfile=src/vendor/{}.js`, and import that by its path",
        specifier.rsplit('/').next().unwrap_or(specifier)
    )
}

/// The path without `.` and `..`; none if it leads out of the folder.
fn plain(path: &Path) -> Option<String> {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir if !plain.pop() => return None,
            Component::Normal(name) => plain.push(name),
            _ => {}
        }
    }
    plain.to_str().map(str::to_owned)
}

/// What a path may mean: itself, the TypeScript that it is compiled from, or a path whose ending was left
/// out.
fn candidates(path: &str) -> Vec<String> {
    let mut candidates = vec![path.to_owned()];
    if let Some(stem) = path.strip_suffix(".js") {
        candidates.push(format!("{stem}.ts"));
    }
    for ending in [".js", ".mjs", ".ts", "/index.js", "/index.ts"] {
        candidates.push(format!("{path}{ending}"));
    }
    candidates
}
