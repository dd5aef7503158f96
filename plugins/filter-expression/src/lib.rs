//! Keeps the events for which a CEL expression is true.

mod expression;
mod functions;
mod names;
mod value;

use expression::Expression;
use relay_sdk::prelude::*;
use relay_sdk::template::cut;
use serde::Deserialize;
use value::Vars;

/// Longest reason that an error is told with, in characters.
const ERROR_MAX: usize = 200;

struct FilterExpression;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    expression: Expression,
    name: Option<String>,
    #[serde(default)]
    vars: Vars,
    #[serde(default)]
    on_error: OnError,
}

/// What becomes of an event for which the expression has no answer.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnError {
    #[default]
    Fault,
    Drop,
    Pass,
}

#[plugin]
impl FilterExpression {
    fn filter(event: &Event, config: &Config) -> Result<Decision, Fault> {
        let name = config.name.as_deref().unwrap_or("filter");
        let error = match config.expression.holds(event, &config.vars) {
            Ok(holds) => {
                return Ok(Decision::keep_if(
                    holds,
                    format!("{name}: the expression is false"),
                ));
            }
            Err(error) => format!("{name}: {}", cut(error, ERROR_MAX)),
        };
        match config.on_error {
            OnError::Fault => Err(Fault::invalid(error)),
            OnError::Drop => Ok(Decision::drop(error)),
            OnError::Pass => {
                log::warn!("{error}; the event goes on");
                Ok(Decision::Keep)
            }
        }
    }

    fn check(config: Config) -> Vec<Problem> {
        let problem = |message| Problem::new("/expression", message);
        config.expression.problems().map(problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<FilterExpression>();
    }

    fn told(expression: &str) -> Result<Decision, Fault> {
        let data = json!({
            "id": 7, "amount": 12.5, "big": 18_446_744_073_709_551_615_u64, "status": "paid",
            "tags": ["a", "b"], "customer": { "name": "Zoë" }, "gone": null, "a-b": true,
        });
        let sample = event("order.paid")
            .id("evt_1")
            .time("2025-06-09T14:05:12Z")
            .data(data);
        let vars = json!({ "limit": 10, "names": ["Zoë", "Ada"] });
        let config = json!({ "expression": expression, "name": "orders", "vars": vars });
        Host::new().config(config).filter::<FilterExpression>(sample)
    }

    #[test]
    fn expressions_see_the_event() {
        for expression in [
            "event.type == 'order.paid' && event.id == 'evt_1' && event.source == 'test'",
            "event.type.startsWith('order.') && event.type.endsWith('paid') && event.type.contains('r.p')",
            "event.data.amount > vars.limit && event.data.id + 1 == 8",
            "event.data.big > 9223372036854775807",
            "event.data.customer.name in vars.names",
            "event.data.tags.exists(tag, tag == 'b') && !event.data.tags.all(tag, tag == 'b')",
            "size(event.data.tags) == 2 && event.data.tags[0] == 'a' && size(event.data.customer.name) == 3",
            "has(event.data.customer.name) && !has(event.data.customer.mail) && !has(event.subject)",
            "event.data.gone == null && event.data['a-b']",
            "event.data.status.matches('^(paid|settled)$') && !matches(event.data.status, '^x')",
            "unix(event.time) == 1749477912 && unix(event.time) > unix('2025-06-09T16:05:11+02:00')",
            "event.data.missing == 1 || true",
            "event.data.tags.filter(tag, tag > 'a').map(tag, tag + '!') == ['b!']",
            "event.data.id == 7.0 && int('7') == event.data.id && string(event.data.id) == '7'",
            "event.data.amount > 10.0 ? true : false",
        ] {
            assert_eq!(told(expression), Ok(Decision::Keep), "{expression}");
        }
        assert_eq!(
            told("event.data.id == 8"),
            Ok(Decision::drop("orders: the expression is false"))
        );
    }

    #[test]
    fn errors_name_the_cause_and_no_values() {
        for (expression, expected) in [
            ("event.data.missing == 1", "orders: there is no `missing`"),
            (
                "event.data.status",
                "orders: the expression gives a string, not true or false",
            ),
            ("event.data.status > 1", "'_>_' applied to '(string, int)'"),
            ("event.data.id / 0 == 1", "orders: a division by zero"),
            (
                "event.data.tags[5] == 'a'",
                "orders: there is no element at that index",
            ),
            (
                "event.data.status.matches('(')",
                "orders: `matches` has no regular expression",
            ),
            (
                "unix(event.data.status) > 1",
                "orders: `unix` was given something else than a time",
            ),
        ] {
            let fault = told(expression).unwrap_err();
            assert!(fault.message().contains(expected), "{expression}: {fault}");
            assert!(!fault.message().contains("paid"), "{expression}: {fault}");
        }
    }

    #[test]
    fn a_payload_that_is_no_json_is_text() {
        let config =
            json!({ "expression": "event.data.contains('=7') && event.content_type == 'text/plain'" });
        let sample = event("a").content_type("text/plain").text("id=7");
        assert_eq!(
            Host::new().config(config).filter::<FilterExpression>(sample),
            Ok(Decision::Keep)
        );
    }

    #[test]
    fn nesting_without_end_is_refused() {
        for (open, close) in [
            ("(", ""),
            ("[", ""),
            ("[", "]"),
            ("{1:", "}"),
            ("size(", ")"),
            ("1+(", ")"),
        ] {
            let text = format!("{}1{}", open.repeat(800), close.repeat(800));
            let problems = Host::new()
                .config(json!({ "expression": text }))
                .check::<FilterExpression>();
            assert!(
                problems.len() == 1 && problems[0].at == "/expression",
                "{open}: {problems:?}"
            );
        }
        for flat in [
            "!".repeat(2_000) + "true",
            "(".repeat(2_000) + "true" + &")".repeat(2_000),
            "true && ".repeat(500) + "true",
        ] {
            assert_eq!(told(&flat), Ok(Decision::Keep), "{flat}");
        }
    }
}
