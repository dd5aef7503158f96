//! The stand-in for the relay.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::apply::{self, Replied, Transformed};
use super::call::{Call, Shared};
use super::judge::{Asked, Given, Prepared};
use super::sample::{SampleAnswer, SampleEvent, SampleRequest};
use super::web::{Reply, Requested};
use crate::call::Context;
use crate::judge::JudgeError;
use crate::log::Level;
use crate::{Decision, Event, Fault, Plugin, Problem, Verdict};

/// What is left of a call's time, in every call.
const BUDGET: Duration = Duration::from_millis(50);

/// A stand-in for the relay: what an operator would set, and what a plugin left behind.
#[derive(Debug)]
pub struct Host {
    config: Value,
    secrets: BTreeMap<String, String>,
    denied: BTreeSet<String>,
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
    /// A relay that grants every power and no secret, with an empty configuration.
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
            denied: BTreeSet::new(),
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

    /// Does not grant a power, such as `state` or `http`.
    #[must_use]
    pub fn without(mut self, power: impl Into<String>) -> Self {
        self.denied.insert(power.into());
        self
    }

    /// Has an answer ready for one request of this method and URL: `GET https://api.example.com/u/1`.
    #[must_use]
    pub fn http(self, request: impl Into<String>, reply: Reply) -> Self {
        self.shared.web.borrow_mut().prepare(request.into(), reply);
        self
    }

    /// Puts a value into the plugin's state.
    #[must_use]
    pub fn state(self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.shared.state.borrow_mut().set(key, value.as_ref(), None);
        self
    }

    /// Prepares a ruling for the next question to the judge that has none yet.
    #[must_use]
    pub fn ruling(self, choice: &str, confidence: f32, reason: &str) -> Self {
        self.judged(Ok(Prepared::ruling(choice, confidence, reason)))
    }

    /// Prepares what the next form is filled with, likewise.
    #[must_use]
    pub fn filled(self, document: Value) -> Self {
        self.judged(Ok(Given::Filled(document)))
    }

    /// Prepares an error of the judge, likewise.
    #[must_use]
    pub fn judge_error(self, error: JudgeError) -> Self {
        self.judged(Err(error))
    }

    pub(super) fn judged(self, given: Result<Given, JudgeError>) -> Self {
        self.shared.judge.borrow_mut().prepare(given);
        self
    }

    /// Sets up a judge that has no answer yet.
    #[must_use]
    pub(super) fn with_judge(self) -> Self {
        self.shared.judge.borrow_mut().set_up();
        self
    }

    /// What the judge was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.judge.borrow().asked.clone()
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
        apply::transformed(&sample, outcome, &self.shared.web.borrow())
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
        apply::replied(&sample, &answer, reply, &self.shared.web.borrow())
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

    /// The requests sent so far, answered or not.
    pub fn requests(&self) -> Vec<Requested> {
        self.shared.web.borrow().requests.clone()
    }

    /// Requests that were made ready and not sent.
    pub fn unasked(&self) -> Vec<String> {
        self.shared.web.borrow().left().map(str::to_owned).collect()
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
            denied: self.denied.clone(),
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
