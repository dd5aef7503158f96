// URL and URLSearchParams, after the WHATWG's URL standard. Names of hosts that are not ASCII are normalized
// (NFKC) and written in Punycode, without the tables of UTS 46.
{
    const PORTS = { "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };
    const isSpecial = (scheme) => Object.hasOwn(PORTS, scheme);

    const C0 = "[^\\x20-\\x7e]";
    const FRAGMENT = new RegExp(`${C0}|[ "<>\`]`, "gu");
    const QUERY = new RegExp(`${C0}|[ "#<>]`, "gu");
    const QUERY_SPECIAL = new RegExp(`${C0}|[ "#<>']`, "gu");
    const PATH = new RegExp(`${C0}|[ "#<>?^\`{}]`, "gu");
    const USER = new RegExp(`${C0}|[ "#<>?^\`{}/:;=@[\\\\\\]|]`, "gu");
    const OPAQUE = new RegExp(C0, "gu");
    const FORM = /[^A-Za-z0-9*\-._]/gu;
    const FORBIDDEN_HOST = /[\0\t\n\r #/:<>?@[\\\]^|]/;
    const FORBIDDEN_DOMAIN = /[\0-\x20#%/:<>?@[\\\]^|\x7f]/;

    const encoder = new TextEncoder();
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const hex = (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    const percent = (text, set) => text.replace(set, (found) => Array.from(encoder.encode(found), hex).join(""));

    function unpercent(text) {
        if (!text.includes("%")) return text;
        const bytes = encoder.encode(text);
        const out = [];
        for (let at = 0; at < bytes.length; at++) {
            const digits = String.fromCharCode(bytes[at + 1], bytes[at + 2]);
            if (bytes[at] === 0x25 && /^[0-9a-f]{2}$/i.test(digits)) {
                out.push(parseInt(digits, 16));
                at += 2;
            } else {
                out.push(bytes[at]);
            }
        }
        return decoder.decode(new Uint8Array(out));
    }

    // -- Hosts

    function hostOf(text, special) {
        if (text.startsWith("[")) {
            if (!text.endsWith("]")) return undefined;
            const pieces = ipv6(text.slice(1, -1));
            return pieces && `[${ipv6Text(pieces)}]`;
        }
        if (!special) return FORBIDDEN_HOST.test(text) ? undefined : percent(text, OPAQUE);
        const domain = ascii(unpercent(text));
        if (domain === undefined || domain === "" || FORBIDDEN_DOMAIN.test(domain)) return undefined;
        const labels = domain.replace(/\.$/, "").split(".");
        return /^([0-9]+|0x[0-9a-f]*)$/i.test(labels.at(-1)) ? ipv4(labels) : domain;
    }

    function ascii(domain) {
        const plain = domain.normalize("NFKC").toLowerCase().normalize("NFKC").replace(/[\u3002\uff0e\uff61]/g, ".");
        const labels = plain.replace(/\u00ad|\u200b|\u2060|\ufeff/g, "").split(".");
        const written = labels.map((label) => (/^[\0-\x7f]*$/.test(label) ? label : punycode(label)));
        if (labels.includes("xn--")) return undefined;
        return written.includes(undefined) ? undefined : written.join(".");
    }

    /** RFC 3492. */
    function punycode(label) {
        if (label.includes("\ufffd")) return undefined;
        const points = Array.from(label, (character) => character.codePointAt(0));
        let out = points.filter((point) => point < 0x80).map((point) => String.fromCharCode(point)).join("");
        const basic = out.length;
        let [n, delta, bias, handled] = [128, 0, 72, basic];
        if (basic > 0) out += "-";
        while (handled < points.length) {
            const least = Math.min(...points.filter((point) => point >= n));
            delta += (least - n) * (handled + 1);
            n = least;
            for (const point of points) {
                if (point < n) delta += 1;
                if (point !== n) continue;
                let q = delta;
                for (let k = 36; ; k += 36) {
                    const t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
                    if (q < t) break;
                    out += digit(t + ((q - t) % (36 - t)));
                    q = Math.floor((q - t) / (36 - t));
                }
                out += digit(q);
                bias = adapt(delta, handled + 1, handled === basic);
                delta = 0;
                handled += 1;
            }
            delta += 1;
            n += 1;
        }
        return `xn--${out}`;
    }

    const digit = (value) => String.fromCharCode(value < 26 ? 97 + value : 22 + value);

    function adapt(given, count, isFirst) {
        let delta = Math.floor(given / (isFirst ? 700 : 2));
        delta += Math.floor(delta / count);
        let k = 0;
        for (; delta > 455; k += 36) delta = Math.floor(delta / 35);
        return k + Math.floor((36 * delta) / (delta + 38));
    }

    function ipv4(labels) {
        const numbers = labels.map((label) => {
            if (/^0x[0-9a-f]*$/i.test(label)) return label.length === 2 ? 0 : parseInt(label.slice(2), 16);
            if (/^0[0-7]+$/.test(label)) return parseInt(label, 8);
            return /^(0|[1-9][0-9]*)$/.test(label) ? Number(label) : NaN;
        });
        const last = numbers.pop();
        if (numbers.length > 3 || numbers.some((number) => !(number <= 255))) return undefined;
        if (!(last < 256 ** (4 - numbers.length))) return undefined;
        const address = numbers.reduce((sum, number, place) => sum + number * 256 ** (3 - place), last);
        return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
    }

    function ipv6(text) {
        const halves = text.split("::");
        if (halves.length > 2) return undefined;
        const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":")));
        const all = [...head, ...(tail ?? [])];
        const dotted = all.at(-1)?.includes(".") ? all.at(-1).split(".") : undefined;
        if (dotted) {
            const isFine = dotted.length === 4 && dotted.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && part < 256);
            if (!isFine) return undefined;
            const [a, b, c, d] = dotted.map(Number);
            const pair = [(a * 256 + b).toString(16), (c * 256 + d).toString(16)];
            (tail?.length ? tail : head).splice(-1, 1, ...pair);
        }
        const pieces = [...head, ...(tail ?? [])];
        if (!pieces.every((piece) => /^[0-9a-f]{1,4}$/i.test(piece))) return undefined;
        if (tail === undefined ? pieces.length !== 8 : pieces.length > 7) return undefined;
        const middle = Array(8 - pieces.length).fill("0");
        return [...head, ...middle, ...(tail ?? [])].map((piece) => parseInt(piece, 16));
    }

    function ipv6Text(pieces) {
        let [best, length] = [-1, 1];
        for (let at = 0; at < 8; at++) {
            let end = at;
            while (end < 8 && pieces[end] === 0) end += 1;
            if (end - at > length) [best, length] = [at, end - at];
        }
        const text = (part) => part.map((piece) => piece.toString(16)).join(":");
        if (best < 0) return text(pieces);
        return `${text(pieces.slice(0, best))}::${text(pieces.slice(best + length))}`;
    }

    // -- Parsing, into { scheme, username, password, host, port, path, query, fragment }. A path is a list, or a
    // text if it is opaque; host, query and fragment are null if there is none.

    const DRIVE = /^[A-Za-z][:|]$/;
    const SINGLE_DOT = /^(\.|%2e)$/i;
    const DOUBLE_DOT = /^(\.|%2e)(\.|%2e)$/i;

    function parse(given, base) {
        let text = given.replace(/^[\0-\x20]+|[\0-\x20]+$/g, "").replace(/[\t\n\r]/g, "");
        const url = { scheme: "", username: "", password: "", host: null, port: "", path: [], query: null, fragment: null };
        const scheme = text.match(/^[A-Za-z][A-Za-z0-9+\-.]*:/)?.[0];
        let hash = text.indexOf("#");
        if (hash >= 0) {
            url.fragment = percent(text.slice(hash + 1), FRAGMENT);
            text = text.slice(0, hash);
        }
        if (scheme) {
            url.scheme = scheme.toLowerCase();
            text = text.slice(scheme.length);
            if (url.scheme === "file:") return file(url, text, base?.scheme === "file:" ? base : undefined);
            if (isSpecial(url.scheme)) {
                const isRelative = base?.scheme === url.scheme && !text.startsWith("//");
                return isRelative ? relative(url, text, base) : authority(url, text.replace(/^[/\\]*/, ""));
            }
            if (text.startsWith("//")) return authority(url, text.slice(2));
            if (text.startsWith("/")) return pathAndQuery(url, text);
            const [path, query] = split(text);
            // Spaces at the end would be lost when it is read again.
            url.path = percent(path, OPAQUE).replace(/ $/, (query ?? url.fragment) === null ? " " : "%20");
            url.query = query === null ? null : percent(query, QUERY);
            return url;
        }
        if (!base) return undefined;
        url.scheme = base.scheme;
        if (typeof base.path === "string") {
            if (text !== "" || url.fragment === null) return undefined;
            return { ...base, fragment: url.fragment };
        }
        return base.scheme === "file:" ? file(url, text, base) : relative(url, text, base);
    }

    const slash = (url, text) => text.startsWith("/") || (isSpecial(url.scheme) && text.startsWith("\\"));

    function split(text) {
        const mark = text.indexOf("?");
        return mark < 0 ? [text, null] : [text.slice(0, mark), text.slice(mark + 1)];
    }

    function relative(url, text, base) {
        if (slash(url, text) && slash(url, text.slice(1))) {
            return authority(url, isSpecial(url.scheme) ? text.replace(/^[/\\]*/, "") : text.slice(2));
        }
        const { username, password, host, port } = base;
        Object.assign(url, { username, password, host, port });
        if (slash(url, text)) return pathAndQuery(url, text);
        const [path, query] = split(text);
        if (path === "") {
            url.path = [...base.path];
            url.query = query === null ? base.query : queryOf(url, query);
            return url;
        }
        url.path = base.path.slice(0, -1);
        return pathAndQuery(url, text);
    }

    function authority(url, text) {
        const end = text.search(isSpecial(url.scheme) ? /[/\\?]/ : /[/?]/);
        const whole = end < 0 ? text : text.slice(0, end);
        const at = whole.lastIndexOf("@");
        if (at >= 0) {
            const user = whole.slice(0, at);
            const colon = user.indexOf(":");
            url.username = percent(colon < 0 ? user : user.slice(0, colon), USER);
            url.password = colon < 0 ? "" : percent(user.slice(colon + 1), USER);
        }
        const [, name, , port] = whole.slice(at + 1).match(/^((?:\[[^\]]*\]?|[^:])*)(:(.*))?$/s) ?? [];
        if (name === undefined || (name === "" && (isSpecial(url.scheme) || at >= 0 || port !== undefined))) return undefined;
        url.host = name === "" ? "" : hostOf(name, isSpecial(url.scheme));
        if (url.host === undefined || !setPort(url, port ?? "")) return undefined;
        return pathAndQuery(url, end < 0 ? "" : text.slice(end));
    }

    function setPort(url, text) {
        if (!/^[0-9]*$/.test(text) || Number(text) > 65535) return false;
        const port = text === "" ? "" : String(Number(text));
        url.port = port === PORTS[url.scheme] ? "" : port;
        return true;
    }

    function file(url, text, base) {
        url.host = "";
        if (slash(url, text) && slash(url, text.slice(1))) {
            const rest = text.slice(2);
            const end = rest.search(/[/\\?]/);
            const name = end < 0 ? rest : rest.slice(0, end);
            if (!DRIVE.test(name)) {
                const host = name === "" ? "" : hostOf(name, true);
                if (host === undefined) return undefined;
                url.host = host === "localhost" ? "" : host;
                return pathAndQuery(url, end < 0 ? "" : rest.slice(end));
            }
            return pathAndQuery(url, rest);
        }
        if (!base) return pathAndQuery(url, text);
        url.host = base.host;
        if (slash(url, text)) {
            const hasDrive = DRIVE.test(text.slice(1).split(/[/\\?]/)[0]);
            if (!hasDrive && /^[A-Za-z]:$/.test(base.path[0])) url.path = [base.path[0]];
            return pathAndQuery(url, text);
        }
        const [path, query] = split(text);
        if (path === "") {
            url.path = [...base.path];
            url.query = query === null ? base.query : queryOf(url, query);
            return url;
        }
        if (!DRIVE.test(path.split(/[/\\]/)[0])) {
            url.path = [...base.path];
            shorten(url);
        }
        return pathAndQuery(url, text);
    }

    const queryOf = (url, query) => percent(query, isSpecial(url.scheme) ? QUERY_SPECIAL : QUERY);

    function shorten(url) {
        const isDrive = url.scheme === "file:" && url.path.length === 1 && /^[A-Za-z]:$/.test(url.path[0]);
        if (!isDrive) url.path.pop();
    }

    function pathAndQuery(url, text) {
        const [path, query] = split(text);
        if (query !== null) url.query = queryOf(url, query);
        segments(url, path);
        return url;
    }

    function segments(url, path) {
        const special = isSpecial(url.scheme);
        if (path === "" && !special) return;
        const names = path.replace(special ? /^[/\\]/ : /^\//, "").split(special ? /[/\\]/ : "/");
        names.forEach((name, place) => {
            const isLast = place === names.length - 1;
            if (DOUBLE_DOT.test(name)) {
                shorten(url);
                if (isLast) url.path.push("");
            } else if (SINGLE_DOT.test(name)) {
                if (isLast) url.path.push("");
            } else {
                const isDrive = url.scheme === "file:" && url.path.length === 0 && DRIVE.test(name);
                url.path.push(isDrive ? `${name[0]}:` : percent(name, PATH));
            }
        });
    }

    const pathText = ({ path }) => (typeof path === "string" ? path : path.map((name) => `/${name}`).join(""));

    function written(url, hasFragment = true) {
        let text = url.scheme;
        if (url.host !== null) {
            const user = url.username + (url.password === "" ? "" : `:${url.password}`);
            text += `//${user === "" ? "" : `${user}@`}${url.host}${url.port === "" ? "" : `:${url.port}`}`;
        } else if (typeof url.path !== "string" && url.path.length > 1 && url.path[0] === "") {
            text += "/.";
        }
        text += pathText(url);
        if (url.query !== null) text += `?${url.query}`;
        return hasFragment && url.fragment !== null ? `${text}#${url.fragment}` : text;
    }

    // -- URLSearchParams

    const formText = (text) => percent(text, FORM).replaceAll("%20", "+");

    function pairsOf(query) {
        const parts = query.split("&").filter((part) => part !== "");
        return parts.map((part) => {
            const [name, ...value] = part.replaceAll("+", " ").split("=");
            return [unpercent(name), unpercent(value.join("="))];
        });
    }

    class URLSearchParams {
        #pairs = [];
        #changed = () => {};

        constructor(init = "") {
            if (typeof init === "object" && init !== null) {
                const pairs = typeof init[Symbol.iterator] === "function" ? [...init] : Object.entries(init);
                for (const pair of pairs) {
                    const [name, value, ...more] = [...pair];
                    if (value === undefined || more.length > 0) throw new TypeError("each pair has a name and a value");
                    this.#pairs.push([well(name), well(value)]);
                }
            } else {
                this.#pairs = pairsOf(well(init).replace(/^\?/, ""));
            }
        }

        /** The parameters of a URL, which hears of changes. */
        static of(query, changed) {
            const made = new URLSearchParams();
            made.#pairs = pairsOf(query ?? "");
            made.#changed = changed;
            return made;
        }

        static reset(params, query) {
            params.#pairs = pairsOf(query ?? "");
        }

        get size() {
            return this.#pairs.length;
        }

        append(name, value) {
            this.#pairs.push([well(name), well(value)]);
            this.#changed(this.toString());
        }

        delete(name, value) {
            this.#pairs = this.#pairs.filter(
                (pair) => !(pair[0] === well(name) && (value === undefined || pair[1] === well(value))),
            );
            this.#changed(this.toString());
        }

        get(name) {
            return this.#pairs.find((pair) => pair[0] === well(name))?.[1] ?? null;
        }

        getAll(name) {
            return this.#pairs.filter((pair) => pair[0] === well(name)).map((pair) => pair[1]);
        }

        has(name, value) {
            return this.#pairs.some((pair) => pair[0] === well(name) && (value === undefined || pair[1] === well(value)));
        }

        set(name, value) {
            const known = this.#pairs.find((pair) => pair[0] === well(name));
            if (known) {
                known[1] = well(value);
                this.#pairs = this.#pairs.filter((pair) => pair === known || pair[0] !== known[0]);
            } else {
                this.#pairs.push([well(name), well(value)]);
            }
            this.#changed(this.toString());
        }

        sort() {
            this.#pairs.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
            this.#changed(this.toString());
        }

        forEach(call, self) {
            for (const [name, value] of this.#pairs) call.call(self, value, name, this);
        }

        *entries() {
            for (const [name, value] of this.#pairs) yield [name, value];
        }

        *keys() {
            for (const [name] of this.#pairs) yield name;
        }

        *values() {
            for (const [, value] of this.#pairs) yield value;
        }

        [Symbol.iterator]() {
            return this.entries();
        }

        toString() {
            return this.#pairs.map(([name, value]) => `${formText(name)}=${formText(value)}`).join("&");
        }
    }

    const well = (value) => String(value).toWellFormed();
    const { of: paramsOf, reset: resetParams } = URLSearchParams;
    delete URLSearchParams.of;
    delete URLSearchParams.reset;

    // -- URL

    class URL {
        #url;
        #params;

        constructor(given, base) {
            const below = base === undefined ? undefined : parse(well(base));
            this.#url = base !== undefined && below === undefined ? undefined : parse(well(given), below);
            if (this.#url === undefined) throw new TypeError(`${JSON.stringify(String(given))} is no URL`);
            this.#params = paramsOf(this.#url.query, (query) => {
                this.#url.query = query === "" ? null : query;
            });
        }

        static parse(given, base) {
            try {
                return new URL(given, base);
            } catch {
                return null;
            }
        }

        static canParse(given, base) {
            return URL.parse(given, base) !== null;
        }

        get href() {
            return written(this.#url);
        }

        set href(value) {
            const url = parse(well(value));
            if (url === undefined) throw new TypeError(`${JSON.stringify(String(value))} is no URL`);
            this.#url = url;
            resetParams(this.#params, url.query);
        }

        get origin() {
            const { scheme } = this.#url;
            return isSpecial(scheme) && scheme !== "file:" ? `${scheme}//${this.host}` : "null";
        }

        get protocol() {
            return this.#url.scheme;
        }

        set protocol(value) {
            const scheme = well(value).match(/^[A-Za-z][A-Za-z0-9+\-.]*(?=:|$)/)?.[0].toLowerCase();
            if (scheme === undefined || isSpecial(`${scheme}:`) !== isSpecial(this.#url.scheme)) return;
            if (`${scheme}:` === "file:" && (this.#url.username || this.#url.password || this.#url.port)) return;
            if (this.#url.scheme === "file:" && this.#url.host === "") return;
            this.#url.scheme = `${scheme}:`;
            setPort(this.#url, this.#url.port);
        }

        get username() {
            return this.#url.username;
        }

        set username(value) {
            if (this.#hasServer()) this.#url.username = percent(well(value), USER);
        }

        get password() {
            return this.#url.password;
        }

        set password(value) {
            if (this.#hasServer()) this.#url.password = percent(well(value), USER);
        }

        get host() {
            const { host, port } = this.#url;
            return host === null ? "" : `${host}${port === "" ? "" : `:${port}`}`;
        }

        set host(value) {
            this.#setHost(well(value), true);
        }

        get hostname() {
            return this.#url.host ?? "";
        }

        set hostname(value) {
            this.#setHost(well(value), false);
        }

        get port() {
            return this.#url.port;
        }

        set port(value) {
            const text = well(value);
            const digits = text.match(/^[0-9]+/)?.[0];
            if (this.#hasServer() && (text === "" || digits !== undefined)) setPort(this.#url, digits ?? "");
        }

        get pathname() {
            return pathText(this.#url);
        }

        set pathname(value) {
            if (typeof this.#url.path === "string") return;
            this.#url.path = [];
            segments(this.#url, well(value).replace(/[\t\n\r]/g, ""));
        }

        get search() {
            return this.#url.query ? `?${this.#url.query}` : "";
        }

        set search(value) {
            const text = well(value).replace(/^\?/, "").replace(/[\t\n\r]/g, "");
            this.#url.query = text === "" ? null : queryOf(this.#url, text);
            resetParams(this.#params, text);
        }

        get searchParams() {
            return this.#params;
        }

        get hash() {
            return this.#url.fragment ? `#${this.#url.fragment}` : "";
        }

        set hash(value) {
            const text = well(value).replace(/^#/, "").replace(/[\t\n\r]/g, "");
            this.#url.fragment = text === "" ? null : percent(text, FRAGMENT);
        }

        toString() {
            return this.href;
        }

        toJSON() {
            return this.href;
        }

        #hasServer() {
            return Boolean(this.#url.host) && this.#url.scheme !== "file:";
        }

        #setHost(text, hasPort) {
            if (typeof this.#url.path === "string") return;
            const end = text.search(isSpecial(this.#url.scheme) ? /[/\\?#]/ : /[/?#]/);
            const whole = end < 0 ? text : text.slice(0, end);
            const [, name, , port] = whole.match(/^((?:\[[^\]]*\]?|[^:])*)(:([0-9]*))?/s);
            if (!hasPort && port !== undefined) return;
            if (name === "" && (isSpecial(this.#url.scheme) && this.#url.scheme !== "file:" || port)) return;
            const host = name === "" ? "" : hostOf(name, isSpecial(this.#url.scheme));
            if (host === undefined) return;
            this.#url.host = this.#url.scheme === "file:" && host === "localhost" ? "" : host;
            if (port && this.#url.scheme !== "file:") setPort(this.#url, port);
        }
    }

    Object.assign(globalThis, { URL, URLSearchParams });
}
