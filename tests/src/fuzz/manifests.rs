//! Components: what says that it can be run has a hook, and nothing of it is run to find out.

use std::sync::LazyLock;

use relay::plugins::Plugins;

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "manifests",
    seeds: || SEEDS.clone(),
    words: &[
        "\0asm\x0d\0\x01\0",
        "\0asm\x01\0\0\0",
        "relay:manifest",
        "relay:plugin/filter@0.1.0",
        "relay:plugin/state@0.1.0",
        "wasi:cli/run@0.2.3",
        "{\"name\": \"x\"}",
        "\"config\": {}",
        "\"secrets\": [\"a\"]",
        "\x00",
        "\x7f",
        "\x0a\x01",
    ],
    run,
};

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    [
        r#"(component
             (import "relay:plugin/log@0.1.0" (instance (export "log" (func))))
             (component $hook (type $e (enum "a")) (export "event" (type $e)))
             (instance $filter (instantiate $hook))
             (export "relay:plugin/filter@0.1.0" (instance $filter))
             (@custom "relay:manifest" "{\"name\": \"x\", \"reuse\": true, \"secrets\": [\"a\"], \"config\": {\"type\": \"object\"}}"))"#,
        r#"(component
             (import "wasi:cli/run@0.2.3" (instance (export "run" (func))))
             (core module (func (export "f")))
             (component (@custom "relay:manifest" "{}")))"#,
    ]
    .into_iter()
    .map(|text| wat::parse_str(text).expect("a component"))
    .collect()
});

fn run(input: &[u8]) {
    match Plugins::inspect(input, "x") {
        Ok(inspection) => {
            assert!(inspection.hooks.names().count() > 0);
            assert_eq!(inspection.size, input.len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
