//! What QuickJS lacks and plugins have.

use serde_json::json;

use crate::kit::{Plugin, built, project, with_manifest};

#[tokio::test(flavor = "multi_thread")]
async fn what_other_javascript_has_is_there() {
    let project = project(&[("src/plugin.js", include_str!("prelude.js"))]);
    let component = built(project.path(), "src/plugin.js").expect("it builds");
    let plugin = Plugin::of(with_manifest(component, &json!({ "type": "object" }), &["state"]));
    let found = plugin.transform(json!({}), json!({ "n": 1 })).await;
    let made = &found.shown["emit"][0]["data"];
    assert_eq!(made["wrong"], json!({}), "{}", found.shown);
    assert!(made["ran"].as_u64() > Some(20), "{made}");
    let line = "a 1 {\"b\":[2]} undefined 3n e";
    assert!(
        found.log.iter().any(|logged| logged.contains(line)),
        "{:?}",
        found.log
    );
}
