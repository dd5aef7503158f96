// Named secrets that the operator granted.

import host from "relay:plugin/secrets";

import { asked } from "./fault.js";
import { ERRORS } from "./secret-errors.js";
import { text } from "./value.js";

export function get(name) {
    const wanted = text(name, "a secret's name");
    return asked(() => host.get(wanted), ERRORS);
}
