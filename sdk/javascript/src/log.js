// Lines for the delivery's log and the relay's own.

import host from "relay:plugin/log";

export const trace = (message, fields) => line("trace", message, fields);
export const debug = (message, fields) => line("debug", message, fields);
export const info = (message, fields) => line("info", message, fields);
export const warn = (message, fields) => line("warn", message, fields);
export const error = (message, fields) => line("error", message, fields);

export function enabled(level) {
    return host.enabled(level);
}

function line(level, message, fields) {
    // Asked first: the texts of a line that is thrown away are not made.
    if (host.enabled(level)) {
        const pairs = Object.entries(fields ?? {}).map(([name, value]) => [plain(name), plain(value)]);
        host.log(level, plain(message), pairs);
    }
}

function plain(value) {
    const text = typeof value === "object" && value !== null ? JSON.stringify(value) : undefined;
    return (text ?? String(value)).toWellFormed();
}
