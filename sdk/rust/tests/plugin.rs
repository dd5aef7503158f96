//! What an author writes, and what comes of it natively.

use relay_sdk::Plugin;
use relay_sdk::prelude::*;
use relay_sdk::testing::{Host, answer, event, request};
use serde::Deserialize;

struct Everything;

#[derive(Debug, Deserialize)]
struct Config {
    shop: String,
}

#[plugin]
impl Everything {
    fn authenticate(request: &Request) -> Result<Verdict, Fault> {
        let given = request.parameter("token").or_invalid("no token")?;
        if crypto::equals("token", &given)? {
            Ok(Verdict::accept())
        } else {
            Ok(Verdict::reject(401, "wrong token"))
        }
    }

    fn filter(event: &Event) -> bool {
        event.event_type().starts_with("order.")
    }

    fn transform(event: &Event, config: &Config) -> Result<Edits, Fault> {
        let id: u64 = event.require("/id")?;
        Ok(event
            .edit()
            .set("/key", format!("{}-{id}", config.shop))
            .set_header("x-shop", &config.shop))
    }

    fn respond(event: &Event, answer: &Answer, config: Config) -> Result<Reply, Fault> {
        let document = json!({ "shop": config.shop, "kind": event.kind(), "was": answer.status() });
        Ok(Reply::from(Message::json(document)).status(200))
    }

    fn check(config: Config) -> Vec<Problem> {
        if config.shop.is_empty() {
            vec![Problem::new("/shop", "is empty")]
        } else {
            Vec::new()
        }
    }
}

struct OnlyFilter;

#[plugin]
impl OnlyFilter {
    fn filter(event: &Event) -> Decision {
        Decision::keep_if(event.subject().is_some(), "no subject")
    }
}

fn host() -> Host {
    Host::new()
        .config(json!({ "shop": "north" }))
        .secret("token", "s3cret")
}

#[test]
fn every_hook_runs() {
    let sample = || event("order.paid").data(json!({ "id": 7 }));
    assert_eq!(
        host().authenticate::<Everything>(request().query("token=s3cret")),
        Ok(Verdict::accept())
    );
    assert_eq!(
        host().authenticate::<Everything>(request().query("token=x")),
        Ok(Verdict::reject(401, "wrong token"))
    );
    assert_eq!(host().filter::<Everything>(sample()), Ok(Decision::Keep));
    let transformed = host().transform::<Everything>(sample()).unwrap();
    assert_eq!(transformed.json(), json!({ "id": 7, "key": "north-7" }));
    assert_eq!(transformed.message().header("x-shop"), Some("north"));
    let replied = host().respond::<Everything>(sample(), answer(503)).unwrap();
    assert_eq!(
        (replied.status, replied.message.json()["was"].clone()),
        (200, json!(503))
    );
    assert_eq!(host().check::<Everything>(), []);
}

#[test]
fn a_configuration_that_does_not_fit_is_told_with_its_place() {
    let host = Host::new().config(json!({ "shop": 7 }));
    let fault = host.transform::<Everything>(event("order.paid")).unwrap_err();
    let message = "the configuration at /shop: invalid type: integer `7`, expected a string";
    assert_eq!(fault, Fault::misconfigured(message));
    assert_eq!(host.check::<Everything>()[0].at, "/shop");
    let empty = Host::new().config(json!({ "shop": "" })).check::<Everything>();
    assert_eq!(empty, [Problem::new("/shop", "is empty")]);
}

#[test]
fn faults_name_what_is_missing() {
    for (sample, expected) in [
        (event("order.paid"), "the payload has no value at \"/id\""),
        (
            event("order.paid").data(json!({ "id": "x" })),
            "the value at \"/id\": invalid type",
        ),
        (
            event("order.paid").text("not json"),
            "the payload has no value at \"/id\"",
        ),
    ] {
        let fault = host().transform::<Everything>(sample).unwrap_err();
        assert!(
            matches!(&fault, Fault::Invalid(message) if message.contains(expected)),
            "{fault}"
        );
    }
    let fault = Host::new()
        .authenticate::<Everything>(request().query("token=x"))
        .unwrap_err();
    assert!(matches!(fault, Fault::Misconfigured(_)), "{fault}");
}

#[test]
fn only_what_is_written_is_a_hook() {
    assert_eq!(OnlyFilter::HOOKS, ["filter"]);
    assert_eq!(
        Everything::HOOKS,
        ["authenticate", "filter", "transform", "respond", "check"]
    );
    assert!(Host::new().transform::<OnlyFilter>(event("a")).is_err());
    assert_eq!(
        Host::new().filter::<OnlyFilter>(event("a").subject("s")),
        Ok(Decision::Keep)
    );
    assert!(OnlyFilter::MANIFEST.contains("\"name\":\"relay-sdk\""));
}
