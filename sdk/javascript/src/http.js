// Outbound HTTP to the hosts that the owner granted, and to no other.

import host from "relay:plugin/http";

import { Invalid, Misconfigured, Unavailable, asked } from "./fault.js";
import { Payload } from "./payload.js";
import { bytes, fields, length, optional, text, write } from "./value.js";

const ERRORS = {
    denied: (reason) => new Misconfigured(reason),
    timeout: () => new Unavailable("the request took too long"),
    "too-large": (most) => new Invalid(`the answer has more than ${most >>> 0} bytes`),
    invalid: (reason) => new Invalid(reason),
    failed: (reason) => new Unavailable(reason),
};

/** An answer. Redirects are answers like any other: nothing is followed. */
export class Response {
    #headers;

    constructor({ status, headers, body }) {
        this.status = status;
        this.body = new Payload(body);
        this.#headers = headers;
    }

    get ok() {
        return this.status >= 200 && this.status < 300;
    }

    header(name) {
        const wanted = text(name, "a header's name").toLowerCase();
        return this.#headers.find(([known]) => known === wanted)?.[1];
    }

    headers() {
        return this.#headers;
    }

    text() {
        return this.body.text();
    }

    bytes() {
        return this.body.bytes();
    }

    json() {
        return this.body.json();
    }
}

export function send(method, url, options = {}) {
    const headers = fields(options.headers, "headers").map(([name, value]) => [name.toLowerCase(), value]);
    const request = {
        method: text(method, "the method").toUpperCase(),
        url: text(String(url), "the URL"),
        headers,
        body: bodyOf(options, headers),
        bearerSecret: optional(options.bearerSecret, "the secret's name", text),
        timeoutMs: optional(options.timeout, "the timeout", (seconds, what) => length(seconds * 1000, what)),
        maxBytes: optional(options.maxBytes, "the most bytes", length),
    };
    return new Response(asked(() => host.send(request), ERRORS));
}

export const get = (url, options) => send("GET", url, options);
export const post = (url, options) => send("POST", url, options);

function bodyOf({ body, json }, headers) {
    if (json !== undefined) {
        if (!headers.some(([name]) => name === "content-type")) {
            headers.push(["content-type", "application/json"]);
        }
        return { tag: "text", val: write(json, "json") };
    }
    if (body == null) return null;
    if (Payload.is(body)) return { tag: "held", val: Payload.blob(body) };
    if (typeof body === "string") return { tag: "text", val: text(body, "the body") };
    return { tag: "bytes", val: bytes(body, "the body") };
}
