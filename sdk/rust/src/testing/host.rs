//! The stand-in for the relay.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::apply::{self, Replied, Transformed};
use super::call::{Call, Shared};
use super::sample::{SampleAnswer, SampleEvent, SampleRequest};
use crate::call::Context;
use crate::log::Level;
use crate::{Decision, Event, Fault, Plugin, Problem, Verdict};

/// What is left of a call's time, in every call.
const BUDGET: Duration = Duration::from_millis(50);

/// A stand-in for the relay: what an operator would set, and what a plugin left behind.
#[derive(Debug)]
pub struct Host {
    config: Value,
    secrets: BTreeMap<String, String>,
    context: Context,
    shared: Rc<Shared>,
}

/// A line that a plugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// Its fields.
    pub fields: Vec<(String, String)>,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// A relay that grants nothing, with an empty configuration.
    pub fn new() -> Self {
        let context = Context {
            tenant: "test".into(),
            source: Some("test".into()),
            endpoint: Some("test".into()),
            delivery: Some("dlv_test".into()),
            attempt: 1,
            budget: BUDGET,
        };
        Self {
            config: Value::Object(Map::new()),
            secrets: BTreeMap::new(),
            context,
            shared: Rc::default(),
        }
    }

    /// Sets the plugin's configuration.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Grants a secret.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.secrets.insert(name.into(), value.into());
        self
    }

    /// Puts a value into the plugin's state.
    #[must_use]
    pub fn state(self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.shared.state.borrow_mut().set(key, value.as_ref(), None);
        self
    }

    /// Names the endpoint that the event goes to.
    #[must_use]
    pub fn endpoint(mut self, name: impl Into<String>) -> Self {
        self.context.endpoint = Some(name.into());
        self
    }

    /// Says which delivery it is.
    #[must_use]
    pub fn delivery(mut self, id: impl Into<String>) -> Self {
        self.context.delivery = Some(id.into());
        self
    }

    /// Says which attempt it is.
    #[must_use]
    pub fn attempt(mut self, number: u32) -> Self {
        self.context.attempt = number;
        self
    }

    /// Runs the plugin's `authenticate`.
    ///
    /// # Errors
    /// The plugin's fault.
    pub fn authenticate<P: Plugin>(&self, sample: SampleRequest) -> Result<Verdict, Fault> {
        let mut call = self.call_of::<P>();
        sample.enter(&mut call);
        call.run(|| P::authenticate(&sample.request))
    }

    /// Runs the plugin's `filter`.
    ///
    /// # Errors
    /// The plugin's fault.
    pub fn filter<P: Plugin>(&self, sample: SampleEvent) -> Result<Decision, Fault> {
        let mut call = self.call_of::<P>();
        sample.enter(&mut call);
        call.run(|| P::filter(&sample.event))
    }

    /// Runs the plugin's `transform`, and does to the event what it answers.
    ///
    /// # Errors
    /// The plugin's fault, or that its edits do not fit the payload.
    pub fn transform<P: Plugin>(&self, sample: SampleEvent) -> Result<Transformed, Fault> {
        let mut call = self.call_of::<P>();
        sample.enter(&mut call);
        let outcome = call.run(|| P::transform(&sample.event))?;
        apply::transformed(&sample, outcome)
    }

    /// Runs the plugin's `respond`, and does to the answer what it says.
    ///
    /// # Errors
    /// The plugin's fault, or that its edits do not fit the answer.
    pub fn respond<P: Plugin>(&self, sample: SampleEvent, answer: SampleAnswer) -> Result<Replied, Fault> {
        let mut call = self.call_of::<P>();
        sample.enter(&mut call);
        answer.enter(&mut call);
        let reply = call.run(|| P::respond(&sample.event, &answer.answer))?;
        apply::replied(&sample, &answer, reply)
    }

    /// Runs the plugin's `check` on the configuration.
    pub fn check<P: Plugin>(&self) -> Vec<Problem> {
        let call = self.call_of::<P>();
        let config = call.config.clone();
        call.run(|| P::check(&config))
    }

    /// Runs any code that looks at an event or asks the relay for something.
    pub fn run<R>(&self, sample: SampleEvent, work: impl FnOnce(&Event) -> R) -> R {
        let mut call = self.call(self.config.to_string());
        sample.enter(&mut call);
        call.run(|| work(&sample.event))
    }

    /// The lines logged so far.
    pub fn lines(&self) -> Vec<Line> {
        self.shared.lines.borrow().clone()
    }

    /// A value in the plugin's state.
    pub fn stored(&self, key: &str) -> Option<Vec<u8>> {
        self.shared.state.borrow().get(key)
    }

    /// Lets time pass for the plugin's state.
    pub fn advance(&self, by: Duration) {
        self.shared.state.borrow_mut().advance(by);
    }

    fn call_of<P: Plugin>(&self) -> Call {
        let manifest: Value = serde_json::from_str(P::MANIFEST).unwrap_or_default();
        let mut config = self.config.clone();
        fill_defaults(&mut config, &manifest["config"]);
        self.call(config.to_string())
    }

    fn call(&self, config: String) -> Call {
        Call {
            context: self.context.clone(),
            headers: Vec::new(),
            extensions: Vec::new(),
            answer_headers: Vec::new(),
            payloads: Vec::new(),
            config,
            secrets: self.secrets.clone(),
            shared: self.shared.clone(),
        }
    }
}

/// Adds the members that a schema has defaults for.
fn fill_defaults(config: &mut Value, schema: &Value) {
    match config {
        Value::Object(members) => {
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(default) = schema.get("default") {
                    members.entry(name.as_str()).or_insert_with(|| default.clone());
                }
                if let Some(member) = members.get_mut(name) {
                    fill_defaults(member, schema);
                }
            }
        }
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| fill_defaults(element, &schema["items"])),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state;
    use crate::testing::event;

    #[test]
    fn schema_defaults_are_filled_in_at_every_depth() {
        let schema = json!({ "properties": {
            "a": { "default": 1 },
            "list": { "items": { "properties": { "b": { "default": "x" } } } },
        } });
        let mut config = json!({ "list": [{}, { "b": "y" }] });
        fill_defaults(&mut config, &schema);
        assert_eq!(config, json!({ "a": 1, "list": [{ "b": "x" }, { "b": "y" }] }));
    }

    #[test]
    fn state_outlives_a_call_and_ends_with_its_time() {
        let host = Host::new().state("seen:1", "yes");
        let minute = Duration::from_secs(60);
        let claim = || host.run(event("a"), |_| state::claim("c", minute));
        assert_eq!((claim(), claim()), (Ok(true), Ok(false)));
        let add = |delta| host.run(event("a"), |_| state::add("n", delta, Some(minute)));
        assert_eq!((add(2), add(3)), (Ok(2), Ok(5)));
        let keys = host.run(event("a"), |_| state::keys("", None, 2)).unwrap();
        assert_eq!(
            (keys.keys, keys.cursor),
            (vec!["c".to_owned(), "n".into()], Some("n".into()))
        );
        host.advance(minute);
        assert_eq!(
            (claim(), add(1), host.stored("seen:1")),
            (Ok(true), Ok(1), Some(b"yes".to_vec()))
        );
    }

    #[test]
    fn lines_are_kept_with_their_fields() {
        let host = Host::new();
        host.run(event("a"), |event| {
            crate::log::warn!(kind = event.kind(), count = 2, "no {}", "value")
        });
        let fields = vec![("kind".into(), "a".into()), ("count".into(), "2".into())];
        assert_eq!(
            host.lines(),
            [Line {
                level: Level::Warn,
                message: "no value".into(),
                fields
            }]
        );
    }
}
