//! Components that say they filter, and are not what a compiler expects.

use std::fmt::Write as _;

/// A component around a module with these functions, in WebAssembly text.
///
/// # Panics
/// If that is no text of a module.
pub fn filter(functions: &str) -> Vec<u8> {
    let text = format!(
        r#"(component (core module {functions}) (instance $hook) (export "relay:plugin/filter@0.1.0" (instance $hook)))"#
    );
    wat::parse_str(text).expect("valid text")
}

/// One that validates, and takes its compiler more memory than there is for it.
pub fn bursting() -> Vec<u8> {
    const LOCALS: usize = 2_000;
    let mut body = format!("(func (param i32) (local {})", "i32 ".repeat(LOCALS));
    for round in 0..120 {
        body.push_str("(if (local.get 0) (then ");
        for local in 1..=LOCALS {
            let other = 1 + (local * 7 + round) % LOCALS;
            write!(
                body,
                "(local.set {local} (i32.add (local.get {other}) (i32.const {round})))"
            )
            .expect("strings grow");
        }
        body.push_str("))");
    }
    body.push(')');
    filter(&body)
}
