//! What stands in `examples/` is taken by the relay that it comes with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use relay_tests::instance::Setup;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn read(path: &str) -> String {
    let path = examples().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of metrics in a text: words that begin as the relay's do.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c))
        .filter(|word| word.starts_with("relay_") || word.starts_with("process_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned())
        .collect()
}

#[test]
fn the_dashboard_and_the_alerts_know_every_metric_by_its_name() {
    let told = metrics(&read("../docs/operating.md"));
    let dashboard = read("monitoring/dashboard.json");
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("the dashboard is JSON");
    for text in [dashboard, read("monitoring/alerts.yml")] {
        let used = metrics(&text);
        assert!(used.len() > 8, "{used:?}");
        let unknown: Vec<_> = used.difference(&told).collect();
        assert_eq!(unknown, [] as [&String; 0]);
    }
}

#[tokio::test]
async fn the_configurations_are_free_of_faults() {
    let manifest = read("deploy/kubernetes/relay.yaml");
    let indent = "    ";
    let block = manifest.split("relay.toml: |\n").nth(1).expect("a configuration");
    let lines = block
        .lines()
        .take_while(|line| line.starts_with(indent) || line.is_empty());
    let inside: String = lines
        .map(|line| format!("{}\n", line.strip_prefix(indent).unwrap_or_default()))
        .collect();
    assert!(inside.contains("[store]"), "{inside}");
    for config in [inside, read("hello-relay/relay.toml")] {
        let setup = Setup::new("")
            .without("RELAY_SERVER__LISTEN")
            .without("RELAY_SERVER__ADMIN_KEY")
            .without("RELAY_STORE__URL");
        let secrets = setup.home().join("secrets");
        std::fs::create_dir(&secrets).expect("a folder can be made");
        setup.file("secrets/admin-key", "rk_a0b1c2d3e4f5a0b1c2d3e4f5a0b1c2d3");
        setup.file(
            "secrets/master-key",
            "3q2+7wMqTC9T0gsfvJFzjZWFJVmpHyh4l7SExyiGVNs=",
        );
        let config = config.replace("/etc/relay/secrets", &secrets.display().to_string());
        setup.file("relay.toml", config);
        let checked = setup.run(&["check"]).await;
        assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    }
}
