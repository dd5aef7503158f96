//! What a plugin says of itself, put into its component: for languages whose own tools do not.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::plugin::project::{ABOUT, Project};
use crate::plugins::Plugins;

/// The file with the JSON Schema of its configuration.
const SCHEMA: &str = "config.schema.json";
/// Powers that whoever uses the plugin has to grant: those that it imports are those that it needs.
const GRANTED: [&str; 4] = ["http", "state", "judge", "media"];
/// The custom section that it is put into.
const SECTION: &str = "relay:manifest";

/// What an author may write into `plugin.toml`, in languages that have no manifest of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    /// For [`Project`], which has read it before.
    language: Option<String>,
    reuse: Option<bool>,
    #[serde(default)]
    secrets: Vec<String>,
    /// The hooks that it exports, if the build is not to find that out.
    pub(super) hooks: Option<Vec<String>>,
    /// The interfaces that it imports, likewise.
    pub(super) powers: Option<Vec<String>>,
    /// The folder of an SDK that is used in place of the one that comes with this program.
    pub(super) sdk: Option<PathBuf>,
}

impl About {
    /// What a project's `plugin.toml` says.
    pub(super) fn read(project: &Project) -> anyhow::Result<Self> {
        let path = project.folder.join(ABOUT);
        match text(&path)? {
            Some(text) => toml::from_str(&text).with_context(|| format!("{} cannot be used", path.display())),
            None => Ok(Self::default()),
        }
    }
}

/// What the relay reads.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    name: &'a str,
    version: Option<&'a str>,
    description: &'a str,
    reuse: bool,
    config: Option<Value>,
    secrets: &'a [String],
    /// Those of the powers that have to be granted.
    powers: Vec<&'static str>,
    sdk: String,
}

/// The component with what its folder says of it behind it.
pub(super) fn embed(mut component: Vec<u8>, project: &Project) -> anyhow::Result<Vec<u8>> {
    let about = About::read(project)?;
    let config = schema(&project.folder.join(SCHEMA))?;
    // What cannot be used is refused by whoever loads it.
    let found = Plugins::inspect(&component, &project.name);
    let imported = found.map(|found| found.powers).unwrap_or_default();
    let needed = GRANTED
        .into_iter()
        .filter(|power| imported.iter().any(|found| found == power));
    let manifest = manifest(project, &about, config, needed.collect());
    append(
        &mut component,
        SECTION,
        serde_json::to_string(&manifest)?.as_bytes(),
    );
    Ok(component)
}

fn manifest<'a>(
    project: &'a Project,
    about: &'a About,
    config: Option<Value>,
    powers: Vec<&'static str>,
) -> Manifest<'a> {
    let language = project.language;
    Manifest {
        name: about.name.as_deref().unwrap_or(&project.name),
        version: about.version.as_deref(),
        description: about.description.as_deref().unwrap_or_default(),
        reuse: about.reuse.unwrap_or_else(|| language.reuses()),
        config,
        secrets: &about.secrets,
        powers,
        sdk: format!(
            "{} {}.{}",
            language.name(),
            env!("CARGO_PKG_VERSION_MAJOR"),
            env!("CARGO_PKG_VERSION_MINOR")
        ),
    }
}

fn schema(path: &Path) -> anyhow::Result<Option<Value>> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    let schema = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    Ok(Some(schema))
}

/// `None` if there is no such file.
fn text(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => bail!("cannot read {}: {error}", path.display()),
    }
}

/// Puts a custom section behind a module or component.
fn append(wasm: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut content = leb(name.len());
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(data);
    wasm.push(0);
    wasm.extend(leb(content.len()));
    wasm.extend(content);
}

/// An unsigned number as WebAssembly writes it (LEB128).
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::build::USUAL;

    #[test]
    fn numbers_are_written_in_groups_of_seven_bits() {
        for (number, bytes) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0x80, 1]),
            (624_485, &[0xe5, 0x8e, 0x26]),
        ] {
            assert_eq!(leb(number), bytes, "{number}");
        }
    }

    #[test]
    fn what_the_files_say_is_in_the_component() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let project = Project {
            folder: folder.path().to_owned(),
            name: "tidy".to_owned(),
            language: USUAL,
        };
        let about = "description = \"Tidies\"\nreuse = true\nsecrets = [\"token\"]\nlanguage = \"rust\"";
        std::fs::write(folder.path().join(ABOUT), about).expect("files can be written");
        let schema = format!(r#"{{"type": "object", "description": "{}"}}"#, "x".repeat(300));
        std::fs::write(folder.path().join(SCHEMA), &schema).expect("files can be written");
        let component = embed(b"\0asm\x0d\0\x01\0".to_vec(), &project).expect("a component");
        let section = wasmparser::Parser::new(0)
            .parse_all(&component)
            .find_map(|payload| match payload.expect("it can be read") {
                wasmparser::Payload::CustomSection(section) if section.name() == SECTION => {
                    Some(section.data().to_vec())
                }
                _ => None,
            });
        let said: Value = serde_json::from_slice(&section.expect("a section")).expect("JSON");
        assert_eq!(
            (&said["name"], &said["reuse"]),
            (&"tidy".into(), &true.into()),
            "{said}"
        );
        assert_eq!(said["secrets"][0], "token", "{said}");
        assert_eq!(said["config"]["type"], "object", "{said}");
        std::fs::write(folder.path().join(ABOUT), "secret = []").expect("files can be written");
        let why = embed(Vec::new(), &project).expect_err("an unknown key");
        assert!(
            format!("{why:#}").contains("plugin.toml cannot be used"),
            "{why:#}"
        );
    }
}
