// Native, constant-time crypto over secrets and payloads that the relay holds.

import host from "relay:plugin/crypto";

import { asked } from "./fault.js";
import { Payload } from "./payload.js";
import { ERRORS } from "./secret-errors.js";
import { bytes, shown, text } from "./value.js";

const DIGESTS = ["sha1", "sha256", "sha512"];
const ENCODINGS = ["hex", "base64", "base64url"];
const SCHEMES = ["ed25519", "ecdsa-p256-sha256", "rsa-pkcs1-sha256"];

export function hmac(secret, message, options) {
    const [name, parts] = [text(secret, "a secret's name"), partsOf(message)];
    const [digest, encoding] = written(options);
    return asked(() => host.hmac(name, digest, parts, encoding), ERRORS);
}

export function hmacVerify(secret, message, signature, options) {
    const [name, parts] = [text(secret, "a secret's name"), partsOf(message)];
    const [digest, encoding] = written(options);
    return asked(() => host.hmacVerify(name, digest, parts, text(signature, "the signature"), encoding), ERRORS);
}

export function verify(key, scheme, message, signature, options) {
    const [of, parts] = [keyOf(key), partsOf(message)];
    const [, encoding] = written(options);
    const by = one(SCHEMES, scheme, "the scheme");
    return asked(() => host.verify(of, by, parts, text(signature, "the signature"), encoding), ERRORS);
}

export function hash(message, options) {
    const [digest, encoding] = written(options);
    return host.hash(digest, partsOf(message), encoding);
}

export function equals(secret, given) {
    const name = text(secret, "a secret's name");
    return asked(() => host.equals(name, text(given, "what is compared")), ERRORS);
}

function written({ digest = "sha256", encoding = "hex" } = {}) {
    return [one(DIGESTS, digest, "the digest"), one(ENCODINGS, encoding, "the encoding")];
}

function one(known, value, what) {
    if (known.includes(value)) return value;
    throw new TypeError(`${what} is ${shown(value)}; known: ${known.join(", ")}`);
}

function keyOf(key) {
    if (typeof key?.secret === "string") return { tag: "secret", val: text(key.secret, "a secret's name") };
    if (typeof key?.pem === "string") return { tag: "pem", val: text(key.pem, "the key") };
    if (key?.raw !== undefined) return { tag: "raw", val: bytes(key.raw, "the key") };
    throw new TypeError("a key is one of { secret: \"name\" }, { pem: \"…\" } and { raw: bytes }");
}

/** The parts of a message, or its only one. */
function partsOf(message) {
    return (Array.isArray(message) ? message : [message]).map((part) => {
        if (Payload.is(part)) return { tag: "blob", val: Payload.blob(part) };
        if (typeof part === "string") return { tag: "text", val: text(part, "a part of the message") };
        return { tag: "bytes", val: bytes(part, "a part of the message") };
    });
}
