//! Plugins that somebody has to vouch for.

use http::Method;
use relay::crypto::standard_webhooks::SigningKey;
use relay::model::plugin::Version;
use relay::model::publisher;
use relay::model::secret::Secret;
use relay_tests::guests;
use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::Receiver;
use relay_tests::wait::eventually;
use serde_json::{Value, json};

use super::{actions, ask, code, deeds, delivered, edited, follow, text, upload};

/// A private key, and the public one as it is written.
fn pair() -> (Secret, String) {
    let secret = SigningKey::generate().asymmetric;
    let public = SigningKey::parse(&secret).ok().and_then(|key| key.public());
    (secret, public.expect("a key pair"))
}

fn sign(key: &Secret, component: &[u8]) -> String {
    publisher::sign(key, &Version::of(component)).expect("a key")
}

#[tokio::test]
async fn only_what_a_publisher_has_signed_is_taken() {
    let receiver = Receiver::start();
    let ((key, public), (stranger, _)) = (pair(), pair());
    let publishers = json!([public]).to_string();
    let relay = Setup::new("")
        .variable("RELAY_PLUGINS__PUBLISHERS", &publishers)
        .start()
        .await;
    let (right, wrong) = (sign(&key, guests::EDITS), sign(&stranger, guests::EDITS));
    let of_another = sign(&key, guests::HOSTILE);
    for (signature, wanted, words) in [
        (None, "untrusted", "is not signed"),
        (Some(wrong.as_str()), "untrusted", "none of the publishers"),
        (Some(of_another.as_str()), "untrusted", "none of the publishers"),
        (Some("AAAA"), "invalid_signature", "is no signature"),
        (Some("?"), "invalid_signature", "is no signature"),
    ] {
        let refused = upload(&relay, "tidy", guests::EDITS, signature).await;
        assert_eq!(
            (refused.status, code(&refused).as_str()),
            (422, wanted),
            "{signature:?}"
        );
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    let both = format!("{wrong} {right}");
    let taken = upload(&relay, "tidy", guests::EDITS, Some(&both)).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert_eq!(taken.json()["signer"], json!(public));
    let shown = relay.read("/v1/plugins/tidy/versions").await;
    assert_eq!(shown["data"][0]["signer"], json!(public));
    follow(&relay, "crm", &receiver, "tidy", "nothing").await;
    assert_eq!(delivered(&relay, &receiver, 1).await, edited(1));
    let deed = deeds(&relay).await.remove(0);
    assert_eq!(
        (&deed["action"], &deed["after"]["signer"]),
        (&json!("plugin.uploaded"), &json!(public))
    );
    // Those that come with the relay need no other word.
    let keys = json!({"name": "erp", "url": receiver.url(), "event_types": ["never"], "plugins": [{"use": "redact-fields", "config": {"mask": ["/a"]}}]});
    let made = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

#[tokio::test]
async fn a_tenant_that_names_publishers_uses_no_others_any_more() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let (key, public) = pair();
    let taken = upload(&relay, "tidy", guests::EDITS, None).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert_eq!(taken.json()["signer"], Value::Null);
    follow(&relay, "crm", &receiver, "tidy", "nothing").await;
    assert_eq!(delivered(&relay, &receiver, 1).await, edited(1));
    let policy = |publishers: Value| json!({"policy": {"publishers": publishers}});
    let patch = async |policy: Value| {
        relay
            .admin(Method::PATCH, "/v1/tenants/default", Some(policy))
            .await
    };
    for publishers in [json!([]), json!(["whpk_AAAA"]), json!(["ed25519"]), json!([1])] {
        let refused = patch(policy(publishers.clone())).await;
        assert_eq!(refused.status, 422, "{publishers}: {}", refused.text());
    }
    let named = patch(policy(json!([public]))).await;
    assert_eq!(named.status, 200, "{}", named.text());
    let rests = relay.read("/v1/endpoints/crm").await;
    assert!(text(&rests["unusable"]).contains("is not signed"), "{rests}");
    let waiting = relay.event("a.b", json!({"n": 2})).await;
    relay.delivery(&waiting, "pending").await;
    let refused = upload(&relay, "tidy", guests::HOSTILE, None).await;
    assert_eq!((refused.status, code(&refused).as_str()), (422, "untrusted"));
    // Once somebody vouches for it, what has waited goes out.
    let signed = upload(&relay, "tidy", guests::EDITS, Some(&sign(&key, guests::EDITS))).await;
    assert_eq!(signed.status, 200, "{}", signed.text());
    assert_eq!(signed.json()["signer"], json!(public));
    assert_eq!(receiver.received(2).await[1].json(), edited(2));
    assert_eq!(actions(&relay).await, ["plugin.signed", "plugin.uploaded"]);
}

#[tokio::test]
async fn a_file_of_the_folder_needs_its_signature_beside_it() {
    let receiver = Receiver::start();
    let (key, public) = pair();
    let setup = Setup::new("");
    setup.file("plugins/tidy.wasm", guests::EDITS);
    let folder = setup.home().join("plugins").display().to_string();
    let relay = setup
        .variable("RELAY_PLUGINS__FOLDER", &folder)
        .variable("RELAY_PLUGINS__PUBLISHERS", &json!([public]).to_string())
        .start()
        .await;
    let keys = json!({
        "name": "crm", "url": receiver.url(), "format": "raw", "event_types": ["a.b"],
        "plugins": [{"use": "tidy"}],
    });
    let make = async || {
        relay
            .admin(Method::POST, "/v1/endpoints", Some(keys.clone()))
            .await
    };
    let refused = make().await;
    assert_eq!((refused.status, code(&refused).as_str()), (422, "unusable"));
    assert!(refused.text().contains("is not signed"), "{}", refused.text());
    relay
        .setup()
        .file("plugins/tidy.wasm.sig", sign(&key, guests::HOSTILE));
    let refused = make().await;
    assert!(
        refused.text().contains("none of the publishers"),
        "{}",
        refused.text()
    );
    relay
        .setup()
        .file("plugins/tidy.wasm.sig", sign(&key, guests::EDITS));
    let made = make().await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(delivered(&relay, &receiver, 1).await, edited(1));
    // A file that was changed is not what was signed: the one in force stays.
    relay.setup().file("plugins/tidy.wasm", guests::HOSTILE);
    relay.logged("none of the publishers").await;
    assert_eq!(delivered(&relay, &receiver, 2).await, edited(2));
}

#[tokio::test]
async fn a_stored_version_whose_signature_is_damaged_is_not_used() {
    let receiver = Receiver::start();
    let (key, public) = pair();
    let publishers = json!([public]).to_string();
    let setup = Setup::new("").variable("RELAY_PLUGINS__PUBLISHERS", &publishers);
    let mut relay = setup.start().await;
    let taken = upload(&relay, "tidy", guests::EDITS, Some(&sign(&key, guests::EDITS))).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    follow(&relay, "crm", &receiver, "tidy", "nothing").await;
    relay.stop().await;
    let store = rusqlite::Connection::open(relay.setup().home().join("relay.db")).expect("it opens");
    let other = sign(&key, guests::HOSTILE);
    let changed = store
        .execute("UPDATE plugin_signatures SET signatures = ?1", [other])
        .expect("it can be written");
    assert_eq!(changed, 1);
    store.close().expect("it is written");
    relay.start_again().await;
    let rests = eventually("the endpoint to be shown", || async {
        let shown = relay.read("/v1/endpoints/crm").await;
        if shown["unusable"].is_string() {
            Ok(shown)
        } else {
            Err(shown)
        }
    })
    .await;
    assert!(
        text(&rests["unusable"]).contains("none of the publishers"),
        "{rests}"
    );
    let shown = ask(&relay, Method::GET, "versions", Value::Null).await.json();
    assert_eq!(shown["data"][0]["signer"], Value::Null);
}
