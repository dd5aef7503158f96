//! Tenants and their keys, quotas and secrets: nobody sees or touches what is another's.

use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup, accepted};
use relay_tests::receiver::{Receiver, Reply};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// Someone with a key, and the tenant that they name, if any.
#[derive(Clone)]
struct As {
    key: String,
    tenant: Option<String>,
}

impl As {
    fn admin(tenant: &str) -> Self {
        Self {
            key: ADMIN_KEY.to_owned(),
            tenant: Some(tenant.to_owned()),
        }
    }

    fn naming(&self, tenant: &str) -> Self {
        Self {
            tenant: Some(tenant.to_owned()),
            ..self.clone()
        }
    }

    async fn ask(&self, relay: &Relay, method: Method, path: &str, body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        headers.extend(self.tenant.iter().map(|tenant| ("relay-tenant", tenant.as_str())));
        let body = body.map_or_else(String::new, |body| body.to_string());
        relay.send(method, path, &headers, body).await
    }

    async fn get(&self, relay: &Relay, path: &str) -> Value {
        let answer = self.ask(relay, Method::GET, path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    async fn make(&self, relay: &Relay, path: &str, body: Value) -> Value {
        let answer = self.ask(relay, Method::POST, path, Some(body)).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        answer.json()
    }

    async fn post(&self, relay: &Relay, kind: &str) -> Answer {
        let body = json!({"type": kind, "data": {"n": 1}});
        self.ask(relay, Method::POST, "/v1/events", Some(body)).await
    }

    /// Somebody else, with a key of that role in the same tenant.
    async fn key(&self, relay: &Relay, role: &str) -> Self {
        let made = self
            .make(relay, "/v1/keys", json!({"name": role, "role": role}))
            .await;
        Self {
            key: text(&made["key"]).to_owned(),
            tenant: None,
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn code(answer: &Answer) -> String {
    text(&answer.problem()["code"]).to_owned()
}

async fn tenant(relay: &Relay, keys: Value) -> String {
    let answer = relay.admin(Method::POST, "/v1/tenants", Some(keys)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    text(&answer.json()["id"]).to_owned()
}

/// Two tenants, each with someone who manages it.
async fn two(relay: &Relay) -> (As, As) {
    for name in ["acme", "globex"] {
        tenant(relay, json!({"name": name})).await;
    }
    let acme = As::admin("acme").key(relay, "manage").await;
    (acme, As::admin("globex").key(relay, "manage").await)
}

fn crm(receiver: &Receiver) -> Value {
    json!({"name": "crm", "url": receiver.url(), "retry": {"schedule": ["1h"]}})
}

const OPEN: &str = r#"{"scheme": "token", "in": "header:x-token", "secret": "s3same-0pen"}"#;

fn shop() -> Value {
    json!({"name": "shop", "verify": serde_json::from_str::<Value>(OPEN).unwrap_or_default()})
}

/// Every path that leads to something of a tenant's own, by its id.
async fn own_paths(relay: &Relay, own: &As) -> Vec<(Method, String)> {
    let event = accepted(&own.post(relay, "a.b").await);
    let shown = own.get(relay, &format!("/v1/events/{event}")).await;
    let delivery = text(&shown["deliveries"][0]["id"]).to_owned();
    let endpoint = text(&own.get(relay, "/v1/endpoints/crm").await["id"]).to_owned();
    let source = own.make(relay, "/v1/sources", shop()).await;
    let source = text(&source["id"]);
    let key = own
        .make(relay, "/v1/keys", json!({"name": "k", "role": "read"}))
        .await;
    let key = text(&key["id"]);
    let paths = [
        (Method::GET, format!("/v1/events/{event}")),
        (Method::GET, format!("/v1/events/{event}/payload")),
        (Method::GET, format!("/v1/deliveries/{delivery}")),
        (Method::GET, format!("/v1/deliveries/{delivery}/attempts")),
        (Method::POST, format!("/v1/deliveries/{delivery}/retry")),
        (Method::GET, format!("/v1/endpoints/{endpoint}")),
        (Method::GET, format!("/v1/endpoints/{endpoint}/secret")),
        (Method::POST, format!("/v1/endpoints/{endpoint}/secret/rotate")),
        (Method::PUT, format!("/v1/endpoints/{endpoint}")),
        (Method::PATCH, format!("/v1/endpoints/{endpoint}")),
        (Method::POST, format!("/v1/endpoints/{endpoint}/restore")),
        (Method::DELETE, format!("/v1/endpoints/{endpoint}")),
        (Method::GET, format!("/v1/sources/{source}")),
        (Method::PUT, format!("/v1/sources/{source}")),
        (Method::PATCH, format!("/v1/sources/{source}")),
        (Method::DELETE, format!("/v1/sources/{source}")),
        (Method::GET, format!("/v1/keys/{key}")),
        (Method::PATCH, format!("/v1/keys/{key}")),
        (Method::DELETE, format!("/v1/keys/{key}")),
    ];
    paths.to_vec()
}

async fn try_all(relay: &Relay, who: &As, paths: &[(Method, String)], wanted: u16) {
    for (method, path) in paths {
        let body = match *method {
            Method::PUT => Some(json!({"name": "x", "url": "https://example.com"})),
            Method::PATCH => Some(json!({"name": "x"})),
            _ => None,
        };
        let answer = who.ask(relay, method.clone(), path, body).await;
        assert_eq!(answer.status, wanted, "{method} {path}: {}", answer.text());
        answer.problem();
    }
}

#[tokio::test]
async fn w12_tenants_neither_see_nor_touch_each_others_things() {
    let (first, second) = (Receiver::start(), Receiver::start());
    let mut relay = Relay::start("").await;
    let (acme, globex) = two(&relay).await;
    acme.make(&relay, "/v1/endpoints", crm(&first)).await;
    globex.make(&relay, "/v1/endpoints", crm(&second)).await;
    let paths = own_paths(&relay, &acme).await;
    try_all(&relay, &globex, &paths, 404).await;
    for path in ["/v1/events", "/v1/deliveries", "/v1/sources"] {
        assert_eq!(globex.get(&relay, path).await["data"], json!([]), "{path}");
    }
    let listed = globex.get(&relay, "/v1/endpoints").await;
    assert_eq!(
        listed["data"][0]["url"],
        json!(second.url()),
        "the one of the same name"
    );
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    // A source is reached by its id, whoever's it is, and what comes in stays with its tenant.
    let source = text(&acme.get(&relay, "/v1/sources/shop").await["id"]).to_owned();
    let token = [("x-token", "s3same-0pen"), ("content-type", "application/json")];
    assert_eq!(
        relay.post_source("shop", &token, "{}").await.status,
        404,
        "by name: the default tenant's"
    );
    accepted(&relay.post_source(&source, &token, r#"{"a": 1}"#).await);
    first.received(2).await;
    relay.stop().await;
    relay.start_again().await;
    accepted(&globex.post(&relay, "a.b").await);
    accepted(&acme.post(&relay, "a.b").await);
    first.received(3).await;
    second.received(1).await;
    // Neither did the default tenant get anything, nor is anything of the others shown there.
    assert_eq!(relay.read("/v1/events").await["data"], json!([]));
    assert_eq!(relay.read("/v1/endpoints").await["data"], json!([]));
    assert_eq!((first.requests().len(), second.requests().len()), (3, 1));
}

#[tokio::test]
async fn w11_a_foreign_id_is_forbidden_where_the_setting_says_so() {
    let receiver = Receiver::start();
    let relay = Relay::start("[server]\nforeign_ids = \"forbidden\"").await;
    let (acme, globex) = two(&relay).await;
    acme.make(&relay, "/v1/endpoints", crm(&receiver)).await;
    let paths = own_paths(&relay, &acme).await;
    try_all(&relay, &globex, &paths, 403).await;
    let nobodys = [
        (Method::GET, "/v1/events/evt_0s9vcvqmg0000".to_owned()),
        (Method::GET, "/v1/deliveries/dlv_0s9vcvqmg0080".to_owned()),
        (Method::DELETE, "/v1/endpoints/ep_0s9vcvnh00000".to_owned()),
        (Method::GET, "/v1/endpoints/crm".to_owned()),
        (Method::DELETE, "/v1/keys/key_0s9vcw5xc0000".to_owned()),
        (Method::GET, "/v1/nothing/evt_0s9vcvqmg0000".to_owned()),
    ];
    try_all(&relay, &globex, &nobodys, 404).await;
    let stranger = As {
        key: "rk_ffffffffffffffffffffffffffffffff".to_owned(),
        tenant: None,
    };
    try_all(&relay, &stranger, &paths, 401).await;
}

#[tokio::test]
async fn w11_an_admin_names_any_tenant_and_others_their_own_alone() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let (acme, globex) = two(&relay).await;
    let id = text(&relay.read("/v1/tenants/acme").await["id"]).to_owned();
    As::admin(&id).make(&relay, "/v1/endpoints", crm(&receiver)).await;
    for name in ["acme", id.as_str()] {
        assert_eq!(
            acme.naming(name).get(&relay, "/v1/endpoints/crm").await["name"],
            "crm"
        );
        let refused = globex
            .naming(name)
            .ask(&relay, Method::GET, "/v1/endpoints", None)
            .await;
        assert_eq!((refused.status, code(&refused)), (403, "forbidden".to_owned()));
        let refused = globex.naming(name).post(&relay, "a.b").await;
        assert_eq!((refused.status, code(&refused)), (403, "forbidden".to_owned()));
        accepted(&As::admin(name).post(&relay, "a.b").await);
    }
    receiver.received(2).await;
    let unknown = As::admin("initech")
        .ask(&relay, Method::GET, "/v1/events", None)
        .await;
    assert_eq!(
        (unknown.status, code(&unknown)),
        (404, "unknown_tenant".to_owned())
    );
    let unknown = As::admin("initech").post(&relay, "a.b").await;
    assert_eq!(
        (unknown.status, code(&unknown)),
        (404, "unknown_tenant".to_owned())
    );
    let unknown = globex
        .naming("initech")
        .ask(&relay, Method::GET, "/v1/events", None)
        .await;
    assert_eq!(
        unknown.status, 403,
        "what tenants there are is not for others to know"
    );
    let admin = format!("Bearer {ADMIN_KEY}");
    let twice = [
        ("authorization", admin.as_str()),
        ("relay-tenant", "acme"),
        ("relay-tenant", "globex"),
    ];
    assert_eq!(
        relay.send(Method::GET, "/v1/events", &twice, "").await.status,
        400
    );
    for path in ["/v1/tenants", "/metrics"] {
        let refused = acme.ask(&relay, Method::GET, path, None).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (403, "forbidden".to_owned()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn w10_keys_belong_to_a_tenant_and_end_at_once() {
    let mut relay = Relay::start("").await;
    let (acme, globex) = two(&relay).await;
    let soon = seconds_from_now(1);
    let body = json!({"name": "short", "role": "read", "expires_at": soon});
    let short = acme.make(&relay, "/v1/keys", body).await;
    let body = json!({"name": "long", "role": "read", "expires_at": seconds_from_now(3600)});
    let long = acme.make(&relay, "/v1/keys", body).await;
    let holder = |made: &Value| As {
        key: text(&made["key"]).to_owned(),
        tenant: None,
    };
    let (short, long_key) = (holder(&short), holder(&long));
    let status = async |relay: &Relay, who: &As| who.ask(relay, Method::GET, "/v1/events", None).await.status;
    eventually("the key to expire", || async {
        match status(&relay, &short).await {
            401 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(status(&relay, &long_key).await, 200);
    let past = json!({"name": "late", "role": "read", "expires_at": "2020-01-01T00:00:00Z"});
    let refused = acme.ask(&relay, Method::POST, "/v1/keys", Some(past)).await;
    assert_eq!((refused.status, code(&refused)), (422, "invalid_key".to_owned()));
    let admin = json!({"name": "root", "role": "admin"});
    let refused = acme
        .ask(&relay, Method::POST, "/v1/keys", Some(admin.clone()))
        .await;
    assert_eq!((refused.status, code(&refused)), (403, "forbidden".to_owned()));
    let refused = As::admin("acme")
        .ask(&relay, Method::POST, "/v1/keys", Some(admin))
        .await;
    assert_eq!(refused.status, 422, "an admin is of all tenants");

    let path = format!("/v1/keys/{}", text(&long["id"]));
    let renamed = acme
        .ask(&relay, Method::PATCH, &path, Some(json!({"name": "renamed"})))
        .await;
    assert_eq!(
        (renamed.status, &renamed.json()["name"]),
        (200, &json!("renamed"))
    );
    let names = async |relay: &Relay, query: &str| -> Vec<String> {
        let listed = acme.get(relay, &format!("/v1/keys{query}")).await;
        let data = listed["data"].as_array().cloned().unwrap_or_default();
        data.iter().map(|key| text(&key["name"]).to_owned()).collect()
    };
    assert_eq!(
        names(&relay, "").await,
        ["renamed", "short", "manage"],
        "newest first"
    );
    assert_eq!(names(&relay, "?limit=1&role=read").await, ["renamed"]);
    let revoked = acme.ask(&relay, Method::DELETE, &path, None).await;
    assert_eq!(revoked.status, 204, "{}", revoked.text());
    assert_eq!(status(&relay, &long_key).await, 401);
    assert_eq!(names(&relay, "?revoked=true").await, ["renamed"]);
    assert_eq!(acme.ask(&relay, Method::DELETE, &path, None).await.status, 404);
    relay.kill().await;
    relay.start_again().await;
    assert_eq!(status(&relay, &long_key).await, 401);
    assert_eq!(status(&relay, &short).await, 401);
    assert_eq!(
        (status(&relay, &acme).await, status(&relay, &globex).await),
        (200, 200)
    );
}

/// A time so many seconds from now, as RFC 3339 writes it.
fn seconds_from_now(seconds: i64) -> String {
    let at = relay_tests::sign::now_secs(seconds);
    relay::model::time::Timestamp::from_millis(at * 1000).to_string()
}

#[tokio::test]
async fn w10_the_commands_make_and_list_keys_of_a_tenant() {
    let relay = Relay::start("").await;
    tenant(&relay, json!({"name": "acme"})).await;
    let create = [
        "keys",
        "create",
        "--name",
        "audit",
        "--role",
        "read",
        "--tenant",
        "acme",
        "--expires",
        "90d",
    ];
    let made = relay.command(ADMIN_KEY, &create).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let who = As {
        key: made.stdout.trim().to_owned(),
        tenant: None,
    };
    relay.setup().secrets().add(&who.key, "the key");
    assert_eq!(who.get(&relay, "/v1/usage").await["name"], "acme");
    let listed = relay
        .command(ADMIN_KEY, &["keys", "list", "--tenant", "acme"])
        .await;
    assert!(
        listed.stdout.contains("audit") && listed.stdout.contains("expires 2"),
        "{listed:?}"
    );
    let listed = relay.command(ADMIN_KEY, &["keys", "list"]).await;
    assert!(!listed.stdout.contains("audit"), "{listed:?}");
    let refused = relay
        .command(ADMIN_KEY, &["keys", "list", "--tenant", "initech"])
        .await;
    assert!(refused.stderr.contains("no tenant"), "{refused:?}");
}

#[tokio::test]
async fn a_deleted_tenant_is_out_of_force_at_once_and_comes_back_whole() {
    let receiver = Receiver::script([Reply::Status(500)]);
    let mut relay = Relay::start("").await;
    let (acme, globex) = two(&relay).await;
    acme.make(&relay, "/v1/endpoints", crm(&receiver)).await;
    let source = acme.make(&relay, "/v1/sources", shop()).await;
    let source = text(&source["id"]).to_owned();
    let secret = acme.get(&relay, "/v1/endpoints/crm/secret").await;
    let event = accepted(&acme.post(&relay, "a.b").await);
    let delivery = async |relay: &Relay, wanted: &str| {
        eventually(wanted, || async {
            let shown = As::admin("acme").get(relay, &format!("/v1/events/{event}")).await;
            let delivery = &shown["deliveries"][0];
            let is_so = delivery["status"] == wanted && delivery["attempts"] == 1;
            if is_so { Ok(()) } else { Err(shown) }
        })
        .await;
    };
    delivery(&relay, "pending").await;
    let id = text(&relay.read("/v1/tenants/acme").await["id"]).to_owned();
    let deleted = relay.admin(Method::DELETE, "/v1/tenants/acme", None).await;
    assert_eq!(
        (deleted.status, &deleted.json()["cancelled"]),
        (200, &json!(1)),
        "{}",
        deleted.text()
    );
    let token = [("x-token", "s3same-0pen"), ("content-type", "application/json")];
    for _ in 0..2 {
        assert_eq!(acme.post(&relay, "a.b").await.status, 401);
        assert_eq!(relay.post_source(&source, &token, "{}").await.status, 404);
        let gone = As::admin("acme")
            .ask(&relay, Method::GET, "/v1/events", None)
            .await;
        assert_eq!((gone.status, code(&gone)), (404, "unknown_tenant".to_owned()));
        accepted(&globex.post(&relay, "a.b").await);
        relay.stop().await;
        relay.start_again().await;
    }
    let listed = relay.read("/v1/tenants?deleted=true").await;
    assert_eq!(listed["data"][0]["id"], json!(id), "{listed}");
    let restored = relay
        .admin(Method::POST, &format!("/v1/tenants/{id}/restore"), None)
        .await;
    assert_eq!(restored.status, 200, "{}", restored.text());
    delivery(&relay, "cancelled").await;
    assert_eq!(acme.get(&relay, "/v1/endpoints/crm/secret").await, secret);
    accepted(&acme.post(&relay, "a.b").await);
    accepted(&relay.post_source(&source, &token, r#"{"b": 1}"#).await);
    receiver.received(3).await;
}

#[tokio::test]
async fn the_default_tenant_is_always_there() {
    let relay = Relay::start("").await;
    let default = relay.read("/v1/tenants/default").await;
    assert_eq!(relay.read("/v1/tenants").await["data"][0]["id"], default["id"]);
    let refused = relay.admin(Method::DELETE, "/v1/tenants/default", None).await;
    assert_eq!(
        (refused.status, code(&refused)),
        (409, "default_tenant".to_owned())
    );
    let renamed = json!({"name": "ours", "description": "the operator's own", "quota": {"keys": 5}});
    let renamed = relay
        .admin(Method::PATCH, "/v1/tenants/default", Some(renamed))
        .await;
    assert_eq!(
        (renamed.status, &renamed.json()["id"]),
        (200, &default["id"]),
        "{}",
        renamed.text()
    );
    let found = relay.read("/v1/tenants?q=OPERATOR").await;
    assert_eq!(found["data"][0]["name"], "ours");
    let twice = relay
        .admin(Method::POST, "/v1/tenants", Some(json!({"name": "ours"})))
        .await;
    assert_eq!((twice.status, code(&twice)), (409, "name_taken".to_owned()));
    for (keys, pointer) in [
        (json!({"name": "a", "plan": "gone"}), "/plan"),
        (json!({"name": "a", "quota": {"endpoint": 1}}), "/quota/endpoint"),
        (json!({"name": text(&default["id"])}), "/name"),
    ] {
        let answer = relay.admin(Method::POST, "/v1/tenants", Some(keys)).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status, text(&problem["errors"][0]["pointer"])),
            (422, pointer),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn plugins_see_whose_event_it_is() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let (acme, _) = two(&relay).await;
    let plugin = json!({"use": "render-template", "config": {"body": "{\"of\": {{ call.tenant }}}"}});
    let keys = json!({"name": "crm", "url": receiver.url(), "plugins": [plugin]});
    acme.make(&relay, "/v1/endpoints", keys).await;
    accepted(&acme.post(&relay, "a.b").await);
    assert!(receiver.received(1).await[0].text().contains("acme"));
    let renamed = relay
        .admin(Method::PATCH, "/v1/tenants/acme", Some(json!({"name": "apex"})))
        .await;
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    accepted(&acme.post(&relay, "a.b").await);
    assert!(receiver.received(2).await[1].text().contains("apex"));
}

const PLANS: &str = "[[plan]]\nname = \"free\"\nendpoints = 1\nsources = 1\nkeys = 2\nplugins = 1\n\
                     [[plan]]\nname = \"pro\"\nendpoints = 50\n[quota]\ndefault_plan = \"free\"\n";

/// One limit of a tenant: what is used, and the most.
async fn limit(relay: &Relay, who: &As, name: &str) -> (Value, Value, Value) {
    let usage = who.get(relay, "/v1/usage").await;
    let limits = usage["limits"].as_array().cloned().unwrap_or_default();
    let found = limits.into_iter().find(|limit| limit["limit"] == name);
    let mut found = found.unwrap_or_else(|| panic!("no {name} in {usage}"));
    (found["used"].take(), found["max"].take(), found["percent"].take())
}

#[tokio::test]
async fn u10_creation_is_refused_at_the_limit_and_what_exists_goes_on() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(PLANS).await;
    tenant(&relay, json!({"name": "acme", "quota": {"plugins": 2}})).await;
    let acme = As::admin("acme").key(&relay, "manage").await;
    let made = acme.make(&relay, "/v1/endpoints", crm(&receiver)).await;
    acme.make(&relay, "/v1/sources", shop()).await;
    acme.key(&relay, "read").await;
    let other = json!({"name": "other", "url": receiver.url()});
    for (path, body, detail) in [
        ("/v1/endpoints", other.clone(), "1 of 1 endpoints"),
        ("/v1/sources", json!({"name": "two"}), "1 of 1 sources"),
        ("/v1/keys", json!({"name": "k", "role": "read"}), "2 of 2 keys"),
    ] {
        let refused = acme.ask(&relay, Method::POST, path, Some(body)).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (403, "quota_reached".to_owned()),
            "{path}"
        );
        assert!(
            text(&refused.problem()["detail"]).contains(detail),
            "{}",
            refused.text()
        );
    }
    let chain = |uses: usize| json!({"plugins": vec![json!({"use": "redact-fields"}); uses]});
    let path = "/v1/endpoints/crm";
    assert_eq!(
        acme.ask(&relay, Method::PATCH, path, Some(chain(3))).await.status,
        403
    );
    let changed = acme.ask(&relay, Method::PATCH, path, Some(chain(2))).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(
        limit(&relay, &acme, "endpoints").await,
        (json!(1), json!(1), json!(100.0))
    );
    assert_eq!(
        limit(&relay, &acme, "plugins").await,
        (json!(2), json!(2), json!(100.0))
    );
    assert_eq!(
        limit(&relay, &acme, "events_per_day").await,
        (Value::Null, Value::Null, Value::Null)
    );

    // Another plan, then the tenant's own limit, which counts before the plan's.
    let raise = |keys: Value| relay.admin(Method::PATCH, "/v1/tenants/acme", Some(keys));
    assert_eq!(raise(json!({"plan": "pro"})).await.status, 200);
    acme.make(&relay, "/v1/endpoints", other).await;
    assert_eq!(raise(json!({"quota": {"endpoints": 1}})).await.status, 200);
    assert_eq!(
        limit(&relay, &acme, "endpoints").await,
        (json!(2), json!(1), json!(200.0))
    );
    accepted(&acme.post(&relay, "a.b").await);
    receiver.received(2).await;
    // Deleting and restoring is no way around it.
    assert_eq!(acme.ask(&relay, Method::DELETE, path, None).await.status, 200);
    let restore = format!("/v1/endpoints/{}/restore", text(&made["id"]));
    assert_eq!(acme.ask(&relay, Method::POST, &restore, None).await.status, 403);
    assert_eq!(
        limit(&relay, &As::admin("default"), "keys").await.1,
        json!(2),
        "the default plan"
    );
    relay.stop().await;
    relay.start_again().await;
    assert_eq!(
        limit(&relay, &acme, "endpoints").await,
        (json!(1), json!(1), json!(100.0))
    );
    // A configuration without the plan leaves the tenant in force.
    relay.reconfigure("");
    relay.logged("configuration reloaded").await;
    assert_eq!(
        limit(&relay, &acme, "sources").await,
        (json!(1), Value::Null, Value::Null)
    );
    let noted = json!({"description": "of a plan that is gone"});
    let noted = relay.admin(Method::PATCH, "/v1/tenants/acme", Some(noted)).await;
    assert_eq!(
        (noted.status, &noted.json()["plan"]),
        (200, &json!("pro")),
        "{}",
        noted.text()
    );
}

#[tokio::test]
async fn u10_events_over_the_limits_are_refused_until_there_is_room() {
    let receiver = Receiver::start();
    let mut relay = Setup::new("").start().await;
    let (acme, globex) = two(&relay).await;
    acme.make(&relay, "/v1/endpoints", crm(&receiver)).await;
    let source = acme.make(&relay, "/v1/sources", shop()).await;
    let source = text(&source["id"]).to_owned();
    let limit_to = |quota: Value| {
        relay.admin(
            Method::PUT,
            "/v1/tenants/acme",
            Some(json!({"name": "acme", "quota": quota})),
        )
    };
    let refused = |answer: &Answer| {
        (
            answer.status,
            code(answer),
            answer.header("retry-after").parse::<u64>().ok(),
        )
    };

    assert_eq!(limit_to(json!({"events_per_second": "2/h"})).await.status, 200);
    let token = [("x-token", "s3same-0pen"), ("content-type", "application/json")];
    assert_eq!(
        relay
            .post_source(&source, &[("x-token", "wrong")], "{}")
            .await
            .status,
        401,
        "counts for nothing"
    );
    accepted(&relay.post_source(&source, &token, r#"{"a": 1}"#).await);
    accepted(&acme.post(&relay, "a.b").await);
    for answer in [
        acme.post(&relay, "a.b").await,
        relay.post_source(&source, &token, "{}").await,
    ] {
        let (status, code, retry_after) = refused(&answer);
        assert_eq!((status, code.as_str()), (429, "rate_limited"));
        assert!(
            retry_after.is_some_and(|seconds| (1..=1800).contains(&seconds)),
            "{retry_after:?}"
        );
    }
    accepted(&globex.post(&relay, "a.b").await);
    assert_eq!(
        limit(&relay, &acme, "events_per_second").await,
        (json!(2), json!(2), json!(100.0))
    );

    // Two were accepted today before anybody counted.
    assert_eq!(limit_to(json!({"events_per_day": 3})).await.status, 200);
    accepted(&acme.post(&relay, "a.b").await);
    let (status, code_, retry_after) = refused(&acme.post(&relay, "a.b").await);
    assert_eq!((status, code_.as_str()), (429, "quota_reached"));
    assert!(
        retry_after.is_some_and(|seconds| seconds <= 24 * 3600),
        "{retry_after:?}"
    );
    relay.kill().await;
    relay.start_again().await;
    assert_eq!(
        acme.post(&relay, "a.b").await.status,
        429,
        "a restart forgets nothing"
    );
    assert_eq!(limit(&relay, &acme, "events_per_day").await.0, json!(3));

    let limit_to = |quota: Value| {
        relay.admin(
            Method::PUT,
            "/v1/tenants/acme",
            Some(json!({"name": "acme", "quota": quota})),
        )
    };
    let (stored, ..) = {
        assert_eq!(limit_to(json!({"stored_bytes": "1KiB"})).await.status, 200);
        limit(&relay, &acme, "stored_bytes").await
    };
    assert_eq!(stored, json!(r#"{"a": 1}"#.len() + 2 * r#"{"n":1}"#.len()));
    let large = json!({"type": "a.b", "data": "x".repeat(2000)});
    let answer = acme.ask(&relay, Method::POST, "/v1/events", Some(large)).await;
    let (status, code_, retry_after) = refused(&answer);
    assert_eq!(
        (status, code_.as_str(), retry_after),
        (507, "quota_reached", Some(600))
    );
    accepted(&acme.post(&relay, "a.b").await);
    // What is a repeat uses up nothing.
    let once = json!({"type": "a.b", "data": {"n": 1}, "id": "the-same"});
    for _ in 0..3 {
        accepted(
            &acme
                .ask(&relay, Method::POST, "/v1/events", Some(once.clone()))
                .await,
        );
    }
    let after = stored.as_u64().unwrap_or_default() + 14;
    assert_eq!(limit(&relay, &acme, "stored_bytes").await.0, json!(after));
    receiver.received(5).await;
}

/// The signatures on the message of one more event.
async fn signatures(relay: &Relay, who: &As, receiver: &Receiver) -> Vec<String> {
    let before = receiver.requests().len();
    accepted(&who.post(relay, "a.b").await);
    let requests = receiver.received(before + 1).await;
    let header = requests[before].header("webhook-signature");
    header.split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn c13_a_signing_secret_rotates_with_an_overlap_that_outlasts_a_restart() {
    const GIVEN: &str = "whsec_c2VjcmV0IG9mIHRoZSByb3RhdGlvbiB0ZXN0";
    let receiver = Receiver::start();
    let mut relay = Relay::start("").await;
    let (acme, _) = two(&relay).await;
    let own = json!({"name": "own", "url": receiver.url(), "event_types": ["a.*"]});
    acme.make(&relay, "/v1/endpoints", own).await;
    let old = text(&acme.get(&relay, "/v1/endpoints/own/secret").await["secret"]).to_owned();
    let path = "/v1/endpoints/own/secret/rotate";
    let rotated = acme
        .ask(&relay, Method::POST, path, Some(json!({"overlap": "24h"})))
        .await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let new = text(&rotated.json()["secret"]).to_owned();
    assert!(
        new != old && rotated.json()["overlap_until"].is_string(),
        "{}",
        rotated.text()
    );
    for round in 0..2 {
        assert_eq!(signatures(&relay, &acme, &receiver).await.len(), 2, "{round}");
        let last = receiver.requests().pop().expect("a request");
        assert_eq!((last.verify(&old), last.verify(&new)), (Ok(()), Ok(())));
        relay.kill().await;
        relay.start_again().await;
    }
    assert_eq!(
        acme.get(&relay, "/v1/endpoints/own/secret").await["secret"],
        json!(new)
    );
    // At once: the last one signs no more, the one before it until its own time is over.
    let body = json!({"overlap": "0s", "secret": GIVEN});
    let rotated = acme.ask(&relay, Method::POST, path, Some(body)).await;
    assert_eq!((rotated.status, &rotated.json()["secret"]), (200, &json!(GIVEN)));
    assert_eq!(signatures(&relay, &acme, &receiver).await.len(), 2);
    let last = receiver.requests().pop().expect("a request");
    assert_eq!((last.verify(&old), last.verify(GIVEN)), (Ok(()), Ok(())));
    assert!(last.verify(&new).is_err());
    for (body, pointer) in [
        (json!({"overlap": "31d"}), "/overlap"),
        (json!({"overlap": "a while"}), "/overlap"),
        (json!({"secret": "hunter2"}), "/secret"),
    ] {
        let answer = acme.ask(&relay, Method::POST, path, Some(body)).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status, text(&problem["errors"][0]["pointer"])),
            (422, pointer),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn c13_a_given_secret_rotates_and_the_old_one_ends_by_itself() {
    const FIRST: &str = "whsec_dGhlIGZpcnN0IHNlY3JldCB0aGF0IHdhcyBnaXZlbg==";
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint(
        "declared",
        &format!("secret = \"{FIRST}\"\nevent_types = [\"x.y\"]"),
    ))
    .await;
    let (acme, _) = two(&relay).await;
    let keys = json!({"name": "crm", "url": receiver.url(), "secret": FIRST});
    acme.make(&relay, "/v1/endpoints", keys).await;
    let path = "/v1/endpoints/crm/secret/rotate";
    let rotated = acme
        .ask(&relay, Method::POST, path, Some(json!({"overlap": "1s"})))
        .await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let new = text(&rotated.json()["secret"]).to_owned();
    assert_ne!(new, FIRST);
    eventually("the old secret to sign no more", || async {
        let signed = signatures(&relay, &acme, &receiver).await;
        if signed.len() == 1 { Ok(()) } else { Err(signed) }
    })
    .await;
    let last = receiver.requests().pop().expect("a request");
    assert_eq!(last.verify(&new), Ok(()));
    let shown = acme.get(&relay, "/v1/endpoints/crm").await;
    assert_eq!(shown["secret"], json!({"sealed": true}), "{shown}");
    let declared = relay
        .admin(Method::POST, "/v1/endpoints/declared/secret/rotate", None)
        .await;
    assert_eq!(
        (declared.status, code(&declared)),
        (409, "declared_in_file".to_owned())
    );
}

#[tokio::test]
async fn c13_what_tenants_have_is_sealed_with_keys_of_their_own() {
    let receiver = Receiver::start();
    let mut relay = Relay::start("").await;
    let (acme, globex) = two(&relay).await;
    for who in [&acme, &globex] {
        who.make(&relay, "/v1/endpoints", crm(&receiver)).await;
    }
    relay.stop().await;
    let store = rusqlite::Connection::open(relay.setup().home().join("relay.db")).expect("a database");
    let sql = "SELECT count(DISTINCT s.tenant), count(DISTINCT substr(s.symmetric, 2, 4)),
                      count(*) FILTER (WHERE s.tenant = r.tenant AND k.tenant = s.tenant)
               FROM signing_secrets s JOIN resources r ON r.id = s.endpoint
               JOIN data_keys k ON k.tenant = r.tenant";
    let counted = store.query_row(sql, [], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, i64>(2)?,
        ))
    });
    assert_eq!(counted.expect("the tables are there"), (2, 2, 2));
    drop(store);
    relay.start_again().await;
}
