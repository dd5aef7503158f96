//! What no relay may show: collected as tests hand it out, looked for wherever a relay speaks.
//!
//! A secret is looked for as it is and as it would look in base64, hex, a URL or JSON. Every
//! log of every relay in every test is searched, at the level `trace`, and so is every answer
//! but those whose purpose it is to show a secret.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::find;
use serde_json::Value;

/// Shorter ones would be found by chance.
const LENGTH_MIN: usize = 10;
/// Lines of a key in PEM are longer; what stands in its frame is not.
const PEM_LINE_MIN: usize = 24;
/// Settings whose values are secrets.
const SETTINGS: [&str; 10] = [
    "secret",
    "secrets",
    "password",
    "verify_token",
    "admin_key",
    "master_key",
    "headers",
    "query",
    "otlp_headers",
    "key",
];

/// The secrets of one relay, each with how it came to be one.
#[derive(Debug, Default)]
pub struct Secrets(Mutex<BTreeMap<String, String>>);

impl Secrets {
    /// Notes one.
    pub fn add(&self, secret: &str, what: &str) {
        let secret = secret.trim();
        // A PEM of a public key or a certificate authority is no secret.
        if secret.len() >= LENGTH_MIN && !secret.contains("PUBLIC KEY") {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(secret.to_owned(), what.to_owned());
        }
    }

    /// Notes a private key, whole and each line of its base64, broken into lines or not.
    fn add_pem(&self, text: &str, what: &str) {
        self.add(text, what);
        let is_body = |word: &&str| word.len() >= PEM_LINE_MIN && !word.starts_with('-');
        text.split_whitespace()
            .filter(is_body)
            .for_each(|line| self.add(line, what));
    }

    /// Notes what a configuration holds: the values of secret settings, and what they refer to.
    pub fn add_config(
        &self,
        text: &str,
        variable: impl Fn(&str) -> Option<String>,
        file: impl Fn(&str) -> Option<String>,
    ) {
        let Ok(table) = text.parse::<toml::Table>() else {
            return;
        };
        let value = serde_json::to_value(table).unwrap_or_default();
        self.add_settings(&value, &variable, &file);
    }

    /// Notes what a setting holds that comes in by a variable such as `RELAY_STORE__MASTER_KEY`.
    pub fn add_variable(
        &self,
        name: &str,
        text: &str,
        variable: impl Fn(&str) -> Option<String>,
        file: impl Fn(&str) -> Option<String>,
    ) {
        let Some(path) = name.strip_prefix("RELAY_") else {
            return;
        };
        // Whatever is no value of TOML is a text.
        let table = format!("value = {text}").parse::<toml::Table>();
        let value = table.ok().and_then(|mut table| table.remove("value"));
        let value = value.and_then(|value| serde_json::to_value(value).ok());
        let mut value = value.unwrap_or_else(|| Value::from(text));
        for part in path.to_ascii_lowercase().rsplit("__") {
            value = Value::Object([(part.to_owned(), value)].into_iter().collect());
        }
        self.add_settings(&value, &variable, &file);
    }

    fn add_settings(
        &self,
        value: &Value,
        variable: &dyn Fn(&str) -> Option<String>,
        file: &dyn Fn(&str) -> Option<String>,
    ) {
        match value {
            Value::Array(items) => items
                .iter()
                .for_each(|item| self.add_settings(item, variable, file)),
            Value::Object(table) => {
                for (name, value) in table {
                    if SETTINGS.contains(&name.as_str()) {
                        self.add_values(name, value, variable, file);
                    } else {
                        self.add_settings(value, variable, file);
                    }
                }
            }
            _ => {}
        }
    }

    fn add_values(
        &self,
        name: &str,
        value: &Value,
        variable: &dyn Fn(&str) -> Option<String>,
        file: &dyn Fn(&str) -> Option<String>,
    ) {
        match value {
            // `key` of `[server.tls]` is a path.
            Value::String(text) if name == "key" => {
                if let Some(text) = file(text) {
                    self.add_pem(&text, name);
                }
            }
            Value::String(text) => self.add(text, name),
            Value::Array(items) => items
                .iter()
                .for_each(|item| self.add_values(name, item, variable, file)),
            Value::Object(table) => {
                let text = |key: &str| table.get(key).and_then(Value::as_str);
                let referred = match (text("env"), text("file")) {
                    (Some(name), _) => Some(variable(name)),
                    (None, Some(path)) => Some(file(path)),
                    (None, None) => None,
                };
                match referred {
                    Some(found) => self.add(&found.unwrap_or_default(), name),
                    // A header is a secret only if it is written like one.
                    None if name.ends_with("headers") => {
                        for value in table.values().filter(|value| value.is_object()) {
                            self.add_values(name, value, variable, file);
                        }
                    }
                    None => table
                        .values()
                        .for_each(|value| self.add_values(name, value, variable, file)),
                }
            }
            _ => {}
        }
    }

    /// Notes every text in an answer whose purpose is to show secrets.
    pub fn add_shown(&self, answer: &Value, what: &str) {
        match answer {
            Value::String(text)
                if ["rk_", "whsec_", "whsk_"]
                    .iter()
                    .any(|begin| text.starts_with(begin)) =>
            {
                self.add(text, what);
            }
            Value::Array(items) => items.iter().for_each(|item| self.add_shown(item, what)),
            Value::Object(table) => table.values().for_each(|value| self.add_shown(value, what)),
            _ => {}
        }
    }

    /// The first secret that stands in some bytes, and in which form.
    pub fn find_in(&self, bytes: &[u8]) -> Option<String> {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().find_map(|(secret, what)| {
            let (form, _) = forms(secret)
                .into_iter()
                .find(|(_, form)| find(bytes, form.as_bytes()).is_some())?;
            Some(format!("{what}: {secret:?} in {form}"))
        })
    }

    /// Looks for all of them where a relay spoke.
    ///
    /// # Panics
    /// If one is there.
    pub fn check(&self, bytes: &[u8], place: &str) {
        if let Some(found) = self.find_in(bytes) {
            panic!(
                "a secret stands in {place}: {found}\n{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}

/// How a secret may look.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let mut forms = vec![
        ("clear", secret.to_owned()),
        ("hex", hex::encode(secret)),
        ("hex", hex::encode_upper(secret)),
        ("a URL", percent_encoded(secret)),
        ("a list of bytes", byte_list(secret)),
        (
            "JSON",
            Value::from(secret).to_string().trim_matches('"').to_owned(),
        ),
    ];
    // In the middle of something longer, base64 has three looks.
    for skipped in 0..3 {
        let padded = [&b"\0\0"[..skipped], secret.as_bytes()].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&padded);
            // The characters that hold bits of a neighbour are left out.
            let (from, to) = (
                [0, 2, 3][skipped],
                text.len() - usize::from(padded.len() % 3 != 0),
            );
            forms.push(("base64", text[from..to].to_owned()));
        }
    }
    // What stands behind `whsec_` is the base64 of the key itself.
    if let Some((_, rest)) = secret.split_once("whsec_") {
        forms.push(("its key", rest.to_owned()));
    }
    forms
}

/// As Rust's debug output writes bytes.
fn byte_list(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    bytes.join(", ")
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const SECRET: &str = "s3cr3t+of/the \"door\"";

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secrets = Secrets::default();
        secrets.add(SECRET, "a test");
        for before in ["", "a", "ab", "abc"] {
            let around = format!("{before}{SECRET} and more");
            for text in [
                around.clone(),
                STANDARD.encode(&around),
                URL_SAFE_NO_PAD.encode(&around),
                hex::encode(&around),
                percent_encoded(&around),
                format!("{:?}", around.as_bytes()),
                Value::from(around.clone()).to_string(),
            ] {
                assert!(secrets.find_in(text.as_bytes()).is_some(), "{text}");
            }
        }
        assert_eq!(secrets.find_in(b"s3cr3t+of/the door"), None);
    }

    #[test]
    fn secrets_are_collected_from_variables() {
        let secrets = Secrets::default();
        for (name, text) in [
            ("RELAY_SERVER__ADMIN_KEY", "first-of-the-door"),
            (
                "RELAY_STORE__MASTER_KEY",
                r#"["second-of-two", { env = "THIRD" }]"#,
            ),
            ("RELAY_SERVER__TLS__KEY", "key.pem"),
            ("RELAY_STORE__URL", "sqlite:no-secret.db"),
            ("OTHER__SECRET", "not-of-the-relay"),
        ] {
            let variable = |name: &str| Some(format!("value of {name}"));
            secrets.add_variable(name, text, variable, |path| Some(format!("text of {path}")));
        }
        for secret in [
            "first-of-the-door",
            "second-of-two",
            "value of THIRD",
            "text of key.pem",
        ] {
            assert!(secrets.find_in(secret.as_bytes()).is_some(), "{secret}");
        }
        for other in ["sqlite:no-secret.db", "not-of-the-relay"] {
            assert_eq!(secrets.find_in(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn secrets_are_collected_from_a_configuration() {
        let secrets = Secrets::default();
        let config = r#"
            [server.tls]
            key = "key.pem"
            [[source]]
            verify = { scheme = "token", secret = ["first-of-the-door", { env = "SECOND" }] }
            [[endpoint]]
            headers = { authorization = { file = "third" }, x-plain = "not one at all" }
            plugins = [{ use = "p", secrets = { token = "fourth-of-a-plugin" } }]
        "#;
        secrets.add_config(
            config,
            |name| Some(format!("value of {name}")),
            |path| Some(format!("text of {path}")),
        );
        for secret in [
            "first-of-the-door",
            "value of SECOND",
            "text of third",
            "fourth-of-a-plugin",
            "text of key.pem",
        ] {
            assert!(secrets.find_in(secret.as_bytes()).is_some(), "{secret}");
        }
        assert_eq!(secrets.find_in(b"not one at all"), None);
    }
}
