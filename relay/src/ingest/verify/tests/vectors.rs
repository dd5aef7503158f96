//! Requests that the senders themselves publish, in their documentation or in the tests of
//! their libraries.

use super::*;

#[test]
fn githubs_example_is_genuine() {
    let (scheme, sent) = github();
    assert_eq!(check(&scheme, &sent, 0), Verified::Genuine);
}

/// The example of Slack's documentation.
#[test]
fn slacks_example_is_genuine_in_its_window_only() {
    const AT: i64 = 1_531_420_618;
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let headers = [
        (
            "x-slack-signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        ),
        ("x-slack-request-timestamp", "1531420618"),
    ];
    let scheme = settings("scheme = \"slack\", secret = \"8f742231b10e8888abcd99yyyzzz85a5\"");
    for (now, verified) in [
        (AT, Verified::Genuine),
        (AT + 300, Verified::Genuine),
        (AT - 300, Verified::Genuine),
        (AT + 301, Verified::Forged(Forgery::Stale)),
        (AT - 301, Verified::Forged(Forgery::Stale)),
    ] {
        assert_eq!(check(&scheme, &sent(&headers, body), now), verified, "{now}");
    }
}

/// The tests of Twilio's library for Node.
#[test]
fn twilios_vectors_are_genuine() {
    let form =
        "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
    let json = r#"{"property": "value", "boolean": true}"#;
    let https = "https://mycompany.com/myapp.php";
    let http = "http://mycompany.com/myapp.php";
    let query = "foo=1&bar=2";
    let json_query =
        "foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    let empty_query =
        "foo=1&bar=2&bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    for (url, query, body, signature) in [
        (https, query, form, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        // The address of a proxy has a port that Twilio does not see.
        (
            "https://mycompany.com:1234/myapp.php",
            query,
            form,
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
        ),
        (
            "http://mycompany.com:1234/myapp.php",
            query,
            form,
            "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=",
        ),
        // Twilio writes the usual port at times.
        (https, query, form, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        (http, query, form, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        (
            "https://user:pass@mycompany.com/myapp.php",
            query,
            form,
            "CukzLTc1tT5dXEDIHm/tKBanW10=",
        ),
        (
            "https://user@mycompany.com/myapp.php",
            query,
            form,
            "2YRLlVAflCqxaNicjMpJcSTgzSs=",
        ),
        (
            "https://user:pass@mycompany.com/myapp.php",
            query,
            form,
            "ZQFR1PTIZXF2MXB8ZnKCvnnA+rI=",
        ),
        (
            https,
            "foo=1&bar=2&Body=It's+amazing",
            form,
            "dsq4Ehbj6cs+KdTkpF5sSSplOWw=",
        ),
        (
            https,
            query,
            "MessagingBinding.Address=%2B1415xxxxxxx&MessagingBinding.Address=%2B1325xxxxxxx",
            "83O6e2vORAoJHUNzJjDWN1jz+BA=",
        ),
        (
            https,
            query,
            "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
        (https, json_query, json, "a9nBmqA0ju/hNViExpshrM61xv4="),
        (https, empty_query, "{}", "Ldidvp12m26NI7eqEvxnEpkd9Hc="),
    ] {
        let scheme = settings(&format!(
            "scheme = \"twilio\", secret = \"12345\", url = \"{url}\""
        ));
        let kind = if body.starts_with('{') {
            "application/json"
        } else {
            "application/x-www-form-urlencoded; charset=UTF-8"
        };
        let headers = [("x-twilio-signature", signature), ("content-type", kind)];
        let post = |body: &str| Sent {
            query,
            ..sent(&headers, body.to_owned())
        };
        assert_eq!(check(&scheme, &post(body), 0), Verified::Genuine, "{url} {query}");
        let changed = body.replace('1', "2").replace('}', " }");
        assert!(
            matches!(
                check(&scheme, &post(&changed), 0),
                Verified::Forged(Forgery::Mismatch)
            ),
            "{url} {query}"
        );
    }
}

/// The tests of SendGrid's library for Node.
#[test]
fn sendgrids_vector_is_genuine() {
    const AT: i64 = 1_588_788_367;
    let right = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==";
    let other = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDutdhXSJCWHw8REntlo7aNDthvj+y7GjUuFDb/R1NGe1OPzpA==";
    let signature =
        "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0=";
    let body = r#"{"category":"example_payload","event":"test_event","message_id":"message_id"}"#;
    let scheme = |keys: &[&str]| settings(&format!("scheme = \"sendgrid\", public_keys = {keys:?}"));
    let headers = |signature| {
        [
            ("x-twilio-email-event-webhook-signature", signature),
            ("x-twilio-email-event-webhook-timestamp", "1588788367"),
        ]
    };
    let forged = |forgery| Verified::Forged(forgery);
    for (keys, signature, body, now, verified) in [
        (&[right][..], signature, body, AT, Verified::Genuine),
        (&[other, right], signature, body, AT + 600, Verified::Genuine),
        (&[other], signature, body, AT, forged(Forgery::Mismatch)),
        (&[right], signature, "payload", AT, forged(Forgery::Mismatch)),
        (
            &[right],
            &signature.replace("WYNH2", "WYNH3"),
            body,
            AT,
            forged(Forgery::Mismatch),
        ),
        (&[right], "", body, AT, forged(Forgery::Mismatch)),
        (&[right], signature, body, AT + 601, forged(Forgery::Stale)),
    ] {
        let found = check(&scheme(keys), &sent(&headers(signature), body.to_owned()), now);
        assert_eq!(found, verified, "{keys:?} {signature} {body}");
    }
}

/// The vector of the libraries of Standard Webhooks.
#[test]
fn standard_webhooks_vector_is_genuine_for_each_that_signs_so() {
    for name in [
        "standard-webhooks",
        "svix",
        "clerk",
        "resend",
        "openai",
        "replicate",
    ] {
        let scheme = settings(&format!(
            "scheme = \"{name}\", secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\""
        ));
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ];
        let sent = sent(&headers, r#"{"test": 2432232314}"#);
        assert_eq!(check(&scheme, &sent, 1_614_265_330), Verified::Genuine, "{name}");
    }
}
