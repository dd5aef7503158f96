//! What a component says about itself, read without running or compiling anything.

use serde::{Deserialize, Serialize};
use wasmparser::{Encoding, Parser, Payload};

use super::{loader, v0_1};
use crate::model::plugin::{Granted, Power};

/// The custom section that a plugin describes itself in.
const SECTION: &str = "relay:manifest";
/// The package that hooks and powers belong to.
const PACKAGE: &str = "relay:plugin/";
/// Interfaces of [`PACKAGE`] that a plugin may import.
const POWERS: [&str; 11] = [
    "types", "call", "payload", "log", "config", "secrets", "crypto", "state", "http", "judge", "media",
];
/// Those of them that answer when somebody else has.
const WAITING: [&str; 2] = ["http", "judge"];
/// What stands behind the name of something that a plugin does without where it is not granted.
const OPTIONAL: char = '?';
/// Interfaces of WASI that a plugin may import; files and sockets come without any content.
const WASI: [&str; 6] = [
    "wasi:io/",
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:random/",
    "wasi:filesystem/",
    "wasi:sockets/",
];
/// Largest manifest, in bytes.
const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// Why a file is no plugin that this relay can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("is not WebAssembly; a plugin is a component, built for instance with `--target wasm32-wasip2`")]
    NotWasm,
    #[error(
        "is a core module, not a component; build it with `--target wasm32-wasip2` or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    #[error("has {size} bytes, more than the {max} that a plugin may have")]
    TooLarge { size: usize, max: usize },
    #[error("is damaged: {0}")]
    Malformed(String),
    #[error(
        "exports no hook; a plugin exports at least one of authenticate, filter, transform, respond, setup of relay:plugin"
    )]
    NoHook,
    #[error("needs relay:plugin {needed}, this relay speaks {}", v0_1::VERSION)]
    Version { needed: String },
    #[error("asks for the power {0}, which this relay does not offer yet")]
    Power(String),
    #[error("imports {0}, which this relay does not offer")]
    Import(String),
    #[error("exports the hook {0} of relay:plugin without its function")]
    Hollow(&'static str),
    #[error("has a manifest that cannot be used: {0}")]
    Manifest(String),
    #[error("cannot be compiled: {0}")]
    Compile(String),
}

/// The hooks that a plugin has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hooks {
    pub setup: bool,
    pub authenticate: bool,
    pub filter: bool,
    pub transform: bool,
    pub respond: bool,
}

impl Hooks {
    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (self.setup, "setup"),
            (self.authenticate, "authenticate"),
            (self.filter, "filter"),
            (self.transform, "transform"),
            (self.respond, "respond"),
        ]
        .into_iter()
        .filter_map(|(is_there, name)| is_there.then_some(name))
    }

    /// The one of that name, if there is one.
    pub fn of(name: &str) -> Option<Self> {
        let mut hooks = Self::default();
        hooks.add(name).then_some(hooks)
    }

    /// Those that both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            setup: self.setup && other.setup,
            authenticate: self.authenticate && other.authenticate,
            filter: self.filter && other.filter,
            transform: self.transform && other.transform,
            respond: self.respond && other.respond,
        }
    }

    /// Those that one of both has.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            setup: self.setup || other.setup,
            authenticate: self.authenticate || other.authenticate,
            filter: self.filter || other.filter,
            transform: self.transform || other.transform,
            respond: self.respond || other.respond,
        }
    }

    fn add(&mut self, name: &str) -> bool {
        match name {
            "setup" => self.setup = true,
            "authenticate" => self.authenticate = true,
            "filter" => self.filter = true,
            "transform" => self.transform = true,
            "respond" => self.respond = true,
            _ => return false,
        }
        true
    }
}

/// What the author says in the manifest.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Manifest {
    /// The file's name, if the author gave none.
    pub name: String,
    pub version: Option<String>,
    pub description: Option<String>,
    /// Whether one instance may serve several calls.
    pub reuse: bool,
    /// A JSON Schema for the configuration.
    pub config: Option<serde_json::Value>,
    /// Names of the secrets that it asks for; a `?` behind one that it does without.
    pub secrets: Vec<String>,
    /// Names of the powers that it asks to be granted, likewise.
    pub powers: Vec<String>,
    /// What it was built with.
    pub sdk: Option<serde_json::Value>,
}

/// Something that a plugin asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need<'m> {
    pub name: &'m str,
    /// Whether it does without.
    pub is_optional: bool,
}

impl<'m> Need<'m> {
    fn of(text: &'m str) -> Self {
        let name = text.strip_suffix(OPTIONAL);
        Self {
            name: name.unwrap_or(text),
            is_optional: name.is_some(),
        }
    }
}

impl Manifest {
    /// The secrets that it asks for.
    pub fn secrets(&self) -> impl Iterator<Item = Need<'_>> {
        self.secrets.iter().map(|text| Need::of(text))
    }

    /// The powers that it asks for.
    pub fn powers(&self) -> impl Iterator<Item = Need<'_>> {
        self.powers.iter().map(|text| Need::of(text))
    }

    /// All powers that it asks for, granted; any host among them.
    pub fn all_granted(&self) -> Granted {
        Granted::of(self.powers().map(|need| need.name))
    }

    /// Powers that have to be granted, and are not.
    pub(super) fn lacking(&self, granted: &Granted) -> Vec<Power> {
        let needed = self.powers().filter(|need| !need.is_optional);
        needed
            .filter_map(|need| Power::of(need.name))
            .filter(|power| !granted.has(*power))
            .collect()
    }

    fn check_powers(&self) -> Result<(), LoadError> {
        match self.powers().find(|need| !POWERS.contains(&need.name)) {
            Some(unknown) => Err(LoadError::Power(unknown.name.to_owned())),
            None => Ok(()),
        }
    }
}

/// All that can be known of a component without running it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    pub manifest: Manifest,
    pub hooks: Hooks,
    /// Interfaces of `relay:plugin` that it imports, without their version.
    pub powers: Vec<String>,
    /// Everything else that it imports.
    pub imports: Vec<String>,
    /// The version of `relay:plugin` that it was built for.
    pub wit: String,
    /// Bytes of the component.
    pub size: usize,
}

/// Reads a component's manifest, hooks and imports, and checks that this relay can serve them.
///
/// # Errors
/// Says in one sentence what is wrong with the file.
pub(super) fn inspect(bytes: &[u8], name: &str) -> Result<Inspection, LoadError> {
    let outline = Outline::read(bytes)?;
    let mut manifest = outline.manifest()?;
    manifest.check_powers()?;
    if manifest.name.is_empty() {
        name.clone_into(&mut manifest.name);
    }
    let mut found = Inspection {
        manifest,
        hooks: Hooks::default(),
        powers: Vec::new(),
        imports: Vec::new(),
        wit: String::new(),
        size: bytes.len(),
    };
    for export in &outline.exports {
        if let Some(interface) = Interface::parse(export)
            && found.hooks.add(hook_of(interface.name))
        {
            interface.check_version()?;
            interface.version.clone_into(&mut found.wit);
        }
    }
    for import in &outline.imports {
        found.check_import(import)?;
    }
    if found.hooks == Hooks::default() {
        Err(LoadError::NoHook)
    } else {
        Ok(found)
    }
}

/// The hook that an interface is for.
fn hook_of(interface: &str) -> &str {
    match interface {
        "lean-filter" => "filter",
        "lean-transform" => "transform",
        other => other,
    }
}

impl Inspection {
    /// Whether a call of it may wait for somebody else's answer.
    pub(super) fn waits(&self) -> bool {
        self.powers.iter().any(|power| WAITING.contains(&power.as_str()))
    }

    fn check_import(&mut self, import: &str) -> Result<(), LoadError> {
        let Some(interface) = Interface::parse(import) else {
            return self.check_foreign(import);
        };
        if !POWERS.contains(&interface.name) {
            return Err(LoadError::Power(interface.name.to_owned()));
        }
        interface.check_version()?;
        self.powers.push(interface.name.to_owned());
        Ok(())
    }

    fn check_foreign(&mut self, import: &str) -> Result<(), LoadError> {
        if import == loader::DOOR {
            return Ok(());
        }
        let is_known = WASI.iter().any(|known| import.starts_with(known)) && import.contains("@0.2.");
        if !is_known {
            return Err(LoadError::Import(import.to_owned()));
        }
        self.imports.push(import.to_owned());
        Ok(())
    }
}

/// The name of an interface of ours.
struct Interface<'n> {
    name: &'n str,
    version: &'n str,
}

impl<'n> Interface<'n> {
    fn parse(name: &'n str) -> Option<Self> {
        let rest = name.strip_prefix(PACKAGE)?;
        let (name, version) = rest.split_once('@').unwrap_or((rest, "without a version"));
        Some(Self { name, version })
    }

    /// Within 0.1 every patch version fits every other.
    fn check_version(&self) -> Result<(), LoadError> {
        let ours = v0_1::VERSION
            .rsplit_once('.')
            .map_or("", |(compatible, _)| compatible);
        match self.version.rsplit_once('.') {
            Some((theirs, patch)) if theirs == ours && patch.parse::<u32>().is_ok() => Ok(()),
            _ => Err(LoadError::Version {
                needed: self.version.to_owned(),
            }),
        }
    }
}

/// The parts of a component that matter here.
#[derive(Default)]
struct Outline {
    imports: Vec<String>,
    exports: Vec<String>,
    /// The manifest beside the component's own sections wins over one that a compiler left
    /// inside a core module.
    outer: Option<Vec<u8>>,
    inner: Option<Vec<u8>>,
}

impl Outline {
    fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        if !bytes.starts_with(b"\0asm") {
            return Err(LoadError::NotWasm);
        }
        let mut outline = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(|error| LoadError::Malformed(error.to_string()))?;
            match payload {
                Payload::Version {
                    encoding: Encoding::Module,
                    ..
                } if depth == 0 => return Err(LoadError::CoreModule),
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                other => outline
                    .note(other, depth)
                    .map_err(|error| LoadError::Malformed(error.to_string()))?,
            }
        }
        Ok(outline)
    }

    fn note(&mut self, payload: Payload<'_>, depth: usize) -> wasmparser::Result<()> {
        match payload {
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    self.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if section.name() == SECTION => {
                let slot = if depth == 0 {
                    &mut self.outer
                } else {
                    &mut self.inner
                };
                slot.get_or_insert_with(|| section.data().to_vec());
            }
            _ => {}
        }
        Ok(())
    }

    fn manifest(&self) -> Result<Manifest, LoadError> {
        let Some(bytes) = self.outer.as_ref().or(self.inner.as_ref()) else {
            return Ok(Manifest::default());
        };
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(LoadError::Manifest(format!(
                "it is longer than {MANIFEST_BYTES_MAX} bytes"
            )));
        }
        serde_json::from_slice(bytes).map_err(|error| LoadError::Manifest(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_named_as_what_it_is() {
        assert_eq!(inspect(b"<html>", "x"), Err(LoadError::NotWasm));
        assert_eq!(inspect(b"\0asm\x01\0\0\0", "x"), Err(LoadError::CoreModule));
        assert_eq!(inspect(b"\0asm\x0d\0\x01\0", "x"), Err(LoadError::NoHook));
        assert!(matches!(
            inspect(b"\0asm\x0d\0\x01\0\x0a\xff", "x"),
            Err(LoadError::Malformed(_))
        ));
    }

    #[test]
    fn what_is_asked_for_is_lacking_unless_it_is_granted_or_optional() {
        let manifest = |powers: &[&str]| Manifest {
            powers: powers.iter().map(|name| (*name).to_owned()).collect(),
            ..Manifest::default()
        };
        let asks = manifest(&["crypto", "state", "http?"]);
        assert_eq!(asks.check_powers(), Ok(()));
        assert_eq!(asks.lacking(&Granted::default()), [Power::State]);
        assert_eq!(asks.lacking(&asks.all_granted()), []);
        let unknown = manifest(&["state", "teleport?"]).check_powers();
        assert_eq!(unknown, Err(LoadError::Power("teleport".to_owned())));
    }

    #[test]
    fn patch_versions_fit_and_others_say_what_is_needed() {
        for (name, fits) in [
            ("relay:plugin/filter@0.1.0", true),
            ("relay:plugin/filter@0.1.17", true),
            ("relay:plugin/filter@0.2.0", false),
            ("relay:plugin/filter@1.1.0", false),
            ("relay:plugin/filter@0.1", false),
            ("relay:plugin/filter", false),
        ] {
            let interface = Interface::parse(name).expect("one of ours");
            assert_eq!(interface.check_version().is_ok(), fits, "{name}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for seed in 0..2_000_u32 {
            bytes.truncate(8);
            let mut word = seed.wrapping_mul(2_654_435_761);
            for _ in 0..24 {
                word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes.push((word >> 24) as u8 % 32);
            }
            drop(inspect(&bytes, "x"));
        }
    }
}
