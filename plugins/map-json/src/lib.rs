//! Makes the payload from a JMESPath expression.

mod expression;
mod input;
mod output;
mod shape;

use expression::Expression;
use input::Input;
use relay_sdk::prelude::*;
use serde::Deserialize;

struct MapJson;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    expression: Expression,
    #[serde(default)]
    input: Input,
    #[serde(default)]
    on_null: OnNull,
}

/// What becomes of an event for which the expression finds nothing.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnNull {
    #[default]
    Fault,
    Drop,
    Send,
}

#[plugin]
impl MapJson {
    fn transform(event: &Event, config: &Config) -> Result<Outcome, Fault> {
        let result = config
            .expression
            .value(&config.input.of(event)?)
            .map_err(Fault::invalid)?;
        match config.on_null {
            OnNull::Fault if result.is_null() => {
                return Err(Fault::invalid("the expression gives null for this event"));
            }
            OnNull::Drop if result.is_null() => {
                return Ok(Outcome::drop("the expression gives null"));
            }
            _ => {}
        }
        let text = output::json(&result).map_err(Fault::invalid)?;
        Ok(Message::text(text)
            .set_attribute("datacontenttype", "application/json")
            .into())
    }

    fn check(config: Config) -> Vec<Problem> {
        let problem = |message| Problem::new("/expression", message);
        config.expression.problems().into_iter().map(problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<MapJson>();
    }

    fn mapped(expression: &str) -> Result<String, String> {
        let data = json!({
            "id": 7, "total": 12.5, "b": 1, "a": 2, "name": "Zoë",
            "items": [{ "sku": "x", "price": 3, "tags": ["new"] }, { "sku": "y", "price": 4, "tags": [] }],
        });
        Host::new()
            .config(json!({ "expression": expression }))
            .transform::<MapJson>(event("order.paid").data(data))
            .map(|sent| sent.message().text())
            .map_err(|fault| fault.to_string())
    }

    #[test]
    fn expressions_give_json() {
        for (expression, expected) in [
            ("{b: b, a: a}", r#"{"a":2,"b":1}"#),
            ("items[*].sku", r#"["x","y"]"#),
            (
                "items[?price > `3`].{sku: sku, p: price}",
                r#"[{"p":4,"sku":"y"}]"#,
            ),
            ("sum(items[*].price)", "7"),
            ("avg(items[*].price)", "3.5"),
            ("items[*].tags[]", r#"["new"]"#),
            ("join(', ', items[*].sku)", r#""x, y""#),
            (
                "{id: to_string(id), v: `\"x\"`, none: missing}",
                r#"{"id":"7","none":null,"v":"x"}"#,
            ),
            ("merge(@, {items: `[]`}).items", "[]"),
            ("items | [-1].sku", r#""y""#),
            ("@.name", "\"Zoë\""),
            ("total", "12.5"),
        ] {
            assert_eq!(mapped(expression).as_deref(), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn errors_name_the_cause_and_no_values() {
        for (expression, expected) in [
            ("missing", "gives null"),
            ("length(id)", "line 1, column 7: Argument 0 expects type"),
            ("sort(items[*].tags)", "expects type"),
            ("&id", "gives an expression, which is no JSON"),
        ] {
            let error = mapped(expression).unwrap_err();
            assert!(
                error.starts_with("invalid") && error.contains(expected),
                "{expression}: {error}"
            );
        }
    }

    #[test]
    fn a_result_that_grows_without_end_is_refused() {
        let error = mapped(
            &["@"]
                .into_iter()
                .chain(["[@,@]"; 60])
                .collect::<Vec<_>>()
                .join("|"),
        );
        assert!(error.unwrap_err().contains("more than"));
    }

    #[test]
    fn whatever_is_written_nothing_panics() {
        let problems = |expression: &str| {
            Host::new()
                .config(json!({ "expression": expression }))
                .check::<MapJson>()
        };
        for piece in [
            "(", "[", "{a:", "!", "&", "a.", "*.", "[*].", "[?", "a[]", "'", "`", "\"", "@|", "a||", "a==",
            "\\", "-",
        ] {
            for times in [1, 63, 1_000, 4_000] {
                for end in ["", "a", "a]", "}", ")"] {
                    let found = problems(&(piece.repeat(times) + end));
                    assert!(
                        found.iter().all(|problem| problem.at == "/expression"),
                        "{piece} {times} {end}"
                    );
                }
            }
        }
        for strange in [
            "a[99999999999]",
            "a[-2147483648]",
            "a[::0]",
            "items[1::2147483647]",
            "items[::-2147483647]",
            "items[-2147483647:2147483647]",
            "é.ü",
            "`[`",
            "'\\u{0}'",
            "\"\\ud800\"",
        ] {
            if problems(strange).is_empty() {
                drop(mapped(strange));
            }
        }
    }
}
