use relay_sdk::http::HttpError;
use relay_sdk::testing::{Host, Reply, event, fixtures};
use serde_json::{Value, json};

use super::*;

const URL: &str = "https://media.example/1";

#[test]
fn fixtures_hold() {
    fixtures::<CaptureMedia>();
}

fn host(config: Value) -> Host {
    Host::new().config(config).secret("media-token", "t0ken")
}

fn image() -> Reply {
    Reply::status(200)
        .header("content-type", "image/png")
        .body("image")
}

fn captured(host: &Host, data: Value) -> Result<Value, Fault> {
    let transformed = host.transform::<CaptureMedia>(event("a").data(data))?;
    Ok(transformed.json())
}

#[test]
fn an_address_that_stands_there_twice_is_fetched_once() {
    let host = host(json!({ "urls": ["/list/*", "/one"] })).http(format!("GET {URL}"), image());
    let sent = captured(&host, json!({ "list": [URL, "", URL], "one": URL })).unwrap();
    assert_eq!(host.requests().len(), 1);
    let kept = &sent["one"];
    assert!(kept.as_str().unwrap().starts_with("https://relay.example/media/"));
    assert_eq!(sent, json!({ "list": [kept, "", kept], "one": kept }));
}

#[test]
fn answers_that_lead_elsewhere_are_followed_and_the_token_stays_with_the_first_host() {
    let leads = |to: &str| Reply::status(302).header("location", to);
    let host = host(json!({ "urls": ["/url"], "bearer": true }))
        .http(format!("GET {URL}"), leads("/2"))
        .http("GET https://media.example/2", leads("//cdn.example/3"))
        .http("GET https://cdn.example/3", leads("https://media.example/4"))
        .http("GET https://media.example/4", image());
    captured(&host, json!({ "url": URL })).unwrap();
    let sent = host.requests();
    let tokens: Vec<_> = sent.iter().map(|sent| sent.header("authorization")).collect();
    let token = Some("Bearer t0ken");
    assert_eq!(tokens, [token, token, None, token]);
}

#[test]
fn what_leads_elsewhere_without_end_or_nowhere_is_not_captured() {
    for location in [URL, "elsewhere", ""] {
        let lost = || Reply::status(307).header("location", location);
        let request = format!("GET {URL}");
        let host = (0..4).fold(
            host(json!({ "urls": ["/url"], "on_failure": "fault" })),
            |host, _| host.http(request.clone(), lost()),
        );
        let fault = captured(&host, json!({ "url": URL })).unwrap_err();
        assert!(matches!(fault, Fault::Invalid(_)), "{location}: {fault}");
        assert!(host.requests().len() <= 4);
    }
}

#[test]
fn a_fault_says_whether_it_may_work_later() {
    let fault = |reply: Reply| {
        let host = host(json!({ "urls": ["/url"], "on_failure": "fault" })).http(format!("GET {URL}"), reply);
        captured(&host, json!({ "url": URL })).unwrap_err()
    };
    for status in [408, 425, 429, 500, 503] {
        assert!(
            matches!(fault(Reply::status(status)), Fault::Unavailable { .. }),
            "{status}"
        );
    }
    for status in [204, 206, 304, 401, 403, 404, 410] {
        assert!(
            matches!(fault(Reply::status(status)), Fault::Invalid(_)),
            "{status}"
        );
    }
    for error in [HttpError::Timeout, HttpError::Failed("no".into())] {
        assert!(matches!(fault(Reply::error(error)), Fault::Unavailable { .. }));
    }
    assert!(matches!(
        fault(Reply::error(HttpError::TooLarge(9))),
        Fault::Invalid(_)
    ));
    let denied = fault(Reply::error(HttpError::Denied("not granted".into())));
    assert!(matches!(denied, Fault::Misconfigured(_)), "{denied}");
}

#[test]
fn what_is_not_captured_stays_or_goes_and_the_rest_is_captured() {
    for (on_failure, left) in [
        ("keep", json!("https://media.example/gone")),
        ("null", json!(null)),
    ] {
        let host = host(json!({ "urls": ["/*"], "on_failure": on_failure, "expires": true }))
            .http(format!("GET {URL}"), image())
            .http("GET https://media.example/gone", Reply::status(404));
        let data = json!({ "a": URL, "b": "https://media.example/gone" });
        let sent = captured(&host, data).unwrap();
        assert_eq!(sent["b"], left);
        assert_eq!(sent["a_expires"], "2023-12-14T22:13:20.000Z");
        assert!(sent.get("b_expires").is_none());
        let told = host.lines();
        assert!(told[0].message.contains("/b was not captured"), "{told:?}");
    }
}

#[test]
fn of_too_many_addresses_the_first_are_fetched() {
    let many: Vec<String> = (0..20).map(|n| format!("https://media.example/{n}")).collect();
    let host = many
        .iter()
        .take(FETCHED_MAX)
        .fold(host(json!({ "urls": ["/*"] })), |host, url| {
            host.http(format!("GET {url}"), image())
        });
    let sent = captured(&host, json!(many)).unwrap();
    assert_eq!(host.requests().len(), FETCHED_MAX);
    assert_ne!(sent[FETCHED_MAX - 1], json!(many[FETCHED_MAX - 1]));
    assert_eq!(sent[FETCHED_MAX], json!(many[FETCHED_MAX]));
}

#[test]
fn an_end_is_written_beside_what_has_a_name() {
    let config = json!({ "urls": ["/list/*", "/of/a~1b"], "expires": true, "seconds": 60 });
    let host = host(config).http(format!("GET {URL}"), image());
    let sent = captured(&host, json!({ "list": [URL], "of": { "a/b": URL } })).unwrap();
    assert_eq!(sent["list"].as_array().map(Vec::len), Some(1));
    assert_eq!(sent["of"]["a/b_expires"], "2023-11-14T22:14:20.000Z");
}
