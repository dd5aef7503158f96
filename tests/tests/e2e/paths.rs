//! The paths that sources are reached by: nobody guesses them, and they are replaced in use.

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::wait::eventually;
use serde_json::{Value, json};

const SHOP: &str = "[[source]]\nname = \"shop\"\nverify = { scheme = \"none\" }\n";

async fn rotate(relay: &Relay, source: &str, overlap: &str) -> Value {
    let path = format!("/v1/sources/{source}/rotate-path");
    let answer = relay
        .admin(Method::POST, &path, Some(json!({"overlap": overlap})))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The last segment of a path that was answered.
fn segment(shown: &Value) -> String {
    let path = shown["path"].as_str().unwrap_or_default();
    path.strip_prefix("/in/").expect("a path").to_owned()
}

async fn post(relay: &Relay, segment: &str) -> u16 {
    let headers = [("content-type", "application/json")];
    relay.post_source(segment, &headers, "{}").await.status
}

#[tokio::test]
async fn m21_a_path_is_replaced_and_the_old_one_leads_there_for_a_while() {
    let mut relay = Relay::start(SHOP).await;
    let id = segment(&relay.read("/v1/sources/shop").await);
    let rotated = rotate(&relay, "shop", "24h").await;
    let first = segment(&rotated);
    assert!(first.starts_with("in_") && rotated["path_overlap_until"].is_string());
    for restarted in [false, true] {
        if restarted {
            relay.stop().await;
            relay.start_again().await;
        }
        for word in [first.as_str(), "shop", &id] {
            assert_eq!(post(&relay, word).await, 202, "{word}");
        }
        assert_eq!(segment(&relay.read("/v1/sources/shop").await), first);
    }
    // At once: what led there until now, and nothing that was promised longer.
    let second = segment(&rotate(&relay, "shop", "0s").await);
    for (word, answered) in [(&second, 202), (&first, 404), (&id, 202)] {
        assert_eq!(post(&relay, word).await, answered, "{word}");
    }
    let third = segment(&rotate(&relay, "shop", "300ms").await);
    assert_eq!(post(&relay, &third).await, 202);
    eventually("the overlap to be over", || async {
        match post(&relay, &second).await {
            404 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    // What is refused is told without the path.
    let get = relay.send(Method::GET, &format!("/in/{third}"), &[], "").await;
    assert_eq!(get.status, 405, "{}", get.text());
    relay.logged("method_not_allowed").await;
    assert!(!relay.log().contains(&third), "the log tells a path");
    let audit = relay.read("/v1/audit?action=source.path_rotated").await;
    assert_eq!(audit["data"].as_array().map(Vec::len), Some(3), "{audit}");
    assert!(!audit.to_string().contains(&third), "the audit log tells a path");
}

#[tokio::test]
async fn m21_a_guessable_name_leads_nowhere_once_the_path_was_replaced() {
    let relay = Relay::start("").await;
    let keys = json!({"name": "shop", "verify": {"scheme": "none"}});
    let made = relay.admin(Method::POST, "/v1/sources", Some(keys)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = segment(&made.json());
    let path = segment(&rotate(&relay, "shop", "0s").await);
    for (word, answered) in [(path.as_str(), 202), ("shop", 404), (&id, 404)] {
        assert_eq!(post(&relay, word).await, answered, "{word}");
    }
    // A change leaves it where it is, also of what was read and is sent back.
    let mut shown = relay.read("/v1/sources/shop").await;
    shown["description"] = json!("the shop");
    let put = relay.admin(Method::PUT, "/v1/sources/shop", Some(shown)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(segment(&put.json()), path);
    assert_eq!(
        (post(&relay, &path).await, post(&relay, "shop").await),
        (202, 404)
    );

    let ask = |body: Value| relay.admin(Method::POST, "/v1/sources/shop/rotate-path", Some(body));
    let refused = ask(json!({"overlap": "31d"})).await;
    let problem = refused.problem();
    assert_eq!(
        (&problem["code"], &problem["errors"][0]["pointer"]),
        (&json!("invalid_rotation"), &json!("/overlap"))
    );
    assert_eq!(ask(json!({"secret": "x"})).await.status, 400);
    for _ in 0..4 {
        rotate(&relay, "shop", "1h").await;
    }
    let refused = ask(json!({"overlap": "1h"})).await;
    assert_eq!(
        (refused.status, &refused.problem()["code"]),
        (409, &json!("still_rotating"))
    );
    assert_eq!(post(&relay, &path).await, 202);
}
