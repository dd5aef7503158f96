//! Accepts only requests that carry a shared token in their body.

use relay_sdk::prelude::*;
use serde::Deserialize;
use serde_json::Value;

const FORM: &str = "application/x-www-form-urlencoded";

struct VerifyToken;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "token")]
    at: String,
    form_field: Option<String>,
}

fn token() -> String {
    "/token".into()
}

#[plugin]
impl VerifyToken {
    fn authenticate(request: &Request, config: &Config) -> Result<Verdict, Fault> {
        let place = match &config.form_field {
            Some(field) if is_form(request) => Place::Field(field),
            _ => Place::Pointer(&config.at),
        };
        let Some(given) = place.token(request) else {
            return Ok(Verdict::reject(
                401,
                format!("there is no token in the body's {place}"),
            ));
        };
        if crypto::equals("token", &given)? {
            Ok(Verdict::accept())
        } else {
            Ok(Verdict::reject(
                401,
                format!("the token in the body's {place} is not the right one"),
            ))
        }
    }
}

/// Where the token is. Reasons name the place and never the value.
enum Place<'a> {
    Field(&'a str),
    Pointer(&'a str),
}

impl Place<'_> {
    fn token(&self, request: &Request) -> Option<String> {
        let token = match self {
            Self::Field(name) => request.form_field(name)?,
            Self::Pointer(pointer) => match request.body().get(pointer)? {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                _ => return None,
            },
        };
        (!token.is_empty()).then_some(token)
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) => write!(formatter, "form field {name:?}"),
            Self::Pointer(pointer) => write!(formatter, "value at {pointer:?}"),
        }
    }
}

fn is_form(request: &Request) -> bool {
    let content_type = request.header("content-type").unwrap_or_default();
    content_type
        .split(';')
        .next()
        .is_some_and(|media| media.trim().eq_ignore_ascii_case(FORM))
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, fixtures, request};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<VerifyToken>();
    }

    #[test]
    fn neither_reasons_nor_logs_hold_a_token() {
        let host = Host::new().secret("token", "right-7f3a");
        let sample = request().body(r#"{"token":"wrong-19bc"}"#);
        let verdict = host.authenticate::<VerifyToken>(sample).unwrap();
        let told = format!("{verdict:?} {:?}", host.lines());
        assert!(
            !told.contains("wrong-19bc") && !told.contains("right-7f3a"),
            "{told}"
        );
    }
}
