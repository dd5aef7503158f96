//! What is managed while the relay runs: endpoints, sources and the like, as they were defined.

use std::fmt;

use serde_json::{Map, Value};

use super::id::{AlertId, EndpointId, EventTypeId, RuleId, SourceId, TenantId};
use super::time::Timestamp;

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Source,
    Endpoint,
    Rule,
    EventType,
    Alert,
    /// All tenants belong to the default tenant, which is the operator's.
    Tenant,
}

impl Kind {
    /// Every kind that tenants have, in the order in which they are made: what others refer to
    /// first.
    pub const ALL: [Self; 5] = [
        Self::EventType,
        Self::Source,
        Self::Endpoint,
        Self::Rule,
        Self::Alert,
    ];

    /// As its tables are called in the configuration file.
    pub const fn section(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Endpoint => "endpoint",
            Self::Rule => "rule",
            Self::Alert => "alert",
            Self::EventType => "event_type",
            Self::Tenant => "tenant",
        }
    }

    /// As its list is called in the paths of the management API.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Endpoint => "endpoints",
            Self::Rule => "rules",
            Self::Alert => "alerts",
            Self::EventType => "event-types",
            Self::Tenant => "tenants",
        }
    }

    /// As it is called in sentences.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Endpoint => "endpoint",
            Self::Rule => "rule",
            Self::EventType => "event type",
            Self::Alert => "alert",
            Self::Tenant => "tenant",
        }
    }

    /// An id of this kind as it is written outside.
    pub fn id(self, raw: i64) -> String {
        match self {
            Self::Source => SourceId::from_raw(raw).to_string(),
            Self::Endpoint => EndpointId::from_raw(raw).to_string(),
            Self::Rule => RuleId::from_raw(raw).to_string(),
            Self::EventType => EventTypeId::from_raw(raw).to_string(),
            Self::Alert => AlertId::from_raw(raw).to_string(),
            Self::Tenant => TenantId::from_raw(raw).to_string(),
        }
    }
}

/// A resource as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Also the id of the source or endpoint that it defines.
    pub id: i64,
    pub tenant: TenantId,
    pub kind: Kind,
    /// Unlike that of any other living resource of its kind and tenant.
    pub name: String,
    pub definition: Definition,
    /// 1 at first, one more with each change: tells whether somebody else changed it.
    pub revision: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Deleted resources can be restored for a while.
    pub deleted_at: Option<Timestamp>,
}

/// How a resource was defined: the keys of the configuration file, as JSON.
#[derive(Clone, PartialEq, Default)]
pub struct Definition {
    /// Secrets included.
    pub keys: Map<String, Value>,
    /// JSON Pointers to the secrets.
    pub secrets: Vec<String>,
}

/// Without the secrets: what is printed may come into a log.
impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Definition").field(&self.shown()).finish()
    }
}

/// What stands in place of a secret that is shown, and in place of one that is to be kept.
const SEALED: &str = "sealed";

impl Definition {
    /// The keys with no secret in them: `{"sealed": true}` stands where one is.
    pub fn shown(&self) -> Map<String, Value> {
        let mut shown = Value::Object(self.keys.clone());
        for pointer in &self.secrets {
            if let Some(secret) = shown.pointer_mut(pointer) {
                *secret = serde_json::json!({ SEALED: true });
            }
        }
        match shown {
            Value::Object(keys) => keys,
            _ => Map::new(),
        }
    }

    /// Puts this definition's secrets into a new one, wherever that has `{"sealed": true}` at
    /// the same place; those of a plugin wherever the same plugin is used, counted in order.
    pub fn lend_secrets(&self, keys: &mut Map<String, Value>) {
        let own = Value::Object(self.keys.clone());
        let mut new = Value::Object(std::mem::take(keys));
        for pointer in &self.secrets {
            let Some(there) = moved(pointer, &own, &new) else {
                continue;
            };
            if let (Some(secret), Some(place)) = (own.pointer(pointer), new.pointer_mut(&there))
                && is_sealed(place)
            {
                place.clone_from(secret);
            }
        }
        if let Value::Object(lent) = new {
            *keys = lent;
        }
    }
}

/// Where a secret of the old keys belongs in the new ones: plugins may have changed places.
fn moved(pointer: &str, old: &Value, new: &Value) -> Option<String> {
    let Some(rest) = pointer.strip_prefix("/plugins/") else {
        return Some(pointer.to_owned());
    };
    let (index, rest) = rest.split_once('/')?;
    let index: usize = index.parse().ok()?;
    let uses = |keys: &Value| -> Vec<Value> {
        let plugins = keys["plugins"].as_array().into_iter().flatten();
        plugins.map(|plugin| plugin["use"].clone()).collect()
    };
    let old = uses(old);
    let used = old.get(index)?;
    let nth = old[..index].iter().filter(|other| *other == used).count();
    let new = uses(new);
    let mut same = new.iter().enumerate().filter(|(_, other)| *other == used);
    let (index, _) = same.nth(nth)?;
    Some(format!("/plugins/{index}/{rest}"))
}

fn is_sealed(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|table| table.len() == 1 && table.get(SEALED) == Some(&Value::Bool(true)))
}

/// Changes keys as a JSON Merge Patch (RFC 7396) says: `null` takes away, objects are merged,
/// everything else replaces.
pub fn merge(keys: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, change) in patch {
        match change {
            Value::Null => {
                keys.remove(&key);
            }
            Value::Object(change) => {
                let below = keys.entry(key).or_insert_with(|| Value::Object(Map::new()));
                match below {
                    Value::Object(below) => merge(below, change),
                    other => {
                        let mut fresh = Map::new();
                        merge(&mut fresh, change);
                        *other = Value::Object(fresh);
                    }
                }
            }
            other => {
                keys.insert(key, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no object"),
        }
    }

    fn definition() -> Definition {
        Definition {
            keys: object(json!({"name": "crm", "secret": ["whsec_a", "whsec_b"], "headers": {"x/y": "z"}})),
            secrets: vec!["/secret".to_owned(), "/headers/x~1y".to_owned()],
        }
    }

    #[test]
    fn no_secret_is_shown() {
        assert!(!format!("{:?}", definition()).contains("whsec_a"));
        let sealed = json!({"sealed": true});
        assert_eq!(
            Value::Object(definition().shown()),
            json!({"name": "crm", "secret": sealed, "headers": {"x/y": sealed}})
        );
    }

    #[test]
    fn what_was_shown_can_be_sent_back() {
        let mut keys = definition().shown();
        keys.insert("name".to_owned(), json!("other"));
        definition().lend_secrets(&mut keys);
        assert_eq!(keys["secret"], json!(["whsec_a", "whsec_b"]));
        assert_eq!(
            (&keys["headers"]["x/y"], &keys["name"]),
            (&json!("z"), &json!("other"))
        );
        let mut replaced = object(json!({"secret": "whsec_c", "headers": {"x": {"sealed": true}}}));
        let asked = replaced.clone();
        definition().lend_secrets(&mut replaced);
        assert_eq!(replaced, asked, "nothing is put where no secret was");
    }

    #[test]
    fn a_plugins_secret_stays_with_the_plugin() {
        let plugin = |name: &str, token: Value| json!({"use": name, "secrets": {"token": token}});
        let sealed = || json!({"sealed": true});
        let old = Definition {
            keys: object(json!({"plugins": [plugin("a", json!("A")), plugin("b", json!("B"))]})),
            secrets: vec![
                "/plugins/0/secrets/token".to_owned(),
                "/plugins/1/secrets/token".to_owned(),
            ],
        };
        let mut keys = object(json!({"plugins": [
            plugin("c", sealed()), plugin("b", sealed()), plugin("a", sealed()), plugin("a", sealed()),
        ]}));
        old.lend_secrets(&mut keys);
        assert_eq!(
            keys["plugins"],
            json!([
                plugin("c", sealed()),
                plugin("b", json!("B")),
                plugin("a", json!("A")),
                plugin("a", sealed()),
            ])
        );
    }

    /// The examples of RFC 7396, appendix A, whose target is an object.
    #[test]
    fn patches_merge_as_the_standard_says() {
        for (keys, patch, merged) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let mut keys = object(keys);
            merge(&mut keys, object(patch.clone()));
            assert_eq!(Value::Object(keys), merged, "{patch}");
        }
    }
}
