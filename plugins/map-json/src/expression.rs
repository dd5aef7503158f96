//! An expression in [JMESPath](https://jmespath.org/specification.html), parsed once.

use jmespath::ast::Ast;
use jmespath::{Context, DEFAULT_RUNTIME, JmespathError, Rcvar, Runtime, interpret};
use relay_sdk::template::cut;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::shape;

/// Longest expression, in bytes.
const BYTES_MAX: usize = 4 << 10;
/// Longest error that is told, in characters.
const ERROR_MAX: usize = 200;

/// A parsed expression.
pub(crate) struct Expression {
    text: String,
    tree: Ast,
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(text).map_err(D::Error::custom)
    }
}

impl Expression {
    fn parse(text: String) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("the expression has more than {BYTES_MAX} bytes"));
        }
        // The parser goes as deep as the text leads it: this looks first.
        shape::check_text(&text)?;
        let tree = runtime().compile(&text).map_err(told)?.as_ast().clone();
        shape::check_tree(&tree)?;
        Ok(Self { text, tree })
    }

    /// What can be known to be wrong with it before there is an event.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut unknown = shape::functions(&self.tree);
        unknown.retain(|name| runtime().get_function(name).is_none());
        unknown
            .into_iter()
            .map(|name| format!("there is no function `{name}`"))
            .collect()
    }

    /// What it makes of a document.
    pub(crate) fn value(&self, document: &Rcvar) -> Result<Rcvar, String> {
        interpret(document, &self.tree, &mut Context::new(&self.text, runtime())).map_err(told)
    }
}

fn runtime() -> &'static Runtime {
    &DEFAULT_RUNTIME
}

/// The error with its place, without the expression, which is not repeated.
fn told(error: JmespathError) -> String {
    let reason = error.reason.to_string();
    let reason = reason
        .strip_prefix("Parse error: ")
        .or_else(|| reason.strip_prefix("Runtime error: "))
        .unwrap_or(&reason);
    // In these words of its own serde_json takes the place for that in the configuration.
    let reason = reason.replace(" at line ", " in line ");
    let (line, column) = (error.line + 1, error.column + 1);
    cut(format!("line {line}, column {column}: {reason}"), ERROR_MAX)
}
