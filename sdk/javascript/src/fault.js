// Why a hook could not do its work. The case decides what the relay does next.

export class Fault extends Error {
    constructor(message, options) {
        super(message, options);
        this.name = new.target.name;
    }
}

/** This event can never be handled. */
export class Invalid extends Fault {}

/** The configuration or a secret is wrong. */
export class Misconfigured extends Fault {}

/** It may work later, but no sooner than `after` seconds. */
export class Unavailable extends Fault {
    constructor(message, options) {
        super(message, options);
        this.after = options?.after;
    }
}

/**
 * Calls the relay, and throws what goes wrong as a fault.
 *
 * @param {() => any} ask
 * @param {Record<string, (detail: any) => Fault>} cases What each of the interface's errors is.
 */
export function asked(ask, cases) {
    try {
        return ask();
    } catch (error) {
        const known = Object.hasOwn(Object(error), "payload") && cases[error.payload?.tag];
        throw known ? known(error.payload.val) : error;
    }
}
