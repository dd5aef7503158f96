//! What can be known of an expression before there is an event: names that nobody has given it,
//! and how deep it is.

use std::collections::BTreeSet;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

use crate::functions::KNOWN;

/// What an expression is given.
const VARIABLES: [&str; 2] = ["event", "vars"];
/// Names of types, for `type(event.data.id) == int`.
const TYPES: [&str; 10] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];

/// Deepest tree that evaluation has stack for, with room to spare. `&&` and `||` are no deeper
/// in a long row; a sum is by one step for each of its terms.
const DEPTH_MAX: usize = 150;

/// One sentence for each variable and function that is not there, and for a tree that is too
/// deep.
pub(crate) fn problems(tree: &IdedExpr) -> BTreeSet<String> {
    let mut look = Look::default();
    look.at(tree, 1);
    if look.deepest > DEPTH_MAX {
        look.found
            .insert(format!("the expression is more than {DEPTH_MAX} steps deep"));
    }
    look.found
}

#[derive(Default)]
struct Look<'t> {
    /// The names that the macros around a place have given to elements.
    bound: Vec<&'t str>,
    found: BTreeSet<String>,
    deepest: usize,
}

impl<'t> Look<'t> {
    fn at(&mut self, tree: &'t IdedExpr, depth: usize) {
        self.deepest = self.deepest.max(depth);
        match &tree.expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Call(call) => {
                self.function(&call.func_name);
                let parts = call.target.as_deref().into_iter().chain(&call.args);
                parts.for_each(|part| self.at(part, depth + 1));
            }
            Expr::Select(select) => self.at(&select.operand, depth + 1),
            Expr::List(list) => list
                .elements
                .iter()
                .for_each(|element| self.at(element, depth + 1)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.at(&entry.key, depth + 1);
                        self.at(&entry.value, depth + 1);
                    }
                }
            }
            Expr::Comprehension(each) => {
                self.at(&each.iter_range, depth + 1);
                let outside = self.bound.len();
                self.bound.push(&each.iter_var);
                self.bound.extend(each.iter_var2.as_deref());
                [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result]
                    .into_iter()
                    .for_each(|part| self.at(part, depth + 1));
                self.bound.truncate(outside);
            }
            Expr::Struct(made) => {
                self.found
                    .insert(format!("there is no type `{}`", made.type_name));
            }
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn variable(&mut self, name: &str) {
        let known = [&VARIABLES[..], &TYPES, &self.bound];
        // What macros make for themselves begins with `@`.
        if !name.starts_with('@') && !known.iter().any(|names| names.contains(&name)) {
            let problem = format!("there is no variable `{name}`: there are `event` and `vars`");
            self.found.insert(problem);
        }
    }

    fn function(&mut self, name: &str) {
        // Operators are functions too, with names such as `_+_`.
        if name.starts_with(|first: char| first.is_ascii_alphabetic()) && !KNOWN.contains(&name) {
            let problem = format!("there is no function `{name}`: there are {}", KNOWN.join(", "));
            self.found.insert(problem);
        }
    }
}
