// {{description}}.

import * as relay from "@relay/plugin";

export function filter(event: relay.Event): relay.Decision {
    return event.get<boolean>("/test") === true ? relay.drop("a test") : relay.keep();
}
