//! Plain conditions, which cost nothing: what does not meet them is not judged.

use relay_sdk::prelude::*;
use relay_sdk::template::Variable;
use serde::Deserialize;
use serde_json::Value;

/// One of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    of: Variable,
    op: Op,
    #[serde(default)]
    value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    /// There is a value, and it is not null.
    Exists,
    Absent,
    Equals,
    NotEquals,
    /// Equals one of a list.
    In,
    Contains,
    BeginsWith,
    Above,
    Below,
}

impl Condition {
    pub(crate) fn holds(&self, event: &Event) -> bool {
        let found: Option<Value> = self
            .of
            .json(event)
            .and_then(|json| serde_json::from_str(&json).ok())
            .filter(|found: &Value| !found.is_null());
        match (self.op, found) {
            (Op::Exists, found) => found.is_some(),
            (Op::Absent, found) => found.is_none(),
            (Op::NotEquals, found) => found.is_none_or(|found| found != self.value),
            (_, None) => false,
            (Op::Equals, Some(found)) => found == self.value,
            (Op::In, Some(found)) => self.value.as_array().is_some_and(|list| list.contains(&found)),
            (Op::Contains, Some(Value::Array(list))) => list.contains(&self.value),
            (Op::Contains, Some(found)) => texts(&found, &self.value, |found, value| found.contains(value)),
            (Op::BeginsWith, Some(found)) => {
                texts(&found, &self.value, |found, value| found.starts_with(value))
            }
            (Op::Above, Some(found)) => numbers(&found, &self.value, |found, value| found > value),
            (Op::Below, Some(found)) => numbers(&found, &self.value, |found, value| found < value),
        }
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let is_fit = match self.op {
            Op::Exists | Op::Absent => self.value.is_null(),
            Op::Equals | Op::NotEquals | Op::Contains => !self.value.is_null(),
            Op::In => self.value.is_array(),
            Op::BeginsWith => self.value.is_string(),
            Op::Above | Op::Below => self.value.is_number(),
        };
        (!is_fit).then_some(match self.op {
            Op::Exists | Op::Absent => "takes no value here",
            Op::Equals | Op::NotEquals | Op::Contains => "needs a value",
            Op::In => "has to be a list",
            Op::BeginsWith => "has to be a text",
            Op::Above | Op::Below => "has to be a number",
        })
    }
}

/// Upper and lower case are the same.
fn texts(found: &Value, value: &Value, hold: impl Fn(&str, &str) -> bool) -> bool {
    match (found.as_str(), value.as_str()) {
        (Some(found), Some(value)) => hold(&found.to_lowercase(), &value.to_lowercase()),
        _ => false,
    }
}

fn numbers(found: &Value, value: &Value, hold: impl Fn(f64, f64) -> bool) -> bool {
    match (found.as_f64(), value.as_f64()) {
        (Some(found), Some(value)) => hold(found, value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event};

    use super::*;

    #[test]
    fn conditions_hold_or_not() {
        let data = json!({"n": 5, "text": "Refund me", "tags": ["vip"], "none": null, "flag": true});
        let holds = |condition: Value| {
            let condition: Condition = serde_json::from_value(condition).expect("a condition");
            Host::new().run(event("order.paid").data(data.clone()), |event| {
                condition.holds(event)
            })
        };
        for (condition, expected) in [
            (json!({"of": "/n", "op": "exists"}), true),
            (json!({"of": "/none", "op": "exists"}), false),
            (json!({"of": "/missing", "op": "absent"}), true),
            (json!({"of": "/n", "op": "equals", "value": 5}), true),
            (json!({"of": "/n", "op": "equals", "value": "5"}), false),
            (json!({"of": "/missing", "op": "not_equals", "value": 5}), true),
            (
                json!({"of": "event.type", "op": "in", "value": ["order.paid"]}),
                true,
            ),
            (json!({"of": "/text", "op": "contains", "value": "refund"}), true),
            (json!({"of": "/tags", "op": "contains", "value": "vip"}), true),
            (json!({"of": "/tags", "op": "contains", "value": "v"}), false),
            (json!({"of": "/text", "op": "begins_with", "value": "me"}), false),
            (json!({"of": "/n", "op": "above", "value": 4.5}), true),
            (json!({"of": "/text", "op": "below", "value": 4.5}), false),
        ] {
            assert_eq!(holds(condition.clone()), expected, "{condition}");
        }
    }
}
