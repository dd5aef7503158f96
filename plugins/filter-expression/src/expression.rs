//! An expression in the [Common Expression Language](https://cel.dev), parsed once.

use std::sync::Arc;

use cel::parser::{Expression as Tree, PrattParser};
use cel::{Context, Env, ExecutionError, Value};
use relay_sdk::Event;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::value::{Vars, of_event};
use crate::{functions, names};

/// Deepest nesting: what an expression for people needs, and less than the stack takes.
const DEPTH_MAX: u16 = 48;
/// Most errors of one expression that are told.
const ERRORS_MAX: u32 = 3;

/// A parsed expression with the functions that it may call.
pub(crate) struct Expression {
    tree: Tree,
    env: Arc<Env>,
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl Expression {
    fn parse(text: &str) -> Result<Self, String> {
        let parser = PrattParser::new()
            .max_recursion_depth(DEPTH_MAX)
            .error_recovery_limit(ERRORS_MAX)
            .error_reporting_limit(ERRORS_MAX);
        let tree = parser.parse(text).map_err(|errors| {
            let shown = errors.errors.iter().take(ERRORS_MAX as usize).map(|error| {
                let (line, column) = error.pos;
                format!("line {line}, column {column}: {}", error.msg)
            });
            shown.collect::<Vec<_>>().join("; ")
        })?;
        Ok(Self {
            tree,
            env: Arc::new(functions::env()),
        })
    }

    /// What can be known to be wrong with it before there is an event.
    pub(crate) fn problems(&self) -> impl Iterator<Item = String> {
        names::problems(&self.tree).into_iter()
    }

    /// Whether it is true for an event.
    pub(crate) fn holds(&self, event: &Event, vars: &Vars) -> Result<bool, String> {
        let mut context = Context::with_env(self.env.clone());
        context.add_variable_from_value("event", of_event(event));
        context.add_variable_from_value("vars", vars.value());
        match Value::resolve(&self.tree, &context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!(
                "the expression gives a {}, not true or false",
                other.type_of()
            )),
            Err(error) => Err(told(error)),
        }
    }
}

/// The error without the event's values, which are nothing for a log.
fn told(error: ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no `{key}`"),
        ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        ExecutionError::UndeclaredReference(name) => format!("there is no variable or function `{name}`"),
        ExecutionError::UnexpectedType { got, want } => format!("a {got} stands where a {want} is needed"),
        ExecutionError::FunctionError { function, message } => format!("`{function}` {message}"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "a division by zero".into(),
        ExecutionError::Overflow(operator, ..) => format!("the result of `{operator}` is too large"),
        ExecutionError::IndexOutOfBounds(_) => "there is no element at that index".into(),
        ExecutionError::ValuesNotComparable(..) => "values of types that cannot be compared".into(),
        _ => "the expression does not fit the types of this event's values".into(),
    }
}
