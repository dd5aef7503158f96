//! Whether a use gives a plugin all that it needs: powers, secrets, a configuration. What is wrong is
//! told at once, so that nobody mends one thing to learn of the next.

use std::path::PathBuf;

use serde_json::Value;

use super::library::Loaded;
use super::{Fault, LoadError, Manifest, Problem, schema};
use crate::model::plugin::{Choice, PluginUse};
use crate::model::publisher::Untrusted;

/// Why a plugin cannot be used at a place.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("there is no plugin {name}: {hint}")]
    NotFound { name: String, hint: String },
    #[error("the plugin {name} has no version {choice}: {hint}")]
    NoVersion {
        name: String,
        choice: Choice,
        hint: String,
    },
    #[error("the plugin {name} {reason}")]
    Untrusted { name: String, reason: Untrusted },
    #[error("the plugin {name} cannot be read from {path}")]
    Unreadable {
        name: String,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the plugin {name} {reason}")]
    Load { name: String, reason: LoadError },
    #[error("the configuration of the plugin {name} does not fit: {}", list(problems))]
    Config { name: String, problems: Vec<Problem> },
    #[error("the plugin {name} {} while it checked its configuration: {}", fault.kind.as_str(), fault.message)]
    Check { name: String, fault: Fault },
    #[error(
        "the plugin {name} needs {}, which {} not granted: add {line} to its entry",
        named("power", powers),
        are(powers)
    )]
    NotGranted {
        name: String,
        powers: Vec<&'static str>,
        /// What grants them.
        line: String,
    },
    #[error(
        "the plugin {name} needs {}, which {} not granted: add {} to its entry, or over the API {}",
        named("secret", secrets),
        are(secrets),
        granting_in_a_file(secrets),
        granting_over_the_api(secrets)
    )]
    NoSecret { name: String, secrets: Vec<String> },
    /// More than one of those above: powers, secrets, configuration.
    #[error("{}", lines(.0))]
    Several(Vec<Self>),
    #[error("the plugin {name} made its compilation panic; it is not used")]
    Panicked { name: String },
}

fn list(problems: &[Problem]) -> String {
    let line = |problem: &Problem| match problem.at.as_str() {
        "" => problem.message.clone(),
        at => format!("{at:?} {}", problem.message),
    };
    let lines: Vec<_> = problems.iter().map(line).collect();
    lines.join("; ")
}

fn lines(errors: &[BindError]) -> String {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// `the secret a`, `the secrets a and b`
fn named(what: &str, names: &[impl AsRef<str>]) -> String {
    let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!("the {what} {one}"),
        [some @ .., last] => format!("the {what}s {} and {last}", some.join(", ")),
    }
}

const fn are<T>(names: &[T]) -> &'static str {
    if names.len() == 1 { "is" } else { "are" }
}

fn granting_in_a_file(secrets: &[String]) -> String {
    let each = secrets.iter().map(|name| format!("{name} = {{ env = \"…\" }}"));
    format!("secrets = {{ {} }}", each.collect::<Vec<_>>().join(", "))
}

fn granting_over_the_api(secrets: &[String]) -> String {
    let each = secrets.iter().map(|name| format!("\"{name}\": \"…\""));
    format!("\"secrets\": {{{}}}", each.collect::<Vec<_>>().join(", "))
}

/// The configuration with the schema's defaults, if a use gives all that the plugin cannot do without;
/// else everything that is wrong with it, `secrets` among that.
pub(super) fn fit(loaded: &Loaded, used: &PluginUse, secrets: Option<BindError>) -> Result<Value, BindError> {
    let manifest = &loaded.inspection.manifest;
    let config = schema::check(manifest.config.as_ref(), &used.config);
    let config = config.map_err(|problems| BindError::Config {
        name: used.name.clone(),
        problems,
    });
    let lacking = [lacking_powers(manifest, used), secrets];
    let mut wrong: Vec<_> = lacking.into_iter().flatten().collect();
    match config {
        Ok(config) if wrong.is_empty() => return Ok(config),
        Ok(_) => {}
        Err(error) => wrong.push(error),
    }
    Err(if wrong.len() == 1 {
        wrong.remove(0)
    } else {
        BindError::Several(wrong)
    })
}

/// The powers that a plugin cannot do without and its owner does not grant.
fn lacking_powers(manifest: &Manifest, used: &PluginUse) -> Option<BindError> {
    let lacking = manifest.lacking(&used.granted);
    (!lacking.is_empty()).then(|| BindError::NotGranted {
        name: used.name.clone(),
        powers: lacking.iter().map(|power| power.name()).collect(),
        line: used.granted.line_with(&lacking),
    })
}

/// The secrets that a plugin cannot do without and its owner does not grant.
pub(super) fn lacking_secrets(loaded: &Loaded, used: &PluginUse) -> Option<BindError> {
    let is_granted = |name: &str| used.secrets.iter().any(|(known, _)| known == name);
    let needed = loaded.inspection.manifest.secrets();
    let lacking: Vec<_> = needed
        .filter(|need| !need.is_optional && !is_granted(need.name))
        .map(|need| need.name.to_owned())
        .collect();
    (!lacking.is_empty()).then(|| BindError::NoSecret {
        name: used.name.clone(),
        secrets: lacking,
    })
}
