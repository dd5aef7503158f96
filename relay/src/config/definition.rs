//! Reads one source or endpoint by itself, as the management API takes it: the keys are those
//! of the file, and so are the rules.

use serde_json::{Map, Value};

use super::key_path::KeyPath;
use super::reader::{Fault, Findings, Section, Surroundings};
use super::{Config, check, endpoint, source};
use crate::model::endpoint::Endpoint;
use crate::model::source::Source;

/// A definition that reads well, and where in it secrets stand.
pub type Defined<T> = Result<(T, Vec<KeyPath>), Vec<Fault>>;

/// Reads an endpoint by the rules of a configuration; its id is 0.
///
/// # Errors
/// Every fault of it.
pub fn endpoint(config: &Config, table: &Map<String, Value>) -> Defined<Endpoint> {
    let guard = check::guard(&config.outbound, &config.server);
    read(table, |section| {
        endpoint::read(section, config.plugins.limits, &guard).1
    })
}

/// Reads a source by the rules of a configuration; its id is 0.
///
/// # Errors
/// Every fault of it.
pub fn source(config: &Config, table: &Map<String, Value>) -> Defined<Source> {
    let usual = source::Usual {
        limits: config.plugins.limits,
        body_bytes_max: config.server.body_bytes_max,
        public_url: config.server.public_url.as_ref(),
    };
    read(table, |section| source::read(section, usual))
}

fn read<T>(table: &Map<String, Value>, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Defined<T> {
    let findings = Findings::default();
    let section = Section::root(table, &findings, &Strangers);
    let read = read(&section);
    section.finish();
    let secrets = findings.into_secrets()?;
    // Whatever is missing is a fault; were it not, nobody would be told why nothing was read.
    read.map(|read| (read, secrets)).ok_or_else(|| {
        vec![Fault {
            path: KeyPath::default(),
            problem: "cannot be read".to_owned(),
            remedy: String::new(),
        }]
    })
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
        let (_, secrets) = endpoint(&config(), definition.as_object().expect("an object")).expect("valid");
        let mut secrets: Vec<String> = secrets.iter().map(KeyPath::pointer).collect();
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
