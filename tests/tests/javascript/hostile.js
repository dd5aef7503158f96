// Misbehaves as its configuration says: {"do": "spin"}.

import * as relay from "@relay/plugin";

let calls = 0;

const deeds = {
    nothing: () => undefined,
    spin: () => {
        for (;;);
    },
    "spin-in-host": (event) => {
        for (;;) event.body.size;
    },
    "spin-in-a-pattern": () => /^(a+)+$/.test(`${"a".repeat(64)}b`),
    "eat-memory": () => {
        const eaten = [];
        for (;;) eaten.push(new Uint8Array(1 << 20).fill(1));
    },
    "eat-objects": () => {
        let chain = null;
        for (;;) chain = { chain };
    },
    recurse: () => deeds.recurse() + 1,
    "recurse-in-data": () => {
        let nested = [];
        for (let depth = 0; depth < 100_000; depth++) nested = [nested];
        return relay.Message.json(nested);
    },
    "huge-text": () => relay.Message.text("x".repeat(2 << 20)),
    "many-messages": () => Array.from({ length: 101 }, () => relay.Message.same()),
    "flood-console": () => {
        for (let line = 0; line < 100_000; line++) console.log("line", line);
    },
    "long-line": () => console.log("x".repeat(1 << 20)),
    throw: () => {
        throw new Error("not to my taste");
    },
    "throw-a-text": () => {
        throw "a text";
    },
    "throw-nothing": () => {
        throw undefined;
    },
    "throw-what-throws": () => {
        throw {
            get message() {
                throw new Error("twice");
            },
        };
    },
    "no-such-function": () => event.nothing(),
    "no-such-answer": () => 7,
    async: async () => relay.keep(),
    "half-a-character": () => relay.Message.text("a\ud800b"),
    "not-json": (event) => event.edit().set("/a", undefined),
    "bigint": (event) => event.edit().set("/a", 1n),
    "bad-pointer": (event) => event.edit().set("no/slash", 1),
    "not-a-pointer": (event) => event.edit().remove(7),
    "foreign-payload": () => relay.Message.held({ size: 1 }),
    "bad-header": () => relay.Message.same().setHeader("content-length", "0"),
    "no-grant": () => relay.secrets.get("other"),
    eval: () => relay.drop(String(new Function("return 6 * 7")())),
    fetch: () => fetch("https://example.com"),
    timer: () => setTimeout(() => {}, 1),
    pollute: () => {
        Object.prototype.polluted = "yes";
        Array.prototype.map = () => [];
        JSON.parse = () => ({});
        globalThis.calls = 1;
        return relay.drop("polluted");
    },
    look: (event) =>
        relay.drop(`${calls++} ${{}.polluted} ${globalThis.calls} ${[1].map((n) => n + 1)} ${event.get("/n")}`),
};

export function transform(event, config) {
    return deeds[config.do](event);
}
