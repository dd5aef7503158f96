//! Fixtures: one JSON file for each thing that a plugin must do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Deserialize;
use serde_json::{Value, json};

use super::apply::{Replied, Sent, Transformed};
use super::host::Host;
use super::judge::JudgePart;
use super::sample::{SampleAnswer, SampleEvent, SampleRequest, answer, event, request};
use super::web::{Reply, Requested};
use crate::http::HttpError;
use crate::{Decision, Fault, Outcome, Plugin, Problem, Verdict};

/// Powers that have to be granted.
const POWERS: [&str; 4] = ["http", "state", "judge", "media"];

/// Runs every fixture of the crate under test, `tests/*.json`.
///
/// ```no_run
/// # use relay_sdk::prelude::*;
/// # struct OnlyPaid;
/// # #[plugin]
/// # impl OnlyPaid { fn filter(event: &Event) -> bool { event.kind() == "paid" } }
/// #[test]
/// # fn outside() {}
/// fn fixtures() {
///     relay_sdk::testing::fixtures::<OnlyPaid>();
/// }
/// ```
///
/// A fixture says which `hook` it is for, the `event` (or `request`, and for `respond` the `answer`),
/// the `config`, the granted `secrets`, the answers to requests (`http`), what the `judge` answers one
/// after the other (`{"choice": "yes", "confidence": 0.9, "reason": "…"}`, `{"filled": …}` or
/// `{"error": "timeout"}`), and what to `expect`:
///
/// ```json
/// {
///   "hook": "transform",
///   "event": { "type": "order.paid", "data": { "id": 7 } },
///   "config": { "shop": "north" },
///   "expect": { "emit": [{ "data": { "id": 7, "shop": "north" } }] }
/// }
/// ```
///
/// `"http": [{"request": "GET https://api.example.com/7", "reply": {"json": {"name": "Zoë"}}}]` answers
/// a request once; a `reply` has `status`, `headers` and `json` or `text`, or `error` (`timeout`,
/// `failed`, `denied`, `too_large`). `expect_body` and `expect_headers` say what is asked of it.
/// Requests that are not there, and those that nobody makes, fail the fixture.
///
/// | expect | is |
/// |---|---|
/// | `{"keep": true}` | the event goes on as it is |
/// | `{"drop": "not paid"}` | it is dropped, for a reason with this text in it |
/// | `{"emit": [{"data": …, "headers": …, "attributes": …}]}` | these messages, with at least these headers and attributes; `data_text` for what is not JSON |
/// | `{"fault": "invalid", "message": "…"}` | a fault of this case, with this text in it |
/// | `{"accept": true}`, `{"reject": 401}` | the verdict of `authenticate` |
/// | `{"reply": {"status": 200, "data": …, "headers": …}}` | what `respond` makes of the answer |
/// | `{"problems": [{"at": "/x", "message": "…"}]}` | what `check` finds |
///
/// # Panics
/// If a fixture fails, or there is none.
pub fn fixtures<P: Plugin>() {
    let folder =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests")).join("tests");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    assert!(!paths.is_empty(), "{}: no fixture", folder.display());
    let faults: Vec<String> = paths.iter().filter_map(|path| run::<P>(path).err()).collect();
    assert!(
        faults.is_empty(),
        "{} of {} fixtures failed\n{}",
        faults.len(),
        paths.len(),
        faults.join("\n")
    );
}

/// Runs one fixture.
///
/// # Panics
/// If it fails, or cannot be read.
pub fn fixture<P: Plugin>(path: impl AsRef<Path>) {
    run::<P>(path.as_ref()).unwrap_or_else(|fault| panic!("{fault}"));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    hook: Hook,
    event: Option<EventPart>,
    request: Option<RequestPart>,
    answer: Option<AnswerPart>,
    #[serde(default = "empty")]
    config: Value,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    /// The requests that the plugin makes, and what they are answered.
    #[serde(default)]
    http: Vec<Prepared>,
    /// What the judge answers, one question after the other; without it there is none.
    judge: Option<Vec<JudgePart>>,
    expect: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prepared {
    request: String,
    #[serde(default)]
    reply: ReplyPart,
    #[serde(default)]
    expect_headers: BTreeMap<String, String>,
    expect_body: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyPart {
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    text: Option<String>,
    error: Option<NoReply>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NoReply {
    Timeout,
    Failed,
    Denied,
    TooLarge,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Hook {
    Authenticate,
    Filter,
    Transform,
    Respond,
    Check,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventPart {
    r#type: String,
    source: Option<String>,
    subject: Option<String>,
    id: Option<String>,
    time: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    content_type: Option<String>,
    data: Option<Value>,
    data_text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestPart {
    method: Option<String>,
    path: Option<String>,
    query: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerPart {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    data: Option<Value>,
    data_text: Option<String>,
}

fn empty() -> Value {
    json!({})
}

fn ok() -> u16 {
    200
}

fn run<P: Plugin>(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // A list goes on with the state that each has left, which takes a relay: `relay plugin test` plays it.
    if text.trim_start().starts_with('[') {
        return Ok(());
    }
    let fixture: Fixture =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let expected = fixture.expect.clone();
    let result = fixture
        .result::<P>()
        .map_err(|fault| format!("{}: {fault}", path.display()))?;
    if agrees(&expected, &result) {
        return Ok(());
    }
    let found = shown(&expected, &result);
    Err(format!(
        "{}
  expected {expected}
  found    {found}",
        path.display()
    ))
}

impl Fixture {
    /// What the plugin did, in the words of `expect`.
    fn result<P: Plugin>(self) -> Result<Value, String> {
        let host = self
            .secrets
            .into_iter()
            .fold(granting::<P>(), |host, (name, secret)| host.secret(name, secret));
        let mut host = self
            .http
            .iter()
            .cloned()
            .fold(host.config(self.config), Prepared::ready);
        if let Some(judge) = self.judge {
            let prepared = judge.into_iter().map(JudgePart::given);
            host = prepared.fold(host.with_judge(), Host::judged);
        }
        let event = self
            .event
            .map(EventPart::sample)
            .ok_or("the fixture has no event");
        let request = self
            .request
            .map(RequestPart::sample)
            .ok_or("the fixture has no request");
        let answer = self
            .answer
            .map(AnswerPart::sample)
            .ok_or("the fixture has no answer");
        let result = match self.hook {
            Hook::Check => problems(&host.check::<P>()),
            Hook::Authenticate => host.authenticate::<P>(request?).map_or_else(fault, verdict),
            Hook::Filter => host.filter::<P>(event?).map_or_else(fault, decision),
            Hook::Transform => host.transform::<P>(event?).map_or_else(fault, transformed),
            Hook::Respond => host.respond::<P>(event?, answer?).map_or_else(fault, replied),
        };
        match complaints(&host, &self.http) {
            complaints if complaints.is_empty() => Ok(result),
            complaints => Err(complaints.join("; ")),
        }
    }
}

/// A host that grants the powers that the manifest asks for, and no others.
fn granting<P: Plugin>() -> Host {
    let manifest: Value = serde_json::from_str(P::MANIFEST).unwrap_or_default();
    let asked: Vec<&str> = manifest["powers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|power| Some(power.as_str()?.trim_end_matches('?')))
        .collect();
    let others = POWERS.into_iter().filter(|power| !asked.contains(power));
    others.fold(Host::new(), Host::without)
}

/// What was wrong about requests: asked for without being prepared, otherwise than expected, or never
/// asked for.
fn complaints(host: &Host, prepared: &[Prepared]) -> Vec<String> {
    let mut open: Vec<&Prepared> = prepared.iter().collect();
    let mut complaints = Vec::new();
    for sent in host.requests() {
        match open.iter().position(|prepared| prepared.request == sent.request) {
            Some(place) => complaints.extend(open.remove(place).misfits(&sent)),
            None => complaints.push(format!("there is no reply for {}", sent.request)),
        }
    }
    complaints.extend(
        host.unasked()
            .iter()
            .map(|request| format!("nobody asked for {request}")),
    );
    complaints
}

impl Prepared {
    fn ready(host: Host, prepared: Self) -> Host {
        let ReplyPart {
            status,
            headers,
            json,
            text,
            error,
        } = prepared.reply;
        let reply = match (error, text, json) {
            (Some(NoReply::Timeout), ..) => Reply::error(HttpError::Timeout),
            (Some(NoReply::Failed), ..) => Reply::error(HttpError::Failed("no connection".into())),
            (Some(NoReply::Denied), ..) => {
                Reply::error(HttpError::Denied("the address is not public".into()))
            }
            (Some(NoReply::TooLarge), ..) => Reply::error(HttpError::TooLarge(1 << 20)),
            (None, Some(text), _) => Reply::status(200).body(text),
            (None, None, Some(json)) => Reply::json(json),
            (None, None, None) => Reply::status(200),
        };
        let reply = reply.coded(status.unwrap_or(200));
        let reply = headers
            .into_iter()
            .fold(reply, |reply, (name, value)| reply.header(name, value));
        host.http(prepared.request, reply)
    }

    fn misfits(&self, sent: &Requested) -> Vec<String> {
        let mut misfits = Vec::new();
        for (name, expected) in &self.expect_headers {
            let found = sent.header(name).unwrap_or_default();
            if found != expected {
                misfits.push(format!(
                    "{}: the header {name} is {found:?}, not {expected:?}",
                    self.request
                ));
            }
        }
        let text = String::from_utf8_lossy(&sent.body);
        let is_expected = match &self.expect_body {
            None => true,
            Some(Value::String(expected)) => *expected == text,
            Some(expected) => serde_json::from_str::<Value>(&text).is_ok_and(|found| found == *expected),
        };
        if !is_expected {
            misfits.push(format!("{}: the body is {text}", self.request));
        }
        misfits
    }
}

impl EventPart {
    fn sample(self) -> SampleEvent {
        let mut sample = event(self.r#type);
        let given = [
            (self.id, SampleEvent::id as fn(SampleEvent, String) -> SampleEvent),
            (self.source, SampleEvent::source),
            (self.subject, SampleEvent::subject),
            (self.time, SampleEvent::time),
            (self.content_type, SampleEvent::content_type),
        ];
        for (value, set) in given {
            if let Some(value) = value {
                sample = set(sample, value);
            }
        }
        let sample = self
            .headers
            .into_iter()
            .fold(sample, |sample, (name, value)| sample.header(name, value));
        match (self.data, self.data_text) {
            (_, Some(text)) => sample.text(text),
            (Some(data), None) => sample.data(data),
            (None, None) => sample,
        }
    }
}

impl RequestPart {
    fn sample(self) -> SampleRequest {
        let sample = request().body(self.body).query(self.query.unwrap_or_default());
        let sample = self.method.into_iter().fold(sample, SampleRequest::method);
        let sample = self.path.into_iter().fold(sample, SampleRequest::path);
        self.headers
            .into_iter()
            .fold(sample, |sample, (name, value)| sample.header(name, value))
    }
}

impl AnswerPart {
    fn sample(self) -> SampleAnswer {
        let data = self.data.map(|data| data.to_string());
        let body = self.data_text.or(data).unwrap_or_default();
        self.headers
            .into_iter()
            .fold(answer(self.status).body(body), |sample, (name, value)| {
                sample.header(name, value)
            })
    }
}

fn fault(fault: Fault) -> Value {
    let case = match fault {
        Fault::Invalid(_) => "invalid",
        Fault::Misconfigured(_) => "misconfigured",
        Fault::Unavailable { .. } => "unavailable",
    };
    json!({ "fault": case, "message": fault.message() })
}

fn verdict(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Accept(_) => json!({ "accept": true }),
        Verdict::Reject { status, .. } => json!({ "reject": status }),
        Verdict::Answer(handshake) => json!({ "answer": handshake.status }),
    }
}

fn decision(decision: Decision) -> Value {
    match decision {
        Decision::Keep => json!({ "keep": true }),
        Decision::Drop(reason) => json!({ "drop": reason }),
    }
}

fn transformed(transformed: Transformed) -> Value {
    match transformed.outcome {
        Outcome::Keep => json!({ "keep": true }),
        Outcome::Drop(reason) => json!({ "drop": reason }),
        Outcome::Emit(_) => {
            json!({ "emit": transformed.messages.iter().map(message).collect::<Vec<_>>() })
        }
    }
}

fn replied(replied: Replied) -> Value {
    let mut reply = message(&replied.message);
    reply["status"] = json!(replied.status);
    json!({ "reply": reply })
}

fn message(sent: &Sent) -> Value {
    let data: Value = serde_json::from_slice(&sent.body).unwrap_or_default();
    let object = |fields: &[(String, String)]| fields.iter().cloned().collect::<BTreeMap<_, _>>();
    json!({
        "data": data,
        "data_text": sent.text(),
        "headers": object(&sent.headers),
        "attributes": object(&sent.attributes),
    })
}

fn problems(problems: &[Problem]) -> Value {
    let problem = |problem: &Problem| json!({ "at": problem.at, "message": problem.message });
    json!({ "problems": problems.iter().map(problem).collect::<Vec<_>>() })
}

/// Whether the result has all that is expected, in the same words.
fn agrees(expected: &Value, result: &Value) -> bool {
    members(expected).all(|(name, expected)| match name {
        "drop" | "message" => contains(expected, &result[name]),
        "problems" => pairs(expected, &result[name], agrees),
        "emit" => pairs(expected, &result[name], agrees_in_parts),
        "reply" => agrees_in_parts(expected, &result[name]),
        _ => result[name] == *expected,
    })
}

/// The same of a message: it may have more headers and attributes than are asked for.
fn agrees_in_parts(expected: &Value, result: &Value) -> bool {
    members(expected).all(|(name, expected)| match name {
        "headers" | "attributes" => members(expected).all(|(key, value)| result[name][key] == *value),
        _ => result[name] == *expected,
    })
}

/// As much of the result as is comparable with what is expected.
fn shown(expected: &Value, result: &Value) -> Value {
    match (expected, result) {
        (Value::Object(wanted), Value::Object(found)) if found.contains_key("data_text") => found
            .iter()
            .filter(|(name, _)| wanted.contains_key(*name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        (Value::Object(wanted), Value::Object(found)) => {
            let part = |(name, value): (&String, &Value)| {
                (
                    name.clone(),
                    wanted
                        .get(name)
                        .map_or_else(|| value.clone(), |wanted| shown(wanted, value)),
                )
            };
            found.iter().map(part).collect()
        }
        (Value::Array(wanted), Value::Array(found)) => found
            .iter()
            .enumerate()
            .map(|(index, value)| shown(wanted.get(index).unwrap_or(&Value::Null), value))
            .collect(),
        (_, found) => found.clone(),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

fn pairs(expected: &Value, result: &Value, agrees: impl Fn(&Value, &Value) -> bool) -> bool {
    match (expected.as_array(), result.as_array()) {
        (Some(expected), Some(result)) => {
            expected.len() == result.len()
                && expected
                    .iter()
                    .zip(result)
                    .all(|(expected, result)| agrees(expected, result))
        }
        _ => false,
    }
}

fn contains(expected: &Value, result: &Value) -> bool {
    match (expected.as_str(), result.as_str()) {
        (Some(expected), Some(result)) => result.contains(expected),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_agrees_with_less_but_not_with_other() {
        let result =
            json!({ "emit": [{ "data": { "a": 1 }, "headers": { "x": "1", "y": "2" }, "attributes": {} }] });
        for (expected, agreed) in [
            (json!({ "emit": [{ "data": { "a": 1 } }] }), true),
            (
                json!({ "emit": [{ "data": { "a": 1 }, "headers": { "x": "1" } }] }),
                true,
            ),
            (
                json!({ "emit": [{ "data": { "a": 1 }, "headers": { "z": null } }] }),
                true,
            ),
            (
                json!({ "emit": [{ "data": { "a": 1 }, "headers": { "x": "2" } }] }),
                false,
            ),
            (json!({ "emit": [{ "data": {} }] }), false),
            (json!({ "emit": [] }), false),
            (json!({ "keep": true }), false),
        ] {
            assert_eq!(agrees(&expected, &result), agreed, "{expected}");
        }
        let result = json!({ "fault": "invalid", "message": "no value at /a" });
        assert!(agrees(&json!({ "fault": "invalid", "message": "/a" }), &result));
        assert!(!agrees(&json!({ "fault": "unavailable" }), &result));
    }
}
