// A payload that the relay holds.

import host from "relay:plugin/payload";

import { Invalid } from "./fault.js";
import { length, read, text, write } from "./value.js";

/** One value of a JSON payload that the relay holds under that number. */
export function value(blob, pointer, otherwise) {
    const found = host.json(blob | 0, text(pointer, "a pointer"));
    return found == null ? otherwise : read(found, "the value at", pointer);
}

export class Payload {
    #blob;

    constructor(blob) {
        this.#blob = blob;
    }

    /** The number that the relay knows it by. */
    static blob(payload) {
        return payload.#blob | 0;
    }

    static is(value) {
        return typeof value === "object" && value !== null && #blob in value;
    }

    get size() {
        return host.size(this.#blob | 0) >>> 0;
    }

    bytes() {
        return host.bytes(this.#blob | 0);
    }

    text() {
        return host.text(this.#blob | 0) ?? undefined;
    }

    slice(offset, size) {
        return host.slice(this.#blob | 0, length(offset, "an offset"), length(size, "a length"));
    }

    value(pointer) {
        return host.json(this.#blob | 0, text(pointer, "a pointer")) ?? undefined;
    }

    get(pointer, otherwise) {
        return value(this.#blob, pointer, otherwise);
    }

    require(pointer, type) {
        const found = this.get(pointer);
        if (found === undefined) {
            throw new Invalid(`the payload has no value at ${write(pointer)}`);
        }
        if (type !== undefined && kind(found) !== type) {
            throw new Invalid(`the value at ${write(pointer)} is no ${type}: ${write(found).slice(0, 100)}`);
        }
        return found;
    }

    json() {
        const whole = this.text();
        if (whole === undefined) {
            throw new Invalid("the payload is no text");
        }
        return read(whole, "the payload");
    }
}

function kind(value) {
    if (value === null) return "null";
    return Array.isArray(value) ? "array" : typeof value;
}
