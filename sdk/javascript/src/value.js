// Values on their way to the relay: what it would not take is said here, by name.

import { Invalid } from "./fault.js";

const U32_MAX = 0xffff_ffff;

/** What a value is called: put together only where something is wrong with it. */
const called = (what, whose) => (whose === "" ? what : `${what} ${whose}`);

/** A text, without halves of characters, which UTF-8 cannot have. */
export function text(value, what, whose = "") {
    if (typeof value !== "string") {
        throw new TypeError(`${called(what, whose)} is ${shown(value)}, not a string`);
    }
    return value.toWellFormed();
}

/** A number of bytes, seconds and so on. Beyond 2^31 the bridge knows it as negative. */
export function length(value, what) {
    if (typeof value !== "number" || !(value >= 0)) {
        throw new TypeError(`${what} is ${shown(value)}, not a number from 0 on`);
    }
    return Math.min(Math.ceil(value), U32_MAX) | 0;
}

export function optional(value, what, as) {
    return value == null ? null : as(value, what);
}

/** JSON text. */
export function write(value, what = "the value", whose = "") {
    const json = JSON.stringify(value);
    if (json === undefined) {
        throw new TypeError(`${called(what, whose)} is ${shown(value)}, which is not JSON`);
    }
    return json;
}

/** What JSON text says. */
export function read(json, what, whose = "") {
    try {
        return JSON.parse(json);
    } catch (error) {
        throw new Invalid(`${called(what, whose)} is not JSON: ${error.message}`);
    }
}

/** Bytes, of a text or of bytes in any of their forms. */
export function bytes(value, what) {
    if (typeof value === "string") return new TextEncoder().encode(value);
    if (value instanceof Uint8Array) return value;
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    throw new TypeError(`${what} is ${shown(value)}, neither a string nor bytes`);
}

/** Names and values, of an object or of a list of pairs. */
export function fields(given, what) {
    const pairs = Array.isArray(given) ? given : Object.entries(given ?? {});
    return pairs.map(([name, value]) => [text(name, `a name in ${what}`), text(value, `${name} in ${what}`)]);
}

export function shown(value) {
    switch (typeof value) {
        case "string":
            return JSON.stringify(value.slice(0, 60));
        case "bigint":
            return `${value}n`;
        case "function":
            return "a function";
        case "symbol":
            return "a symbol";
        case "object":
            if (value === null) return "null";
            return Array.isArray(value) ? "an array" : "an object";
        default:
            return String(value);
    }
}
