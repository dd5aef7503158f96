// What goes wrong with a secret, whichever power names it.

import { Misconfigured, Unavailable } from "./fault.js";

export const ERRORS = {
    "not-granted": (name) => new Misconfigured(`the secret \`${name}\` is not granted: grant it to this plugin`),
    unavailable: (reason) => new Unavailable(`the secret cannot be read now: ${reason}`),
};
