//! Has every hook and uses every power.

wit_bindgen::generate!({ path: "../../../wit", world: "relay:plugin/everything", generate_all });

use exports::relay::plugin::{authenticate, filter, respond, setup, transform};
use relay::plugin::crypto::{Digest, Encoding, Key, Part, Scheme};
use relay::plugin::log::Level;
use relay::plugin::secrets::SecretError;
use relay::plugin::types::{Change, Data, Edit, Event, Fault};
use relay::plugin::{call, config, crypto, log, payload, secrets, state};

const MANIFEST: &[u8] = br#"{
    "name": "everything", "version": "1.2.3", "description": "Has every hook.", "sdk": "none",
    "secrets": ["key?"],
    "config": {
        "type": "object", "additionalProperties": false, "required": ["greeting"],
        "properties": {
            "greeting": { "type": "string" },
            "limit": { "type": "integer", "minimum": 1, "default": 3 },
            "nested": { "type": "object", "default": {}, "properties": { "deep": { "type": "boolean", "default": true } } }
        }
    }
}"#;

#[used]
#[unsafe(link_section = "relay:manifest")]
static SECTION: [u8; MANIFEST.len()] = *MANIFEST.first_chunk().unwrap();

struct Everything;

impl setup::Guest for Everything {
    fn check(config: String) -> Vec<setup::Problem> {
        if config.contains("panic") {
            panic!("asked to by {config}");
        }
        let began = std::time::Instant::now();
        while config.contains("spin") || config.contains("dawdle") && began.elapsed().as_millis() < 200 {
            std::hint::black_box(0);
        }
        let is_rude = config.contains("rude");
        let problem = || setup::Problem {
            at: "/greeting".to_owned(),
            message: "is rude".to_owned(),
        };
        is_rude.then(problem).into_iter().collect()
    }
}

impl authenticate::Guest for Everything {
    fn authenticate(request: authenticate::Request) -> Result<authenticate::Verdict, Fault> {
        match request.query.as_str() {
            "panic" => panic!("asked to"),
            "spin" => loop {
                std::hint::black_box(0);
            },
            "tenant" => {
                return Ok(authenticate::Verdict::Accept(identity(
                    Some("other".to_owned()),
                    Vec::new(),
                )));
            }
            "status" => {
                let reason = "for no reason".to_owned();
                return Ok(authenticate::Verdict::Reject(authenticate::Rejection {
                    status: 200,
                    reason,
                }));
            }
            "challenge" => {
                return Ok(authenticate::Verdict::Answer(authenticate::Reply {
                    status: 200,
                    headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
                    body: payload::bytes(request.body),
                }));
            }
            _ => {}
        }
        let signature = call::header("x-signature").unwrap_or_default();
        let parts = [
            Part::Text(request.path),
            Part::Bytes(b"|".to_vec()),
            Part::Blob(request.body),
        ];
        match crypto::hmac_verify("key", Digest::Sha256, &parts, &signature, Encoding::Hex) {
            Ok(true) => {
                let attributes = vec![
                    ("subject".to_owned(), request.method),
                    ("account".to_owned(), "a1".to_owned()),
                ];
                Ok(authenticate::Verdict::Accept(identity(None, attributes)))
            }
            Ok(false) => {
                let reason = format!("bad signature from {}", request.remote.unwrap_or_default());
                Ok(authenticate::Verdict::Reject(authenticate::Rejection {
                    status: 401,
                    reason,
                }))
            }
            Err(error) => Err(Fault::Misconfigured(explain(error))),
        }
    }
}

fn identity(tenant: Option<String>, attributes: Vec<(String, String)>) -> authenticate::Identity {
    authenticate::Identity {
        principal: Some("someone".to_owned()),
        tenant,
        attributes,
    }
}

fn explain(error: SecretError) -> String {
    match error {
        SecretError::NotGranted(name) => format!("the secret {name} is not granted"),
        SecretError::Unavailable(reason) => reason,
    }
}

impl filter::Guest for Everything {
    fn filter(event: Event) -> Result<filter::Decision, Fault> {
        if payload::json(event.data, "/drop").as_deref() == Some("true") {
            return Ok(filter::Decision::Drop("asked to".to_owned()));
        }
        Ok(filter::Decision::Keep)
    }
}

impl transform::Guest for Everything {
    fn transform(event: Event) -> Result<transform::Outcome, Fault> {
        let told = [
            ("/event", tell_event(&event)),
            ("/call", tell_call()),
            ("/payload", tell_payload(&event)),
            ("/config", tell_config()),
            ("/crypto", tell_crypto(&event)),
            ("/state", tell_state()),
        ];
        log::log(Level::Info, "transformed", &[("id".to_owned(), event.id)]);
        let edits = told
            .into_iter()
            .map(|(at, text)| Edit::Set((at.to_owned(), quote(&text))))
            .collect();
        let changes = vec![
            Change::SetAttribute(("subject".to_owned(), "changed".to_owned())),
            Change::SetHeader((
                "X-Greeting".to_owned(),
                config::value("/greeting").unwrap_or_default(),
            )),
        ];
        Ok(transform::Outcome::Emit(vec![transform::Message {
            changes,
            data: Data::Edits(edits),
        }]))
    }
}

impl respond::Guest for Everything {
    fn respond(event: Event, answer: respond::Answer) -> Result<respond::Reply, Fault> {
        let kind = call::answer_header("content-type").unwrap_or_default();
        let body = payload::text(answer.body).unwrap_or_default();
        let asked = payload::text(event.data).unwrap_or_default();
        Ok(respond::Reply {
            status: Some(answer.status + 1),
            changes: vec![
                Change::SetHeader(("x-was".to_owned(), kind)),
                Change::RemoveHeader("x-gone".to_owned()),
            ],
            data: Data::Text(format!("{asked} -> {body}")),
        })
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn tell_event(event: &Event) -> String {
    format!(
        "{} {} {} {:?} {:?} {:?}",
        event.id, event.source, event.type_, event.subject, event.time, event.content_type
    )
}

fn tell_call() -> String {
    let context = call::current();
    assert!(context.budget_ms > 0);
    format!(
        "{} {:?} {:?} {} {} {:?} {:?} {:?}",
        context.tenant,
        context.source,
        context.endpoint,
        context.delivery.is_some(),
        context.attempt,
        call::header("x-one"),
        call::headers().len(),
        call::extension("myext"),
    )
}

fn tell_payload(event: &Event) -> String {
    let text = payload::text(event.data).unwrap_or_default();
    assert_eq!(text.as_bytes(), payload::bytes(event.data));
    assert_eq!(text.len() as u32, payload::size(event.data));
    assert_eq!(text.as_bytes()[2..5], payload::slice(event.data, 2, 3));
    format!(
        "{:?} {:?}",
        payload::json(event.data, "/a/1"),
        payload::json(event.data, "/none")
    )
}

fn tell_config() -> String {
    format!("{} {:?}", config::document(), config::value("/nested/deep"))
}

fn tell_crypto(event: &Event) -> String {
    let hash = crypto::hash(Digest::Sha256, &[Part::Text("abc".to_owned())], Encoding::Hex);
    let parts = [Part::Blob(event.data)];
    let signature = crypto::hmac("key", Digest::Sha512, &parts, Encoding::Base64).unwrap_or_default();
    let is_right = crypto::hmac_verify("key", Digest::Sha512, &parts, &signature, Encoding::Base64);
    let is_wrong = crypto::verify(
        &Key::Raw(vec![0; 32]),
        Scheme::Ed25519,
        &parts,
        "00",
        Encoding::Hex,
    );
    let is_equal = crypto::equals("key", "no");
    let other = secrets::get("other").map_err(explain);
    format!("{} {is_right:?} {is_wrong:?} {is_equal:?} {other:?}", &hash[..8])
}

fn tell_state() -> String {
    let set = state::set("k1", b"v1", Some(60));
    let got = state::get("k1").map(|value| value.map(|value| value.len()));
    let claims = [state::claim("once", 60), state::claim("once", 60)];
    let counts = [state::add("n", 2, None), state::add("n", -5, Some(9))];
    let swap = state::compare_and_set("k1", Some(b"v1"), b"v2", None);
    let page = state::keys("k", None, 10).map(|page| page.keys.join(","));
    let gone = state::delete("k1");
    format!("{set:?} {got:?} {claims:?} {counts:?} {swap:?} {page:?} {gone:?}")
}

export!(Everything);
