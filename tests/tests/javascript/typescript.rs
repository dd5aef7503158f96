//! Plugins in TypeScript: types are taken out, everything else stays where it was.

use serde_json::json;

use crate::kit::{Plugin, wrong};

const PLUGIN: &str = r#"import * as relay from "@relay/plugin";
import type { Rates } from "./rates.ts";
import { type Money, converted } from "./money.js";
import rates from "../rates.json" with { type: "json" };

interface Order {
    total: Money;
    readonly items?: string[];
}

abstract class Step<T extends object> {
    constructor(protected_: T) {
        this.given = protected_;
    }
    protected readonly given: T;
    abstract run(event: relay.Event): relay.Outcome;
}

class Convert extends Step<Rates> implements Iterable<string> {
    private static count = 0;
    *[Symbol.iterator](): Generator<string> {
        yield* Object.keys(this.given);
    }
    override run(event: relay.Event): relay.Outcome {
        const order = event.json<Order>();
        if (order.total === undefined) throw new Error(`no total in ${order.items!.length} items`);
        Convert.count += 1;
        const total = converted(order.total, this.given as Rates, "CHF");
        return event.edit().set("/total", total satisfies Money).set("/known", [...this]);
    }
}

export function transform(event: relay.Event): relay.Outcome {
    return new Convert(rates).run(event);
}
"#;
const MONEY: &str = r#"import { type Rates } from "./rates.js";

export type Money = { amount: number; currency: string };

export const converted = <T extends Money>(money: T, rates: Rates, to: string): Money => ({
    amount: money.amount * (rates[money.currency] ?? 1),
    currency: to,
});
"#;
const RATES: &str = "export type Rates = Record<string, number>;\n";

const FILES: [(&str, &str); 4] = [
    ("src/plugin.ts", PLUGIN),
    ("src/money.ts", MONEY),
    ("src/rates.ts", RATES),
    ("rates.json", "{ \"EUR\": 0.5 }"),
];

#[tokio::test(flavor = "multi_thread")]
async fn types_are_taken_out_and_places_stay() {
    let plugin = Plugin::new(&FILES);
    let order = json!({ "total": { "amount": 8, "currency": "EUR" } });
    let found = plugin.transform(json!({}), order).await.shown;
    let made = &found["emit"][0]["data"];
    assert_eq!(
        *made,
        json!({ "total": { "amount": 4, "currency": "CHF" }, "known": ["EUR"] }),
        "{found}"
    );
    let found = plugin.transform(json!({}), json!({ "items": ["a"] })).await.shown;
    assert_eq!(found["fault"], "invalid", "{found}");
    assert_eq!(
        found["message"], "Error: no total in 1 items (src/plugin.ts:26)",
        "{found}"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (files, expected) in [
        (
            vec![("src/plugin.ts", "enum Kind { A }\nexport function transform() {}")],
            "src/plugin.ts:1:1: an enum would have to be compiled",
        ),
        (
            vec![("src/plugin.js", "export function transform( {}")],
            "src/plugin.js:1:",
        ),
        (
            vec![(
                "src/plugin.js",
                "import _ from \"lodash\";\nexport function transform() {}",
            )],
            "src/plugin.js:1:15: \"lodash\" is a package, and packages are not looked up; bundle it",
        ),
        (
            vec![("src/plugin.js", "\n\nimport fs from \"node:fs\";")],
            "src/plugin.js:1:1: exports no hook",
        ),
        (
            vec![(
                "src/plugin.js",
                "export function transform() {}\nimport fs from \"node:fs\";",
            )],
            "src/plugin.js:2:16: \"node:fs\" is a part of Node",
        ),
        (
            vec![(
                "src/plugin.js",
                "import \"./none.js\";\nexport function transform() {}",
            )],
            "src/plugin.js:1:8: there is no file for \"./none.js\"",
        ),
        (
            vec![(
                "src/plugin.js",
                "import \"../../etc/passwd\";\nexport function transform() {}",
            )],
            "is outside of the plugin's folder",
        ),
        (
            vec![
                (
                    "src/plugin.js",
                    "import { b } from \"./b.js\";\nexport function transform() { b() }",
                ),
                ("src/b.js", "export const a = 1;"),
            ],
            "Could not find export 'b' in module 'src/b.js'",
        ),
        (
            vec![("src/plugin.js", "export const transform = 7;")],
            "transform is 7; a hook is a function",
        ),
        (
            vec![(
                "src/plugin.js",
                "const a = 1;\nnull.b;\nexport function transform() {}",
            )],
            "src/plugin.js:2",
        ),
        (
            vec![(
                "src/plugin.js",
                "import * as relay from \"@relay/plugin\";\nrelay.config.document();\nexport function transform() {}",
            )],
            "a module asks the relay for something (config.document) while it is loaded",
        ),
        (
            vec![(
                "src/plugin.js",
                "import * as relay from \"@relay/plugin\";\nexport const transform = () => use(relay);",
            )],
            "src/plugin.js:2:36: @relay/plugin cannot be passed on as a whole",
        ),
        (
            vec![(
                "src/plugin.js",
                "export const transform = () => import(\"./b.js\");",
            )],
            "src/plugin.js:1:32: import() is not there in a plugin",
        ),
    ] {
        let said = wrong(&files);
        assert!(said.contains(expected), "{expected:?} is not in {said:?}");
    }
}
