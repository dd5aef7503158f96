// The configuration that an endpoint or source gives the plugin. Most take it as a hook's last argument.

import host from "relay:plugin/config";

import { read, text } from "./value.js";

export function document() {
    return read(host.document(), "the configuration");
}

export function get(pointer, otherwise) {
    const found = host.value(text(pointer, "a pointer"));
    return found == null ? otherwise : read(found, "the configuration at", pointer);
}

let known;

/** The document that hooks are given: read once, as an instance serves one configuration only. All are given it: how
 * many arguments a hook takes cannot be told, those with defaults do not count. */
export function given() {
    known ??= frozen(document());
    return known;
}

/** What one call changed in it, the next would find. */
export function frozen(value) {
    if (typeof value === "object" && value !== null) {
        Object.values(value).forEach(frozen);
        Object.freeze(value);
    }
    return value;
}
