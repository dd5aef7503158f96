// Files that the relay keeps for a time and serves under a signed address of its own.

import host from "relay:plugin/media";

import { Invalid, Misconfigured, Unavailable, asked } from "./fault.js";
import { Payload } from "./payload.js";
import { length, optional, text } from "./value.js";

const ERRORS = {
    denied: (reason) => new Misconfigured(reason),
    "too-large": (most) => new Invalid(`the file has more than ${most >>> 0} bytes`),
    "quota-exceeded": () => new Unavailable("there is no room left for files"),
    unavailable: (reason) => new Unavailable(reason),
};

export function keep(payload, contentType, options) {
    if (!Payload.is(payload)) {
        throw new TypeError("media.keep takes a payload that the relay holds, such as the body of an answer");
    }
    const given = [Payload.blob(payload), text(contentType, "a content type"), optional(options?.ttl, "ttl", length)];
    const { url, expires, size } = asked(() => host.keep(...given), ERRORS);
    return { url, expires, size: size >>> 0 };
}
