//! Configurations, held against the schema that their plugin brings.

use serde_json::{Map, Value};

use super::doors::Problem;

/// How deep schemas are followed when defaults are filled in.
const DEPTH_MAX: usize = 32;
/// Most problems that are told at once.
const PROBLEMS_MAX: usize = 20;

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
    fill(schema, schema, &mut config, DEPTH_MAX);
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

/// Puts defaults where the configuration says nothing.
fn fill(root: &Value, schema: &Value, config: &mut Value, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    let schema = resolve(root, schema);
    for part in schema
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        fill(root, part, config, depth);
    }
    match config {
        Value::Object(members) => fill_members(root, schema, members, depth),
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else {
                return;
            };
            items.iter_mut().for_each(|item| fill(root, schema, item, depth));
        }
        _ => {}
    }
}

fn fill_members(root: &Value, schema: &Value, members: &mut Map<String, Value>, depth: usize) {
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return;
    };
    for (name, property) in properties {
        if !members.contains_key(name)
            && let Some(default) = resolve(root, property)
                .get("default")
                .or_else(|| property.get("default"))
        {
            members.insert(name.clone(), default.clone());
        }
        if let Some(value) = members.get_mut(name) {
            fill(root, property, value, depth);
        }
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
}
