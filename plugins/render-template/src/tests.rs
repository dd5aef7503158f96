use relay_sdk::testing::{Host, event, fixtures};
use serde_json::Value;

use super::*;

#[test]
fn fixtures_hold() {
    fixtures::<RenderTemplate>();
}

fn rendered(config: Value, data: Value) -> Result<String, Fault> {
    let sample = event("order.paid")
        .id("evt_1")
        .header("X-Shop", "north")
        .data(data);
    let sent = Host::new().config(config).transform::<RenderTemplate>(sample)?;
    Ok(sent.message().text())
}

fn text(body: &str, data: Value) -> Result<String, Fault> {
    rendered(json!({ "body": body, "content_type": "text/plain" }), data)
}

#[test]
fn values_are_escaped_for_their_place_in_json() {
    let hostile = "\"}, \"admin\": true, \"x\": {\"\\\n\u{1}é😀";
    let data = json!({ "s": hostile, "n": 1.5, "o": { "b": 1, "a": [null, "\""] }, "no": null });
    for (body, expected) in [
        (r#"{"a": {{ data.s }}}"#, json!({ "a": hostile })),
        (
            r#"{"a": "x {{ data.s }} y"}"#,
            json!({ "a": format!("x {hostile} y") }),
        ),
        (r#"{"{{ data.s }}": 1}"#, json!({ hostile: 1 })),
        (r#"{"a": "\"{{ data.n }}\\"}"#, json!({ "a": "\"1.5\\" })),
        (
            r#"[{{ data.n }}, {{ data.o }}, {{ data.no }}, "{{ data.no }}"]"#,
            json!([1.5, { "b": 1, "a": [null, "\""] }, null, ""]),
        ),
        (r#"["{{ data.o }}"]"#, json!(["{\"b\":1,\"a\":[null,\"\\\"\"]}"])),
        (
            r#"["{{ data.o | tojson }}", {{ data.o | tojson }}]"#,
            json!(["{\"b\": 1, \"a\": [null, \"\\\"\"]}", { "b": 1, "a": [null, "\""] }]),
        ),
        (
            r#"{% set x %}<{{ data.s }}>{% endset %}[{{ x }}, "{{ x }}"]"#,
            json!([format!("<{hostile}>"), format!("<{hostile}>")]),
        ),
        (
            r#"{% filter upper %}["{{ data.s }}"]{% endfilter %}"#,
            json!(format!("[\"{}\"]", hostile.to_uppercase())),
        ),
        (
            r#"["{{ data.s ~ '"' }}", {{ (data.s ~ '"') | safe | length }}]"#,
            json!([format!("{hostile}\""), hostile.chars().count() + 1]),
        ),
    ] {
        let sent = rendered(json!({ "body": body }), data.clone()).unwrap();
        let found: Value = serde_json::from_str(&sent).unwrap();
        assert_eq!(found, expected, "{body}: {sent}");
    }
}

#[test]
fn other_content_types_have_their_own_escapes() {
    let data = json!({ "s": "<b>&\"' é/+" });
    for (content_type, expected) in [
        ("text/html; charset=utf-8", "&lt;b&gt;&amp;&quot;&#x27; é&#x2f;+"),
        ("application/soap+xml", "&lt;b&gt;&amp;&quot;&#x27; é&#x2f;+"),
        (
            "application/x-www-form-urlencoded",
            "%3Cb%3E%26%22%27%20%C3%A9%2F%2B",
        ),
        ("text/plain", "<b>&\"' é/+"),
    ] {
        let config = json!({ "body": "{{ data.s }}", "content_type": content_type });
        assert_eq!(
            rendered(config, data.clone()).unwrap(),
            expected,
            "{content_type}"
        );
    }
    let kept = "{% set x %}<i>{{ data.s }}</i>{% endset %}{{ x }}{{ none }}";
    let config = json!({ "body": kept, "content_type": "text/html" });
    let expected = "<i>&lt;b&gt;&amp;&quot;&#x27; é&#x2f;+</i>";
    assert_eq!(rendered(config, data.clone()).unwrap(), expected);
    let config = json!({ "body": "{{ data.s }}", "content_type": "text/html", "escape": "none" });
    assert_eq!(rendered(config, data).unwrap(), "<b>&\"' é/+");
}

#[test]
fn templates_see_the_event_and_what_they_need_to_write_it() {
    let data = json!({
        "at": "2025-06-09T14:05:12Z", "unix": 1_749_477_912, "ms": "1749477912000", "name": "ada", "long": "äöüß",
        "items": [{ "sku": "A", "n": 2 }, { "sku": "B", "n": 1 }], "no": null,
    });
    for (body, expected) in [
        (
            "{{ event.type }} {{ event.id }} {{ headers['x-shop'] }} {{ call.endpoint }}",
            "order.paid evt_1 north test",
        ),
        (
            "{% for item in data['items'] %}{{ loop.index }}:{{ item.sku }}x{{ item.n }} {% endfor %}",
            "1:Ax2 2:Bx1 ",
        ),
        (
            "{{ data.at | date }} {{ data.unix | date('%d.%m.%Y', offset=-900) }} {{ data.ms | date('%H:%M', offset=120) }}",
            "2025-06-09 14:05 08.06.2025 16:05",
        ),
        (
            "{{ data.name | upper }} {{ data.long | truncate(3) }} {{ data.none | default('nobody') }}",
            "ADA äö… nobody",
        ),
        (
            "{{ data['items'] | map(attribute='sku') | join(', ') }} {{ data['items'] | sum(attribute='n') }}",
            "A, B 3",
        ),
        ("{% if data.no is none %}no{% endif %}{{ data.no }}", "no"),
    ] {
        assert_eq!(text(body, data.clone()).as_deref(), Ok(expected), "{body}");
    }
    let config = json!({ "body": "{{ vars.shop }} {{ data }}", "vars": { "shop": "n" }, "content_type": "text/plain" });
    assert_eq!(
        rendered(config, json!({ "z": 1, "a": "x" })).unwrap(),
        "n {\"z\":1,\"a\":\"x\"}"
    );
}

#[test]
fn faults_name_the_line() {
    for (body, expected) in [
        (
            "a\nb {{ data.none }}",
            "invalid: the template, line 2: undefined value",
        ),
        (
            "{{ data.name | date }}",
            "invalid: the template, line 1: invalid operation: date: ada is no time",
        ),
        ("\n{{ data.name | date('%Q') }}", "date:"),
        (
            "{{ data.name | shout }}",
            "misconfigured: the template, line 1: unknown filter",
        ),
        (
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
            "takes more than 100000 steps",
        ),
        (
            "{% for a in range(9000) %}{{ data.long }}{% endfor %}",
            "more than 262144 bytes",
        ),
    ] {
        let data = json!({ "name": "ada", "long": "x".repeat(100) });
        let fault = text(body, data).unwrap_err().to_string();
        assert!(fault.contains(expected), "{body}: {fault}");
    }
    let fault = rendered(json!({ "body": "{\"a\": {{ data.a }} x}" }), json!({ "a": 1 })).unwrap_err();
    assert!(
        fault
            .message()
            .contains("is no JSON: expected `,` or `}` at line 1 column 9"),
        "{fault}"
    );
}

#[test]
fn what_is_missing_may_be_empty() {
    let config = json!({ "body": "[{{ data.a.b.c }}, \"{{ data.a.b }}\"]", "undefined": "empty" });
    assert_eq!(rendered(config, json!({})).unwrap(), "[null, \"\"]");
}

#[test]
fn recursion_ends() {
    let mut data = json!({ "child": null });
    for _ in 0..100 {
        data = json!({ "child": data });
    }
    let body = "{% for node in [data] recursive %}x{% if node.child %}{{ loop([node.child]) }}{% endif %}{% endfor %}";
    let fault = text(body, data).unwrap_err();
    assert!(fault.message().contains("recursion limit exceeded"), "{fault}");
    let nested = format!("{}1{}", "(".repeat(2_000), ")".repeat(2_000));
    let problems = Host::new()
        .config(json!({ "body": format!("{{{{ {nested} }}}}") }))
        .check::<RenderTemplate>();
    assert_eq!(problems.len(), 1, "{problems:?}");
}
