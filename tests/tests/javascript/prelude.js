// What QuickJS lacks and plugins have: answers with what is wrong.

import * as relay from "@relay/plugin";

const bytes = (...values) => new Uint8Array(values);
const list = (value) => [...value].join(" ");

function thrown(call) {
    try {
        call();
        return "nothing";
    } catch (error) {
        return error.constructor.name;
    }
}

const cases = {
    encoder: [() => list(new TextEncoder().encode("a é € 👋\ud800")), "97 32 195 169 32 226 130 172 32 240 159 145 139 239 191 189"],
    "encoder into": [() => {
        const into = new Uint8Array(4);
        const { read, written } = new TextEncoder().encodeInto("é€👋", into);
        return `${read} ${written} ${list(into)}`;
    }, "1 2 195 169 0 0"],
    decoder: [() => new TextDecoder().decode(bytes(0xef, 0xbb, 0xbf, 0xc3, 0xa9, 0xff, 0xf0, 0x9f, 0x98, 0xed, 0xa0, 0x80)), "é\ufffd\ufffd\ufffd\ufffd\ufffd"],
    "decoder of a stream": [() => {
        const decoder = new TextDecoder();
        return decoder.decode(bytes(0xf0, 0x9f), { stream: true }) + decoder.decode(bytes(0x91, 0x8b));
    }, "👋"],
    "fatal decoder": [() => thrown(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes(0xff))), "TypeError"],
    "other encodings": [() => thrown(() => new TextDecoder("latin1")), "RangeError"],
    "long texts": [() => new TextDecoder().decode(new TextEncoder().encode("é".repeat(100_000))).length, 100_000],
    btoa: [() => btoa("\xff\x00a") + btoa("ab") + btoa(""), "/wBhYWI="],
    atob: [() => list(Array.from(atob(" /w Bh "), (letter) => letter.charCodeAt(0))), "255 0 97"],
    "bad base64": [() => `${thrown(() => atob("a"))} ${thrown(() => atob("é==="))} ${thrown(() => btoa("€"))}`, "RangeError RangeError RangeError"],
    clone: [() => {
        const from = { date: new Date(7), map: new Map([[1, { two: [3] }]]), set: new Set("a"), none: undefined, bytes: bytes(1, 2) };
        from.self = from;
        const to = structuredClone(from);
        from.map.get(1).two.push(4);
        return [to.self === to, to !== from, to.date.getTime(), to.map.get(1).two.length, to.set.has("a"), "none" in to, list(to.bytes)].join();
    }, "true,true,7,1,true,true,1 2"],
    "no clone of functions": [() => thrown(() => structuredClone({ f() {} })), "TypeError"],
    url: [() => new URL("../b?q=1#h", "HTTPS://User:pa%73s@EXAMPLE.com:443/x/y/./z").href, "https://User:pa%73s@example.com/x/b?q=1#h"],
    "parts of a url": [() => {
        const { protocol, host, port, pathname, search, hash, origin } = new URL("http://[::1]:8080/a b?c d#e");
        return [protocol, host, port, pathname, search, hash, origin].join(" ");
    }, "http: [::1]:8080 8080 /a%20b ?c%20d #e http://[::1]:8080"],
    "hosts of urls": [() => ["http://0x7f.1/", "http://BÜCHER.example/", "http://[1::0:0:2]/", "foo://A b"].map((text) => URL.parse(text)?.host ?? "none").join(" "), "127.0.0.1 xn--bcher-kva.example [1::2] none"],
    "changed url": [() => {
        const url = new URL("https://a.example/x");
        url.searchParams.append("q", "ä &");
        url.pathname = "y z";
        url.port = "8443";
        url.hash = "";
        return url.href;
    }, "https://a.example:8443/y%20z?q=%C3%A4+%26"],
    "no url": [() => `${thrown(() => new URL("/x"))} ${URL.canParse("x:y")}`, "TypeError true"],
    params: [() => {
        const params = new URLSearchParams("?a=1&b=2+3&a=%F0%9F%91%8B&c");
        params.delete("b");
        params.set("c", "=&");
        return `${params} ${params.getAll("a").join()} ${params.get("none")} ${params.size}`;
    }, "a=1&a=%F0%9F%91%8B&c=%3D%26 1,👋 null 3"],
    "params of an object": [() => new URLSearchParams({ x: "1", y: "é" }).toString(), "x=1&y=%C3%A9"],
    "time goes on": [() => Date.now() > 1_600_000_000_000 && performance.now() >= 0, true],
    random: [() => Math.random() !== Math.random(), true],
    "numbers beyond 31 bits": [() => relay.state.add("n", 2 ** 40), 2 ** 40],
    "lengths beyond 31 bits": [() => new TextDecoder().decode(relay.state.get("t") ?? bytes(0x2d)), "-"],
    "big limits": [() => relay.state.keys("", { limit: 2 ** 32 }).keys.join(), "n"],
    "an event, shown": [(event) => {
        const { type, size } = JSON.parse(JSON.stringify(event));
        return [type === event.type, size === event.body.size, "_record" in JSON.parse(JSON.stringify(event))].join();
    }, "true,true,false"],
    console: [() => {
        console.log("a", 1, { b: [2] }, undefined, 3n, new Error("e").message);
        return true;
    }, true],
};

export function transform(event) {
    const wrong = {};
    for (const [name, [call, expected]] of Object.entries(cases)) {
        let found;
        try {
            found = call(event);
        } catch (error) {
            found = `${error} ${error.stack}`;
        }
        if (found !== expected) wrong[name] = { expected, found: String(found) };
    }
    const slice = event.body.slice(0, 2 ** 32);
    if (slice.length !== event.body.size) wrong.slice = slice.length;
    return event.replace({ ran: Object.keys(cases).length, wrong });
}
