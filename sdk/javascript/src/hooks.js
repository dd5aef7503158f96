// From an author's functions to what the relay calls.

import "./console.js";

import { Drop, Edits, Handshake, Identity, Keep, Message, Problem, Rejection, Reply } from "./answer.js";
import { frozen, given } from "./config.js";
import { Answer, Event, Request } from "./event.js";
import { Fault, Misconfigured, Unavailable } from "./fault.js";
import * as log from "./log.js";
import { read, shown, text } from "./value.js";

const KEEP = Object.freeze({ tag: "keep" });

// Each by itself and without `...`: they run for every event.

export function authenticate(hook) {
    must("authenticate", hook);
    return (request) => {
        try {
            return verdict(hook(new Request(request), given()));
        } catch (error) {
            throw failed("authenticate", error);
        }
    };
}

export function filter(hook) {
    must("filter", hook);
    return (data) => {
        try {
            return decision(hook(new Event(data), given()));
        } catch (error) {
            throw failed("filter", error);
        }
    };
}

export function transform(hook) {
    must("transform", hook);
    return (data) => {
        try {
            return outcome(hook(new Event(data), given()));
        } catch (error) {
            throw failed("transform", error);
        }
    };
}

export function respond(hook) {
    must("respond", hook);
    return (event, answer) => {
        try {
            return replied(hook(new Event(event.data), new Answer(answer), given()));
        } catch (error) {
            throw failed("respond", error);
        }
    };
}

/** Answers with problems alone: what it throws is one. */
export function check(hook) {
    must("check", hook);
    return (document) => {
        try {
            return problems(hook(frozen(read(document, "the configuration"))));
        } catch (error) {
            return [{ at: "", message: said("check", error) }];
        }
    };
}

function must(name, hook) {
    if (typeof hook !== "function") {
        throw new TypeError(`${name} is ${shown(hook)}; a hook is a function`);
    }
    if (Object.prototype.toString.call(hook) === "[object AsyncFunction]") {
        throw isAsync(name);
    }
}

/** The fault that is thrown in place of what a hook threw. */
function failed(name, error) {
    return isOutOfMemory(error) ? error : fault(name, error);
}

/** Nothing can be trusted to be whole then: what is no fault makes the relay take the instance down. QuickJS throws
 * null where there is not even room for an error. */
function isOutOfMemory(error) {
    return error === null || (error instanceof InternalError && error.message === "out of memory");
}

function fault(name, error) {
    const message = said(name, error);
    if (error instanceof Misconfigured) {
        return { tag: "misconfigured", val: message };
    }
    if (error instanceof Unavailable) {
        const after = error.after;
        const afterMs = typeof after === "number" && after >= 0 ? Math.min(after * 1000, 0xffff_ffff) | 0 : null;
        return { tag: "unavailable", val: { message, afterMs } };
    }
    return { tag: "invalid", val: message };
}

/** What an error says. One that was not meant to be thrown is told with its place, and logged with the way
 * there. */
function said(name, error) {
    if (error instanceof Fault) return String(error.message).toWellFormed();
    if (!(error instanceof Error)) return `${name} threw ${shown(error)}`;
    const way = String(error.stack ?? "").replaceAll("(/", "(").replaceAll("at /", "at ");
    const isOwn = (line) => /:\d+\)?$/.test(line) && !/@relay\/|componentize-qjs:/.test(line);
    const own = way.split("\n").find(isOwn);
    const place = own?.match(/([^\s(]+?:\d+)(:\d+)?\)?$/)?.[1];
    log.error(`${error}`, { stack: way.trim() });
    return `${error}${place === undefined ? "" : ` (${place})`}`.toWellFormed();
}

function isAsync(hook) {
    return new TypeError(`${hook} is async; a hook answers at once: there is nothing to wait for in a plugin`);
}

function unfit(hook, value, wanted) {
    if (typeof value?.then === "function") {
        return isAsync(hook);
    }
    return new TypeError(`${hook} answered ${shown(value)}; it answers ${wanted}`);
}

function decision(value) {
    if (value === true || value instanceof Keep) return KEEP;
    if (value === false) return { tag: "drop", val: "the plugin's filter said no" };
    if (value instanceof Drop) return { tag: "drop", val: value.reason };
    throw unfit("filter", value, "true, false, keep() or drop(\"why\")");
}

function outcome(value) {
    if (value === undefined || value === null || value instanceof Keep) return KEEP;
    if (value instanceof Drop) return { tag: "drop", val: value.reason };
    if (value instanceof Edits) return value.isEmpty ? KEEP : { tag: "edited", val: value.written() };
    const list = Array.isArray(value) ? value.map(message) : [message(value)];
    return { tag: "emit", val: list };
}

function message(value) {
    if (value instanceof Edits || value instanceof Message) {
        return { changes: value.changes, data: value.data() };
    }
    throw unfit("transform", value, "edits, a message, several in a list, drop(\"why\"), or nothing to keep the event");
}

function verdict(value) {
    if (value instanceof Identity) {
        return { tag: "accept", val: { principal: value.principal, tenant: null, attributes: value.attributes } };
    }
    if (value instanceof Rejection) {
        return { tag: "reject", val: { status: value.status, reason: value.reason } };
    }
    if (value instanceof Handshake) {
        return { tag: "answer", val: { status: value.status, headers: value.headers, body: value.body } };
    }
    throw unfit("authenticate", value, "accept(), reject(\"why\") or answer(body)");
}

function replied(value) {
    const reply = value instanceof Edits || value instanceof Message ? new Reply(value) : (value ?? new Reply());
    if (!(reply instanceof Reply)) {
        throw unfit("respond", value, "edits, a message, reply(), or nothing to keep the answer");
    }
    return { status: reply.status, changes: reply.changes, data: reply.data() };
}

function problems(value) {
    const list = value == null ? [] : Array.isArray(value) ? value : [value];
    return list.map((problem) => {
        if (problem instanceof Problem) return { at: problem.at, message: problem.message };
        if (typeof problem?.at === "string" && typeof problem.message === "string") {
            return { at: text(problem.at, "at"), message: text(problem.message, "message") };
        }
        throw unfit("check", problem, "a list of problems: new Problem(\"/pointer\", \"what is wrong\")");
    });
}
