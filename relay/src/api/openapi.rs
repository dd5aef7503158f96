//! The OpenAPI document: what the handlers' annotations say, and what is the same of all of them.

use serde_json::{Map, Value, json};
use utoipa::PartialSchema as _;
use utoipa::openapi::OpenApi;

use super::schemas;
use crate::http::problem::{CONTENT_TYPE, Flaw, Problem};

/// The header that names a tenant, as the document calls it.
const RELAY_TENANT: &str = "RelayTenant";
/// What names and ids are made of, and the rest of a path is not.
const NAME: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$";

/// What a route may refuse because of what it is, and not of what it does.
struct Usual {
    status: &'static str,
    description: &'static str,
    /// Whether an operation at a path may give it.
    applies: fn(&Operation<'_>) -> bool,
}

/// An operation that is looked at.
struct Operation<'a> {
    path: &'a str,
    operation: &'a Value,
}

const USUAL: [Usual; 9] = [
    Usual {
        status: "400",
        description: "a parameter, the path or the body is malformed",
        applies: |one| one.has_parameters() || one.has_body(),
    },
    Usual {
        status: "401",
        description: "`unauthenticated`: no key in force",
        applies: |one| one.needs_key(),
    },
    Usual {
        status: "403",
        description: "`forbidden`: the key's role does not allow it",
        applies: |one| one.needs_key(),
    },
    Usual {
        status: "404",
        description: "`not_found`: no such thing, or `unknown_tenant`",
        applies: |one| one.path.contains('{') || one.needs_key(),
    },
    Usual {
        status: "408",
        description: "`body_timeout`: the body did not come in time",
        applies: |one| one.has_body(),
    },
    Usual {
        status: "413",
        description: "`body_too_large`",
        applies: |one| one.has_body(),
    },
    Usual {
        status: "415",
        description: "`unsupported_media_type`: the body is no JSON",
        applies: |one| one.has_body(),
    },
    Usual {
        status: "500",
        description: "`store_broken` or `broken`: the relay's log says why",
        applies: |one| one.needs_key(),
    },
    Usual {
        status: "503",
        description: "`store_unavailable` or `store_full`: try again",
        applies: |one| one.needs_key(),
    },
];

impl Operation<'_> {
    fn needs_key(&self) -> bool {
        self.operation["security"] != json!([{}])
    }

    fn has_body(&self) -> bool {
        self.operation.get("requestBody").is_some()
    }

    fn has_parameters(&self) -> bool {
        self.operation["parameters"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
    }
}

/// The document of the operations that were described.
pub fn document(described: OpenApi) -> Value {
    let mut document = serde_json::to_value(described).unwrap_or_default();
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Relay",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Takes in events, keeps them, and delivers them signed, filtered and reshaped.",
        "license": {"name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE")},
    });
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete(path, method, operation);
        }
    }
    let components = &mut document["components"];
    components["parameters"] = json!({ RELAY_TENANT: {
        "name": "Relay-Tenant",
        "in": "header",
        "description": "the tenant that the request is about, by its name or id; an admin may name any, \
                        others only their own",
        "schema": {"type": "string"},
    } });
    components["securitySchemes"] = json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "a key: `Bearer rk_…`"},
    });
    let drawn = schemas::drawn();
    if let Some(schemas) = components["schemas"].as_object_mut() {
        schemas.insert("Problem".to_owned(), to_value(Problem::schema()));
        schemas.insert("Flaw".to_owned(), to_value(Flaw::schema()));
        for (name, schema) in drawn {
            schemas.insert(name, schema);
        }
    }
    document
}

fn to_value(schema: impl serde::Serialize) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

/// Adds to an operation what follows from what it is.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let tag = operation["tags"][0].as_str().map_or_else(
        || path.split('/').nth(2).unwrap_or_default().replace('-', "_"),
        str::to_owned,
    );
    let name = operation["operationId"].as_str().unwrap_or(method).to_owned();
    // A source takes several methods, each of which is an operation.
    let name = if tag == "in" { method.to_owned() } else { name };
    operation["operationId"] = json!(format!("{tag}_{name}"));
    operation["tags"] = json!([tag]);
    if let Some(body) = operation.get_mut("requestBody") {
        // Bytes have no schema, and what may be anything may be nothing.
        if let Some(anything) = body["content"].get_mut("*/*") {
            *anything = json!({});
            body["required"] = json!(false);
        }
        if let Some(bytes) = body["content"].get_mut("application/wasm") {
            *bytes = json!({});
        }
        // A body may be left out; it cannot be `null`.
        if let Some(schema) = body.pointer_mut("/content/application~1json/schema")
            && schema.pointer("/oneOf/1/type") == Some(&json!("null"))
        {
            *schema = schema["oneOf"][0].take();
        }
    }
    if operation.get("security").is_none() {
        operation["security"] = json!([{"bearer": []}]);
        name_tenant(operation);
    }
    if method == "post" && path.starts_with("/v1/") {
        once(operation);
    }
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        if parameter["in"] == "path" && parameter["schema"] == json!({"type": "string"}) {
            parameter["schema"] = json!({"type": "string", "pattern": NAME});
        }
    }
    let usual: Vec<_> = {
        let one = Operation { path, operation };
        USUAL.iter().filter(|usual| (usual.applies)(&one)).collect()
    };
    if let Some(responses) = operation["responses"].as_object_mut() {
        for usual in usual {
            if !responses.contains_key(usual.status) {
                responses.insert(usual.status.to_owned(), json!({"description": usual.description}));
            }
        }
        for (status, response) in responses.iter_mut() {
            describe(status, response);
        }
        responses.sort_keys();
    }
}

/// What every POST says of the key by which it is done once (`api/idempotency.rs`).
fn once(operation: &mut Value) {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    if parameters.iter().any(|one| one["name"] == "Idempotency-Key") {
        return;
    }
    let key = json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "names the request, so that a repeat is answered as the first was, and not done again",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    });
    operation["parameters"] = parameters.into_iter().chain([key]).collect();
    for (status, codes) in [
        (
            "409",
            "`idempotency_in_progress` or `idempotency_outcome_unknown`",
        ),
        ("422", "`idempotency_key_reused`"),
        ("429", "`too_many_idempotency_keys`"),
    ] {
        let before = operation["responses"][status]["description"].as_str();
        let description = before.map_or_else(|| codes.to_owned(), |before| format!("{before}; {codes}"));
        operation["responses"][status]["description"] = json!(description);
    }
}

/// A refusal is a problem, and every response says something.
fn describe(status: &str, response: &mut Value) {
    let is_refusal = status.starts_with('4') || status.starts_with('5');
    if is_refusal && response.get("content").is_none() {
        let mut content = Map::new();
        content.insert(
            CONTENT_TYPE.to_owned(),
            json!({"schema": {"$ref": "#/components/schemas/Problem"}}),
        );
        response["content"] = Value::Object(content);
    }
    if response["description"].as_str().is_none_or(str::is_empty) {
        let word = status.parse().ok().and_then(http_reason).unwrap_or("an answer");
        response["description"] = json!(word);
    }
}

/// Whatever takes a key takes the name of a tenant with it.
fn name_tenant(operation: &mut Value) {
    let named = json!({"$ref": format!("#/components/parameters/{RELAY_TENANT}")});
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(named),
        None => operation["parameters"] = json!([named]),
    }
}

fn http_reason(status: u16) -> Option<&'static str> {
    http::StatusCode::from_u16(status).ok()?.canonical_reason()
}
