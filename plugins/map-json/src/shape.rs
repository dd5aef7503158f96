//! How deep an expression goes, and what it calls. The library follows an expression by
//! recursion: what is bounded here cannot run out of stack there.

use jmespath::ast::Ast;

/// Most characters that lead the parser one level deeper. Each costs it less than 2 KiB of a
/// stack of 1 MiB.
const OPENINGS_MAX: usize = 400;
/// Deepest tree.
const DEPTH_MAX: usize = 250;
/// Largest number of a slice, in either direction. The library adds them to each other in 32 bits.
const SLICE_MAX: u32 = 1 << 20;

/// Refuses a text that would lead the parser too deep.
pub(crate) fn check_text(text: &str) -> Result<(), String> {
    let openings = text
        .bytes()
        .filter(|byte| matches!(byte, b'(' | b'[' | b'{' | b'!' | b'&' | b'*'))
        .count();
    if openings > OPENINGS_MAX {
        return Err(format!(
            "the expression has more than {OPENINGS_MAX} brackets, stars and signs such as `!`: divide it among several plugins"
        ));
    }
    Ok(())
}

/// Refuses a tree that is too deep to follow, and slices that would be reckoned wrong.
pub(crate) fn check_tree(tree: &Ast) -> Result<(), String> {
    let mut level = vec![tree];
    for _ in 0..DEPTH_MAX {
        if level.iter().any(|node| has_wide_slice(node)) {
            return Err(format!("a number of a slice is beyond {SLICE_MAX}"));
        }
        level = level.into_iter().flat_map(below).collect();
        if level.is_empty() {
            return Ok(());
        }
    }
    Err(format!("the expression is nested deeper than {DEPTH_MAX} levels"))
}

fn has_wide_slice(node: &Ast) -> bool {
    match node {
        Ast::Slice {
            start, stop, step, ..
        } => [*start, *stop, Some(*step)]
            .into_iter()
            .flatten()
            .any(|number| number.unsigned_abs() > SLICE_MAX),
        _ => false,
    }
}

/// The names of the functions that it calls, in its order.
pub(crate) fn functions(tree: &Ast) -> Vec<String> {
    let mut names = Vec::new();
    let mut left = vec![tree];
    while let Some(node) = left.pop() {
        if let Ast::Function { name, .. } = node
            && !names.contains(name)
        {
            names.push(name.clone());
        }
        left.extend(below(node).into_iter().rev());
    }
    names
}

/// The parts of a node.
fn below(node: &Ast) -> Vec<&Ast> {
    match node {
        Ast::Comparison { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. } => vec![lhs, rhs],
        Ast::Condition { predicate, then, .. } => vec![predicate, then],
        Ast::Expref { ast: node, .. }
        | Ast::Flatten { node, .. }
        | Ast::Not { node, .. }
        | Ast::ObjectValues { node, .. } => vec![node],
        Ast::Function { args: nodes, .. } | Ast::MultiList { elements: nodes, .. } => nodes.iter().collect(),
        Ast::MultiHash { elements, .. } => elements.iter().map(|pair| &pair.value).collect(),
        Ast::Identity { .. }
        | Ast::Field { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Slice { .. } => Vec::new(),
    }
}
