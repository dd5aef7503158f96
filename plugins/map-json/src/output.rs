//! Writes a result as JSON. An expression of a few characters can stand for more than any
//! memory holds, so that the text is bounded while it grows.

use jmespath::Variable;
use serde_json::Number;

/// Longest payload that is made, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// Up to here every whole number is a double of its own.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A result as JSON text.
pub(crate) fn json(value: &Variable) -> Result<String, String> {
    let mut text = String::new();
    write(value, &mut text)?;
    Ok(text)
}

fn write(value: &Variable, text: &mut String) -> Result<(), String> {
    match value {
        Variable::Null => text.push_str("null"),
        Variable::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Variable::Number(number) => text.push_str(&written(number)),
        Variable::String(value) => quote(value, text),
        Variable::Array(elements) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(element, text)?;
            }
            text.push(']');
        }
        Variable::Object(members) => {
            text.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                quote(name, text);
                text.push(':');
                write(member, text)?;
            }
            text.push('}');
        }
        Variable::Expref(_) => return Err("the result gives an expression, which is no JSON".into()),
    }
    if text.len() > BYTES_MAX {
        return Err(format!("the result has more than {BYTES_MAX} bytes"));
    }
    Ok(())
}

fn quote(value: &str, text: &mut String) {
    text.push_str(&serde_json::Value::from(value).to_string());
}

/// The number; a whole one without `.0`, which functions such as `sum` leave behind.
fn written(number: &Number) -> String {
    match number.as_f64() {
        Some(double) if number.is_f64() && double.fract() == 0.0 && double.abs() < WHOLE_MAX => {
            format!("{double:.0}")
        }
        _ => number.to_string(),
    }
}
