//! Configurations, held against the schema that their plugin brings.

use serde_json::{Map, Value};

use super::doors::Problem;
use crate::model::schema::Schema;

/// How deep schemas are followed when defaults are filled in.
const DEPTH_MAX: usize = 32;
/// Most problems that are told at once.
const PROBLEMS_MAX: usize = 20;
/// Places that are looked at for defaults: schemas may refer to themselves.
const STEPS_MAX: usize = 100_000;
/// Bytes of all defaults that are filled in, as JSON.
const DEFAULTS_BYTES_MAX: usize = 1 << 20;

/// Whether a schema can be used, as those of strangers have to be: within bounds.
///
/// # Errors
/// Says in one sentence why not.
pub(super) fn read(schema: &Value) -> Result<(), String> {
    Schema::read(schema).map(drop).map_err(|mismatch| {
        format!(
            "the schema of its configuration, at {:?}, {}",
            mismatch.pointer, mismatch.problem
        )
    })
}

/// The configuration with the schema's defaults filled in, if it fits the schema.
///
/// # Errors
/// Everything that does not fit, each with its place.
pub(super) fn check(schema: Option<&Value>, config: &Value) -> Result<Value, Vec<Problem>> {
    let mut config = if config.is_null() {
        Value::Object(Map::new())
    } else {
        config.clone()
    };
    let Some(schema) = schema else {
        return Ok(config);
    };
    let mut filling = Filling {
        root: schema,
        steps_left: STEPS_MAX,
        bytes_left: DEFAULTS_BYTES_MAX,
    };
    if filling.fill(schema, &mut config, DEPTH_MAX).is_none() {
        let message = "the defaults of the plugin's schema are too many".to_owned();
        return Err(vec![problem("", message)]);
    }
    let validator = jsonschema::validator_for(schema).map_err(|error| {
        vec![problem(
            "",
            format!("the plugin's own schema is unusable: {error}"),
        )]
    })?;
    let problems: Vec<_> = validator
        .iter_errors(&config)
        .take(PROBLEMS_MAX)
        .map(|error| problem(error.instance_path().as_str(), error.to_string()))
        .collect();
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(problems)
    }
}

fn problem(at: &str, message: String) -> Problem {
    Problem {
        at: at.to_owned(),
        message,
    }
}

/// Puts defaults where a configuration says nothing, within bounds.
struct Filling<'s> {
    root: &'s Value,
    steps_left: usize,
    bytes_left: usize,
}

impl Filling<'_> {
    /// `None`: a bound is reached.
    fn fill(&mut self, schema: &Value, config: &mut Value, depth: usize) -> Option<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return Some(());
        };
        self.steps_left = self.steps_left.checked_sub(1)?;
        let schema = resolve(self.root, schema);
        for part in schema
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.fill(part, config, depth)?;
        }
        match config {
            Value::Object(members) => self.fill_members(schema, members, depth),
            Value::Array(items) => {
                let Some(schema) = schema.get("items") else {
                    return Some(());
                };
                items
                    .iter_mut()
                    .try_for_each(|item| self.fill(schema, item, depth))
            }
            _ => Some(()),
        }
    }

    fn fill_members(&mut self, schema: &Value, members: &mut Map<String, Value>, depth: usize) -> Option<()> {
        let Some(Value::Object(properties)) = schema.get("properties") else {
            return Some(());
        };
        for (name, property) in properties {
            if !members.contains_key(name)
                && let Some(default) = resolve(self.root, property)
                    .get("default")
                    .or_else(|| property.get("default"))
            {
                let bytes = name.len() + default.to_string().len();
                self.bytes_left = self.bytes_left.checked_sub(bytes)?;
                members.insert(name.clone(), default.clone());
            }
            if let Some(value) = members.get_mut(name) {
                self.fill(property, value, depth)?;
            }
        }
        Some(())
    }
}

/// The schema that a local `$ref` points to; one step, so that circles end.
fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let pointer = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|target| target.strip_prefix('#'));
    pointer
        .and_then(|pointer| root.pointer(pointer))
        .unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["paths"],
            "properties": {
                "paths": { "type": "array", "items": { "$ref": "#/$defs/path" } },
                "mask": { "type": "string", "default": "***" },
                "limits": { "type": "object", "default": {}, "properties": { "depth": { "type": "integer", "default": 3 } } },
            },
            "$defs": { "path": {
                "type": "object",
                "required": ["at"],
                "properties": { "at": { "type": "string" }, "deep": { "type": "boolean", "default": true } },
            } },
        })
    }

    #[test]
    fn defaults_are_filled_in_at_every_level() {
        let config = check(
            Some(&schema()),
            &json!({ "paths": [{ "at": "/a" }], "limits": {} }),
        );
        let expected =
            json!({ "paths": [{ "at": "/a", "deep": true }], "mask": "***", "limits": { "depth": 3 } });
        assert_eq!(config, Ok(expected));
        let config = check(Some(&schema()), &json!({ "paths": [], "mask": "-" }));
        assert_eq!(
            config,
            Ok(json!({ "paths": [], "mask": "-", "limits": { "depth": 3 } }))
        );
    }

    #[test]
    fn all_problems_are_told_with_their_places() {
        let config = json!({ "paths": [{ "at": 1 }, {}], "mask": 7, "oops": true });
        let problems = check(Some(&schema()), &config).expect_err("four problems");
        let places: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
        for at in ["/paths/0/at", "/paths/1", "/mask", ""] {
            assert!(places.contains(&at), "{at} in {problems:?}");
        }
    }

    #[test]
    fn without_a_schema_anything_goes_and_nothing_is_an_empty_object() {
        assert_eq!(check(None, &json!({ "x": 1 })), Ok(json!({ "x": 1 })));
        assert_eq!(check(None, &Value::Null), Ok(json!({})));
    }

    #[test]
    fn unusable_schemas_and_circles_end_in_a_problem_or_an_answer() {
        assert!(check(Some(&json!({ "type": 7 })), &json!({})).is_err());
        let circle = json!({ "properties": { "a": { "$ref": "#" } }, "default": {} });
        assert!(check(Some(&circle), &json!({ "a": { "a": {} } })).is_ok());
    }

    #[test]
    fn schemas_that_double_at_every_step_end_in_a_problem() {
        let doubles = json!({
            "default": {}, "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#" } }
        });
        let parts = json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] });
        let long = json!({ "default": "x".repeat(30_000) });
        let many: Map<String, Value> = (0..100).map(|at| (at.to_string(), long.clone())).collect();
        for schema in [doubles, parts, json!({ "properties": many })] {
            let problems = check(Some(&schema), &json!({})).expect_err("too much");
            assert!(problems[0].message.contains("too many"), "{problems:?}");
        }
    }

    #[test]
    fn a_schema_of_a_stranger_is_read_within_bounds() {
        assert_eq!(read(&schema()), Ok(()));
        for schema in [
            json!({ "type": 7 }),
            json!({ "$ref": "#" }),
            json!({ "$ref": "https://example.com/schema.json" }),
        ] {
            let why = read(&schema).expect_err("it cannot be used");
            assert!(why.contains("configuration"), "{why}");
        }
    }
}
