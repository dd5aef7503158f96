//! What is loaded and what is refused, and with which words.

use relay::model::plugin::OnFault;
use relay::plugins::{COMPONENT_BYTES_MAX, Chained, LoadError, Plugins};
use relay_tests::guests;
use relay_tests::wait::eventually;
use serde_json::json;

use crate::kit::{Kit, used, with_manifest};

fn refusal(component: &[u8]) -> String {
    Plugins::inspect(component, "x")
        .expect_err("a refusal")
        .to_string()
}

fn from_text(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("valid text")
}

#[test]
fn an_inspection_tells_all_without_running_anything() {
    let found = Plugins::inspect(guests::EVERYTHING, "file-name").expect("a plugin");
    assert_eq!(
        (found.manifest.name.as_str(), found.manifest.version.as_deref()),
        ("everything", Some("1.2.3"))
    );
    assert_eq!(found.manifest.secrets, ["key?"]);
    assert!(found.manifest.config.is_some() && !found.manifest.reuse);
    assert_eq!(found.hooks.names().count(), 5);
    assert_eq!(
        (found.wit.as_str(), found.size),
        ("0.1.0", guests::EVERYTHING.len())
    );
    for power in [
        "types", "call", "payload", "log", "config", "secrets", "crypto", "state",
    ] {
        assert!(
            found.powers.iter().any(|known| known == power),
            "{power} in {:?}",
            found.powers
        );
    }
    assert!(
        found.imports.iter().all(|import| import.starts_with("wasi:")),
        "{:?}",
        found.imports
    );
}

#[test]
fn without_a_manifest_the_file_gives_the_name() {
    let found = Plugins::inspect(guests::EDITS, "file-name").expect("a plugin");
    assert_eq!(
        (found.manifest.name.as_str(), found.manifest.version),
        ("file-name", None)
    );
    assert_eq!(found.hooks.names().collect::<Vec<_>>(), ["transform"]);
    // It looks at the payload through nothing, so it imports no power to do so.
    assert_eq!(found.powers, ["types"]);
}

#[test]
fn a_manifest_behind_the_component_wins_over_one_inside() {
    let renamed = with_manifest(
        guests::EVERYTHING,
        &json!({ "name": "renamed", "reuse": true, "future": 1 }),
    );
    let found = Plugins::inspect(&renamed, "x").expect("a plugin");
    assert_eq!(
        (found.manifest.name.as_str(), found.manifest.reuse),
        ("renamed", true)
    );
}

#[test]
fn what_this_relay_cannot_serve_is_refused_in_one_sentence() {
    let hook = r#"(instance $i) (export "relay:plugin/filter@0.1.0" (instance $i))"#;
    for (component, expected) in [
        (b"<!doctype html>".to_vec(), "is not WebAssembly"),
        (from_text("(module)"), "is a core module, not a component"),
        (from_text("(component)"), "exports no hook"),
        (
            from_text(r#"(component (instance $i) (export "relay:plugin/filter@0.2.0" (instance $i)))"#),
            "needs relay:plugin 0.2.0, this relay speaks 0.1.0",
        ),
        (
            from_text(&format!(
                r#"(component (import "relay:plugin/call@0.3.1" (instance)) {hook})"#
            )),
            "needs relay:plugin 0.3.1, this relay speaks 0.1.0",
        ),
        (
            from_text(&format!(
                r#"(component (import "relay:plugin/radio@0.1.0" (instance)) {hook})"#
            )),
            "asks for the power radio, which this relay does not offer yet",
        ),
        (
            from_text(&format!(
                r#"(component (import "wasi:http/types@0.2.0" (instance)) {hook})"#
            )),
            "imports wasi:http/types@0.2.0, which this relay does not offer",
        ),
        (
            from_text(&format!(
                r#"(component (import "wasi:cli/stdout@0.3.0" (instance)) {hook})"#
            )),
            "imports wasi:cli/stdout@0.3.0",
        ),
        (
            with_manifest(guests::EDITS, &json!({ "reuse": "yes" })),
            "has a manifest that cannot be used",
        ),
    ] {
        let said = refusal(&component);
        assert!(said.contains(expected), "{expected:?} in {said:?}");
    }
}

#[test]
fn a_later_patch_version_fits() {
    let component =
        from_text(r#"(component (instance $i) (export "relay:plugin/filter@0.1.9" (instance $i)))"#);
    assert_eq!(
        Plugins::inspect(&component, "x").map(|found| found.wit),
        Ok("0.1.9".to_owned())
    );
}

#[tokio::test]
async fn damaged_hollow_and_huge_files_do_not_bind() {
    let kit = Kit::new();
    let mut damaged = guests::EDITS.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    kit.install("damaged", &damaged);
    kit.install("cut", &guests::EDITS[..guests::EDITS.len() / 2]);
    kit.install("huge", &vec![0; COMPONENT_BYTES_MAX + 1]);
    let hollow = from_text(r#"(component (instance $i) (export "relay:plugin/filter@0.1.0" (instance $i)))"#);
    kit.install("hollow", &hollow);
    for (name, expected) in [
        ("damaged", "the plugin damaged "),
        ("cut", "the plugin cut is damaged"),
        ("huge", "has 25165825 bytes, more than the 25165824"),
        (
            "hollow",
            "the plugin hollow exports the hook filter of relay:plugin without its function",
        ),
    ] {
        let said = kit
            .try_bind(&used(name, json!({})))
            .await
            .expect_err(name)
            .to_string();
        assert!(said.contains(expected), "{expected:?} in {said:?}");
    }
}

#[tokio::test]
async fn unknown_names_get_a_hint_and_lead_nowhere_else() {
    let kit = Kit::new();
    let said = kit
        .try_bind(&used("edit", json!({})))
        .await
        .expect_err("unknown")
        .to_string();
    assert_eq!(said, "there is no plugin edit: did you mean edits?");
    for name in ["../plugins/edits", "/etc/passwd", ".", "..", "", "edits.wasm"] {
        let said = kit
            .try_bind(&used(name, json!({})))
            .await
            .expect_err(name)
            .to_string();
        assert!(said.starts_with("there is no plugin"), "{said}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn compiled_code_is_kept_and_taken_up_again() {
    use std::os::unix::fs::MetadataExt as _;
    let kit = Kit::new();
    kit.bind("edits", json!({})).await;
    let files = |extension: &str| {
        let entries = std::fs::read_dir(kit.cache()).expect("the cache");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .collect::<Vec<_>>()
    };
    let code = files("cwasm");
    assert_eq!((code.len(), files("b3").len()), (1, 1));
    // What is written anew is another file of that name.
    let file = |path: &std::path::Path| std::fs::metadata(path).expect("a file").ino();
    let compiled = file(&code[0]);

    // A second relay finds it; a damaged file is replaced, not trusted.
    kit.again()
        .bind(&used("edits", json!({})), crate::kit::owner())
        .await
        .expect("the plugin binds");
    assert_eq!(file(&code[0]), compiled);
    let mut bytes = std::fs::read(&code[0]).expect("the code");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&code[0], &bytes).expect("the cache can be written to");
    kit.again()
        .bind(&used("edits", json!({})), crate::kit::owner())
        .await
        .expect("the plugin binds");
    assert_ne!(std::fs::read(&code[0]).expect("the code"), bytes);
}

#[cfg(unix)]
#[tokio::test]
async fn code_that_was_found_sound_is_read_again_when_it_was_changed() {
    let kit = Kit::new();
    kit.bind("edits", json!({})).await;
    let [code, seal] = ["cwasm", "b3"].map(|extension| {
        let entries = std::fs::read_dir(kit.cache()).expect("the cache");
        let mut paths = entries.map(|entry| entry.expect("an entry").path());
        paths
            .find(|path| path.extension().is_some_and(|found| found == extension))
            .expect("a file")
    });
    let load = async || {
        kit.again()
            .bind(&used("edits", json!({})), crate::kit::owner())
            .await
            .expect("the plugin binds");
    };
    // Noted once the file is old enough for every change to show.
    let noted = eventually("what the code's file is known by", async || {
        load().await;
        let said = std::fs::read_to_string(&seal).expect("the digest");
        match said.lines().count() {
            2 => Ok(said),
            _ => Err(said),
        }
    })
    .await;
    load().await;
    assert_eq!(std::fs::read_to_string(&seal).expect("the digest"), noted);

    let mut bytes = std::fs::read(&code).expect("the code");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&code, &bytes).expect("the cache can be written to");
    load().await;
    assert_ne!(std::fs::read(&code).expect("the code"), bytes);
}

#[cfg(unix)]
#[tokio::test]
async fn what_was_learned_of_a_file_holds_until_it_is_changed() {
    let kit = Kit::new();
    let described = |text: &str| with_manifest(guests::EDITS, &json!({ "description": text }));
    kit.install("edits", &described("first"));
    let notes = || {
        let entries = std::fs::read_dir(kit.cache()).expect("the cache");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.extension().is_some_and(|found| found == "json"))
    };
    // By a host that has loaded nothing yet, and used.
    let description = async || {
        let plugins = kit.again();
        let offered = plugins.offered_as("edits").await.expect("a plugin");
        let wanted = used("edits", json!({}));
        let bound = plugins.bind(&wanted, crate::kit::owner()).await;
        let ran = crate::kit::run(vec![bound.expect("the plugin binds")], OnFault::Retry).await;
        assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
        let found = offered.inspection.expect("an inspection");
        found.manifest.description.unwrap_or_default()
    };
    let note = eventually("a note of the file", async || {
        assert_eq!(description().await, "first");
        notes().next().ok_or("none")
    })
    .await;

    // It is what the host goes by, compiled code or none.
    let rewrite = |from: &str, to: &str| {
        let text = std::fs::read_to_string(&note).expect("the note");
        std::fs::write(&note, text.replace(from, to)).expect("the cache can be written to");
    };
    rewrite("first", "as noted");
    assert_eq!(description().await, "as noted");
    for path in std::fs::read_dir(kit.cache()).expect("the cache") {
        let path = path.expect("an entry").path();
        if path != note {
            std::fs::remove_file(path).expect("the cache can be written to");
        }
    }
    assert_eq!(description().await, "as noted");

    // It is not, of another relay or without sense.
    rewrite("\"reader\":\"", "\"reader\":\"9");
    assert_eq!(description().await, "first");
    std::fs::write(&note, "{").expect("the cache can be written to");
    assert_eq!(description().await, "first");

    // Nor once the file was written to, be it as long as before, or is another.
    rewrite("first", "as noted");
    std::fs::write(kit.path("edits"), described("other")).expect("the folder can be written to");
    assert_eq!(description().await, "other");
    kit.install("edits", &described("third"));
    assert_eq!(description().await, "third");
}

#[cfg(unix)]
#[tokio::test]
async fn the_folder_of_compiled_code_belongs_to_the_relay_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let kit = Kit::new();
    kit.bind("edits", json!({})).await;
    let mode = std::fs::metadata(kit.cache())
        .expect("the cache")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_want_the_same_wait_for_one_compilation() {
    let kit = Kit::new();
    let binds = (0..16).map(|_| {
        let plugins = kit.plugins.clone();
        tokio::spawn(async move {
            plugins
                .bind(
                    &used("everything", json!({ "greeting": "hi" })),
                    crate::kit::owner(),
                )
                .await
        })
    });
    for bind in binds.collect::<Vec<_>>() {
        bind.await.expect("no panic").expect("the plugin binds");
    }
    let compiled = std::fs::read_dir(kit.cache()).expect("the cache").count();
    assert_eq!(compiled, 2, "one file of code and its digest");
}

#[test]
fn load_errors_compare_so_that_callers_can_match_on_them() {
    assert_eq!(Plugins::inspect(b"x", "x"), Err(LoadError::NotWasm));
}
