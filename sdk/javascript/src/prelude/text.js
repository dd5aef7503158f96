// TextEncoder, TextDecoder, atob and btoa, as the WHATWG has them; the decoder knows UTF-8 alone.
{
    const UTF8 = ["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"];
    const REPLACEMENT = 0xfffd;
    /** Characters that one call of `String.fromCodePoint` is given. */
    const CHARACTERS_AT_ONCE = 4096;

    class TextEncoder {
        get encoding() {
            return "utf-8";
        }

        encode(input = "") {
            const text = String(input);
            const bytes = new Uint8Array(text.length * 3);
            const { written } = this.encodeInto(text, bytes);
            return bytes.slice(0, written);
        }

        encodeInto(input, bytes) {
            const text = String(input);
            let read = 0;
            let written = 0;
            while (read < text.length) {
                const point = scalar(text.codePointAt(read));
                const size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
                if (written + size > bytes.length) break;
                written = put(bytes, written, point, size);
                read += size === 4 ? 2 : 1;
            }
            return { read, written };
        }
    }

    const scalar = (point) => (point >= 0xd800 && point <= 0xdfff ? REPLACEMENT : point);

    function put(bytes, at, point, size) {
        if (size === 1) {
            bytes[at] = point;
            return at + 1;
        }
        const first = [0, 0, 0xc0, 0xe0, 0xf0][size];
        bytes[at] = first | (point >> (6 * (size - 1)));
        for (let rest = size - 2; rest >= 0; rest--) {
            bytes[at + size - 1 - rest] = 0x80 | ((point >> (6 * rest)) & 0x3f);
        }
        return at + size;
    }

    class TextDecoder {
        #fatal;
        #keepsMark;
        #rest = new Uint8Array(0);
        #isGoingOn = false;

        constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
            if (!UTF8.includes(String(label).trim().toLowerCase())) {
                throw new RangeError(`TextDecoder knows UTF-8 alone, not ${label}`);
            }
            this.#fatal = Boolean(fatal);
            this.#keepsMark = Boolean(ignoreBOM);
        }

        get encoding() {
            return "utf-8";
        }

        get fatal() {
            return this.#fatal;
        }

        get ignoreBOM() {
            return this.#keepsMark;
        }

        decode(input, { stream = false } = {}) {
            const given = joined(this.#rest, viewed(input));
            const { text, used } = decoded(given, stream, this.#fatal);
            const isFirst = !this.#isGoingOn;
            this.#rest = given.slice(used);
            this.#isGoingOn = stream && (this.#isGoingOn || text !== "");
            return isFirst && !this.#keepsMark && text.startsWith("\ufeff") ? text.slice(1) : text;
        }
    }

    function viewed(input) {
        if (input === undefined) return new Uint8Array(0);
        if (input instanceof Uint8Array) return input;
        if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
        if (input instanceof ArrayBuffer) return new Uint8Array(input);
        throw new TypeError("TextDecoder.decode takes bytes");
    }

    function joined(one, other) {
        if (one.length === 0) return other;
        const both = new Uint8Array(one.length + other.length);
        both.set(one);
        both.set(other, one.length);
        return both;
    }

    function decoded(bytes, isStream, isFatal) {
        const parts = [];
        let points = [];
        let at = 0;
        while (at < bytes.length) {
            const { point, size } = next(bytes, at);
            if (size === 0) {
                if (isStream) break;
                at = bytes.length;
            } else {
                at += size;
            }
            if (point === undefined && isFatal) {
                throw new TypeError("the bytes are not UTF-8");
            }
            points.push(point ?? REPLACEMENT);
            if (points.length === CHARACTERS_AT_ONCE) {
                parts.push(String.fromCodePoint(...points));
                points = [];
            }
        }
        parts.push(String.fromCodePoint(...points));
        return { text: parts.join(""), used: at };
    }

    /** The character at a place; without a point if there is none, without a size if its end is missing. */
    function next(bytes, at) {
        const first = bytes[at];
        if (first < 0x80) return { point: first, size: 1 };
        if (first < 0xc2 || first > 0xf4) return { size: 1 };
        const size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
        let low = 0x80;
        let high = 0xbf;
        if (first === 0xe0) low = 0xa0;
        if (first === 0xed) high = 0x9f;
        if (first === 0xf0) low = 0x90;
        if (first === 0xf4) high = 0x8f;
        let point = first & (0xff >> (size + 1));
        for (let place = 1; place < size; place++) {
            const byte = bytes[at + place];
            if (byte === undefined) return { size: 0 };
            if (byte < low || byte > high) return { size: place };
            [low, high] = [0x80, 0xbf];
            point = (point << 6) | (byte & 0x3f);
        }
        return { point, size };
    }

    const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const VALUES = new Map([...ALPHABET].map((letter, value) => [letter, value]));

    function btoa(input) {
        const text = String(input);
        let out = "";
        for (let at = 0; at < text.length; at += 3) {
            const codes = [0, 1, 2].map((place) => text.charCodeAt(at + place));
            if (codes.some((code) => code > 0xff)) {
                throw new RangeError("btoa takes bytes: no character may be above U+00FF");
            }
            const bits = (codes[0] << 16) | ((codes[1] || 0) << 8) | (codes[2] || 0);
            const letters = [18, 12, 6, 0].map((shift) => ALPHABET[(bits >> shift) & 0x3f]).join("");
            const given = text.length - at;
            out += given >= 3 ? letters : letters.slice(0, given + 1).padEnd(4, "=");
        }
        return out;
    }

    function atob(input) {
        let text = String(input).replace(/[\t\n\f\r ]/g, "");
        if (text.length % 4 === 0) text = text.replace(/==?$/, "");
        if (text.length % 4 === 1 || [...text].some((letter) => !VALUES.has(letter))) {
            throw new RangeError("atob takes Base64");
        }
        let out = "";
        let bits = 0;
        let count = 0;
        for (const letter of text) {
            bits = (bits << 6) | VALUES.get(letter);
            count += 6;
            if (count >= 8) {
                count -= 8;
                out += String.fromCharCode((bits >> count) & 0xff);
                bits &= (1 << count) - 1;
            }
        }
        return out;
    }

    Object.assign(globalThis, { TextEncoder, TextDecoder, atob, btoa });
}
