use std::time::Duration;

use serde_json::Value;

use crate::config::reader::{Fault, Findings, Surroundings};
use crate::model::source::{Mapping, Origin};
use crate::model::verify::{Algorithm, Digest, Encoding, Handshake, Part, Place, Scheme, TimeUnit};

use super::preset::Preset;
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
    let findings = Findings::default();
    let root = Section::root(document.as_object().expect("a table"), &findings, &Nothing);
    let public_url = Url::parse("https://hooks.example.com/relay/").expect("a URL");
    let usual = Usual {
        limits: Limits::default(),
        body_bytes_max: 1 << 20,
        public_url: text.contains("twilio").then_some(&public_url),
    };
    let spec = read(&root, usual);
    root.finish();
    (spec, findings.into_faults())
}

fn valid(text: &str) -> Source {
    let (spec, faults) = read_toml(text);
    assert_eq!(faults, [], "{text}");
    spec.expect("without faults there is a source")
}

fn faulty(text: &str) -> Vec<String> {
    read_toml(text)
        .1
        .into_iter()
        .map(|fault| fault.path.to_string())
        .collect()
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
    let Scheme::Token { at, secrets } = spec.verify.scheme else {
        panic!("a token")
    };
    assert_eq!(
        (at, secrets[0].reveal()),
        (vec![Place::Header("authorization".to_owned())], "t0ken")
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

/// What a sender wants beside the usual `secret`.
fn secrets_of(preset: &Preset) -> String {
    let key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==";
    let verify = preset.verify.as_ref().expect("a scheme");
    let secrets = match verify["scheme"].as_str().expect("a text") {
        "standard-webhooks" => "secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"".to_owned(),
        "basic" => "user = \"u\", password = \"p\"".to_owned(),
        "ecdsa" => format!("public_key = \"{key}\""),
        _ => "secret = \"k\"".to_owned(),
    };
    let handshake = match verify.get("handshake").and_then(Value::as_str) {
        Some("meta") => ", verify_token = \"v\"",
        Some("cloudevents") => ", allow_origins = \"*\"",
        _ => "",
    };
    secrets + handshake
}

#[test]
fn every_preset_is_a_valid_part_of_a_file() {
    for preset in preset::all() {
        let name = &preset.name;
        let event = Value::Object(preset.event.clone());
        let written = serde_json::json!({"name": "s", "verify": {"scheme": "none"}, "event": event});
        let text = toml::to_string(&written).expect("TOML");
        let mapping = valid(&text).mapping;
        assert_ne!(mapping, Mapping::default(), "{name}");
        let none = format!("name = \"s\"\npreset = \"{name}\"\nverify = {{ scheme = \"none\" }}");
        assert_eq!(valid(&none).mapping, mapping, "{name}");
        if preset.verify.is_none() {
            continue;
        }
        let secrets = secrets_of(preset);
        let by_preset = valid(&format!(
            "name = \"twilio\"\npreset = \"{name}\"\nverify = {{ {secrets} }}"
        ));
        let by_scheme = valid(&format!(
            "name = \"twilio\"\nverify = {{ scheme = \"{name}\", {secrets} }}"
        ));
        assert_eq!(by_preset, by_scheme, "{name}");
        assert_eq!(by_scheme.mapping, mapping, "{name}");
        assert_ne!(by_scheme.verify.scheme, Scheme::None, "{name}");
        // Fail closed: without what proves a post there is no source.
        let text = format!("name = \"s\"\nverify = {{ scheme = \"{name}\" }}");
        assert!(read_toml(&text).0.is_none(), "{name}");
    }
}

#[test]
fn a_source_says_otherwise_than_its_preset() {
    let spec = valid(
        "name = \"s\"\nverify = { scheme = \"stripe\", secret = \"k\", tolerance = \"1m\", handshake = \"slack\" }",
    );
    let Scheme::Signature(signature) = spec.verify.scheme else {
        panic!("a signature")
    };
    let time = signature.timestamp.expect("a signed time");
    assert_eq!(
        (time.prefix.as_str(), time.tolerance),
        ("t=", Duration::from_secs(60))
    );
    assert_eq!(spec.verify.handshake, Handshake::Slack);
}

#[test]
fn the_address_that_is_signed_is_the_public_one_or_the_sources_own() {
    for (rest, url) in [
        ("", "https://hooks.example.com/relay/in/twilio"),
        (
            ", url = \"https://sms.example.com/a\"",
            "https://sms.example.com/a",
        ),
    ] {
        let spec = valid(&format!(
            "name = \"twilio\"\nverify = {{ scheme = \"twilio\", secret = \"k\"{rest} }}"
        ));
        let Scheme::Signature(signature) = spec.verify.scheme else {
            panic!("a signature")
        };
        assert_eq!(signature.parts[0], Part::Url(url.parse().expect("a URL")));
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
    assert_eq!(spec.mapping.dedupe.required.len(), 3);
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
    let Scheme::Signature(scheme) = spec.verify.scheme else {
        panic!("a signature")
    };
    assert_eq!(
        (scheme.algorithm, scheme.encoding),
        (Algorithm::Hmac(Digest::Sha512), Encoding::Base64)
    );
    let header = |name: &str| Place::Header(name.to_owned());
    assert_eq!(
        (scheme.at, scheme.separator, scheme.keys.len()),
        (header("x-signature"), Some(','), 2)
    );
    assert_eq!(scheme.parts[0], Part::Literal("v1:".to_owned()));
    assert_eq!(scheme.parts[3], Part::Value(header("x-id")));
    let time = scheme.timestamp.expect("a signed time");
    assert_eq!(
        (time.prefix.as_str(), time.unit, time.tolerance),
        ("t=", TimeUnit::Any, Duration::from_secs(1800))
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
        (
            with("scheme = \"hmac\", header = \"a\", in = \"query:s\", secret = \"x\""),
            vec!["verify.in"],
        ),
        (
            with("scheme = \"hmac\", in = \"body:/s\", secret = \"x\", parts = [\"header:a\"]"),
            vec!["verify.parts"],
        ),
        (
            with("scheme = \"hmac\", header = \"a\", secret = \"x\", parts = [\"url\", \"body\"]"),
            vec!["verify.url"],
        ),
        (
            with(
                "scheme = \"hmac\", header = \"a\", secret = \"x\", parts = [\"url\", \"body\"], url = \"ftp://a\"",
            ),
            vec!["verify.url"],
        ),
        (
            with(
                "scheme = \"hmac\", header = \"a\", secret = \"x\", parts = [\"sorted-form\"], body_digest = \"query:d\"",
            ),
            vec!["verify.body_digest"],
        ),
        (
            with("scheme = \"hmac\", header = \"a\", secret = \"x\", handshake = \"zooom\""),
            vec!["verify.handshake"],
        ),
        (
            with("scheme = \"token\", secret = \"x\", handshake = \"slack\""),
            vec!["verify.handshake"],
        ),
        (
            with("scheme = \"cloudevents\", secret = \"x\""),
            vec!["verify.allow_origins"],
        ),
        (
            with("scheme = \"cloudevents\", secret = \"x\", allow_origins = \"*\", allow_rate = 0"),
            vec!["verify.allow_rate"],
        ),
        (
            with(
                "scheme = \"ed25519\", header = \"a\", public_key = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"",
            ),
            vec!["verify.public_key"],
        ),
        (
            with("scheme = \"sendgrid\", public_key = \"x\""),
            vec!["verify.public_key"],
        ),
        (
            with("scheme = \"sendgrid\", secret = \"x\""),
            vec!["verify.public_key", "verify.secret"],
        ),
        (with("scheme = \"jwt\", secret = \"x\""), vec!["verify.algorithm"]),
        (
            with("scheme = \"jwt\", algorithm = \"none\", secret = \"x\""),
            vec!["verify.algorithm"],
        ),
        (
            with("scheme = \"jwt\", algorithm = \"RS256\", secret = \"x\""),
            vec!["verify.public_key", "verify.secret"],
        ),
        (with("scheme = \"mumble\""), vec!["verify.scheme"]),
        (event("id = \"form:\""), vec!["event.id"]),
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
