// What `transform` does, by the type of the event.

import { Invalid, Message, Misconfigured, Unavailable, call, config, crypto, drop, keep, log, secrets, state } from "@relay/plugin";

const KEY = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
const SIGNATURE =
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

const hexBytes = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));

function setValues(event) {
    const value = { text: "grüße 👋 \" \\ \n", none: null, list: [1, 2.5, true] };
    const edits = event.edit().set("/a/b/c", value).set("/list/-", "more").set("/list/0", "first");
    return edits.set("/m~0n/x~1y", false).set("/", "empty name");
}

function renameAndCopy(event) {
    const edits = event.edit().rename("/old", "/new").rename("/absent", "/never").copy("/new", "/copies/-");
    return edits.copy("/absent", "/never").copy("/new/deep", "/shallow");
}

function merge(event) {
    const patch = { street: "Main", zip: null, geo: { lat: 1 } };
    return event.edit().merge("/address", patch).merge("/fresh", { a: { b: null, c: 1 } });
}

function bigNumbers(event) {
    const edits = event.edit().copy("/big", "/same").setRaw("/raw", event.body.value("/big") ?? "null");
    return edits.setRaw("/precise", "0.1000000000000000055511151231257827").set("/largest", Number.MAX_SAFE_INTEGER);
}

function several(event) {
    return [
        Message.same().setAttribute("subject", "one"),
        event.edit().set("/n", 2).setAttribute("subject", "two"),
        Message.json([3]).setHeader("x-part", "3"),
    ];
}

function changeHeaders() {
    const message = Message.same().setHeader("X-One", "1").addHeader("x-many", "a").addHeader("x-many", "b");
    return message.removeHeader("x-gone").setHeader("x-text", "plain");
}

function changeAttributes() {
    const message = Message.same().setAttribute("type", "agrees.changed").setAttribute("region", "eu-1");
    message.setAttribute("time", "2026-01-02T03:04:05Z").removeAttribute("subject");
    return message.setAttribute("dataschema", "https://example.com/schema");
}

function read(event) {
    return Message.json({
        id: event.id,
        source: event.source,
        type: event.type,
        subject: event.subject,
        time: event.time,
        content_type: event.contentType,
        header: event.header("x-one"),
        no_header: event.header("x-none") ?? null,
        headers: event.headers(),
        extension: event.extension("region") ?? null,
        size: event.body.size,
        slice: new TextDecoder().decode(event.body.slice(2, 3)),
        beyond: event.body.slice(1_000_000, 5).length,
        text: event.text(),
        value: event.get("/list/1"),
        deep: event.get("/a~1b/m~0n"),
        null: event.get("/none", "default"),
        absent: event.get("/absent") ?? null,
        raw: event.body.value("/spaced"),
        whole: event.json(),
    });
}

function readBytes(event) {
    return Message.json({ text: event.text() ?? null, bytes: [...event.bytes()], value: event.get("/a") ?? null });
}

function configuration(event) {
    const none = config.get("/none") ?? null;
    return event.replace({ greeting: config.get("/greeting"), none, whole: config.document() });
}

function hashes(event) {
    const parts = ["a", new Uint8Array([0xff]), event.body];
    const made = {};
    for (const digest of ["sha1", "sha256", "sha512"]) {
        for (const encoding of ["hex", "base64", "base64url"]) {
            made[`${digest} ${encoding}`] = crypto.hmac("signing-key", parts, { digest, encoding });
        }
    }
    const sha1 = { digest: "sha1", encoding: "base64" };
    made.hash = crypto.hash(parts);
    made.right = crypto.hmacVerify("signing-key", parts, made["sha1 base64"], sha1);
    made.wrong = crypto.hmacVerify("signing-key", ["b"], made["sha1 base64"], sha1);
    made.odd = crypto.hmacVerify("signing-key", parts, "no base64 at all!", sha1);
    made.equal = crypto.equals("token", "correct-horse");
    const key = { raw: hexBytes(KEY) };
    made.signed = crypto.verify(key, "ed25519", ["r"], SIGNATURE);
    made["not signed"] = crypto.verify(key, "ed25519", ["s"], SIGNATURE);
    return Message.json(made);
}

function remember() {
    const found = {
        absent: state.get("k") ?? null,
        claims: [state.claim("c", 60), state.claim("c", 60)],
        sums: [state.add("n", 5), state.add("n", -7, { ttl: 60 })],
        swaps: [state.compareAndSet("s", undefined, "1"), state.compareAndSet("s", undefined, "2")],
        swapped: state.compareAndSet("s", "1", "2", { ttl: 60 }),
    };
    state.set("k", "grün", { ttl: 60 });
    found.text = state.getText("k");
    state.delete("k");
    state.delete("k");
    found.deleted = state.get("k") ?? null;
    const page = state.keys("", { limit: 2 });
    found.keys = page.keys;
    found.rest = state.keys("", { cursor: page.cursor, limit: 2 }).keys;
    return Message.json(found);
}

function writeLines() {
    log.info("plain");
    log.warn("with fields", { n: 1, text: "grün" });
    log.error("bad");
    console.log("printed");
    return keep();
}

function context() {
    const now = call.current();
    const hasTime = now.budget > 0 && now.budget <= 60;
    return Message.json([now.tenant, now.source ?? null, now.endpoint, now.delivery, now.attempt, hasTime]);
}

export const deeds = {
    "agrees.keep": () => keep(),
    "agrees.drop": (event) => drop(`not ${event.subject}: grün`),
    "agrees.nothing": () => [],
    "agrees.set": setValues,
    "agrees.remove": (event) => event.edit().remove("/gone").remove("/absent/deep").remove("/list/0"),
    "agrees.rename": renameAndCopy,
    "agrees.merge": merge,
    "agrees.numbers": bigNumbers,
    "agrees.unfit": (event) => event.edit().set("/text/deep", 1),
    "agrees.json": (event) => Message.json({ id: event.get("/id"), list: [1, 2.5, null, true, "é👋"] }),
    "agrees.text": () => Message.text("plain ✓\n").setAttribute("datacontenttype", "text/plain"),
    "agrees.bytes": () => Message.bytes(new Uint8Array([0xff, 0, 0x61])),
    "agrees.held": (event) => Message.held(event.body).setHeader("x-held", "yes"),
    "agrees.several": several,
    "agrees.headers": changeHeaders,
    "agrees.attributes": changeAttributes,
    "agrees.bad-header": () => Message.same().setHeader("x-a", "1\r\nx-b: 2"),
    "agrees.read": read,
    "agrees.bytes-in": readBytes,
    "agrees.config": configuration,
    "agrees.secret": () => Message.json({ length: secrets.get("token").length }),
    "agrees.crypto": hashes,
    "agrees.state": remember,
    "agrees.log": writeLines,
    "agrees.call": context,
    "agrees.invalid": () => {
        throw new Invalid("this can never be");
    },
    "agrees.misconfigured": () => {
        throw new Misconfigured("there is no channel");
    },
    "agrees.unavailable": () => {
        throw new Unavailable("later, grün", { after: 2 });
    },
    "agrees.require": (event) => drop(event.require("/absent", "string")),
};
