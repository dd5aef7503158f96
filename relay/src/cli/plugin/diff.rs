//! Shows how two JSON values differ, line by line.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// Lines around each change.
const CONTEXT: usize = 2;

/// The lines that only `before` (`-`) or only `after` (`+`) has, with those around them; `lines_max`
/// at most. Empty if they are the same.
pub(super) fn lines(before: &Value, after: &Value, lines_max: usize) -> Vec<String> {
    let (before, after) = (pretty(before), pretty(after));
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            lines.push("  …".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            lines.push(format!("{sign} {}", change.value().trim_end()));
        }
    }
    if lines.len() > lines_max {
        let more = lines.len() - lines_max;
        lines.truncate(lines_max);
        lines.push(format!("  … {more} more lines"));
    }
    lines
}

/// With a line break at its end, so that the last line is one like the others.
fn pretty(value: &Value) -> String {
    // A value that was read as JSON can be written as JSON.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_shown_and_what_is_around_it() {
        let list: Vec<u32> = (0..20).collect();
        let (before, after) = (json!({"a": 1, "list": list}), json!({"a": 2, "list": list}));
        assert_eq!(
            lines(&before, &after, 100),
            [
                "  {",
                "-   \"a\": 1,",
                "+   \"a\": 2,",
                "    \"list\": [",
                "      0,"
            ]
        );
        assert_eq!(lines(&before, &before, 100), Vec::<String>::new());
        let cut = lines(&before, &after, 2);
        assert_eq!(cut, ["  {", "-   \"a\": 1,", "  … 3 more lines"]);
    }
}
