//! Reads a pattern, and finds everything that is wrong with it.

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::model::json::escape_token;
use crate::model::time::{Timestamp, parse_duration};

use super::super::view::FIELDS;
use super::number::{Bound, Comparison, Number};
use super::test::{Affix, Literal, Test, lower};
use super::wildcard::Wildcard;
use super::{AnyOf, Clause, Fault, Field, Pattern, Rule};

/// Deepest nesting of a pattern.
pub const DEPTH_MAX: usize = 32;
/// Most alternatives of a pattern, all fields together.
pub const TESTS_MAX: usize = 1000;
/// Longest text of one alternative, in bytes.
pub const TEXT_LEN_MAX: usize = 1024;
/// Most faults that are collected of one pattern.
pub const FAULTS_MAX: usize = 50;
/// Most comparisons of one `numeric`, `age` or `time`.
const BOUNDS_MAX: usize = 4;
/// Longest part of a clause that an explanation repeats, in bytes.
const WANTED_SHOWN_MAX: usize = 200;

const OPERATORS: &str =
    "prefix, suffix, wildcard, anything-but, equals-ignore-case, numeric, age, time, exists, cidr";

pub(super) fn parse(pattern: &Value) -> Result<Pattern, Vec<Fault>> {
    let mut parser = Parser::default();
    let root = match pattern {
        Value::Object(map) => parser.pattern(map, Of::Event, "", 0),
        _ => {
            parser.fault("", "is not an object such as {\"type\": [\"message.received\"]}");
            Pattern::default()
        }
    };
    if parser.faults.is_empty() {
        Ok(root)
    } else {
        Err(parser.faults)
    }
}

/// Whose fields a pattern names.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    /// The event's own, which are known.
    Event,
    /// Those of its data, which are anyone's.
    Data,
}

#[derive(Default)]
struct Parser {
    faults: Vec<Fault>,
    tests: usize,
}

impl Parser {
    fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault {
                pointer: pointer.to_owned(),
                message: message.into(),
            });
        }
    }

    fn pattern(&mut self, map: &Map<String, Value>, of: Of, pointer: &str, depth: usize) -> Pattern {
        if depth == DEPTH_MAX {
            self.fault(pointer, format!("is nested deeper than {DEPTH_MAX} levels"));
            return Pattern::default();
        }
        if map.is_empty() {
            self.fault(pointer, "is empty; name a field, or leave it out");
        }
        let mut pattern = Pattern::default();
        for (name, value) in map {
            let pointer = below(pointer, name);
            if name == "$or" {
                pattern.any_of = self.any_of(value, of, pointer, depth);
            } else {
                self.check_name(name, value, of, &pointer);
                pattern.fields.extend(self.field(name, value, pointer, depth));
            }
        }
        pattern
    }

    fn check_name(&mut self, name: &str, value: &Value, of: Of, pointer: &str) {
        if of == Of::Data {
            return;
        }
        if !FIELDS.contains(&name) {
            self.fault(
                pointer,
                format!("is no field of an event; use one of {}", FIELDS.join(", ")),
            );
        } else if name != "data" && value.is_object() {
            self.fault(pointer, "is a text in every event; give a list of alternatives");
        }
    }

    fn any_of(&mut self, value: &Value, of: Of, pointer: String, depth: usize) -> Option<AnyOf> {
        let Some(list) = value.as_array().filter(|list| list.len() > 1) else {
            self.fault(&pointer, "is not a list of two or more patterns");
            return None;
        };
        let mut branches = Vec::with_capacity(list.len());
        for (index, branch) in list.iter().enumerate() {
            let pointer = below(&pointer, &index.to_string());
            match branch {
                Value::Object(map) => branches.push(self.pattern(map, of, &pointer, depth + 1)),
                _ => self.fault(&pointer, "is not a pattern, which is an object"),
            }
        }
        Some(AnyOf {
            clause: clause(pointer, vec!["$or"], value),
            branches,
        })
    }

    fn field(&mut self, name: &str, value: &Value, pointer: String, depth: usize) -> Option<Field> {
        let rule = match value {
            Value::Array(list) => {
                let tests = self.alternatives(list, &pointer);
                Rule::OneOf {
                    clause: clause(pointer, operators(&tests), value),
                    tests,
                }
            }
            Value::Object(map) => Rule::Below(self.pattern(map, Of::Data, &pointer, depth + 1)),
            _ => {
                self.fault(
                    &pointer,
                    format!("is a plain value; alternatives stand in a list, as in [{value}]"),
                );
                return None;
            }
        };
        Some(Field {
            name: name.to_owned(),
            rule,
        })
    }

    fn alternatives(&mut self, list: &[Value], pointer: &str) -> Vec<Test> {
        if list.is_empty() {
            self.fault(pointer, "is an empty list, which nothing can match");
        }
        let test = |(index, value): (usize, &Value)| self.test(value, &below(pointer, &index.to_string()));
        list.iter().enumerate().filter_map(test).collect()
    }

    fn test(&mut self, value: &Value, pointer: &str) -> Option<Test> {
        self.tests += 1;
        if self.tests > TESTS_MAX {
            // Once is enough: it would be said of every further one.
            if self.tests == TESTS_MAX + 1 {
                self.fault(
                    pointer,
                    format!("is one alternative more than the {TESTS_MAX} that a filter may have"),
                );
            }
            return None;
        }
        match value {
            Value::Object(map) => self.operator(map, pointer),
            _ => self.literal(value, pointer).map(Test::Equal),
        }
    }

    fn literal(&mut self, value: &Value, pointer: &str) -> Option<Literal> {
        match value {
            Value::Null => Some(Literal::Null),
            Value::Bool(flag) => Some(Literal::Bool(*flag)),
            Value::Number(number) => Number::of(number).map(Literal::Number),
            Value::String(text) => self
                .short(text, pointer)
                .map(|text| Literal::Text(text.to_owned())),
            Value::Array(_) | Value::Object(_) => {
                self.fault(pointer, "is not a plain value");
                None
            }
        }
    }

    fn operator(&mut self, map: &Map<String, Value>, pointer: &str) -> Option<Test> {
        let mut entries = map.iter();
        let (Some((name, value)), None) = (entries.next(), entries.next()) else {
            self.fault(pointer, format!("is not one operator; use one of {OPERATORS}"));
            return None;
        };
        self.named(name, value, &below(pointer, name))
    }

    fn named(&mut self, operator: &str, value: &Value, pointer: &str) -> Option<Test> {
        match operator {
            "prefix" => self.affix(value, pointer).map(Test::Prefix),
            "suffix" => self.affix(value, pointer).map(Test::Suffix),
            "wildcard" => self.wildcard(value, pointer),
            "equals-ignore-case" => self.folded(value, pointer).map(Test::EqualFolded),
            "numeric" => self
                .bounds(value, pointer, "[\">\", 0, \"<=\", 5]", number)
                .map(Test::Numeric),
            "age" => self
                .bounds(value, pointer, "[\">=\", \"5m\", \"<\", \"1h\"]", age)
                .map(Test::Age),
            "time" => self
                .bounds(value, pointer, "[\">=\", \"2026-01-31T15:00:00Z\"]", moment)
                .map(Test::Moment),
            "exists" => self.exists(value, pointer),
            "cidr" => self.network(value, pointer),
            "anything-but" => self.anything_but(value, pointer),
            _ => {
                self.fault(pointer, format!("is no operator; use one of {OPERATORS}"));
                None
            }
        }
    }

    fn text<'v>(&mut self, value: &'v Value, pointer: &str) -> Option<&'v str> {
        let Some(text) = value.as_str() else {
            self.fault(pointer, "is not a text");
            return None;
        };
        self.short(text, pointer)
    }

    fn short<'v>(&mut self, text: &'v str, pointer: &str) -> Option<&'v str> {
        if text.len() > TEXT_LEN_MAX {
            self.fault(pointer, format!("is longer than {TEXT_LEN_MAX} bytes"));
            return None;
        }
        Some(text)
    }

    /// A text, or `{"equals-ignore-case": text}`.
    fn affix(&mut self, value: &Value, pointer: &str) -> Option<Affix> {
        let folded = value
            .as_object()
            .filter(|map| map.len() == 1)
            .and_then(|map| map.get("equals-ignore-case"));
        let text = match folded {
            Some(folded) => self.folded(folded, &below(pointer, "equals-ignore-case"))?,
            None => self.text(value, pointer)?.to_owned(),
        };
        if text.is_empty() {
            self.fault(pointer, "is empty, which every text begins and ends with");
            return None;
        }
        Some(Affix {
            text,
            ignores_case: folded.is_some(),
        })
    }

    fn folded(&mut self, value: &Value, pointer: &str) -> Option<String> {
        self.text(value, pointer).map(|text| lower(text).collect())
    }

    fn wildcard(&mut self, value: &Value, pointer: &str) -> Option<Test> {
        match Wildcard::parse(self.text(value, pointer)?) {
            Ok(wildcard) => Some(Test::Wildcard(wildcard)),
            Err(message) => {
                self.fault(pointer, message);
                None
            }
        }
    }

    fn exists(&mut self, value: &Value, pointer: &str) -> Option<Test> {
        if value.as_bool().is_none() {
            self.fault(pointer, "is neither true nor false");
        }
        value.as_bool().map(Test::Exists)
    }

    fn network(&mut self, value: &Value, pointer: &str) -> Option<Test> {
        let network = self.text(value, pointer)?.parse::<IpNet>();
        if network.is_err() {
            self.fault(pointer, "is no network such as 10.0.0.0/8 or 2001:db8::/32");
        }
        network.ok().map(Test::Network)
    }

    /// A list of operators, each with a limit that `read` takes, as in `example`.
    fn bounds(
        &mut self,
        value: &Value,
        pointer: &str,
        example: &str,
        read: impl Fn(&Value) -> Option<Number>,
    ) -> Option<Vec<Bound>> {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let bounds: Option<Vec<_>> = list.chunks(2).map(|pair| bound(pair, &read)).collect();
        let bounds = bounds.filter(|bounds| (1..=BOUNDS_MAX).contains(&bounds.len()));
        if bounds.is_none() {
            let message = format!(
                "is not a list of 1 to {BOUNDS_MAX} comparisons such as {example}, with =, <, <=, > or >="
            );
            self.fault(pointer, message);
        }
        bounds
    }

    /// A plain value, a list of them, or one operator on a text or a list of texts.
    fn anything_but(&mut self, value: &Value, pointer: &str) -> Option<Test> {
        let tests = match value {
            Value::Array(list) => self.each(list, pointer, |parser, value, pointer| {
                parser.literal(value, pointer).map(Test::Equal)
            }),
            Value::Object(map) => self.nested(map, pointer),
            _ => self
                .literal(value, pointer)
                .map(Test::Equal)
                .into_iter()
                .collect(),
        };
        (!tests.is_empty()).then_some(Test::AnythingBut(tests))
    }

    fn nested(&mut self, map: &Map<String, Value>, pointer: &str) -> Vec<Test> {
        const NESTED: [&str; 5] = ["prefix", "suffix", "wildcard", "equals-ignore-case", "cidr"];
        let entry = map
            .iter()
            .next()
            .filter(|(name, _)| map.len() == 1 && NESTED.contains(&name.as_str()));
        let Some((name, value)) = entry else {
            self.fault(
                pointer,
                format!("is not one operator; here, use one of {}", NESTED.join(", ")),
            );
            return Vec::new();
        };
        let pointer = below(pointer, name);
        match value {
            Value::Array(list) => self.each(list, &pointer, |parser, value, pointer| {
                parser.named(name, value, pointer)
            }),
            _ => self.named(name, value, &pointer).into_iter().collect(),
        }
    }

    /// Reads each value of a list that may not be empty; each counts as an alternative.
    fn each(
        &mut self,
        list: &[Value],
        pointer: &str,
        read: impl Fn(&mut Self, &Value, &str) -> Option<Test>,
    ) -> Vec<Test> {
        if list.is_empty() {
            self.fault(pointer, "is an empty list");
        }
        self.tests += list.len();
        if self.tests > TESTS_MAX {
            self.fault(
                pointer,
                format!("has more alternatives than the {TESTS_MAX} that a filter may have"),
            );
            return Vec::new();
        }
        let mut tests = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            tests.extend(read(self, value, &below(pointer, &index.to_string())));
        }
        tests
    }
}

fn bound(pair: &[Value], read: impl Fn(&Value) -> Option<Number>) -> Option<Bound> {
    let [word, limit] = pair else { return None };
    let word = word.as_str()?;
    let (_, comparison) = Comparison::WORDS.into_iter().find(|(known, _)| *known == word)?;
    Some(Bound {
        comparison,
        limit: read(limit)?,
    })
}

fn number(limit: &Value) -> Option<Number> {
    match limit {
        Value::Number(limit) => Number::of(limit),
        _ => None,
    }
}

/// A span of time, in milliseconds.
fn age(limit: &Value) -> Option<Number> {
    let span = parse_duration(limit.as_str()?)?;
    i128::try_from(span.as_millis()).ok().map(Number::Whole)
}

/// A moment, in milliseconds since 1970.
fn moment(limit: &Value) -> Option<Number> {
    let moment: Timestamp = limit.as_str()?.parse().ok()?;
    Some(Number::Whole(moment.as_millis().into()))
}

fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", escape_token(name))
}

/// What kinds of test there are, each once.
fn operators(tests: &[Test]) -> Vec<&'static str> {
    let mut operators: Vec<_> = tests.iter().map(Test::operator).collect();
    operators.sort_unstable();
    operators.dedup();
    operators
}

fn clause(pointer: String, operators: Vec<&'static str>, value: &Value) -> Clause {
    let mut wanted = value.to_string();
    if wanted.len() > WANTED_SHOWN_MAX {
        wanted.truncate(wanted.floor_char_boundary(WANTED_SHOWN_MAX));
        wanted.push('…');
    }
    Clause {
        pointer,
        operators,
        wanted,
    }
}
