// {{description}}.

import * as relay from "@relay/plugin";

export function respond(event: relay.Event, answer: relay.Answer): relay.Replied {
    return answer.edit().set("/about", event.type).remove("/internal").setHeader("x-handled-by", "{{name}}");
}
