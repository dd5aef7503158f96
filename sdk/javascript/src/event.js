// What a plugin looks at: an event, a request, a destination's answer.

import host from "relay:plugin/call";

import { Edits, Message } from "./answer.js";
import { Payload } from "./payload.js";
import { text } from "./value.js";

const name = (given) => text(given, "a header's name").toLowerCase();

/** What can be read of a payload, in short. */
class Read {
    #body;

    constructor(blob) {
        this.#body = new Payload(blob);
    }

    get body() {
        return this.#body;
    }

    get(pointer, otherwise) {
        return this.#body.get(pointer, otherwise);
    }

    require(pointer, type) {
        return this.#body.require(pointer, type);
    }

    text() {
        return this.#body.text();
    }

    bytes() {
        return this.#body.bytes();
    }

    json() {
        return this.#body.json();
    }
}

/** An event: the context attributes of CloudEvents, and a payload that the relay holds. */
export class Event extends Read {
    #record;

    constructor(record) {
        super(record.data);
        this.#record = record;
    }

    get id() {
        return this.#record.id;
    }

    get source() {
        return this.#record.source;
    }

    get type() {
        return this.#record.type;
    }

    get subject() {
        return this.#record.subject ?? undefined;
    }

    get time() {
        return this.#record.time ?? undefined;
    }

    get contentType() {
        return this.#record.contentType ?? undefined;
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
}

/** A request to a source, as it came. */
export class Request extends Read {
    #record;

    constructor(record) {
        super(record.body);
        this.#record = record;
    }

    get method() {
        return this.#record.method;
    }

    get path() {
        return this.#record.path;
    }

    get query() {
        return this.#record.query;
    }

    get remote() {
        return this.#record.remote ?? undefined;
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
}

/** What a destination answered. */
export class Answer extends Read {
    #status;

    constructor(record) {
        super(record.body);
        this.#status = record.status;
    }

    get status() {
        return this.#status;
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
}
