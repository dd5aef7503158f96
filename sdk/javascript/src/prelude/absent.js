// What other JavaScript has and a plugin cannot have, with what there is in its place.
{
    const instead = {
        fetch: "ask with relay.http, to the hosts that the owner grants",
        setTimeout: "a hook answers at once; to have an event tried again later, throw relay.Unavailable",
        setInterval: "a hook answers at once",
        setImmediate: "a hook answers at once",
        require: "write import … from \"…\"",
    };
    for (const [name, advice] of Object.entries(instead)) {
        globalThis[name] ??= () => {
            throw new ReferenceError(`${name} is not there in a plugin: ${advice}`);
        };
    }
    // What QuickJS has counts from when the plugin was built, on another machine's clock.
    let first;
    const now = () => {
        const time = Date.now();
        if (first === undefined || time < first) first = time;
        return time - first;
    };
    globalThis.performance = { now, timeOrigin: 0 };
}
