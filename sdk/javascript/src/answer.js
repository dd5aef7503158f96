// What hooks answer, and the payloads and envelopes in it.

import { Payload } from "./payload.js";
import { bytes, fields, length, text, write } from "./value.js";

const SAME = Object.freeze({ tag: "same" });

/** Changes of headers and attributes, on whatever is sent. They are kept as steps in one flat list: of each the name
 * of its case, then its strings. That list is the answer of most calls, as one text, which QuickJS makes in a fraction
 * of the time that handing over objects would take. */
class Envelope {
    constructor() {
        this._steps = [];
    }

    setHeader(name, value) {
        return this._change("set-header", name, value);
    }

    addHeader(name, value) {
        return this._change("add-header", name, value);
    }

    removeHeader(name) {
        this._steps.push("remove-header", text(name, "a header's name"));
        return this;
    }

    setAttribute(name, value) {
        return this._change("set-attribute", name, value);
    }

    removeAttribute(name) {
        this._steps.push("remove-attribute", text(name, "an attribute's name"));
        return this;
    }

    /** The changes as the relay takes them. */
    get changes() {
        return cases(this._steps).filter(({ tag }) => CHANGES.has(tag));
    }

    _change(tag, name, value) {
        this._steps.push(tag, text(name, "a name"), text(value, "the value of", name));
        return this;
    }
}

const CHANGES = new Set(["set-header", "add-header", "remove-header", "set-attribute", "remove-attribute"]);

/** Steps, each as an object. */
function cases(steps) {
    const made = [];
    for (let at = 0; at < steps.length; ) {
        const tag = steps[at];
        if (tag.startsWith("remove")) {
            made.push({ tag, val: steps[at + 1] });
            at += 2;
        } else if (tag === "set-value") {
            made.push({ tag: "set", val: [steps[at + 1], JSON.stringify(steps[at + 2])] });
            at += 3;
        } else {
            made.push({ tag, val: [steps[at + 1], steps[at + 2]] });
            at += 3;
        }
    }
    return made;
}

/** Changes to a JSON payload, made by the relay. */
export class Edits extends Envelope {
    set(pointer, value) {
        const at = text(pointer, "a pointer");
        // What cannot change any more is written later, with all the rest.
        if (typeof value === "string" || typeof value === "boolean" || typeof value === "number") {
            this._steps.push("set-value", at, value);
        } else {
            this._steps.push("set", at, write(value, "the value for", pointer));
        }
        return this;
    }

    setRaw(pointer, json) {
        return this._pair("set", pointer, text(json, "JSON text"));
    }

    remove(pointer) {
        this._steps.push("remove", text(pointer, "a pointer"));
        return this;
    }

    rename(from, to) {
        return this._pair("move", from, text(to, "a pointer"));
    }

    copy(from, to) {
        return this._pair("copy", from, text(to, "a pointer"));
    }

    merge(pointer, patch) {
        return this._pair("merge", pointer, write(patch, "the patch for", pointer));
    }

    get isEmpty() {
        return this._steps.length === 0;
    }

    /** All of it as one text. */
    written() {
        return JSON.stringify(this._steps);
    }

    data() {
        const edits = cases(this._steps).filter(({ tag }) => !CHANGES.has(tag));
        return edits.length === 0 ? SAME : { tag: "edits", val: edits };
    }

    _pair(tag, pointer, value) {
        this._steps.push(tag, text(pointer, "a pointer"), value);
        return this;
    }
}

/** One message to send. */
export class Message extends Envelope {
    #data;

    constructor(data) {
        super();
        this.#data = data;
    }

    static same() {
        return new Message(SAME);
    }

    static json(document) {
        const message = new Message({ tag: "text", val: write(document, "the document") });
        return message.setAttribute("datacontenttype", "application/json");
    }

    static text(payload) {
        return new Message({ tag: "text", val: text(payload, "the payload") });
    }

    static bytes(payload) {
        return new Message({ tag: "bytes", val: bytes(payload, "the payload") });
    }

    static held(payload) {
        if (!Payload.is(payload)) {
            throw new TypeError("Message.held takes a payload that the relay holds, such as event.body");
        }
        return new Message({ tag: "held", val: Payload.blob(payload) });
    }

    data() {
        return this.#data;
    }
}

/** The event goes on as it is. */
export class Keep {}

/** The event ends here. */
export class Drop {
    constructor(reason) {
        this.reason = text(reason, "the reason");
    }
}

const KEEP = Object.freeze(new Keep());

export function keep() {
    return KEEP;
}

export function drop(reason) {
    return new Drop(reason);
}

/** A request that is genuine. */
export class Identity {
    constructor({ principal, attributes } = {}) {
        this.principal = principal == null ? null : text(principal, "the principal");
        this.attributes = fields(attributes, "attributes");
    }
}

/** A request that is not. */
export class Rejection {
    constructor(reason, status = 401) {
        this.reason = text(reason, "the reason");
        this.status = length(status, "the status");
    }
}

/** The answer to a challenge; no event is made. */
export class Handshake {
    constructor(body = "", { status = 200, headers } = {}) {
        this.body = bytes(body, "the body");
        this.status = length(status, "the status");
        this.headers = fields(headers, "headers").map(([name, value]) => [name.toLowerCase(), value]);
    }
}

export function accept(identity) {
    return new Identity(identity);
}

export function reject(reason, status) {
    return new Rejection(reason, status);
}

export function answer(body, options) {
    return new Handshake(body, options);
}

/** The answer for a platform that waits for it. */
export class Reply extends Envelope {
    #content;

    constructor(content = Message.same(), { status } = {}) {
        super();
        if (!(content instanceof Edits || content instanceof Message)) {
            throw new TypeError("a reply is made of edits or of a message");
        }
        this.#content = content;
        this.status = status == null ? null : length(status, "the status");
    }

    /** Those of what it is made of, then its own. */
    get changes() {
        return [...this.#content.changes, ...super.changes];
    }

    data() {
        return this.#content.data();
    }
}

export function reply(content, options) {
    return new Reply(content, options);
}

/** Something wrong with the configuration. */
export class Problem {
    constructor(at, message) {
        this.at = text(at, "a JSON Pointer");
        this.message = text(message, "what is wrong");
    }
}
