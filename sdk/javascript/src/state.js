// Small durable state, private to one plugin on one endpoint or source.

import host from "relay:plugin/state";

import { Invalid, Misconfigured, Unavailable, asked } from "./fault.js";
import { bytes, length, optional, text } from "./value.js";

const ERRORS = {
    denied: (reason) => new Misconfigured(reason),
    "too-large": (most) => new Invalid(`the key or value has more than ${most >>> 0} bytes`),
    "quota-exceeded": () => new Unavailable("the plugin's state is full"),
    unavailable: (reason) => new Unavailable(`the plugin's state cannot be reached: ${reason}`),
};
const KEYS_AT_ONCE = 100;

const key = (given) => text(given, "a key");
const ttl = (seconds) => length(seconds, "a time to live");

export function get(name) {
    const of = key(name);
    return asked(() => host.get(of), ERRORS) ?? undefined;
}

export function getText(name) {
    const found = get(name);
    return found === undefined ? undefined : new TextDecoder().decode(found);
}

export function set(name, value, options) {
    const given = [key(name), bytes(value, "the value"), optional(options?.ttl, "ttl", ttl)];
    asked(() => host.set(...given), ERRORS);
}

function remove(name) {
    const of = key(name);
    asked(() => host.delete(of), ERRORS);
}

export { remove as delete };

export function claim(name, seconds) {
    const given = [key(name), ttl(seconds)];
    return asked(() => host.claim(...given), ERRORS);
}

export function add(name, delta = 1, options) {
    if (!Number.isSafeInteger(delta)) {
        throw new TypeError(`${delta} is no whole number`);
    }
    const given = [key(name), delta, optional(options?.ttl, "ttl", ttl)];
    return Number(asked(() => host.add(...given), ERRORS));
}

export function compareAndSet(name, expected, value, options) {
    const given = [
        key(name),
        optional(expected, "the expected value", bytes),
        bytes(value, "the value"),
        optional(options?.ttl, "ttl", ttl),
    ];
    return asked(() => host.compareAndSet(...given), ERRORS);
}

export function keys(prefix = "", { cursor, limit = KEYS_AT_ONCE } = {}) {
    const given = [text(prefix, "a prefix"), optional(cursor, "a cursor", text), length(limit, "the limit")];
    const page = asked(() => host.keys(...given), ERRORS);
    return { keys: page.keys, cursor: page.cursor ?? undefined };
}
