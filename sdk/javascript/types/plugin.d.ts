/**
 * What a plugin imports as `@relay/plugin`.
 *
 * A plugin is a module that exports functions named after hooks:
 *
 * | hook | answers |
 * |---|---|
 * | `authenticate(request, config)` | `accept()`, `reject("why")` or `answer(body)` |
 * | `filter(event, config)` | `true`, `false`, `keep()` or `drop("why")` |
 * | `transform(event, config)` | edits, a message, several in a list, `drop("why")`; nothing keeps the event |
 * | `respond(event, answer, config)` | edits, a message or a `reply()`; nothing keeps the answer |
 * | `check(config)` | a list of `Problem` |
 *
 * What a hook throws is a fault: `Invalid`, unless it is `Misconfigured` or `Unavailable`.
 */
declare module "@relay/plugin" {
    /** What JSON has. */
    export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
    /** Names and values. */
    export type Fields = Record<string, string> | [string, string][];
    /** Bytes, or a text that is written as UTF-8. */
    export type Bytes = string | Uint8Array | ArrayBuffer | ArrayBufferView;

    /** What `require` may ask for. */
    export interface Kinds {
        string: string;
        number: number;
        boolean: boolean;
        object: { [name: string]: Json };
        array: Json[];
        null: null;
    }

    /** What can be read of a payload. */
    export interface Readable {
        /** The payload as the relay holds it. */
        readonly body: Payload;
        /** One value of a JSON payload, by JSON Pointer; the rest is neither copied nor parsed. */
        get<T = any>(pointer: string): T | undefined;
        get<T = any>(pointer: string, otherwise: T): T;
        /** The same; throws `Invalid` if it is absent or of another type. */
        require<T = any>(pointer: string): T;
        require<K extends keyof Kinds>(pointer: string, type: K): Kinds[K];
        /** The whole payload as text; `undefined` if it is not UTF-8. */
        text(): string | undefined;
        /** The whole payload. */
        bytes(): Uint8Array;
        /** The whole payload, parsed; throws `Invalid` if it is no JSON. */
        json<T = any>(): T;
    }

    /** An event: the context attributes of CloudEvents, and a payload that the relay holds. */
    export interface Event extends Readable {
        /** Its id, the same on every attempt. */
        readonly id: string;
        /** CloudEvents `source`. */
        readonly source: string;
        /** Its type, such as `invoice.paid`. */
        readonly type: string;
        readonly subject?: string;
        /** When it happened, in RFC 3339. */
        readonly time?: string;
        /** CloudEvents `datacontenttype`. */
        readonly contentType?: string;
        /** The first value of a header. */
        header(name: string): string | undefined;
        /** Every header in the order of arrival; one that came twice is two entries. */
        headers(): [string, string][];
        /** A CloudEvents extension attribute, or `dataschema`. */
        extension(name: string): string | undefined;
        extensions(): [string, string][];
        /** Begins a list of changes to the payload, which the relay makes. */
        edit(): Edits;
        /** A message with this JSON document in place of the payload. */
        replace(document: unknown): Message;
    }

    /** A request to a source, as it came. */
    export interface Request extends Readable {
        readonly method: string;
        /** Without the query. */
        readonly path: string;
        /** As sent, without the question mark. */
        readonly query: string;
        /** The address of the peer, if known. */
        readonly remote?: string;
        header(name: string): string | undefined;
        headers(): [string, string][];
        /** The first value of a parameter of the query, decoded. */
        parameter(name: string): string | undefined;
        /** The first value of a field of a form that is the body, decoded. */
        formField(name: string): string | undefined;
    }

    /** What a destination answered. */
    export interface Answer extends Readable {
        readonly status: number;
        header(name: string): string | undefined;
        headers(): [string, string][];
        /** Begins a list of changes to the answer's body. */
        edit(): Edits;
    }

    /** A payload that the relay holds. It is copied into the plugin as far as it is read. */
    export class Payload {
        private constructor();
        /** Its length in bytes. */
        readonly size: number;
        bytes(): Uint8Array;
        /** All of it as text; `undefined` if it is not UTF-8. */
        text(): string | undefined;
        /** `size` bytes from `offset` on, fewer at the end. */
        slice(offset: number, size: number): Uint8Array;
        /** One value as JSON text, exactly as it stands there: also numbers that JavaScript would round. */
        value(pointer: string): string | undefined;
        get<T = any>(pointer: string): T | undefined;
        get<T = any>(pointer: string, otherwise: T): T;
        require<T = any>(pointer: string): T;
        require<K extends keyof Kinds>(pointer: string, type: K): Kinds[K];
        json<T = any>(): T;
    }

    /** Changes of headers and attributes, on whatever is sent. */
    interface Envelope {
        /** Replaces every value of a header. */
        setHeader(name: string, value: string): this;
        /** Adds one more value of a header. */
        addHeader(name: string, value: string): this;
        removeHeader(name: string): this;
        /** Sets `id`, `source`, `type`, `subject`, `time`, `datacontenttype`, `dataschema` or an extension. */
        setAttribute(name: string, value: string): this;
        removeAttribute(name: string): this;
    }

    /** Changes to a JSON payload, made by the relay; what none of them names keeps its bytes. */
    export interface Edits extends Envelope {
        /** Creates or replaces a value. Missing parents are created; `-` appends to an array. */
        set(pointer: string, value: unknown): this;
        /** The same with JSON text, which goes out as it is written. */
        setRaw(pointer: string, json: string): this;
        /** Takes a value away; an absent one is no error. */
        remove(pointer: string): this;
        /** Moves a value; nothing moves if there is none. */
        rename(from: string, to: string): this;
        /** Copies a value; nothing is copied if there is none. */
        copy(from: string, to: string): this;
        /** Merges a document into a value: a JSON Merge Patch (RFC 7396). */
        merge(pointer: string, patch: unknown): this;
        /** Whether nothing would change. */
        readonly isEmpty: boolean;
    }
    export const Edits: { new (): Edits };

    /** One message to send. */
    export interface Message extends Envelope {}
    export const Message: {
        /** The event's own payload, untouched. */
        same(): Message;
        /** A JSON document; the content type becomes `application/json`. */
        json(document: unknown): Message;
        /** A text. Its content type is the event's unless `datacontenttype` is set. */
        text(text: string): Message;
        /** Bytes. */
        bytes(bytes: Bytes): Message;
        /** Another payload that the relay holds, passed on without entering the plugin. */
        held(payload: Payload): Message;
    };

    export class Keep {
        private keep;
    }
    export class Drop {
        constructor(reason: string);
        readonly reason: string;
    }
    /** The event goes on as it is. */
    export function keep(): Keep;
    /** The event ends here; the reason is shown in the delivery's log. */
    export function drop(reason: string): Drop;

    export class Identity {
        private identity;
    }
    export class Rejection {
        private rejection;
    }
    export class Handshake {
        private handshake;
    }
    /** Accepts a request. The attributes are the event's, by CloudEvents name. */
    export function accept(identity?: { principal?: string; attributes?: Fields }): Identity;
    /** Refuses a request, with a status from 400 to 499 (401). The reason goes to the relay's log alone. */
    export function reject(reason: string, status?: number): Rejection;
    /** Answers a challenge here, without making an event. */
    export function answer(body?: Bytes, options?: { status?: number; headers?: Fields }): Handshake;

    export interface Reply extends Envelope {}
    export const Reply: { new (content?: Edits | Message, options?: { status?: number }): Reply };
    /** The answer for a platform that waits: this content or the destination's own, this status or its own. */
    export function reply(content?: Edits | Message, options?: { status?: number }): Reply;

    /** Something wrong with the configuration, at a JSON Pointer into it. */
    export class Problem {
        constructor(at: string, message: string);
        readonly at: string;
        readonly message: string;
    }

    /** What hooks answer, for annotations. */
    export type Verdict = Identity | Rejection | Handshake;
    export type Decision = boolean | Keep | Drop;
    export type Outcome = Edits | Message | (Edits | Message)[] | Keep | Drop | void | null;
    export type Replied = Edits | Message | Reply | void | null;

    /** Why a hook could not do its work; throw one of its cases. */
    export class Fault extends Error {}
    /** This event can never be handled: the relay gives up on it, and keeps it for a manual retry. */
    export class Invalid extends Fault {}
    /** The configuration or a secret is wrong: other events would fail likewise. */
    export class Misconfigured extends Fault {}
    /** It may work later: tried again by the endpoint's schedule, but no sooner than `after` seconds. */
    export class Unavailable extends Fault {
        constructor(message: string, options?: { after?: number; cause?: unknown });
        readonly after?: number;
    }

    /** Why the plugin runs. */
    export namespace call {
        interface Call {
            readonly tenant: string;
            /** The source the event came in by; none for events from the API. */
            readonly source?: string;
            /** The endpoint it goes to; none at ingest. */
            readonly endpoint?: string;
            /** The delivery's id, the same on every attempt; none at ingest. */
            readonly delivery?: string;
            /** 1 for the first attempt. */
            readonly attempt: number;
            /** Seconds until the relay ends this call. */
            readonly budget: number;
        }
        function current(): Call;
    }

    /** The configuration. Most plugins take it as a hook's last argument. */
    export namespace config {
        /** The whole document, the schema's defaults filled in. */
        function document<T = any>(): T;
        /** One value, by JSON Pointer. */
        function get<T = any>(pointer: string): T | undefined;
        function get<T = any>(pointer: string, otherwise: T): T;
    }

    /** Lines for the delivery's log and the relay's own. Never log a payload or a secret. `console` goes there too. */
    export namespace log {
        type Level = "trace" | "debug" | "info" | "warn" | "error";
        function trace(message: unknown, fields?: Record<string, unknown>): void;
        function debug(message: unknown, fields?: Record<string, unknown>): void;
        function info(message: unknown, fields?: Record<string, unknown>): void;
        function warn(message: unknown, fields?: Record<string, unknown>): void;
        function error(message: unknown, fields?: Record<string, unknown>): void;
        /** Whether a line at this level would be kept. */
        function enabled(level: Level): boolean;
    }

    /** Named secrets that the operator granted. Prefer `crypto`, with which they do not enter the plugin. */
    export namespace secrets {
        function get(name: string): string;
    }

    /** Native, constant-time crypto over secrets and payloads that the relay holds. */
    export namespace crypto {
        type Digest = "sha1" | "sha256" | "sha512";
        type Encoding = "hex" | "base64" | "base64url";
        type Scheme = "ed25519" | "ecdsa-p256-sha256" | "rsa-pkcs1-sha256";
        type Part = Payload | Bytes;
        /** One part, or several that follow on each other. */
        type Signed = Part | Part[];
        /** A granted secret that holds PEM, PEM, or the key's own bytes. */
        type Key = { secret: string } | { pem: string } | { raw: Bytes };
        /** `sha256` and `hex` if not given. */
        interface Options {
            digest?: Digest;
            encoding?: Encoding;
        }
        function hmac(secret: string, message: Signed, options?: Options): string;
        function hmacVerify(secret: string, message: Signed, signature: string, options?: Options): boolean;
        function verify(
            key: Key,
            scheme: Scheme,
            message: Signed,
            signature: string,
            options?: { encoding?: Encoding },
        ): boolean;
        function hash(message: Signed, options?: Options): string;
        /** Whether `given` is the granted secret. */
        function equals(secret: string, given: string): boolean;
    }

    /** Small durable state, private to one plugin on one endpoint or source. Times to live are in seconds. */
    export namespace state {
        export function get(key: string): Uint8Array | undefined;
        /** The same as text. */
        export function getText(key: string): string | undefined;
        export function set(key: string, value: Bytes, options?: { ttl?: number }): void;
        function _delete(key: string): void;
        export { _delete as delete };
        /** True for the first caller within the time: deduplication in one step. */
        export function claim(key: string, ttl: number): boolean;
        /** Adds to a counter and answers its new value. The time starts with the first add. */
        export function add(key: string, delta?: number, options?: { ttl?: number }): number;
        /** Writes if the present value is the expected one (`undefined`: absent); whether it did. */
        export function compareAndSet(
            key: string,
            expected: Bytes | undefined,
            value: Bytes,
            options?: { ttl?: number },
        ): boolean;
        /** Keys that begin with `prefix`, in byte order; pass the cursor back to go on. */
        export function keys(
            prefix?: string,
            options?: { cursor?: string; limit?: number },
        ): { keys: string[]; cursor?: string };
    }

    /** Outbound HTTP to the hosts that the owner granted, and to no other. A call waits for its answer. */
    export namespace http {
        interface Options {
            headers?: Fields;
            body?: Payload | Bytes;
            /** A document to send as JSON, in place of `body`. */
            json?: unknown;
            /** The name of a granted secret that the relay sends as `authorization: Bearer …`. */
            bearerSecret?: string;
            /** Seconds. */
            timeout?: number;
            /** The longest body of an answer that is of use. */
            maxBytes?: number;
        }
        /** An answer. Redirects are answers like any other: nothing is followed. */
        interface Response {
            readonly status: number;
            /** 200 to 299. */
            readonly ok: boolean;
            readonly body: Payload;
            header(name: string): string | undefined;
            headers(): [string, string][];
            text(): string | undefined;
            bytes(): Uint8Array;
            json<T = any>(): T;
        }
        function send(method: string, url: string | URL, options?: Options): Response;
        function get(url: string | URL, options?: Options): Response;
        function post(url: string | URL, options?: Options): Response;
    }

    /** Asks a language model, or whatever else the operator has set up to judge. */
    export namespace judge {
        interface Question<C extends string> {
            /** What to decide. Trusted. */
            instructions: string;
            /** What to judge. Not trusted: kept apart from the instructions. */
            subject: string;
            choices: readonly C[];
        }
        interface Ruling<C extends string> {
            choice: C;
            /** 0 to 1. */
            confidence: number;
            reason: string;
        }
        function decide<const C extends string>(question: Question<C>): Ruling<C>;
        /** Fills a JSON Schema from the subject. */
        function extract<T = any>(wanted: { instructions: string; subject: string; schema: object }): T;
    }

    /** Files that the relay keeps for a time and serves under a signed address of its own. */
    export namespace media {
        interface Kept {
            /** Who has it can fetch the file, until it expires. */
            url: string;
            /** RFC 3339. */
            expires: string;
            /** Bytes. */
            size: number;
        }
        /** Keeps a payload that the relay holds, such as the body of an answer. `ttl` is in seconds. */
        function keep(payload: Payload, contentType: string, options?: { ttl?: number }): Kept;
    }
}

// What there is beside the language itself.
interface Console {
    trace(...values: unknown[]): void;
    debug(...values: unknown[]): void;
    log(...values: unknown[]): void;
    info(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
    assert(holds: unknown, ...values: unknown[]): void;
}
declare var console: Console;

declare class TextEncoder {
    readonly encoding: "utf-8";
    encode(text?: string): Uint8Array;
    encodeInto(text: string, bytes: Uint8Array): { read: number; written: number };
}
declare class TextDecoder {
    constructor(label?: "utf-8" | "utf8", options?: { fatal?: boolean; ignoreBOM?: boolean });
    readonly encoding: "utf-8";
    readonly fatal: boolean;
    readonly ignoreBOM: boolean;
    decode(bytes?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string;
}
declare function atob(text: string): string;
declare function btoa(bytes: string): string;
declare function structuredClone<T>(value: T): T;
declare function queueMicrotask(call: () => void): void;
declare var performance: { now(): number; readonly timeOrigin: number };

declare class URLSearchParams implements Iterable<[string, string]> {
    constructor(init?: string | Iterable<[string, string]> | Record<string, string>);
    readonly size: number;
    append(name: string, value: string): void;
    delete(name: string, value?: string): void;
    get(name: string): string | null;
    getAll(name: string): string[];
    has(name: string, value?: string): boolean;
    set(name: string, value: string): void;
    sort(): void;
    forEach(call: (value: string, name: string, params: URLSearchParams) => void): void;
    entries(): IterableIterator<[string, string]>;
    keys(): IterableIterator<string>;
    values(): IterableIterator<string>;
    [Symbol.iterator](): IterableIterator<[string, string]>;
    toString(): string;
}
declare class URL {
    constructor(url: string | URL, base?: string | URL);
    static parse(url: string | URL, base?: string | URL): URL | null;
    static canParse(url: string | URL, base?: string | URL): boolean;
    href: string;
    readonly origin: string;
    protocol: string;
    username: string;
    password: string;
    host: string;
    hostname: string;
    port: string;
    pathname: string;
    search: string;
    readonly searchParams: URLSearchParams;
    hash: string;
    toString(): string;
    toJSON(): string;
}
