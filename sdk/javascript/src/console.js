// `console`, into the log.

import * as log from "./log.js";

const LENGTH_MAX = 1024;

function shown(value) {
    if (typeof value === "string") return value;
    if (value instanceof Error) return `${value}\n${value.stack ?? ""}`.trimEnd();
    if (typeof value === "object" && value !== null) {
        try {
            return JSON.stringify(value) ?? String(value);
        } catch {
            return String(value);
        }
    }
    return typeof value === "bigint" ? `${value}n` : String(value);
}

function write(level) {
    return (...values) => {
        if (log.enabled(level)) {
            log[level](values.map(shown).join(" ").slice(0, LENGTH_MAX));
        }
    };
}

globalThis.console = {
    trace: write("trace"),
    debug: write("debug"),
    log: write("info"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    assert(holds, ...values) {
        if (!holds) globalThis.console.error("assertion failed:", ...values);
    },
};
