// structuredClone, for values that can be cloned and are not transferred.
{
    const PLAIN = [Boolean, Number, String, BigInt];
    const ERRORS = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

    function copy(value, known) {
        if (typeof value === "function" || typeof value === "symbol") {
            throw new TypeError(`${String(value)} cannot be cloned`);
        }
        if (typeof value !== "object" || value === null) return value;
        if (known.has(value)) return known.get(value);
        const keep = (made) => {
            known.set(value, made);
            return made;
        };
        if (value instanceof Date) return keep(new Date(value.getTime()));
        if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
        if (value instanceof ArrayBuffer) return keep(value.slice(0));
        if (ArrayBuffer.isView(value)) return keep(view(value, known));
        if (value instanceof Map) {
            const made = keep(new Map());
            for (const [key, member] of [...value]) made.set(copy(key, known), copy(member, known));
            return made;
        }
        if (value instanceof Set) {
            const made = keep(new Set());
            for (const member of [...value]) made.add(copy(member, known));
            return made;
        }
        if (value instanceof Error) return keep(failure(value, known));
        if (value instanceof WeakMap || value instanceof WeakSet || value instanceof Promise) {
            throw new TypeError(`${Object.prototype.toString.call(value)} cannot be cloned`);
        }
        const boxed = PLAIN.find((type) => value instanceof type);
        if (boxed) return keep(Object(value.valueOf()));
        const made = keep(Array.isArray(value) ? new Array(value.length) : {});
        for (const key of Object.keys(value)) {
            const member = { value: copy(value[key], known), writable: true, enumerable: true, configurable: true };
            Object.defineProperty(made, key, member);
        }
        return made;
    }

    function view(value, known) {
        const buffer = copy(value.buffer, known);
        const length = value instanceof DataView ? value.byteLength : value.length;
        return new value.constructor(buffer, value.byteOffset, length);
    }

    function failure(value, known) {
        const made = new (ERRORS[value.name] ?? Error)(value.message);
        made.stack = value.stack;
        if (Object.hasOwn(value, "cause")) made.cause = copy(value.cause, known);
        return made;
    }

    globalThis.structuredClone = (value, options) => {
        if (options?.transfer?.length > 0) {
            throw new TypeError("structuredClone cannot transfer in a plugin");
        }
        return copy(value, new Map());
    };
}
