//! Names that stand for one version at a time.

use http::Method;
use relay_tests::guests;
use relay_tests::instance::Relay;
use relay_tests::receiver::Receiver;
use serde_json::{Value, json};

use super::{actions, ask, code, delivered, edited, follow, text, uploaded};

#[tokio::test]
async fn a_moved_tag_is_followed_with_the_next_event() {
    let receiver = Receiver::start();
    let mut relay = Relay::start("").await;
    let first = uploaded(&relay, guests::EDITS).await;
    let second = uploaded(&relay, guests::HOSTILE).await;
    let tag = async |relay: &Relay, version: &str| {
        ask(relay, Method::PUT, "tags/beta", json!({"version": version})).await
    };
    let made = tag(&relay, &first[..19]).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(
        (&made.json()["version"], &made.json()["tags"]),
        (&json!(first), &json!(["beta"]))
    );
    follow(&relay, "crm", &receiver, "tidy@beta", "nothing").await;
    assert_eq!(delivered(&relay, &receiver, 1).await, edited(1));
    let moved = tag(&relay, &second).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_eq!(delivered(&relay, &receiver, 2).await, json!({"n": 2}));
    // What is current has not changed, and does not matter to whoever follows the tag.
    let shown = relay.read("/v1/plugins/tidy").await;
    assert_eq!(shown["version"], json!(first));
    assert_eq!(shown["tags"], json!({"beta": second, "current": first}));
    assert_eq!(shown["users"][0]["pins"], json!(["beta"]));
    let listed = relay.read("/v1/plugins/tidy/tags").await["data"].take();
    assert_eq!(
        listed,
        json!([
            {"tag": "current", "version": first, "followed_by": 0},
            {"tag": "beta", "version": second, "followed_by": 1},
        ])
    );
    relay.stop().await;
    relay.start_again().await;
    assert_eq!(delivered(&relay, &receiver, 3).await, json!({"n": 3}));
    assert_eq!(
        actions(&relay).await,
        [
            "plugin.tagged",
            "plugin.tagged",
            "plugin.uploaded",
            "plugin.uploaded"
        ]
    );
}

#[tokio::test]
async fn a_tag_that_not_all_could_follow_stays_where_it_is() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let first = uploaded(&relay, guests::EDITS).await;
    let strict = uploaded(&relay, guests::EVERYTHING).await;
    let tag = async |version: &str| ask(&relay, Method::PUT, "tags/beta", json!({"version": version})).await;
    assert_eq!(tag(&first).await.status, 201);
    follow(&relay, "crm", &receiver, "tidy@beta", "nothing").await;
    let refused = tag(&strict).await;
    assert_eq!((refused.status, code(&refused).as_str()), (422, "unusable"));
    let told = refused.problem()["errors"][0]["message"].take();
    assert!(text(&told).contains("crm"), "{told}");
    assert_eq!(delivered(&relay, &receiver, 1).await, edited(1));
    // A tag that is followed does not go, nor does a version that has one.
    let refused = ask(&relay, Method::DELETE, "tags/beta", Value::Null).await;
    assert_eq!((refused.status, code(&refused).as_str()), (409, "version_in_use"));
    assert!(refused.text().contains("endpoint crm"), "{}", refused.text());
    assert_eq!(
        ask(&relay, Method::PUT, "tags/next", json!({"version": strict}))
            .await
            .status,
        201
    );
    let refused = ask(&relay, Method::DELETE, &format!("versions/{strict}"), Value::Null).await;
    assert_eq!((refused.status, code(&refused).as_str()), (409, "version_in_use"));
    assert!(refused.text().contains("the tag next"), "{}", refused.text());
    let gone = ask(&relay, Method::DELETE, "tags/next", Value::Null).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    let gone = ask(&relay, Method::DELETE, &format!("versions/{strict}"), Value::Null).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
}

#[tokio::test]
async fn what_is_no_tag_or_means_nothing_is_refused() {
    let relay = Relay::start("").await;
    let first = uploaded(&relay, guests::EDITS).await;
    let unknown = format!("sha256:{}", "0".repeat(64));
    for (method, tag, version, status, wanted) in [
        (Method::PUT, "1st", &first, 422, "invalid_tag"),
        (Method::PUT, "a.b", &first, 422, "invalid_tag"),
        (Method::PUT, "ba7816bf8f01", &first, 422, "invalid_tag"),
        (Method::PUT, "current", &first, 409, "reserved_tag"),
        (Method::PUT, "beta", &unknown, 422, "unknown_version"),
        (Method::PUT, "beta", &"latest".to_owned(), 422, "unknown_version"),
        (Method::DELETE, "current", &first, 409, "reserved_tag"),
        (Method::DELETE, "beta", &first, 404, "not_found"),
    ] {
        let body = match method {
            Method::PUT => json!({"version": version}),
            _ => Value::Null,
        };
        let refused = ask(&relay, method, &format!("tags/{tag}"), body).await;
        assert_eq!(
            (refused.status, code(&refused).as_str()),
            (status, wanted),
            "{tag}: {}",
            refused.text()
        );
    }
    for used in ["tidy@beta", "redact-fields@beta"] {
        let keys = json!({"name": "crm", "url": "https://example.com", "plugins": [{"use": used}]});
        let refused = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
        assert_eq!(
            (refused.status, code(&refused).as_str()),
            (422, "unusable"),
            "{used}"
        );
        assert!(refused.text().contains("beta"), "{}", refused.text());
    }
}
