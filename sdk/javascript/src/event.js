// What a plugin looks at: an event, a request, a destination's answer.

import host from "relay:plugin/call";

import { Edits, Message } from "./answer.js";
import { Payload, value } from "./payload.js";
import { text } from "./value.js";

const name = (given) => text(given, "a header's name").toLowerCase();

/** What can be read of a payload, in short. Its fields are plain ones: those with `#` take QuickJS as long as the
 * rest of a call. */
class Read {
    constructor(blob) {
        this._blob = blob;
    }

    get body() {
        return new Payload(this._blob);
    }

    get(pointer, otherwise) {
        return value(this._blob, pointer, otherwise);
    }

    require(pointer, type) {
        return this.body.require(pointer, type);
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

const attribute = (blob, name) => host.attribute(blob | 0, name) ?? undefined;

/** An event: the context attributes of CloudEvents, which the relay is asked for one by one, and a payload that it
 * holds. */
export class Event extends Read {
    get id() {
        return attribute(this._blob, "id");
    }

    get source() {
        return attribute(this._blob, "source");
    }

    get type() {
        return attribute(this._blob, "type");
    }

    get subject() {
        return attribute(this._blob, "subject");
    }

    get time() {
        return attribute(this._blob, "time");
    }

    get contentType() {
        return attribute(this._blob, "datacontenttype");
    }

    header(given) {
        return host.header(name(given)) ?? undefined;
    }

    headers() {
        return host.headers();
    }

    extension(given) {
        return host.extension(text(given, "an attribute's name")) ?? undefined;
    }

    extensions() {
        return host.extensions();
    }

    edit() {
        return new Edits();
    }

    replace(document) {
        return Message.json(document);
    }

    /** What `console.log` shows of it. */
    toJSON() {
        const { id, source, type, subject, time, contentType } = this;
        return { id, source, type, subject, time, contentType, size: this.body.size };
    }
}

/** A request to a source, as it came. */
export class Request extends Read {
    constructor(record) {
        super(record.body);
        this._record = record;
    }

    get method() {
        return this._record.method;
    }

    get path() {
        return this._record.path;
    }

    get query() {
        return this._record.query;
    }

    get remote() {
        return this._record.remote ?? undefined;
    }

    header(given) {
        return host.header(name(given)) ?? undefined;
    }

    headers() {
        return host.headers();
    }

    parameter(given) {
        return new URLSearchParams(this.query).get(given) ?? undefined;
    }

    formField(given) {
        return new URLSearchParams(this.text() ?? "").get(given) ?? undefined;
    }

    /** What `console.log` shows of it. A query may hold a secret. */
    toJSON() {
        return { method: this.method, path: this.path, remote: this.remote, size: this.body.size };
    }
}

/** What a destination answered. */
export class Answer extends Read {
    constructor(record) {
        super(record.body);
        this._record = record;
    }

    get status() {
        return this._record.status;
    }

    header(given) {
        return host.answerHeader(name(given)) ?? undefined;
    }

    headers() {
        return host.answerHeaders();
    }

    edit() {
        return new Edits();
    }

    /** What `console.log` shows of it. */
    toJSON() {
        return { status: this.status, size: this.body.size };
    }
}
