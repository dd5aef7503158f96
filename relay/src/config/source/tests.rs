use std::time::Duration;

use serde_json::Value;

use crate::config::reader::{Fault, Faults, Surroundings};
use crate::model::source::{Digest, Encoding, Part, Place, Verify};

use super::*;

struct Nothing;

impl Surroundings for Nothing {
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "t0ken".to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("there are no files".to_owned())
    }
}

fn read_toml(text: &str) -> (Option<Source>, Vec<Fault>) {
    let document: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let faults = Faults::default();
    let root = Section::root(document.as_object().expect("a table"), &faults, &Nothing);
    let spec = read(&root, Limits::default(), 1 << 20);
    root.finish();
    (spec, faults.into_list())
}

fn valid(text: &str) -> Source {
    let (spec, faults) = read_toml(text);
    assert_eq!(faults, [], "{text}");
    spec.expect("without faults there is a source")
}

fn faulty(text: &str) -> Vec<String> {
    read_toml(text).1.into_iter().map(|fault| fault.path).collect()
}

fn body(pointers: &[&str]) -> Vec<Origin> {
    pointers
        .iter()
        .map(|pointer| Origin::Body((*pointer).to_owned()))
        .collect()
}

#[test]
fn a_token_and_a_mapping_of_ones_own_are_read() {
    let spec = valid(
        r#"
        name = "whatsable"
        verify = { scheme = "token", in = "header:Authorization", secret = { env = "TOKEN" } }
        event = { type = "message.received", time = "/user_last_message_time", dedupe = ["/phone_number", ["/t", "/at"]], dedupe_also = "/kind" }
        plugins = []
        body_limit = "64KiB"
        "#,
    );
    let Verify::Token { at, secrets } = spec.verify else {
        panic!("a token")
    };
    assert_eq!(
        (at, secrets[0].reveal()),
        (Place::Header("authorization".to_owned()), "t0ken")
    );
    assert_eq!(
        spec.mapping.kind.origins,
        [Origin::Literal("message.received".to_owned())]
    );
    assert_eq!(spec.mapping.time, body(&["/user_last_message_time"]));
    assert_eq!(
        spec.mapping.dedupe.required,
        [body(&["/phone_number"]), body(&["/t", "/at"])]
    );
    assert_eq!(spec.mapping.dedupe.optional, [body(&["/kind"])]);
    assert_eq!(spec.body_bytes_max, 65_536);
}

#[test]
fn presets_bring_their_mapping_and_their_scheme() {
    for preset in ["mumble", "mumara", "whatsable", "calls", "vambe"] {
        let spec = valid(&format!(
            "name = \"s\"\npreset = \"{preset}\"\nverify = {{ scheme = \"none\" }}"
        ));
        assert_eq!(Some(spec.mapping), Mapping::named(preset), "{preset}");
    }
    for (preset, rest) in [
        ("github", ""),
        ("stripe", ", tolerance = \"1m\""),
        ("slack", ""),
        ("meta", ", verify_token = \"v\""),
    ] {
        let spec = valid(&format!(
            "name = \"s\"\npreset = \"{preset}\"\nverify = {{ secret = \"k\"{rest} }}"
        ));
        assert_eq!(Some(&spec.mapping), Mapping::named(preset).as_ref(), "{preset}");
        let Verify::Hmac(scheme) = spec.verify else {
            panic!("{preset}")
        };
        assert!(!scheme.header.is_empty());
        let by_scheme = valid(&format!(
            "name = \"s\"\nverify = {{ scheme = \"{preset}\", secret = \"k\"{rest} }}"
        ));
        assert_eq!(by_scheme.mapping, spec.mapping, "{preset}");
    }
}

#[test]
fn a_mapping_goes_over_the_presets() {
    let spec = valid(
        r#"
        name = "s"
        preset = "mumara"
        verify = { scheme = "none" }
        [event]
        type = "mail.{header:X-Event}"
        fallback = "mail.other"
        words = { "Opened Twice" = "opened" }
        subject = ["query:who", "/email"]
        "#,
    );
    let kind = &spec.mapping.kind;
    assert_eq!(
        (kind.prefix.as_str(), kind.fallback.as_str()),
        ("mail.", "mail.other")
    );
    assert_eq!(kind.origins, [Origin::Header("x-event".to_owned())]);
    assert_eq!(kind.words, [("Opened Twice".to_owned(), "opened".to_owned())]);
    assert_eq!(spec.mapping.subject[0], Origin::Query("who".to_owned()));
    assert_eq!(
        Some(spec.mapping.dedupe),
        Mapping::named("mumara").map(|mapping| mapping.dedupe)
    );
}

#[test]
fn an_hmac_scheme_is_read_as_data() {
    let spec = valid(
        r#"
        name = "s"
        [verify]
        scheme = "hmac"
        secrets = ["AP8=", { env = "TOKEN" }]
        header = "X-Signature"
        prefix = "v1="
        separator = ","
        digest = "sha512"
        encoding = "base64"
        timestamp = "x-signature"
        timestamp_prefix = "t="
        tolerance = "30m"
        parts = ["literal:v1:", "timestamp", "literal:.", "header:X-Id", "body"]
        "#,
    );
    let Verify::Hmac(scheme) = spec.verify else {
        panic!("an HMAC")
    };
    assert_eq!(
        (scheme.digest, scheme.encoding),
        (Digest::Sha512, Encoding::Base64)
    );
    assert_eq!(
        (scheme.header.as_str(), scheme.separator, scheme.secrets.len()),
        ("x-signature", Some(','), 2)
    );
    assert_eq!(scheme.parts[0], Part::Literal("v1:".to_owned()));
    assert_eq!(scheme.parts[3], Part::Header("x-id".to_owned()));
    let time = scheme.timestamp.expect("a signed time");
    assert_eq!(
        (time.prefix.as_str(), time.tolerance),
        ("t=", Duration::from_secs(1800))
    );
}

#[test]
fn every_fault_is_named_with_its_key() {
    let with = |verify: &str| format!("name = \"s\"\nverify = {{ {verify} }}");
    let event =
        |event: &str| format!("name = \"s\"\nverify = {{ scheme = \"none\" }}\nevent = {{ {event} }}");
    for (text, paths) in [
        (String::new(), vec!["name", "verify"]),
        (
            "name = \"A b\"\nverify = { scheme = \"none\" }".to_owned(),
            vec!["name"],
        ),
        (
            "name = \"s\"\nverfy = { scheme = \"none\" }".to_owned(),
            vec!["verify", "verfy"],
        ),
        (
            "name = \"s\"\npreset = \"mumbel\"\nverify = { scheme = \"none\" }".to_owned(),
            vec!["preset"],
        ),
        (
            "name = \"s\"\nbody_limit = 0\nverify = { scheme = \"none\" }".to_owned(),
            vec!["body_limit"],
        ),
        (with(""), vec!["verify.scheme"]),
        (with("scheme = \"hmca\""), vec!["verify.scheme"]),
        (with("scheme = \"none\", secret = \"x\""), vec!["verify.secret"]),
        (with("scheme = \"github\""), vec!["verify.secret"]),
        (with("scheme = \"github\", secret = \"\""), vec!["verify.secret"]),
        (with("scheme = \"github\", secrets = []"), vec!["verify.secrets"]),
        (
            with("scheme = \"github\", secret = { env = \"NONE\" }"),
            vec!["verify.secret"],
        ),
        (
            with("scheme = \"github\", secret = \"x\", tolerance = \"5m\""),
            vec!["verify.tolerance"],
        ),
        (
            with("scheme = \"stripe\", secret = \"x\", tolerance = \"2d\""),
            vec!["verify.tolerance"],
        ),
        (
            with("scheme = \"meta\", secret = \"x\""),
            vec!["verify.verify_token"],
        ),
        (
            with("scheme = \"standard-webhooks\", secret = \"whsec_short\""),
            vec!["verify.secret"],
        ),
        (
            with("scheme = \"token\", in = \"cookie:x\", secret = \"x\""),
            vec!["verify.in"],
        ),
        (
            with("scheme = \"token\", in = \"body:x\", secret = \"x\""),
            vec!["verify.in"],
        ),
        (with("scheme = \"basic\""), vec!["verify.user", "verify.password"]),
        (with("scheme = \"hmac\""), vec!["verify.header", "verify.secret"]),
        (
            with("scheme = \"hmac\", header = \"a b\", secret = \"x\""),
            vec!["verify.header"],
        ),
        (
            with("scheme = \"hmac\", header = \"a\", secret = \"x\", parts = [\"timestamp\"]"),
            vec!["verify.parts", "verify.parts"],
        ),
        (
            with("scheme = \"hmac\", header = \"a\", secret = \"x\", timestamp = \"t\""),
            vec!["verify.parts"],
        ),
        (
            with("scheme = \"hmac\", header = \"a\", secret = \"x\", parts = [\"body\"], timestamp = \"t\""),
            vec!["verify.parts"],
        ),
        (
            with("scheme = \"hmac\", header = \"a\", secret = \"x\", tolerance = \"5m\""),
            vec!["verify.tolerance"],
        ),
        (
            with("scheme = \"hmac\", header = \"a\", secret = \"x!\", secret_encoding = \"hex\""),
            vec!["verify.secret_encoding"],
        ),
        (
            with("scheme = \"hmac\", header = \"a\", secret = \"x\", separator = \", \""),
            vec!["verify.separator"],
        ),
        (event("type = \"a b\""), vec!["event.type"]),
        (event("type = \"x.{}\""), vec!["event.type"]),
        (event("type = []"), vec!["event.type"]),
        (event("id = \"message_id\""), vec!["event.id"]),
        (
            event("dedupe = [\"phone\", 5]"),
            vec!["event.dedupe", "event.dedupe"],
        ),
        (event("time = \"/a~b\""), vec!["event.time"]),
        (event("subject = \"header:\""), vec!["event.subject"]),
        (event("words = { a = 1 }"), vec!["event.words.a"]),
        (event("tiem = \"/t\""), vec!["event.tiem"]),
    ] {
        assert_eq!(faulty(&text), paths, "{text}");
    }
}

#[test]
fn no_fault_shows_a_secret() {
    let text = "name = \"s\"\nverify = { scheme = \"standard-webhooks\", secret = \"whsec_hunter2\" }";
    let (_, faults) = read_toml(text);
    assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.to_string().contains("hunter2")));
}
