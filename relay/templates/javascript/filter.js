// {{description}}.

import * as relay from "@relay/plugin";

/** @param {relay.Event} event */
export function filter(event) {
    return event.get("/test") === true ? relay.drop("a test") : relay.keep();
}
