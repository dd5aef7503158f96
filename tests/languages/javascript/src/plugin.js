// Does as the type of an event says; the same in every language.

import * as relay from "@relay/plugin";

import { deeds } from "./deeds.js";

export function transform(event) {
    return deeds[event.type](event);
}

export function filter(event) {
    switch (event.type) {
        case "filter.boolean":
            return event.get("/wanted") === true;
        case "filter.limit": {
            const total = event.require("/total", "number");
            return total <= relay.config.get("/limit") ? relay.keep() : relay.drop(`${total} is above the limit`);
        }
        case "filter.unavailable":
            throw new relay.Unavailable("not now", { after: 1.5 });
        default:
            return relay.keep();
    }
}

export function authenticate(request) {
    const deed = request.parameter("do");
    switch (deed) {
        case "accept":
            return relay.accept({
                principal: "acct_1",
                attributes: { type: "shop.order", subject: request.formField("name") ?? "", region: "eu" },
            });
        case "challenge":
            return relay.answer(request.parameter("challenge") ?? "", {
                status: 202,
                headers: { "X-Kind": "challenge" },
            });
        case "sign": {
            const given = request.header("x-signature") ?? "";
            const parts = [request.header("x-time") ?? "", ".", request.body];
            const isRight = relay.crypto.hmacVerify("signing-key", parts, given, { encoding: "base64" });
            return isRight ? relay.accept() : relay.reject("no");
        }
        case "token":
            return relay.crypto.equals("token", request.header("x-token") ?? "")
                ? relay.accept()
                : relay.reject("no", 403);
        case "secret":
            return relay.accept({ principal: relay.secrets.get("other") });
        case "request":
            return relay.reject(`${request.method} ${request.path} ${request.query} ${request.body.size}`, 400);
        default:
            throw new relay.Invalid(`nothing to do for ${deed ?? "None"}`);
    }
}

export function respond(event, answer) {
    switch (event.type) {
        case "respond.keep":
            return relay.reply();
        case "respond.edits": {
            const edits = answer.edit().set("/status", answer.status).set("/kind", answer.header("x-kind"));
            return edits.remove("/internal").setHeader("x-about", event.get("/about"));
        }
        case "respond.status":
            return relay.reply(undefined, { status: 418 });
        case "respond.text":
            return relay
                .reply(relay.Message.text("grüezi"), { status: 201 })
                .setHeader("content-type", "text/plain")
                .removeHeader("x-kind");
        default:
            throw new relay.Misconfigured("no such answer");
    }
}

export function check(config) {
    const problems = [];
    if (config.limit > 100) {
        problems.push(new relay.Problem("/limit", `is ${config.limit}, more than 100`));
    }
    config.tags.forEach((tag, index) => {
        if (tag === "") problems.push(new relay.Problem(`/tags/${index}`, "is empty"));
    });
    return problems;
}
