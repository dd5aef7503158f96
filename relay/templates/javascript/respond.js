// {{description}}.

import * as relay from "@relay/plugin";

/**
 * @param {relay.Event} event
 * @param {relay.Answer} answer
 */
export function respond(event, answer) {
    return answer.edit().set("/about", event.type).remove("/internal").setHeader("x-handled-by", "{{name}}");
}
