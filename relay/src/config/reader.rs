//! Reads settings out of a document and collects every fault, each with its key path.
//!
//! The same code reads the configuration file and, later, the bodies of the management API:
//! both arrive as a JSON value.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Map, Value};

use super::key_path::KeyPath;
pub use super::quantity::{parse_bytes, parse_duration};
use super::sketch::{self, Sketch};
use crate::model::resource::Definition;
use crate::model::secret::Secret;
use crate::model::words::nearest;

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, as in `endpoint[2].retry.jitter`.
    pub path: KeyPath,
    /// What is wrong, with the value found where that helps.
    pub problem: String,
    /// What to do about it; empty if the problem says it.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// What was found so far: everything wrong, and where secrets stand.
#[derive(Debug, Default)]
pub struct Findings {
    faults: RefCell<Vec<Fault>>,
    secrets: RefCell<Vec<KeyPath>>,
    /// What was asked for, where the reader is to be drawn.
    pub(super) sketch: Option<Sketch>,
}

impl Findings {
    /// Findings that draw the reader.
    pub(super) fn sketching() -> Self {
        Self {
            sketch: Some(Sketch::default()),
            ..Self::default()
        }
    }

    /// The reader as it was drawn.
    pub(super) fn into_node(self) -> sketch::Node {
        self.sketch.map(Sketch::into_node).unwrap_or_default()
    }

    /// Notes a fault.
    pub fn fault(&self, path: KeyPath, problem: impl Into<String>, remedy: impl Into<String>) {
        self.faults.borrow_mut().push(Fault {
            path,
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// Notes that what stands there is secret.
    fn secret(&self, path: KeyPath) {
        self.secrets.borrow_mut().push(path);
    }

    /// JSON Pointers to the secrets below a place, from there.
    fn secrets_below(&self, place: &KeyPath) -> Vec<String> {
        let secrets = self.secrets.borrow();
        let below = secrets.iter().filter_map(|secret| secret.below(place));
        let mut pointers: Vec<String> = below.map(|path| path.pointer()).collect();
        pointers.dedup();
        pointers
    }

    /// Everything wrong.
    pub fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }
}

/// Where secrets by reference come from; a trait so that tests need no environment.
pub trait Surroundings {
    /// All environment variables.
    fn variables(&self) -> Vec<(String, String)>;
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// The text of a file.
    fn file(&self, path: &str) -> Result<String, String>;
    /// Whether references may be made at all.
    fn gives(&self) -> bool {
        true
    }
}

/// The environment and files of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Process;

impl Surroundings for Process {
    fn variables(&self) -> Vec<(String, String)> {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

/// One table of a document. Each reading method notes a fault if the value is of the wrong
/// kind, and returns `None` then as it does for an absent key. [`Section::finish`] notes the
/// keys that nobody read.
pub struct Section<'a> {
    path: KeyPath,
    table: &'a Map<String, Value>,
    known: RefCell<BTreeSet<&'static str>>,
    findings: &'a Findings,
    surroundings: &'a dyn Surroundings,
}

impl<'a> Section<'a> {
    /// The top of a document.
    pub fn root(
        table: &'a Map<String, Value>,
        findings: &'a Findings,
        surroundings: &'a dyn Surroundings,
    ) -> Self {
        Self {
            path: KeyPath::default(),
            table,
            known: RefCell::default(),
            findings,
            surroundings,
        }
    }

    /// Notes a fault at a key.
    pub fn fault(&self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        self.findings.fault(self.path.key(key), problem, remedy);
    }

    /// Notes a fault at a place within the value of a key, by a JSON Pointer from there.
    pub fn fault_at(&self, key: &str, pointer: &str, problem: impl Into<String>) {
        self.findings.fault(self.path.key(key).at(pointer), problem, "");
    }

    /// The value under a key, whatever it is.
    pub fn value(&self, key: &'static str) -> Option<&'a Value> {
        self.known.borrow_mut().insert(key);
        self.draw(key, || Value::Object(Map::new()));
        self.table.get(key).filter(|value| !value.is_null())
    }

    /// Draws that something has to stand under a key, if the reader is drawn.
    pub(super) fn require(&self, key: &str) {
        if let Some(sketch) = &self.findings.sketch {
            sketch.require(&self.path.key(key));
        }
    }

    /// Draws what may stand under a key, if the reader is drawn.
    pub(super) fn draw(&self, key: &str, shape: impl FnOnce() -> Value) {
        if let Some(sketch) = &self.findings.sketch {
            sketch.note(&self.path.key(key), shape());
        }
    }

    /// Whether a key is there, without reading it.
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| !value.is_null())
    }

    pub(super) fn expect<T>(
        &self,
        key: &'static str,
        kind: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let read = read(value);
        if read.is_none() {
            self.fault(key, format!("is {}, not {kind}", describe(value)), "");
        }
        read
    }

    pub fn string(&self, key: &'static str) -> Option<&'a str> {
        self.draw(key, sketch::text);
        self.expect(key, "a string", Value::as_str)
    }

    /// A string that has to be there.
    pub fn required(&self, key: &'static str, example: &str) -> Option<&'a str> {
        self.require(key);
        if !self.has(key) {
            self.known.borrow_mut().insert(key);
            self.draw(key, sketch::text);
            self.fault(key, "is missing", format!("give it, as in {key} = {example}"));
            return None;
        }
        self.string(key)
    }

    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        self.draw(key, || serde_json::json!({"type": "boolean"}));
        self.expect(key, "true or false", Value::as_bool)
    }

    /// A whole number within a range.
    pub fn integer(&self, key: &'static str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        self.draw(key, || sketch::integer(&range));
        let number = self.expect(key, "a whole number", Value::as_u64)?;
        if range.contains(&number) {
            return Some(number);
        }
        self.fault(
            key,
            format!("is {number}"),
            format!("use {} to {}", range.start(), range.end()),
        );
        None
    }

    /// A number within a range.
    pub fn number(&self, key: &'static str, range: std::ops::RangeInclusive<f64>) -> Option<f64> {
        self.draw(key, || sketch::number(&range));
        let number = self.expect(key, "a number", Value::as_f64)?;
        if range.contains(&number) {
            return Some(number);
        }
        self.fault(
            key,
            format!("is {number}"),
            format!("use {} to {}", range.start(), range.end()),
        );
        None
    }

    /// A span of time such as `"30s"`.
    pub fn duration(&self, key: &'static str, range: std::ops::RangeInclusive<Duration>) -> Option<Duration> {
        self.draw(key, sketch::duration);
        let text = self.string(key)?;
        self.checked_duration(key, text, &range)
    }

    /// A list of spans of time.
    pub fn durations(
        &self,
        key: &'static str,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Option<Vec<Duration>> {
        self.draw(key, || sketch::texts(&sketch::duration()));
        let texts = self.strings(key)?;
        Some(
            texts
                .iter()
                .filter_map(|text| self.checked_duration(key, text, &range))
                .collect(),
        )
    }

    fn checked_duration(
        &self,
        key: &str,
        text: &str,
        range: &std::ops::RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Some(span) = parse_duration(text) else {
            self.fault(
                key,
                format!("is {text:?}, not a span of time"),
                "write it as in \"500ms\", \"30s\", \"5m\", \"2h\", \"7d\"",
            );
            return None;
        };
        if range.contains(&span) {
            return Some(span);
        }
        self.fault(
            key,
            format!("is {text:?}"),
            format!("use {:?} to {:?}", range.start(), range.end()),
        );
        None
    }

    /// A size such as `"1MiB"` or a number of bytes.
    pub fn bytes(&self, key: &'static str, range: std::ops::RangeInclusive<usize>) -> Option<usize> {
        self.draw(key, || sketch::bytes(&range));
        let value = self.value(key)?;
        let size = match value {
            Value::Number(number) => number.as_u64().and_then(|size| usize::try_from(size).ok()),
            Value::String(text) => parse_bytes(text),
            _ => None,
        };
        match size {
            Some(size) if range.contains(&size) => Some(size),
            Some(size) => {
                self.fault(
                    key,
                    format!("is {size} bytes"),
                    format!("use {} to {}", range.start(), range.end()),
                );
                None
            }
            None => {
                self.fault(
                    key,
                    format!("is {}, not a size", describe(value)),
                    "write it as in \"64KiB\", \"1MiB\" or 65536",
                );
                None
            }
        }
    }

    /// A list of strings; a single string is a list of one.
    pub fn strings(&self, key: &'static str) -> Option<Vec<&'a str>> {
        self.draw(key, || sketch::texts(&sketch::text()));
        self.expect(key, "a list of strings", |value| match value {
            Value::String(text) => Some(vec![text.as_str()]),
            Value::Array(items) => items.iter().map(Value::as_str).collect(),
            _ => None,
        })
    }

    /// One of several words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.draw(key, || sketch::words(choices.iter().map(|(word, _)| *word)));
        let text = self.string(key)?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*choice);
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.fault(
            key,
            format!("is {text:?}"),
            format!("{}use one of {}", nearest_hint(text, &words), words.join(", ")),
        );
        None
    }

    /// A table below this one.
    pub fn section(&self, key: &'static str) -> Option<Self> {
        if let Some(sketch) = &self.findings.sketch {
            self.value(key);
            sketch.table(&self.path.key(key));
            let table = self.table.get(key).and_then(Value::as_object);
            return Some(self.below(self.path.key(key), table.unwrap_or(&NOTHING)));
        }
        let table = self.expect(key, "a table", Value::as_object)?;
        Some(self.below(self.path.key(key), table))
    }

    /// A list of tables below this one.
    pub fn sections(&self, key: &'static str) -> Vec<Self> {
        if self.findings.sketch.is_some() {
            self.value(key);
            return vec![self.below(self.path.key(key).item(0), &NOTHING)];
        }
        let Some(list) = self.expect(key, "a list of tables", Value::as_array) else {
            return Vec::new();
        };
        list.iter()
            .enumerate()
            .filter_map(|(index, item)| {
                let path = self.path.key(key).item(index);
                let Some(table) = item.as_object() else {
                    self.findings
                        .fault(path, format!("is {}, not a table", describe(item)), "");
                    return None;
                };
                Some(self.below(path, table))
            })
            .collect()
    }

    /// The keys of this table that nobody has read, to be read as a map: each counts as known.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let table = if self.findings.sketch.is_some() {
            &*ANYTHING
        } else {
            self.table
        };
        table.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// This table, with what it lacks taken from another one.
    pub fn filled_from(&self, usual: Option<&Map<String, Value>>) -> Map<String, Value> {
        let mut table = usual.cloned().unwrap_or_default();
        let own = self.table.iter().filter(|(_, value)| !value.is_null());
        table.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        table
    }

    /// Another table in the path of this one.
    pub fn with<'b>(&self, table: &'b Map<String, Value>) -> Section<'b>
    where
        'a: 'b,
    {
        Section {
            path: self.path.clone(),
            table,
            known: RefCell::default(),
            findings: self.findings,
            surroundings: self.surroundings,
        }
    }

    fn below(&self, path: KeyPath, table: &'a Map<String, Value>) -> Self {
        Self {
            path,
            table,
            known: RefCell::default(),
            findings: self.findings,
            surroundings: self.surroundings,
        }
    }

    /// A secret: text, `{ env = "NAME" }` or `{ file = "path" }`. An empty one is a fault, so
    /// that nothing is ever checked against nothing.
    pub fn secret(&self, key: &'static str) -> Option<Secret> {
        self.draw(key, sketch::secret);
        let value = self.value(key)?;
        self.read_secret(key, value)
    }

    /// One secret or a list of them, the first being the one in use.
    pub fn secrets(&self, key: &'static str) -> Option<Vec<Secret>> {
        self.draw(key, sketch::secrets);
        match self.value(key)? {
            Value::Array(items) => Some(
                items
                    .iter()
                    .filter_map(|item| self.read_secret(key, item))
                    .collect(),
            ),
            value => self.read_secret(key, value).map(|secret| vec![secret]),
        }
    }

    /// Reads a secret from a value that stands under `key`.
    pub fn read_secret(&self, key: &str, value: &Value) -> Option<Secret> {
        self.draw(key, sketch::secret);
        self.findings.secret(self.path.key(key));
        let found = match value {
            Value::String(text) => Ok(text.clone()),
            // What comes out of the environment and looks like a number.
            Value::Number(number) => Ok(number.to_string()),
            Value::Object(reference) if reference.len() == 1 => self.dereference(reference),
            _ => Err((
                format!("is {}, not a secret", describe(value)),
                SECRET_REMEDY.to_owned(),
            )),
        };
        match found {
            Ok(text) if text.is_empty() => {
                self.fault(key, "is an empty secret", "an empty secret would let anyone in");
                None
            }
            Ok(text) => Some(Secret::new(text)),
            Err((problem, remedy)) => {
                self.fault(key, problem, remedy);
                None
            }
        }
    }

    fn dereference(&self, reference: &Map<String, Value>) -> Result<String, (String, String)> {
        if reference.contains_key("sealed") {
            return Err((
                "is sealed, and there is nothing here yet that it could be taken from".to_owned(),
                "give the secret itself".to_owned(),
            ));
        }
        if !self.surroundings.gives() {
            return Err((
                "is a table; only a configuration file may refer to secrets elsewhere".to_owned(),
                "send the secret itself".to_owned(),
            ));
        }
        referred(reference, self.surroundings).unwrap_or_else(|| {
            Err((
                "is a table that is no reference to a secret".to_owned(),
                SECRET_REMEDY.to_owned(),
            ))
        })
    }

    /// This table as it was written, once all of it was read.
    pub fn definition(&self) -> Definition {
        Definition {
            keys: self.table.clone(),
            secrets: self.findings.secrets_below(&self.path),
        }
    }

    /// Notes every key that was not read, with the nearest known name.
    pub fn finish(self) {
        let known = self.known.borrow();
        let names: Vec<&str> = known.iter().copied().collect();
        for key in self.table.keys().filter(|key| !known.contains(key.as_str())) {
            let hint = match nearest(key, &names) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known here: {}", names.join(", ")),
            };
            self.fault(key, "is not a known key", hint);
        }
    }
}

/// What is read where a reader is drawn and nothing stands.
static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
/// A map with one entry that stands for all.
static ANYTHING: LazyLock<Map<String, Value>> =
    LazyLock::new(|| [(sketch::ANY_KEY.to_owned(), Value::Null)].into_iter().collect());

/// What a reference to a secret stands for; `None` if it is no reference.
///
/// # Errors
/// Why it cannot be had, and what to do about it.
pub fn referred(
    reference: &Map<String, Value>,
    surroundings: &dyn Surroundings,
) -> Option<Result<String, (String, String)>> {
    let text = |key: &str| {
        let value = reference.get(key).filter(|_| reference.len() == 1);
        value.and_then(Value::as_str)
    };
    if let Some(name) = text("env") {
        return Some(surroundings.variable(name).ok_or_else(|| {
            (
                format!("names the environment variable {name}, which is not set"),
                format!("set {name} first"),
            )
        }));
    }
    let path = text("file")?;
    Some(match surroundings.file(path) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err((
            format!("names the file {path}, which cannot be read: {error}"),
            String::new(),
        )),
    })
}

const SECRET_REMEDY: &str = "write { env = \"NAME\" }, { file = \"path\" } or the secret itself";

/// What a value is, for a message: its kind, and itself if it is short and no secret.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("{flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

fn nearest_hint(text: &str, words: &[&str]) -> String {
    nearest(text, words).map_or_else(String::new, |near| format!("did you mean {near}? "))
}
