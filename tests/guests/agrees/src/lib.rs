//! Does as the type of an event says; the same in every language.

mod deeds;

use std::time::Duration;

use relay_sdk::crypto::{Digest, Encoding, Part};
use relay_sdk::prelude::*;
use serde::Deserialize;

struct Agrees;

#[derive(Deserialize)]
struct Config {
    limit: i64,
    tags: Vec<String>,
}

#[plugin]
impl Agrees {
    fn transform(event: &Event) -> Result<Outcome, Fault> {
        deeds::of(event)
    }

    fn filter(event: &Event) -> Result<Decision, Fault> {
        match event.kind() {
            "filter.boolean" => Ok((event.get::<bool>("/wanted") == Some(true)).into()),
            "filter.limit" => {
                let total: i64 = event.require("/total")?;
                let limit = config::get("/limit").unwrap_or(0);
                Ok(Decision::keep_if(
                    total <= limit,
                    format!("{total} is above the limit"),
                ))
            }
            "filter.unavailable" => Err(Fault::unavailable_for("not now", Duration::from_millis(1500))),
            _ => Ok(Decision::Keep),
        }
    }

    fn authenticate(request: &Request) -> Result<Verdict, Fault> {
        let header = |name: &str| request.header(name).unwrap_or_default();
        let no = || Verdict::reject(401, "no");
        match request.parameter("do").as_deref().unwrap_or("None") {
            "accept" => Ok(Verdict::Accept(identity(request))),
            "challenge" => Ok(Verdict::Answer(Handshake {
                status: 202,
                headers: vec![("x-kind".to_owned(), "challenge".to_owned())],
                body: request.parameter("challenge").unwrap_or_default().into(),
            })),
            "sign" => {
                let time = header("x-time");
                let parts: [Part<'_>; 3] = [time.as_str().into(), ".".into(), request.body().into()];
                let given = header("x-signature");
                let is_right =
                    crypto::hmac_verify("signing-key", Digest::Sha256, &parts, &given, Encoding::Base64)?;
                Ok(if is_right { Verdict::accept() } else { no() })
            }
            "token" => match crypto::equals("token", &header("x-token"))? {
                true => Ok(Verdict::accept()),
                false => Ok(Verdict::reject(403, "no")),
            },
            "secret" => Ok(Identity {
                principal: Some(secrets::get("other")?),
                ..Identity::default()
            }
            .into()),
            "request" => {
                let (method, path, query) = (request.method(), request.path(), request.query());
                Ok(Verdict::reject(
                    400,
                    format!("{method} {path} {query} {}", request.body().size()),
                ))
            }
            other => Err(Fault::invalid(format!("nothing to do for {other}"))),
        }
    }

    fn respond(event: &Event, answer: &Answer) -> Result<Reply, Fault> {
        match event.kind() {
            "respond.keep" => Ok(Reply::same()),
            "respond.edits" => {
                let edits = answer
                    .edit()
                    .set("/status", answer.status())
                    .set("/kind", answer.header("x-kind"))
                    .remove("/internal");
                let about: String = event.require("/about")?;
                Ok(edits.set_header("x-about", about).into())
            }
            "respond.status" => Ok(Reply::same().status(418)),
            "respond.text" => Ok(Reply::from(Message::text("grüezi"))
                .status(201)
                .set_header("content-type", "text/plain")
                .remove_header("x-kind")),
            _ => Err(Fault::misconfigured("no such answer")),
        }
    }

    fn check(config: Config) -> Vec<Problem> {
        let limit = config.limit;
        let above = (limit > 100).then(|| Problem::new("/limit", format!("is {limit}, more than 100")));
        let tags = config.tags.iter().enumerate();
        let empty = tags
            .filter(|(_, tag)| tag.is_empty())
            .map(|(index, _)| Problem::new(format!("/tags/{index}"), "is empty"));
        above.into_iter().chain(empty).collect()
    }
}

fn identity(request: &Request) -> Identity {
    let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Identity {
        principal: Some("acct_1".to_owned()),
        tenant: None,
        attributes: vec![
            attribute("type", "shop.order"),
            attribute("subject", &request.form_field("name").unwrap_or_default()),
            attribute("region", "eu"),
        ],
    }
}
