// Asks a language model, or whatever else the operator has set up to judge.

import host from "relay:plugin/judge";

import { Invalid, Misconfigured, Unavailable, asked } from "./fault.js";
import { read, text, write } from "./value.js";

const ERRORS = {
    denied: (reason) => new Misconfigured(reason),
    "not-configured": () => new Misconfigured("the relay has nothing that judges"),
    "budget-spent": () => new Unavailable("the budget for judging is spent"),
    timeout: () => new Unavailable("judging took too long"),
    invalid: (reason) => new Invalid(reason),
    unavailable: (reason) => new Unavailable(reason),
};

export function decide({ instructions, subject, choices }) {
    const question = {
        instructions: text(instructions, "instructions"),
        subject: text(subject, "subject"),
        choices: Array.from(choices, (choice) => text(choice, "a choice")),
    };
    const { choice, confidence, reason } = asked(() => host.decide(question), ERRORS);
    return { choice, confidence, reason };
}

export function extract({ instructions, subject, schema }) {
    const given = [text(instructions, "instructions"), text(subject, "subject"), write(schema, "schema")];
    return read(asked(() => host.extract(...given), ERRORS), "what was extracted");
}
