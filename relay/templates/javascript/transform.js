// {{description}}.

import * as relay from "@relay/plugin";

/** @param {relay.Event} event */
export function transform(event) {
    if (event.get("/test") === true) {
        return relay.drop("a test");
    }
    return event.edit().set("/handled_by", "{{name}}").remove("/card");
}
