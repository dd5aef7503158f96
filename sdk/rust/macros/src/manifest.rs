//! The manifest that a component carries, made from the files beside the author's `Cargo.toml`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use proc_macro2::Literal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const PLUGIN: &str = "plugin.toml";
const SCHEMA: &str = "config.schema.json";
const SDK: &str = concat!(
    "rust ",
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR")
);

pub(crate) struct Manifest {
    pub(crate) json: String,
    /// The files it was made from, as absolute paths.
    pub(crate) files: Vec<String>,
}

impl Manifest {
    pub(crate) fn literal(&self) -> Literal {
        Literal::byte_string(self.json.as_bytes())
    }
}

/// What the author may write into `plugin.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginFile {
    name: Option<String>,
    description: Option<String>,
    /// For `relay plugin`, which has plugins in several languages to build.
    language: Option<Language>,
    #[serde(default)]
    reuse: bool,
    /// Powers that it asks to be granted.
    #[serde(default)]
    powers: Vec<String>,
    #[serde(default)]
    secrets: Vec<String>,
}

/// The language of what is compiled here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    Rust,
}

/// What the relay reads.
#[derive(Debug, Serialize)]
struct Section {
    name: String,
    version: String,
    description: String,
    reuse: bool,
    config: Value,
    powers: Vec<String>,
    secrets: Vec<String>,
    sdk: &'static str,
}

/// Reads the manifest of the crate that is being compiled.
pub(crate) fn read() -> Result<Manifest, String> {
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let plugin = file(&folder.join(PLUGIN))?;
    let schema = file(&folder.join(SCHEMA))?;
    let files = [(PLUGIN, &plugin), (SCHEMA, &schema)];
    Ok(Manifest {
        json: section(plugin.as_deref(), schema.as_deref())?,
        files: files
            .iter()
            .filter(|(_, text)| text.is_some())
            .map(|(name, _)| absolute(&folder, name))
            .collect(),
    })
}

fn section(plugin: Option<&str>, schema: Option<&str>) -> Result<String, String> {
    let plugin: PluginFile = plugin
        .map(toml::from_str)
        .transpose()
        .map_err(|error| format!("{PLUGIN}: {error}"))?
        .unwrap_or_default();
    let (None | Some(Language::Rust)) = plugin.language;
    let config: Option<Value> = schema
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| format!("{SCHEMA}: {error}"))?;
    let section = Section {
        name: plugin.name.unwrap_or_else(|| variable("CARGO_PKG_NAME")),
        version: variable("CARGO_PKG_VERSION"),
        description: plugin
            .description
            .unwrap_or_else(|| variable("CARGO_PKG_DESCRIPTION")),
        reuse: plugin.reuse,
        config: config.unwrap_or_default(),
        powers: plugin.powers,
        secrets: plugin.secrets,
        sdk: SDK,
    };
    serde_json::to_string(&section).map_err(|error| error.to_string())
}

/// `None` if there is no such file.
fn file(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn absolute(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

/// Cargo sets these for every crate that it compiles.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_files_say_is_what_the_relay_reads() {
        let plugin = "name = \"tidy\"\nlanguage = \"rust\"\ndescription = \"Tidies.\"\nreuse = true\npowers = [\"state\", \"http?\"]\nsecrets = [\"token\"]";
        let section = section(Some(plugin), Some("{ \"type\": \"object\" }")).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            section,
            format!(
                r#"{{"name":"tidy","version":"{version}","description":"Tidies.","reuse":true,"config":{{"type":"object"}},"powers":["state","http?"],"secrets":["token"],"sdk":"{SDK}"}}"#
            )
        );
    }

    #[test]
    fn without_files_cargo_says_the_rest() {
        let section = section(None, None).unwrap();
        assert!(section.starts_with("{\"name\":\"relay-sdk-macros\""), "{section}");
        assert!(
            section.contains("\"config\":null,\"powers\":[],\"secrets\":[]"),
            "{section}"
        );
    }

    #[test]
    fn faults_name_the_file() {
        assert!(
            section(Some("secret = []"), None)
                .unwrap_err()
                .contains("plugin.toml: ")
        );
        assert!(section(Some("language = \"cobol\""), None).is_err());
        assert!(
            section(None, Some("{"))
                .unwrap_err()
                .contains("config.schema.json: ")
        );
    }
}
