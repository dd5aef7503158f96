//! `relay apply`, `relay export` and `relay packs`: what is managed, as files.

use http::Method;
use relay::crypto;
use relay::model::secret::Secret;
use relay::model::verify::Digest;
use relay_tests::instance::{ADMIN_KEY, Ended, Relay, accepted};
use relay_tests::receiver::Receiver;
use relay_tests::sign::now_secs;
use serde_json::{Value, json};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Applies a file with this text.
async fn apply(relay: &Relay, file: &str, more: &[&str]) -> Ended {
    let path = relay.setup().file("resources.toml", file);
    let path = path.display().to_string();
    let arguments: Vec<&str> = ["apply", "-f", path.as_str()]
        .iter()
        .chain(more)
        .copied()
        .collect();
    relay.command(ADMIN_KEY, &arguments).await
}

/// What it did, sorted; the summary left out.
fn steps(ended: &Ended) -> Vec<&str> {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let is_step = |line: &&str| line.starts_with(['+', '~', '-', '=']);
    let mut steps: Vec<&str> = ended.stdout.lines().filter(is_step).collect();
    steps.sort_unstable();
    steps
}

#[tokio::test]
async fn a_file_is_put_in_force_step_by_step() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let url = receiver.url();
    let first = format!(
        "[[endpoint]]\nname = \"crm\"\nurl = \"{url}\"\nevent_types = [\"a.*\"]\n\
         [[endpoint]]\nname = \"old\"\nurl = \"{url}\"\nenabled = false\n\
         [[event_type]]\nname = \"a.b\"\nsample = {{ json = '[null]' }}\n"
    );
    let dry = apply(&relay, &first, &["--dry-run"]).await;
    assert_eq!(
        steps(&dry),
        ["+ endpoint crm", "+ endpoint old", "+ event_type a.b"]
    );
    assert_eq!(
        relay.read("/v1/endpoints").await["data"],
        json!([]),
        "nothing was done"
    );
    assert_eq!(steps(&apply(&relay, &first, &[]).await), steps(&dry));
    relay.event("a.b", json!(1)).await;
    receiver.received(1).await;

    let second = format!("[[endpoint]]\nname = \"crm\"\nurl = \"{url}\"\nrate_limit = \"5/s\"\n");
    let changed = apply(&relay, &second, &[]).await;
    assert_eq!(steps(&changed), ["~ endpoint crm: rate_limit, event_types"]);
    let same = apply(&relay, &second, &[]).await;
    assert_eq!(steps(&same), ["= endpoint crm"]);
    let pruned = apply(&relay, &second, &["--prune"]).await;
    assert_eq!(steps(&pruned), ["- endpoint old", "= endpoint crm"]);
    assert!(
        pruned
            .stdout
            .contains("done: 0 created, 0 changed, 1 deleted, 1 as they were")
    );
    assert_eq!(
        relay.read("/v1/event-types").await["data"][0]["name"],
        "a.b",
        "a kind not in the file"
    );
    let crm = relay.read("/v1/endpoints/crm").await;
    assert_eq!(
        (&crm["rate_limit"], &crm["event_types"]),
        (&json!("5/s"), &Value::Null)
    );
}

#[tokio::test]
async fn every_fault_of_a_file_is_told_and_nothing_is_changed() {
    let relay = Relay::start("[[endpoint]]\nname = \"fixed\"\nurl = \"https://example.com\"\n").await;
    let file = "[[endpoint]]\nname = \"fine\"\nurl = \"https://example.com\"\n\
        [[endpoint]]\nname = \"fine\"\nurl = \"https://example.com\"\n\
        [[endpoint]]\nname = \"crm\"\nurl = \"ftp://example.com\"\nretry = { jiter = 1 }\n\
        [[endpoint]]\nname = \"x\"\nurl = \"https://example.com\"\nplugins = [{ use = \"redact-field\" }]\n\
        [[endpoint]]\nname = \"fixed\"\nurl = \"https://example.org\"\n\
        [[endpoint]]\nname = \"new\"\nurl = \"https://example.com\"\nheaders = { x = { sealed = true } }\n";
    let ended = apply(&relay, file, &[]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(78), ""), "{ended:?}");
    for fault in [
        "resources.toml has 6 faults",
        "endpoint[1].name: is \"fine\", which is there already",
        "endpoint[2].url: is \"ftp://",
        "endpoint[2].retry.jiter: is not a known key; did you mean jitter?",
        "endpoint[3].plugins: cannot be used",
        "endpoint[4].name: is declared in the relay's configuration file",
        "endpoint[5].headers.x: is sealed",
    ] {
        assert!(ended.stderr.contains(fault), "{fault}: {}", ended.stderr);
    }
    for (file, fault) in [
        (
            "[server]\nlisten = \"127.0.0.1:1\"\n",
            "server: cannot be applied",
        ),
        ("endpoint = 1\n", "endpoint: is no list of tables"),
        (
            "[[event_type]]\nsample = { json = '{' }\n",
            "event_type[0].sample.json: is no JSON",
        ),
        (
            "[[source]]\nname = \"s\"\nverify = { scheme = \"token\", secret = { env = \"NOT_SET\" } }\n",
            "source[0].verify.secret: names the environment variable NOT_SET, which is not set",
        ),
    ] {
        let ended = apply(&relay, file, &[]).await;
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stderr.contains(fault), "{fault}: {}", ended.stderr);
    }
    let list = relay.read("/v1/endpoints").await;
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "{list}");
    let key = relay
        .admin(
            Method::POST,
            "/v1/keys",
            Some(json!({"name": "r", "role": "read"})),
        )
        .await
        .json();
    let path = relay.setup().file("resources.toml", "");
    let ended = relay
        .command(text(&key["key"]), &["apply", "-f", &path.display().to_string()])
        .await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[tokio::test]
async fn what_is_exported_can_be_applied_and_changes_nothing() {
    const TOKEN: &str = "s3same-0pen-and-more";
    let receiver = Receiver::start();
    let declared = "[[source]]\nname = \"fixed\"\nverify = { scheme = \"none\" }\n";
    let relay = Relay::start(declared).await;
    let url = receiver.url();
    let file = relay.setup().file("token", format!("{TOKEN}\n"));
    let resources = format!(
        "[[source]]\nname = \"shop\"\nverify = {{ scheme = \"token\", secret = {{ file = \"{}\" }} }}\n\
         [[endpoint]]\nname = \"crm\"\nurl = \"{url}\"\nheaders = {{ x-token = \"t0p-s3cr3t\" }}\n\
         filter = {{ json = '{{\"data\": {{\"at\": [null, \"a\"]}}}}' }}\nretry = {{ schedule = [\"1s\"], jitter = 0 }}\n\
         plugins = [{{ use = \"redact-fields\", config = {{ drop = [\"/x\"] }} }}]\n\
         [[event_type]]\nname = \"a.b\"\nsample = {{ json = '{{\"at\": null}}' }}\nschema = {{ type = \"object\" }}\n",
        file.display()
    );
    assert_eq!(steps(&apply(&relay, &resources, &[]).await).len(), 3);
    let exported = relay.command(ADMIN_KEY, &["export"]).await;
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let exported = exported.stdout;
    assert!(
        exported.contains("sealed = true") && !exported.contains("fixed"),
        "{exported}"
    );
    assert!(
        !exported.contains(TOKEN) && !exported.contains("t0p-s3cr3t"),
        "{exported}"
    );
    let again = apply(&relay, &exported, &["--prune"]).await;
    assert_eq!(
        steps(&again),
        ["= endpoint crm", "= event_type a.b", "= source shop"],
        "{exported}"
    );
    let all = relay
        .command(ADMIN_KEY, &["export", "--all", "--kind", "source"])
        .await
        .stdout;
    assert!(
        all.contains("\"fixed\"") && !all.contains("[[endpoint]]"),
        "{all}"
    );
    let again = apply(&relay, &all, &[]).await;
    assert_eq!(steps(&again), ["= source fixed", "= source shop"]);

    // Secrets stayed what they were, and another one is seen as another.
    let headers = [("content-type", "application/json"), ("authorization", TOKEN)];
    accepted(&relay.post_source("shop", &headers, r#"{"at": null}"#).await);
    assert_eq!(receiver.received(1).await[0].header("x-token"), "t0p-s3cr3t");
    relay.setup().file("token", "another-token");
    assert_eq!(
        steps(&apply(&relay, &resources, &[]).await),
        ["= endpoint crm", "= event_type a.b", "~ source shop: verify"]
    );
    assert_eq!(relay.post_source("shop", &headers, "{}").await.status, 401);
}

#[tokio::test]
async fn m22_an_inventory_says_what_there_is_whose_and_what_it_sends() {
    let relay =
        Relay::start("[[source]]\nname = \"fixed\"\nverify = { scheme = \"none\" }\nowner = \"ann\"\n").await;
    let file = "[[endpoint]]\nname = \"crm\"\nurl = \"https://example.com/crm\"\nowner = \"bob\"\n\
        tags = [\"sales\", \"eu\"]\ndescription = \"Every message.\"\nevent_types = [\"message.*\"]\n\
        [[event_type]]\nname = \"message.received\"\nsample = { json = '{\"text\": \"hi\"}' }\n";
    apply(&relay, file, &[]).await;
    let inventory = relay.command(ADMIN_KEY, &["export", "--inventory"]).await.stdout;
    for part in [
        "# Sources\n\n## fixed\n\n- Owner: ann\n",
        "## crm\n\nEvery message.\n\n- Owner: bob\n- Tags: sales, eu\n- Sends to: https://example.com/crm\n- Event types: message.*\n",
        "## message.received\n\n\n```json\n{\n  \"text\": \"hi\"\n}\n```\n",
    ] {
        assert!(inventory.contains(part), "{part}\nin\n{inventory}");
    }
}

// ---- packs -----------------------------------------------------------------------------

/// How the posts of a platform prove that they are its own: the query and the headers.
type Proof = dyn Fn(&str, &str) -> (String, Vec<(String, String)>) + Send + Sync;

const SECRET: &str = "whsec_cGFja3Mgb2YgZml2ZSBwbGF0Zm9ybXMsIHRlc3RlZA==";

/// Applies a pack and posts the sample of each of its event types to its source.
async fn play(pack: &str, set: &[&str], types: &[&str], proof: &Proof) {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("all", "")).await;
    let mut arguments = vec!["apply", "-f", pack];
    arguments.extend(set.iter().flat_map(|set| ["--set", *set]));
    let applied = relay.command(ADMIN_KEY, &arguments).await;
    assert_eq!(steps(&applied).len(), types.len() + 1, "{applied:?}");
    let source = relay.read("/v1/sources").await["data"][0].clone();
    let name = text(&source["name"]);
    let address = applied
        .stdout
        .split_whitespace()
        .find(|word| word.contains("/in/src_"));
    let address = address.unwrap_or_else(|| panic!("the address is said: {applied:?}"));
    let token = address.split_once("?token=").map_or("", |(_, token)| token);

    let list = relay.read("/v1/event-types?limit=100").await;
    let list = list["data"].as_array().expect("a list");
    let mut made: Vec<&str> = list.iter().map(|one| text(&one["name"])).collect();
    made.sort_unstable();
    assert_eq!(made, types);
    let mut posted = Vec::new();
    for event_type in list {
        let body = relay
            .read(&format!("/v1/event-types/{}/sample", text(&event_type["id"])))
            .await;
        let body = body.to_string();
        let (query, mut headers) = proof(token, &body);
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let path = format!("{}{query}", text(&source["path"]));
        let answer = relay.send(Method::POST, &path, &headers, body.clone()).await;
        assert_eq!(answer.status, 202, "{}: {}", event_type["name"], answer.text());
        let event = relay.read(&format!("/v1/events/{}", accepted(&answer))).await;
        assert_eq!(event["type"], event_type["name"], "{event}");
        assert_eq!(
            (&event["source"], &event["schema_errors"]),
            (&json!(name), &json!([])),
            "{event}"
        );
        assert!(
            event["time"] != event["received_at"] && event["subject"].is_string(),
            "{event}"
        );
        posted.push(body.clone());
        let forged = relay
            .send(Method::POST, &path.replace("token=", "token=x"), &[], body)
            .await;
        assert_eq!(forged.status, 401, "{}", forged.text());
    }
    let mut delivered: Vec<String> = receiver
        .received(types.len())
        .await
        .iter()
        .map(relay_tests::receiver::Request::text)
        .collect();
    delivered.sort();
    posted.sort();
    assert_eq!(delivered, posted, "byte for byte");
    // Applied again, it keeps the secret that it made.
    let kept: Vec<&str> = arguments
        .iter()
        .copied()
        .filter(|word| !word.contains("token"))
        .collect();
    let again = relay.command(ADMIN_KEY, &kept).await;
    assert!(
        steps(&again).iter().all(|step| step.starts_with('=')),
        "{again:?}"
    );
}

fn in_query(token: &str, _: &str) -> (String, Vec<(String, String)>) {
    assert!(token.len() >= 32, "a token was made up: {token:?}");
    (format!("?token={token}"), Vec::new())
}

#[tokio::test]
async fn m2_m3_m5_mumble_is_set_up_by_its_pack() {
    let types = [
        "agent.assigned",
        "agent.self_assigned",
        "conversation.closed",
        "conversation.in_progress",
        "conversation.new",
        "conversation.opened",
        "list.added",
        "list.removed",
        "message.delivered",
        "message.failed",
        "message.read",
        "message.received",
    ];
    play("pack:mumble", &[], &types, &in_query).await;
}

#[tokio::test]
async fn m14_mumbles_token_may_stand_in_the_body_and_is_not_kept() {
    let relay = Relay::start("").await;
    let applied = relay
        .command(
            ADMIN_KEY,
            &["apply", "-f", "pack:mumble", "--set", "token=0pen-s3same-0pen"],
        )
        .await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    let headers = [("content-type", "application/json")];
    let post = |token: &str| json!({"event": "list.added", "list": "vip", "token": token}).to_string();
    let id = accepted(
        &relay
            .post_source("mumble", &headers, post("0pen-s3same-0pen"))
            .await,
    );
    let event = relay.read(&format!("/v1/events/{id}")).await;
    assert_eq!(event["data"], json!({"event": "list.added", "list": "vip"}));
    assert_eq!(
        relay.post_source("mumble", &headers, post("wrong")).await.status,
        401
    );
}

#[tokio::test]
async fn u1_u6_mumara_is_set_up_by_its_pack() {
    let types = [
        "email.bounced",
        "email.complaint",
        "email.delayed",
        "email.delivered",
        "email.newsletter_clicked",
        "email.newsletter_opened",
        "email.received",
        "email.rejected",
        "email.transactional_clicked",
        "email.transactional_opened",
    ];
    let bearer = |token: &str, _: &str| {
        let header = ("authorization".to_owned(), format!("Bearer {token}"));
        (String::new(), vec![header])
    };
    play("pack:mumara", &[], &types, &bearer).await;
}

#[tokio::test]
async fn w6_whatsable_is_set_up_by_its_pack() {
    play("pack:whatsable", &[], &["message.received"], &in_query).await;
}

#[tokio::test]
async fn c8_a_voice_platform_is_set_up_by_its_pack() {
    let types = [
        "call.completed",
        "call.failed",
        "call.started",
        "campaign.completed",
        "campaign.paused",
        "campaign.resumed",
        "campaign.started",
        "contact.created",
        "contact.deleted",
        "contact.updated",
        "integration.connected",
        "integration.disconnected",
    ];
    let signed = |_: &str, body: &str| {
        let digest = crypto::hmac(Digest::Sha256, SECRET.as_bytes(), &[body.as_bytes()]);
        let header = (
            "x-signature".to_owned(),
            format!("sha256={}", hex::encode(digest)),
        );
        (String::new(), vec![header])
    };
    let set = format!("secret={SECRET}");
    play("pack:voice", &[&set], &types, &signed).await;
}

#[tokio::test]
async fn v5_vambe_is_set_up_by_its_pack() {
    let types = [
        "contact.created",
        "contact.updated",
        "message.received",
        "message.sent",
        "stage.changed",
        "ticket.closed",
        "ticket.created",
        "ticket.updated",
    ];
    let signed = |_: &str, body: &str| {
        let key =
            crypto::standard_webhooks::SigningKey::parse(&Secret::new(SECRET.to_owned())).expect("a key");
        let (id, now) = ("msg_1", now_secs(0));
        let header = |name: &str, value: String| (name.to_owned(), value);
        let headers = vec![
            header("webhook-id", id.to_owned()),
            header("webhook-timestamp", now.to_string()),
            header("webhook-signature", key.sign(id, now, body.as_bytes())),
        ];
        (String::new(), headers)
    };
    let set = format!("secret={SECRET}");
    play("pack:vambe", &[&set], &types, &signed).await;
}

#[tokio::test]
async fn a_pack_says_how_it_gets_by_a_source_of_the_file() {
    let source = "[[source]]\nname = \"mumara\"\nverify = { scheme = \"none\" }\n";
    let relay = Relay::start(source).await;
    let ended = relay.command(ADMIN_KEY, &["apply", "-f", "pack:mumara"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(78), ""), "{ended:?}");
    assert!(ended.stderr.contains("--set source=NAME"), "{ended:?}");
    let named = ["apply", "-f", "pack:mumara", "--set", "source=mail"];
    let ended = relay.command(ADMIN_KEY, &named).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn packs_say_what_they_want_and_keep_out_of_each_others_way() {
    let relay = Relay::start("").await;
    let packs = relay.command(ADMIN_KEY, &["packs"]).await;
    for name in ["mumara", "mumble", "vambe", "voice", "whatsable"] {
        assert!(packs.stdout.contains(&format!("pack:{name}  ")), "{packs:?}");
    }
    for (arguments, problem) in [
        (vec!["-f", "pack:vambe"], "--set secret=…  the signing secret"),
        (vec!["-f", "pack:whatsabel"], "did you mean whatsable?"),
        (
            vec!["-f", "pack:mumble", "--set", "tokn=x"],
            "nothing called \"tokn\"",
        ),
        (vec!["-f", "pack:mumble", "--set", "token"], "write NAME=VALUE"),
        (vec!["-f", "pack:mumble", "--set", "source=a b"], "source[0].name"),
    ] {
        let arguments: Vec<&str> = ["apply"].into_iter().chain(arguments).collect();
        let ended = relay.command(ADMIN_KEY, &arguments).await;
        assert!(
            ended.code != Some(0) && ended.stderr.contains(problem),
            "{problem}: {ended:?}"
        );
    }
    assert_eq!(relay.read("/v1/event-types").await["data"], json!([]));

    let first = relay.command(ADMIN_KEY, &["apply", "-f", "pack:whatsable"]).await;
    assert_eq!(
        steps(&first),
        ["+ event_type message.received", "+ source whatsable"]
    );
    let clash = relay.command(ADMIN_KEY, &["apply", "-f", "pack:mumble"]).await;
    assert_eq!(clash.code, Some(1), "{clash:?}");
    assert!(clash.stderr.contains("--set prefix="), "{clash:?}");
    assert_eq!(
        relay.read("/v1/sources").await["data"].as_array().map(Vec::len),
        Some(1)
    );
    let apart = relay
        .command(
            ADMIN_KEY,
            &[
                "apply",
                "-f",
                "pack:mumble",
                "--set",
                "prefix=mumble.",
                "--set",
                "token=t-0-k-e-n",
            ],
        )
        .await;
    assert_eq!(steps(&apart).len(), 13, "{apart:?}");
    let headers = [("content-type", "application/json")];
    for (body, kind) in [
        (json!({"token": "t-0-k-e-n"}), "mumble.message.received"),
        (
            json!({"token": "t-0-k-e-n", "event": "list.added"}),
            "mumble.list.added",
        ),
    ] {
        let id = accepted(&relay.post_source("mumble", &headers, body.to_string()).await);
        assert_eq!(relay.read(&format!("/v1/events/{id}")).await["type"], kind);
    }
    // A pack of one's own begins with one of these.
    let printed = relay.command(ADMIN_KEY, &["packs", "whatsable"]).await.stdout;
    let own = apply(
        &relay,
        &printed,
        &["--set", "source=second", "--set", "token=an0ther"],
    )
    .await;
    assert_eq!(steps(&own), ["+ source second", "= event_type message.received"]);
}
