//! What platforms ask before they send, and who gets an answer.

use super::*;

fn get(query: &'static str, headers: &[(&'static str, &str)]) -> Sent {
    Sent {
        method: Method::GET,
        query,
        ..sent(headers, "")
    }
}

fn answered(verified: Verified) -> Answer {
    match verified {
        Verified::Answer(answer) => answer,
        other => panic!("not answered: {other:?}"),
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let found = answer.headers.iter().find(|(known, _)| *known == name);
    found.map_or("", |(_, value)| value)
}

#[test]
fn metas_is_answered_with_the_challenge_as_text() {
    let scheme = settings("scheme = \"meta\", secret = \"app\", verify_token = \"verify-me\"");
    let asked = "hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=1158201444";
    let answer = answered(check(&scheme, &get(asked, &[]), 0));
    assert_eq!((answer.status, &answer.body[..]), (200, &b"1158201444"[..]));
    assert!(header(&answer, "content-type").starts_with("text/plain"));
    for query in [
        "",
        "hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1",
        "hub.mode=other&hub.verify_token=verify-me&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=verify-me",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=%0d%0a",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.verify_token=verify-me&hub.challenge=1",
    ] {
        assert!(
            matches!(check(&scheme, &get(query, &[]), 0), Verified::Forged(_)),
            "{query}"
        );
    }
    let no_token = Verify {
        handshake: Handshake::Meta {
            verify_token: secret(""),
        },
        ..scheme
    };
    let empty = get("hub.mode=subscribe&hub.verify_token=&hub.challenge=1", &[]);
    assert_eq!(check(&no_token, &empty, 0), Verified::Forged(Forgery::NoSecret));
}

/// Headers of a body that is signed as Slack and Zoom do.
fn v0<'m>(names: [&'static str; 2], mac: &'m str) -> [(&'static str, &'m str); 2] {
    [(names[0], mac), (names[1], "1000")]
}

#[test]
fn slacks_is_answered_only_when_signed() {
    let body = r#"{"type": "url_verification", "challenge": "3eZbrw1a"}"#;
    let scheme = settings("scheme = \"slack\", secret = \"k\"");
    let mac = format!("v0={}", hmac_hex(b"k", &[b"v0:1000:", body.as_bytes()]));
    let headers = v0(["x-slack-signature", "x-slack-request-timestamp"], &mac);
    let answer = answered(check(&scheme, &sent(&headers, body), 1000));
    assert_eq!(&answer.body[..], b"3eZbrw1a");
    let unsigned = check(&scheme, &sent(&headers[1..], body), 1000);
    assert!(matches!(unsigned, Verified::Forged(_)));
}

#[test]
fn zooms_is_answered_with_the_mac_of_its_token_under_the_key_that_fits() {
    let scheme = settings("scheme = \"zoom\", secrets = [\"new\", \"old\"]");
    let ask = |token: &str| {
        let body = format!(r#"{{"event":"endpoint.url_validation","payload":{{"plainToken":"{token}"}}}}"#);
        let mac = format!("v0={}", hmac_hex(b"old", &[b"v0:1000:", body.as_bytes()]));
        check(
            &scheme,
            &sent(&v0(["x-zm-signature", "x-zm-request-timestamp"], &mac), body),
            1000,
        )
    };
    let answer = answered(ask("qgg8vlvZRS6UYooatFL8Aw"));
    let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(body["plainToken"], "qgg8vlvZRS6UYooatFL8Aw");
    assert_eq!(
        body["encryptedToken"],
        hmac_hex(b"old", &[b"qgg8vlvZRS6UYooatFL8Aw"])
    );
    assert_eq!(header(&answer, "content-type"), "application/json");
    // What would be a signature over a post is not made.
    for token in ["v0:1000:{}", "", "a b"] {
        assert_eq!(ask(token), Verified::Forged(Forgery::Handshake), "{token}");
    }
}

#[test]
fn oktas_header_is_echoed_and_an_event_still_needs_the_token() {
    let scheme = settings("scheme = \"okta\", secret = \"t0ken\"");
    let name = "x-okta-verification-challenge";
    let answer = answered(check(&scheme, &get("", &[(name, "abc\"<")]), 0));
    assert_eq!(&answer.body[..], br#"{"verification":"abc\"<"}"#);
    for asked in [
        get("", &[]),
        get("", &[(name, "a b")]),
        get("", &[(name, "a"), (name, "a")]),
        sent(&[(name, "abc")], ""),
    ] {
        assert!(matches!(check(&scheme, &asked, 0), Verified::Forged(_)));
    }
}

#[test]
fn consent_is_given_to_the_origins_that_are_named() {
    let named =
        "scheme = \"cloudevents\", secret = \"t\", allow_origins = [\"sender.example\"], allow_rate = 120";
    let anyone = "scheme = \"cloudevents\", secret = \"t\", allow_origins = \"*\"";
    let ask = |settings_text: &str, origin: &str| {
        let headers = [
            ("webhook-request-origin", origin),
            ("webhook-request-rate", "1000"),
            ("webhook-request-callback", "https://sender.example/grant?id=1"),
        ];
        let asked = Sent {
            method: Method::OPTIONS,
            ..sent(&headers, "")
        };
        check(&settings(settings_text), &asked, 0)
    };
    for (settings, origin, rate) in [
        (named, "sender.example", "120"),
        (named, "Sender.Example", "120"),
        (anyone, "other.example", "*"),
    ] {
        let answer = answered(ask(settings, origin));
        assert_eq!(header(&answer, "webhook-allowed-origin"), origin);
        assert_eq!(header(&answer, "webhook-allowed-rate"), rate);
    }
    for (settings, origin) in [(named, "other.example"), (named, ""), (anyone, "a b")] {
        assert_eq!(
            ask(settings, origin),
            Verified::Forged(Forgery::Handshake),
            "{origin}"
        );
    }
}

#[test]
fn woocommerces_ping_is_no_event_and_nothing_else_goes_unsigned() {
    let scheme = settings("scheme = \"woocommerce\", secret = \"k\"");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(
        answered(check(&scheme, &sent(&form, "webhook_id=12"), 0)).status,
        200
    );
    for (headers, body) in [
        (&form[..], "webhook_id="),
        (&form, "webhook_id=12&a=b"),
        (&form, "webhook_id=1x"),
        (&form, "webhook_id=123456789012345678901"),
        (&[], "webhook_id=12"),
    ] {
        assert!(
            matches!(check(&scheme, &sent(headers, body), 0), Verified::Forged(_)),
            "{body}"
        );
    }
}
