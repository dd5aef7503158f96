//! The commands that say which version is used.

use relay_tests::guests;
use relay_tests::instance::{ADMIN_KEY, Ended, Setup};
use serde_json::json;

#[tokio::test]
async fn a_version_is_signed_pushed_tried_and_promoted_by_command() {
    let keygen = Setup::new("");
    let private = keygen.home().join("publisher.key").display().to_string();
    let made = keygen.run(&["plugin", "keygen", &private]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let public = made.stdout.trim().to_owned();
    assert!(public.starts_with("whpk_"), "{public}");
    let again = keygen.run(&["plugin", "keygen", &private]).await;
    assert_ne!(again.code, Some(0), "a key is not overwritten");
    let relay = Setup::new("")
        .variable("RELAY_PLUGINS__PUBLISHERS", &json!([public]).to_string())
        .start()
        .await;
    let file = |name: &str, bytes: &[u8]| relay.setup().file(name, bytes).display().to_string();
    let (first, second) = (
        file("first.wasm", guests::EDITS),
        file("second.wasm", guests::HOSTILE),
    );
    let run = async |arguments: &[&str]| -> Ended { relay.command(ADMIN_KEY, arguments).await };
    let unsigned = run(&["plugin", "push", &first, "--name", "tidy"]).await;
    assert!(
        unsigned.code != Some(0) && unsigned.stderr.contains("is not signed"),
        "{unsigned:?}"
    );
    let push = ["plugin", "push", "--name", "tidy", "--sign-with", &private];
    let pushed = run(&[&push[..], &[&first, "--tag", "beta"]].concat()).await;
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    let tags = run(&["plugin", "tag", "tidy"]).await;
    assert!(
        tags.stdout.contains("beta") && tags.stdout.contains("current"),
        "{tags:?}"
    );
    let all = run(&["plugin", "versions"]).await;
    assert!(
        all.stdout.lines().count() == 1
            && all.stdout.starts_with("tidy ")
            && all.stdout.contains("used by 0"),
        "{all:?}"
    );
    let tried = run(&[&push[..], &[&second, "--canary", "10"]].concat()).await;
    assert_eq!(tried.code, Some(0), "{tried:?}");
    assert!(
        tried.stdout.contains("canary, 10 % of the deliveries"),
        "{}",
        tried.stdout
    );
    let shown = run(&["plugin", "rollout", "tidy"]).await;
    assert!(shown.stdout.contains("canary, 10 %"), "{shown:?}");
    let promoted = run(&["plugin", "promote", "tidy"]).await;
    assert!(
        promoted.code == Some(0) && promoted.stdout.contains("current"),
        "{promoted:?}"
    );
    let versions = run(&["plugin", "versions", "tidy"]).await;
    let lines: Vec<_> = versions.stdout.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].ends_with("current") && lines[1].ends_with("before, beta"),
        "{versions:?}"
    );
    let back = run(&["plugin", "rollback", "tidy"]).await;
    assert_eq!(back.code, Some(0), "{back:?}");
    let none = run(&["plugin", "rollout", "tidy"]).await;
    assert!(
        none.code != Some(0) && none.stderr.contains("is being rolled out"),
        "{none:?}"
    );
    let gone = run(&["plugin", "tag", "tidy", "beta"]).await;
    assert_eq!(gone.code, Some(0), "{gone:?}");
    // Beside the file, for the plugin folder.
    let signed = run(&["plugin", "sign", &first, "--sign-with", &private]).await;
    assert_eq!(signed.stdout.trim(), format!("{first}.sig"), "{signed:?}");
}
