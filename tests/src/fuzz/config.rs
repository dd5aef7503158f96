//! The configuration: each text is taken, or refused with faults that say where and what.

use relay::config;

use super::{Nowhere, Target};

pub(super) const TARGET: Target = Target {
    name: "config",
    seeds: || {
        let mut seeds = super::texts(&[
            "[server]\nlisten = [\"127.0.0.1:8080\", \"[::]:0\"]\nbody_limit = \"64KiB\"\nproxies = [\"10.0.0.0/8\"]\n",
            "[[source]]\nname = \"a\"\nverify = { scheme = \"hmac\", secret = \"s\", header = \"x-sig\", parts = [\"timestamp\", \"literal:.\", \"body\"], timestamp = \"x-time\" }\n[source.event]\ntype = \"email.{/event}\"\ndedupe = [\"/event\", [\"/id\", \"header:x-id\"]]\n",
            "[[source]]\nname = \"b\"\nverify = { scheme = \"jwt\", algorithm = \"HS256\", secret = \"0123456789\", body_claim = \"h\" }\n",
            "[[endpoint]]\nname = \"crm\"\nurl = \"https://crm.example.com/hooks\"\nevent_types = [\"message.*\"]\nfilter = { data = { labels = [{ wildcard = \"*sales*\" }] } }\nplugins = [{ use = \"redact-fields\", config = { mask = [\"/phone\"] } }]\nrate_limit = \"50/s\"\nretry = { schedule = [\"5s\", \"1h30m\"], jitter = 0.5 }\nheaders = { authorization = \"x\" }\n",
        ]);
        seeds.push(config::DEFAULT_FILE.as_bytes().to_vec());
        seeds
    },
    words: &[
        "[server]\n",
        "[[source]]\n",
        "[[endpoint]]\n",
        "[plugins.limits]\n",
        "name = ",
        "\"\"",
        "{ env = \"X\" }",
        "{ file = \"x\" }",
        "= [",
        "= {}",
        "99999999999999999999",
        "-1",
        "1e400",
        "nan",
        "\"7d\"",
        "\"1KiB\"",
        "\"9999999999999999h\"",
        "\"0/s\"",
        "\"$or\"",
        "\u{0}",
        "1979-05-27T07:32:00Z",
        "whsec_",
        "verify = ",
    ],
    run,
};

fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match config::load(text, &Nowhere) {
        Ok(config) => {
            let again = config::load(text, &Nowhere).map(|again| format!("{again:?}"));
            assert_eq!(again, Ok(format!("{config:?}")), "a text means one thing");
            assert!(!config.server.listen.is_empty());
            assert!(
                config
                    .endpoints
                    .iter()
                    .all(|declared| !declared.item.name.is_empty())
            );
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            assert!(
                faults
                    .iter()
                    .all(|fault| !fault.path.to_string().is_empty() && !fault.problem.is_empty()),
                "{faults:?}"
            );
        }
    }
}
