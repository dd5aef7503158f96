//! Reads one source or endpoint by itself, as the management API takes it: the keys are those
//! of the file, and so are the rules.

use serde_json::{Map, Value};

use super::reader::{Fault, Findings, Section, Surroundings};
use super::{Config, Declared, check, endpoint, source};
use crate::model::endpoint::Endpoint;
use crate::model::source::Source;

/// A definition that reads well, or all that is wrong with it.
pub type Read<T> = Result<Declared<T>, Vec<Fault>>;

/// Reads an endpoint by the rules of a configuration; its id is 0.
///
/// # Errors
/// Every fault of it.
pub fn endpoint(config: &Config, table: &Map<String, Value>) -> Read<Endpoint> {
    let guard = check::guard(&config.outbound, &config.server);
    read(table, |section| {
        endpoint::read(section, config.plugins.limits, &guard).1
    })
}

/// What decides which events an endpoint gets.
const ROUTING: [&str; 4] = ["name", "event_types", "sources", "filter"];

/// Reads of an endpoint only what decides which events it gets: where they would go is nowhere.
/// `None` if that does not read either.
pub fn routing(config: &Config, table: &Map<String, Value>) -> Option<Endpoint> {
    let mut table = table.clone();
    table.retain(|key, _| ROUTING.contains(&key.as_str()));
    table.insert("url".to_owned(), "https://nowhere.invalid/".into());
    endpoint(config, &table).ok().map(|read| read.item)
}

/// Reads a source by the rules of a configuration; its id is 0.
///
/// # Errors
/// Every fault of it.
pub fn source(config: &Config, table: &Map<String, Value>) -> Read<Source> {
    let usual = source::Usual {
        limits: config.plugins.limits,
        body_bytes_max: config.server.body_bytes_max,
        public_url: config.server.public_url.as_ref(),
    };
    read(table, |section| source::read(section, usual))
}

fn read<T>(table: &Map<String, Value>, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Read<T> {
    let findings = Findings::default();
    let section = Section::root(table, &findings, &Strangers);
    let item = read(&section);
    let definition = section.definition();
    section.finish();
    let faults = findings.into_faults();
    match item {
        Some(item) if faults.is_empty() => Ok(Declared { item, definition }),
        _ => Err(faults),
    }
}

/// Who writes over the network gets nothing of the relay's environment and files.
struct Strangers;

impl Surroundings for Strangers {
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no file may be named here".to_owned())
    }

    fn gives(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Config {
        super::super::load("", &Strangers).expect("an empty file is valid")
    }

    fn faults(definition: Value) -> Vec<String> {
        let table = definition.as_object().expect("an object");
        let faults = endpoint(&config(), table).err().unwrap_or_default();
        faults
            .iter()
            .map(|fault| format!("{} {}", fault.path.pointer(), fault.problem))
            .collect()
    }

    #[test]
    fn secrets_are_found_wherever_they_stand() {
        let definition = json!({
            "name": "crm", "url": "https://example.com", "headers": {"authorization": "Bearer x"},
            "plugins": [{"use": "p", "secrets": {"token": "t"}}],
            "secret": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        });
        let read = endpoint(&config(), definition.as_object().expect("an object")).expect("valid");
        let mut secrets = read.definition.secrets;
        secrets.sort();
        assert_eq!(
            secrets,
            ["/headers/authorization", "/plugins/0/secrets/token", "/secret"]
        );
    }

    #[test]
    fn faults_stand_at_json_pointers() {
        let found = faults(json!({"name": "crm", "url": "ftp://example.com", "retry": {"jiter": 1}}));
        assert!(found[0].starts_with("/url "), "{found:?}");
        assert!(found[1].starts_with("/retry/jiter "), "{found:?}");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn nothing_of_the_machine_is_given_to_who_writes_over_the_network() {
        for reference in [json!({"env": "PATH"}), json!({"file": "/etc/passwd"})] {
            let found =
                faults(json!({"name": "a", "url": "https://example.com", "headers": {"x-a": reference}}));
            assert!(found[0].contains("only a configuration file"), "{found:?}");
        }
    }
}
