//! Templates, compiled once for an instance, and what rendering them may cost.

use std::collections::{BTreeMap, HashSet};

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use relay_sdk::Fault;
use serde::{Deserialize, Deserializer};

use crate::escape::Escape;
use crate::output::{Bounded, Place};
use crate::{Config, Undefined, filters};

/// What a template is called that is the payload's. No header has a name with a slash.
const BODY: &str = "/body";
/// Steps that rendering one template may take: well below the time that a plugin has.
const STEPS_MAX: u64 = 100_000;
/// Deepest recursion of loops.
const DEPTH_MAX: usize = 40;
/// Longest value of a header, in bytes; the relay takes no longer one.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// The templates of a configuration.
pub(crate) struct Engine {
    environment: Environment<'static>,
    headers: Vec<String>,
    content_type: String,
    is_json: bool,
    place: Place,
    bytes_max: usize,
    vars: Value,
    wanted: HashSet<String>,
}

/// A template that cannot be used.
pub(crate) struct Refused {
    /// [`BODY`] or the name of a header.
    pub(crate) name: String,
    pub(crate) message: String,
}

impl<'de> Deserialize<'de> for Engine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Config::deserialize(deserializer)?;
        Self::new(config).map_err(|refused| serde::de::Error::custom(refused.message))
    }
}

impl Engine {
    pub(crate) fn new(config: Config) -> Result<Self, Refused> {
        let escape = config.escape.unwrap_or_else(|| Escape::of(&config.content_type));
        let place = Place::default();
        let mut environment = Environment::new();
        environment.set_undefined_behavior(match config.undefined {
            Undefined::Fail => UndefinedBehavior::Strict,
            Undefined::Empty => UndefinedBehavior::Chainable,
        });
        environment.set_fuel(Some(STEPS_MAX));
        environment.set_recursion_limit(DEPTH_MAX);
        escape.set_up(&mut environment, place.clone(), BODY);
        filters::add_to(&mut environment);
        let mut wanted = HashSet::new();
        let sources: BTreeMap<String, String> = config.headers;
        let headers = sources.keys().cloned().collect();
        for (name, source) in sources.into_iter().chain([(BODY.to_owned(), config.body)]) {
            let refused = |error: Error| Refused {
                name: name.clone(),
                message: told(&error),
            };
            environment
                .add_template_owned(name.clone(), source)
                .map_err(refused)?;
            let template = environment.get_template(&name).map_err(refused)?;
            wanted.extend(template.undeclared_variables(false));
        }
        Ok(Self {
            environment,
            headers,
            is_json: escape == Escape::Json,
            content_type: config.content_type,
            place,
            bytes_max: config.bytes_max,
            vars: config.vars,
            wanted,
        })
    }

    pub(crate) fn content_type(&self) -> &str {
        &self.content_type
    }

    pub(crate) fn vars(&self) -> Value {
        self.vars.clone()
    }

    /// Whether a template asks for a variable.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.wanted.contains(name)
    }

    pub(crate) fn body(&self, data: &Value) -> Result<String, Fault> {
        let body = self.rendered(BODY, data, self.bytes_max).map_err(fault)?;
        if self.is_json {
            serde_json::from_str::<serde::de::IgnoredAny>(&body).map_err(|error| {
                Fault::invalid(format!(
                    "what the template makes of this event is no JSON: {error}"
                ))
            })?;
        }
        Ok(body)
    }

    /// Names and values; a header of which nothing is left is not set.
    pub(crate) fn headers(&self, data: &Value) -> Result<Vec<(&str, String)>, Fault> {
        let mut headers = Vec::with_capacity(self.headers.len());
        for name in &self.headers {
            let value = self.rendered(name, data, HEADER_BYTES_MAX).map_err(fault)?;
            let value = value.trim();
            if value.chars().any(char::is_control) {
                return Err(Fault::invalid(format!(
                    "the header {name} would have a control character in its value"
                )));
            }
            if !value.is_empty() {
                headers.push((name.as_str(), value.to_owned()));
            }
        }
        Ok(headers)
    }

    /// Renders without an event, to find names of filters, tests and functions that there are
    /// not. Whatever else goes wrong is for want of the event.
    pub(crate) fn trial(mut self) -> Option<Refused> {
        self.environment
            .set_undefined_behavior(UndefinedBehavior::Chainable);
        let names: Vec<String> = self.headers.iter().cloned().chain([BODY.to_owned()]).collect();
        names.into_iter().find_map(|name| {
            let error = self.rendered(&name, &Value::UNDEFINED, self.bytes_max).err()?;
            is_misconfigured(error.kind()).then(|| Refused {
                name,
                message: told(&error),
            })
        })
    }

    fn rendered(&self, name: &str, data: &Value, bytes_max: usize) -> Result<String, Error> {
        let mut output = Bounded::new(&self.place, bytes_max);
        let template = self.environment.get_template(name)?;
        template.render_captured_to(data.clone(), &mut output)?;
        Ok(output.into_text())
    }
}

/// Whether every event would fail likewise.
fn is_misconfigured(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::SyntaxError
            | ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
            | ErrorKind::TemplateNotFound
            | ErrorKind::TooManyArguments
            | ErrorKind::MissingArgument
    )
}

fn fault(error: Error) -> Fault {
    let message = told(&error);
    if is_misconfigured(error.kind()) {
        Fault::misconfigured(message)
    } else {
        Fault::invalid(message)
    }
}

/// The error with the place in its template, in one line.
fn told(error: &Error) -> String {
    let template = match error.name() {
        Some(BODY) | None => "the template".to_owned(),
        Some(header) => format!("the template of the header {header}"),
    };
    let line = error
        .line()
        .map(|line| format!(", line {line}"))
        .unwrap_or_default();
    let cause = match (error.kind(), std::error::Error::source(error)) {
        (ErrorKind::WriteFailure, Some(cause)) => cause.to_string(),
        (ErrorKind::OutOfFuel, _) => format!("takes more than {STEPS_MAX} steps"),
        (kind, _) => match error.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    format!("{template}{line}: {cause}")
}
