// {{description}}.

import * as relay from "@relay/plugin";

export function transform(event: relay.Event): relay.Outcome {
    if (event.get<boolean>("/test") === true) {
        return relay.drop("a test");
    }
    return event.edit().set("/handled_by", "{{name}}").remove("/card");
}
