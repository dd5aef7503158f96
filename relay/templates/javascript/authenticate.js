// {{description}}.

import * as relay from "@relay/plugin";

/** @param {relay.Request} request */
export function authenticate(request) {
    const given = request.header("x-token");
    if (given === undefined) {
        return relay.reject("there is no x-token");
    }
    // The relay compares, in constant time: the secret stays with it.
    return relay.crypto.equals("token", given) ? relay.accept() : relay.reject("x-token is not the right one");
}
