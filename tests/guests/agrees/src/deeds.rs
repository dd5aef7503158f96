//! What `transform` does, by the type of the event.

use std::time::Duration;

use relay_sdk::crypto::{Digest, Encoding, Key, Part, Scheme};
use relay_sdk::prelude::*;
use relay_sdk::{call, json};
use serde_json::{Map, Value};

const KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn of(event: &Event) -> Result<Outcome, Fault> {
    let subject = event.subject().unwrap_or_default();
    match event.kind() {
        "agrees.keep" => Ok(Outcome::Keep),
        "agrees.drop" => Ok(Outcome::drop(format!("not {subject}: grün"))),
        "agrees.nothing" => Ok(Outcome::Emit(Vec::new())),
        "agrees.set" => Ok(set_values(event).into()),
        "agrees.remove" => {
            let edits = event.edit().remove("/gone").remove("/absent/deep");
            Ok(edits.remove("/list/0").into())
        }
        "agrees.rename" => Ok(rename_and_copy(event).into()),
        "agrees.merge" => Ok(merge(event).into()),
        "agrees.numbers" => Ok(big_numbers(event).into()),
        "agrees.unfit" => Ok(event.edit().set("/text/deep", 1).into()),
        "agrees.json" => {
            let id: Option<Value> = event.get("/id");
            Ok(Message::json(json!({"id": id, "list": [1, 2.5, null, true, "é👋"]})).into())
        }
        "agrees.text" => {
            let message = Message::text("plain ✓\n");
            Ok(message.set_attribute("datacontenttype", "text/plain").into())
        }
        "agrees.bytes" => Ok(Message::bytes(b"\xff\x00a".to_vec()).into()),
        "agrees.held" => Ok(Message::held(event.data()).set_header("x-held", "yes").into()),
        "agrees.several" => Ok(several(event).into()),
        "agrees.headers" => Ok(change_headers().into()),
        "agrees.attributes" => Ok(change_attributes().into()),
        "agrees.bad-header" => Ok(Message::same().set_header("x-a", "1\r\nx-b: 2").into()),
        "agrees.read" => Ok(read(event)?.into()),
        "agrees.bytes-in" => {
            let value: Option<Value> = event.get("/a");
            Ok(Message::json(json!({"text": event.text(), "bytes": event.bytes(), "value": value})).into())
        }
        "agrees.config" => {
            let whole: Value = config::typed()?;
            let (greeting, none) = (config::get::<String>("/greeting"), config::get::<Value>("/none"));
            Ok(event
                .replace(json!({"greeting": greeting, "none": none, "whole": whole}))
                .into())
        }
        "agrees.secret" => {
            let length = secrets::get("token")?.len();
            Ok(Message::json(json!({"length": length})).into())
        }
        "agrees.crypto" => Ok(hashes(event)?.into()),
        "agrees.state" => Ok(remember()?.into()),
        "agrees.log" => {
            log::info!("plain");
            log::warn!(n = 1, text = "grün", "with fields");
            log::error!("bad");
            println!("printed");
            Ok(Outcome::Keep)
        }
        "agrees.call" => Ok(context().into()),
        "agrees.invalid" => Err(Fault::invalid("this can never be")),
        "agrees.misconfigured" => Err(Fault::misconfigured("there is no channel")),
        "agrees.unavailable" => Err(Fault::unavailable_for("later, grün", Duration::from_secs(2))),
        "agrees.require" => Ok(Outcome::drop(event.require::<String>("/absent")?)),
        other => panic!("there is no deed {other}"),
    }
}

fn set_values(event: &Event) -> Edits {
    event
        .edit()
        .set(
            "/a/b/c",
            json!({"text": "grüße 👋 \" \\ \n", "none": null, "list": [1, 2.5, true]}),
        )
        .set("/list/-", "more")
        .set("/list/0", "first")
        .set("/m~0n/x~1y", false)
        .set("/", "empty name")
}

fn rename_and_copy(event: &Event) -> Edits {
    event
        .edit()
        .rename("/old", "/new")
        .rename("/absent", "/never")
        .copy("/new", "/copies/-")
        .copy("/absent", "/never")
        .copy("/new/deep", "/shallow")
}

fn merge(event: &Event) -> Edits {
    event
        .edit()
        .merge(
            "/address",
            json!({"street": "Main", "zip": null, "geo": {"lat": 1}}),
        )
        .merge("/fresh", json!({"a": {"b": null, "c": 1}}))
}

fn big_numbers(event: &Event) -> Edits {
    let raw = event.data().value("/big").unwrap_or_else(|| "null".to_owned());
    event
        .edit()
        .copy("/big", "/same")
        .set_raw("/raw", raw)
        .set_raw("/precise", "0.1000000000000000055511151231257827")
        .set("/largest", 9_007_199_254_740_991_i64)
}

fn several(event: &Event) -> Vec<Message> {
    let second = event.edit().set("/n", 2).set_attribute("subject", "two");
    vec![
        Message::same().set_attribute("subject", "one"),
        second.into(),
        Message::json([3]).set_header("x-part", "3"),
    ]
}

fn change_headers() -> Message {
    Message::same()
        .set_header("X-One", "1")
        .add_header("x-many", "a")
        .add_header("x-many", "b")
        .remove_header("x-gone")
        .set_header("x-text", "plain")
}

fn change_attributes() -> Message {
    Message::same()
        .set_attribute("type", "agrees.changed")
        .set_attribute("region", "eu-1")
        .set_attribute("time", "2026-01-02T03:04:05Z")
        .remove_attribute("subject")
        .set_attribute("dataschema", "https://example.com/schema")
}

fn read(event: &Event) -> Result<Message, Fault> {
    let data = event.data();
    let value = |pointer: &str| event.get::<Value>(pointer);
    Ok(Message::json(json!({
        "id": event.id(),
        "source": event.source(),
        "type": event.kind(),
        "subject": event.subject(),
        "time": event.time(),
        "content_type": event.content_type(),
        "header": event.header("x-one"),
        "no_header": event.header("x-none"),
        "headers": event.headers(),
        "extension": event.extension("region"),
        "size": data.size(),
        "slice": String::from_utf8_lossy(&data.slice(2, 3)),
        "beyond": data.slice(1_000_000, 5).len(),
        "text": event.text(),
        "value": value("/list/1"),
        "deep": value("/a~1b/m~0n"),
        "null": value("/none").unwrap_or_else(|| "default".into()),
        "absent": value("/absent"),
        "raw": data.value("/spaced"),
        "whole": event.json::<Value>()?,
    })))
}

fn hashes(event: &Event) -> Result<Message, Fault> {
    let parts: [Part<'_>; 3] = ["a".into(), (&b"\xff"[..]).into(), event.data().into()];
    let mut made = Map::new();
    for (digest, name) in [
        (Digest::Sha1, "sha1"),
        (Digest::Sha256, "sha256"),
        (Digest::Sha512, "sha512"),
    ] {
        for (encoding, written) in [
            (Encoding::Hex, "hex"),
            (Encoding::Base64, "base64"),
            (Encoding::Base64Url, "base64url"),
        ] {
            let mac = crypto::hmac("signing-key", digest, &parts, encoding)?;
            made.insert(format!("{name} {written}"), mac.into());
        }
    }
    let known = made["sha1 base64"].as_str().unwrap_or_default().to_owned();
    let verify = |parts: &[Part<'_>], given: &str| {
        crypto::hmac_verify("signing-key", Digest::Sha1, parts, given, Encoding::Base64)
    };
    let key = hex::decode(KEY)?;
    let signed = |message: &str| {
        let key = Key::Raw(&key);
        crypto::verify(key, Scheme::Ed25519, &[message.into()], SIGNATURE, Encoding::Hex)
    };
    let hash = crypto::hash(Digest::Sha256, &parts, Encoding::Hex);
    for (name, value) in [
        ("hash", Value::from(hash)),
        ("right", verify(&parts, &known)?.into()),
        ("wrong", verify(&["b".into()], &known)?.into()),
        ("odd", verify(&parts, "no base64 at all!")?.into()),
        ("equal", crypto::equals("token", "correct-horse")?.into()),
        ("signed", signed("r")?.into()),
        ("not signed", signed("s")?.into()),
    ] {
        made.insert(name.to_owned(), value);
    }
    Ok(Message::json(made))
}

fn remember() -> Result<Message, Fault> {
    let absent = state::get("k")?;
    let claims = [state::claim("c", MINUTE)?, state::claim("c", MINUTE)?];
    let sums = [state::add("n", 5, None)?, state::add("n", -7, Some(MINUTE))?];
    let swaps = [
        state::compare_and_set("s", None, b"1", None)?,
        state::compare_and_set("s", None, b"2", None)?,
    ];
    let swapped = state::compare_and_set("s", Some(b"1"), b"2", Some(MINUTE))?;
    state::set("k", "grün".as_bytes(), Some(MINUTE))?;
    let text = state::get("k")?.unwrap_or_default();
    state::delete("k")?;
    state::delete("k")?;
    let deleted = state::get("k")?;
    let page = state::keys("", None, 2)?;
    let rest = state::keys("", page.cursor.as_deref(), 2)?;
    Ok(Message::json(json!({
        "absent": absent,
        "claims": claims,
        "sums": sums,
        "swaps": swaps,
        "swapped": swapped,
        "text": String::from_utf8_lossy(&text),
        "deleted": deleted,
        "keys": page.keys,
        "rest": rest.keys,
    })))
}

fn context() -> Message {
    let now = call::current();
    let has_time = !now.budget.is_zero() && now.budget <= MINUTE;
    Message::json(json!([
        now.tenant,
        now.source,
        now.endpoint,
        now.delivery,
        now.attempt,
        has_time
    ]))
}
