// What a plugin imports as "@relay/plugin". The powers that it names (secrets, crypto, state, http, judge,
// media) are added when it is built, so that it asks the relay for no other.

export { Drop, Handshake, Identity, Keep, Problem, Rejection, Reply, accept, answer, drop, keep, reject, reply } from "./answer.js";
export { Edits, Message } from "./answer.js";
export { Answer, Event, Request } from "./event.js";
export { Fault, Invalid, Misconfigured, Unavailable } from "./fault.js";
export { Payload } from "./payload.js";
export * as call from "./call.js";
export * as config from "./config.js";
export * as log from "./log.js";
