//! What plugins see and what their answers do.

use std::time::Duration;

use bytes::Bytes;
use relay::model::attempt::FaultKind;
use relay::model::draft::Draft;
use relay::model::event::Header;
use relay::model::plugin::OnFault;
use relay::model::reply::Answer;
use relay::model::secret::Secret;
use relay::plugins::{AuthRequest, Authenticated, Bound, Chained, Identity, Ran};
use serde_json::{Value, json};

use crate::kit::{Kit, call, event, run, used};

pub(crate) fn only_draft(ran: Ran) -> Draft {
    match ran.result {
        Chained::Emit(mut drafts) if drafts.len() == 1 => drafts.remove(0),
        other => panic!("expected one message, got {other:?}"),
    }
}

fn field(name: &str, value: &str) -> Header {
    (name.to_owned(), value.to_owned())
}

async fn everything(kit: &Kit) -> Bound {
    kit.bind("everything", json!({ "greeting": "hi" })).await
}

#[tokio::test]
async fn a_plugin_sees_what_it_was_granted_and_its_answers_are_carried_out() {
    for kit in Kit::both() {
        let ran = run(vec![everything(&kit).await], OnFault::Retry).await;
        assert_eq!(ran.log, ["everything info: transformed id=sender-1"]);
        assert_eq!(
            ran.costs
                .iter()
                .map(|cost| cost.name.as_str())
                .collect::<Vec<_>>(),
            ["everything"]
        );
        let draft = only_draft(ran);
        let told: Value = serde_json::from_slice(&draft.data).expect("JSON");
        assert_eq!(
            told["event"],
            r#"sender-1 github issue.opened None Some("2023-11-14T22:13:20.007Z") Some("application/json")"#
        );
        assert_eq!(
            told["call"],
            r#"acme Some("github") Some("billing") true 2 Some("1") 2 Some("ext value")"#
        );
        assert_eq!(told["payload"], r#"Some("2.50") None"#);
        assert_eq!(
            told["crypto"],
            r#"ba7816bf Ok(true) Ok(false) Ok(false) Err("the secret other is not granted")"#
        );
        assert_eq!(
            told["state"],
            r#"Ok(()) Ok(Some(2)) [Ok(true), Ok(false)] [Ok(2), Ok(-3)] Ok(true) Ok("k1") Ok(())"#
        );
        assert!(
            draft.data.starts_with(br#"{"a":[1,2.50],"debug":true,"event":"#),
            "what nobody names keeps its bytes"
        );
        assert!(!draft.data_replaced, "an edit is no replacement");
        assert_eq!(draft.envelope.subject.as_deref(), Some("changed"));
        assert_eq!(draft.headers_set, [field("x-greeting", "\"hi\"")]);
        assert_eq!(
            draft.headers,
            [
                field("x-one", "1"),
                field("x-one", "2"),
                field("x-greeting", "\"hi\"")
            ]
        );
    }
}

#[tokio::test]
async fn pointers_and_slices_beyond_the_payload_find_nothing() {
    let kit = Kit::new();
    let ran = kit.misdeed("odd-pointers").await;
    assert_eq!(
        ran.result,
        Chained::Drop {
            by: "hostile".into(),
            reason: "found=0 slices=0".into()
        }
    );
}

#[tokio::test]
async fn keys_and_values_of_state_have_sizes() {
    let kit = Kit::new();
    let Chained::Drop { reason, .. } = kit.misdeed("huge-key").await.result else {
        panic!("expected a drop")
    };
    assert_eq!(reason.matches("TooLarge(256)").count(), 2, "{reason}");
    assert_eq!(reason.matches("TooLarge(65536)").count(), 1, "{reason}");
}

#[tokio::test]
async fn the_budget_is_what_is_left_of_the_deadline() {
    let kit = Kit::new();
    let Chained::Drop { reason, .. } = kit.misdeed("budget").await.result else {
        panic!("expected a drop")
    };
    let budget: u64 = reason.parse().expect("a number");
    assert!((1..=500).contains(&budget), "{budget}");
}

#[tokio::test]
async fn log_lines_are_bounded_and_stdio_joins_them() {
    for kit in Kit::both() {
        let ran = kit.misdeed("long-log-line").await;
        assert_eq!(ran.log.len(), 3, "{:?}", ran.log);
        assert!(ran.log[0].starts_with("hostile warn: é é é") && ran.log[0].len() < 1100);
        assert_eq!(
            ran.log[1..],
            ["hostile info: to stdout", "hostile warn: to stderr"]
        );
    }
}

#[tokio::test]
async fn secrets_do_not_reach_logs_and_faults() {
    for kit in Kit::both() {
        let ran = kit.misdeed("log-secret").await;
        let text = format!("{ran:?}");
        assert!(
            text.contains("the secret is ***") && text.contains("now it is ***"),
            "{text}"
        );
        assert!(!text.contains("t0ps3cret"), "{text}");
    }
}

// ---- authenticate ------------------------------------------------------------------------

async fn authenticate(bound: &Bound, query: &str, signature: &str) -> Authenticated {
    let headers = [field("x-signature", signature)];
    let request = AuthRequest {
        method: "POST",
        path: "/in/github",
        query,
        remote: Some([203, 0, 113, 9].into()),
        headers: &headers,
        body: Bytes::from_static(b"{\"challenge\":1}"),
    };
    bound.authenticate(&request).await
}

fn fault_kind(answer: Authenticated) -> FaultKind {
    match answer {
        Authenticated::Fault(fault) => fault.kind,
        other => panic!("expected a fault, got {other:?}"),
    }
}

#[tokio::test]
async fn genuine_requests_are_told_from_forged_ones() {
    for kit in Kit::both() {
        let bound = everything(&kit).await;
        let key = relay::crypto::hmac(
            relay::model::verify::Digest::Sha256,
            b"k-secret",
            &[b"/in/github", b"|", b"{\"challenge\":1}"],
        );
        let identity = Identity {
            principal: Some("someone".to_owned()),
            tenant: None,
            attributes: vec![field("subject", "POST"), field("account", "a1")],
        };
        assert_eq!(
            authenticate(&bound, "", &hex::encode(key)).await,
            Authenticated::Accept(identity)
        );
        let reason = "bad signature from 203.0.113.9".to_owned();
        assert_eq!(
            authenticate(&bound, "", "00").await,
            Authenticated::Reject { status: 401, reason }
        );
        assert_eq!(
            authenticate(&bound, "challenge", "").await,
            Authenticated::Answer {
                status: 200,
                headers: vec![field("content-type", "text/plain")],
                body: Bytes::from_static(b"{\"challenge\":1}"),
            }
        );
    }
}

#[tokio::test]
async fn whatever_breaks_in_authentication_never_accepts() {
    for kit in Kit::both() {
        let mut wanted = used("everything", json!({ "greeting": "hi" }));
        wanted.limits.time = Duration::from_millis(60);
        let bound = kit.try_bind(&wanted).await.expect("the plugin binds");
        for (query, kind) in [
            ("panic", FaultKind::Trapped),
            ("spin", FaultKind::TimedOut),
            ("tenant", FaultKind::BadAnswer),
            ("status", FaultKind::BadAnswer),
        ] {
            assert_eq!(fault_kind(authenticate(&bound, query, "").await), kind, "{query}");
        }
        wanted.secrets = vec![("key".to_owned(), Secret::new(String::new()))];
        let bare = kit.try_bind(&wanted).await.expect("the plugin binds");
        assert_eq!(
            fault_kind(authenticate(&bare, "", "").await),
            FaultKind::Misconfigured
        );
        let other = kit.bind("edits", json!({})).await;
        assert_eq!(
            fault_kind(authenticate(&other, "", "").await),
            FaultKind::Unloadable
        );
    }
}

// ---- respond -----------------------------------------------------------------------------

#[tokio::test]
async fn answers_are_reshaped_for_the_platform_that_waits() {
    for kit in Kit::both() {
        let bound = everything(&kit).await;
        let answer = Answer {
            status: 201,
            headers: vec![field("content-type", "text/plain"), field("x-gone", "1")],
            body: Bytes::from_static(b"done"),
        };
        let reply = bound
            .respond(&event("asked"), answer, call())
            .await
            .expect("a reply");
        assert_eq!((reply.status, &reply.body[..]), (202, &b"asked -> done"[..]));
        assert_eq!(
            reply.headers,
            [field("content-type", "text/plain"), field("x-was", "text/plain")]
        );
    }
}
