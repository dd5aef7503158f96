"""Does as the type of an event says; the same in every language."""

from relay_sdk import (
    Answer,
    Event,
    Invalid,
    Message,
    Misconfigured,
    Problem,
    Request,
    Unavailable,
    accept,
    answer as handshake,
    call,
    config,
    crypto,
    drop,
    keep,
    log,
    reject,
    reply,
    secrets,
    state,
)

KEY = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def transform(event: Event):
    return DEEDS[event.type](event)


def filter(event: Event):
    if event.type == "filter.boolean":
        return event.get("/wanted") is True
    if event.type == "filter.limit":
        total = event.require("/total", int)
        return keep() if total <= config.get("/limit") else drop(f"{total} is above the limit")
    if event.type == "filter.unavailable":
        raise Unavailable("not now", after=1.5)
    return keep()


def authenticate(request: Request):
    deed = request.parameter("do")
    if deed == "accept":
        return accept("acct_1", type="shop.order", subject=request.form_field("name") or "", region="eu")
    if deed == "challenge":
        return handshake(request.parameter("challenge") or "", 202, {"X-Kind": "challenge"})
    if deed == "sign":
        given = request.header("x-signature") or ""
        parts = [request.header("x-time") or "", ".", request.body]
        return accept() if crypto.hmac_verify("signing-key", parts, given, "sha256", "base64") else reject("no")
    if deed == "token":
        return accept() if crypto.equals("token", request.header("x-token") or "") else reject("no", 403)
    if deed == "secret":
        return accept(secrets.get("other"))
    if deed == "request":
        return reject(f"{request.method} {request.path} {request.query} {request.body.size}", 400)
    raise Invalid(f"nothing to do for {deed}")


def respond(event: Event, answer: Answer):
    if event.type == "respond.keep":
        return reply()
    if event.type == "respond.edits":
        edits = answer.edit().set("/status", answer.status).set("/kind", answer.header("x-kind"))
        return edits.remove("/internal").set_header("x-about", event.get("/about"))
    if event.type == "respond.status":
        return reply(status=418)
    if event.type == "respond.text":
        return reply(Message.text("grüezi"), 201).set_header("content-type", "text/plain").remove_header("x-kind")
    raise Misconfigured("no such answer")


def check(config: dict):
    problems = []
    if config["limit"] > 100:
        problems.append(Problem("/limit", f"is {config['limit']}, more than 100"))
    for index, tag in enumerate(config["tags"]):
        if not tag:
            problems.append(Problem(f"/tags/{index}", "is empty"))
    return problems


def set_values(event: Event):
    edits = event.edit().set("/a/b/c", {"text": "grüße 👋 \" \\ \n", "none": None, "list": [1, 2.5, True]})
    return edits.set("/list/-", "more").set("/list/0", "first").set("/m~0n/x~1y", False).set("/", "empty name")


def rename_and_copy(event: Event):
    edits = event.edit().rename("/old", "/new").rename("/absent", "/never").copy("/new", "/copies/-")
    return edits.copy("/absent", "/never").copy("/new/deep", "/shallow")


def merge(event: Event):
    patch = {"street": "Main", "zip": None, "geo": {"lat": 1}}
    return event.edit().merge("/address", patch).merge("/fresh", {"a": {"b": None, "c": 1}})


def big_numbers(event: Event):
    edits = event.edit().copy("/big", "/same").set_raw("/raw", event.body.value("/big") or "null")
    return edits.set_raw("/precise", "0.1000000000000000055511151231257827").set("/largest", 9007199254740991)


def several(event: Event):
    first = Message.same().set_attribute("subject", "one")
    second = event.edit().set("/n", 2).set_attribute("subject", "two")
    third = Message.json([3]).set_header("x-part", "3")
    return [first, second, third]


def change_headers(event: Event):
    message = Message.same().set_header("X-One", "1").add_header("x-many", "a").add_header("x-many", "b")
    return message.remove_header("x-gone").set_header("x-text", "plain")


def change_attributes(event: Event):
    message = Message.same().set_attribute("type", "agrees.changed").set_attribute("region", "eu-1")
    message = message.set_attribute("time", "2026-01-02T03:04:05Z").remove_attribute("subject")
    return message.set_attribute("dataschema", "https://example.com/schema")


def read(event: Event):
    return Message.json(
        {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": event.time,
            "content_type": event.content_type,
            "header": event.header("x-one"),
            "no_header": event.header("x-none"),
            "headers": [list(pair) for pair in event.headers()],
            "extension": event.extension("region"),
            "size": event.body.size,
            "slice": event.body.slice(2, 3).decode(),
            "beyond": len(event.body.slice(1_000_000, 5)),
            "text": event.text(),
            "value": event.get("/list/1"),
            "deep": event.get("/a~1b/m~0n"),
            "null": event.get("/none", "default"),
            "absent": event.get("/absent"),
            "raw": event.body.value("/spaced"),
            "whole": event.json(),
        }
    )


def read_bytes(event: Event):
    text = event.text()
    return Message.json({"text": text, "bytes": list(event.bytes()), "value": event.get("/a")})


def configuration(event: Event):
    whole = config.document()
    return event.replace({"greeting": config.get("/greeting"), "none": config.get("/none"), "whole": whole})


def hashes(event: Event):
    parts = ["a", b"\xff", event.body]
    made = {}
    for digest in ("sha1", "sha256", "sha512"):
        for encoding in ("hex", "base64", "base64url"):
            made[f"{digest} {encoding}"] = crypto.hmac("signing-key", parts, digest, encoding)
    made["hash"] = crypto.hash(parts, "sha256", "hex")
    made["right"] = crypto.hmac_verify("signing-key", parts, made["sha1 base64"], "sha1", "base64")
    made["wrong"] = crypto.hmac_verify("signing-key", ["b"], made["sha1 base64"], "sha1", "base64")
    made["odd"] = crypto.hmac_verify("signing-key", parts, "no base64 at all!", "sha1", "base64")
    made["equal"] = crypto.equals("token", "correct-horse")
    key = crypto.Key.raw(bytes.fromhex(KEY))
    made["signed"] = crypto.verify(key, "ed25519", [b"r"], SIGNATURE)
    made["not signed"] = crypto.verify(key, "ed25519", ["s"], SIGNATURE)
    return Message.json(made)


def remember(event: Event):
    found = {
        "absent": state.get("k"),
        "claims": [state.claim("c", 60), state.claim("c", 60)],
        "sums": [state.add("n", 5), state.add("n", -7, 60)],
        "swaps": [state.compare_and_set("s", None, "1"), state.compare_and_set("s", None, "2")],
        "swapped": state.compare_and_set("s", "1", "2", 60),
    }
    state.set("k", "grün", 60)
    found["text"] = (state.get("k") or b"").decode()
    state.delete("k")
    state.delete("k")
    found["deleted"] = state.get("k")
    page = state.keys("", None, 2)
    found["keys"] = page.keys
    found["rest"] = state.keys("", page.cursor, 2).keys
    return Message.json(found)


def write_lines(event: Event):
    log.info("plain")
    log.warn("with fields", n=1, text="grün")
    log.error("bad")
    print("printed")
    return keep()


def context(event: Event):
    now = call.current()
    has_time = 0 < now.budget <= 60
    return Message.json([now.tenant, now.source, now.endpoint, now.delivery, now.attempt, has_time])


def raise_invalid(event: Event):
    raise Invalid("this can never be")


def raise_misconfigured(event: Event):
    raise Misconfigured("there is no channel")


def raise_unavailable(event: Event):
    raise Unavailable("later, grün", after=2)


DEEDS = {
    "agrees.keep": lambda event: keep(),
    "agrees.drop": lambda event: drop(f"not {event.subject}: grün"),
    "agrees.nothing": lambda event: [],
    "agrees.set": set_values,
    "agrees.remove": lambda event: event.edit().remove("/gone").remove("/absent/deep").remove("/list/0"),
    "agrees.rename": rename_and_copy,
    "agrees.merge": merge,
    "agrees.numbers": big_numbers,
    "agrees.unfit": lambda event: event.edit().set("/text/deep", 1),
    "agrees.json": lambda event: Message.json({"id": event.get("/id"), "list": [1, 2.5, None, True, "é👋"]}),
    "agrees.text": lambda event: Message.text("plain ✓\n").set_attribute("datacontenttype", "text/plain"),
    "agrees.bytes": lambda event: Message.bytes(b"\xff\x00a"),
    "agrees.held": lambda event: Message.held(event.body).set_header("x-held", "yes"),
    "agrees.several": several,
    "agrees.headers": change_headers,
    "agrees.attributes": change_attributes,
    "agrees.bad-header": lambda event: Message.same().set_header("x-a", "1\r\nx-b: 2"),
    "agrees.read": read,
    "agrees.bytes-in": read_bytes,
    "agrees.config": configuration,
    "agrees.secret": lambda event: Message.json({"length": len(secrets.get("token"))}),
    "agrees.crypto": hashes,
    "agrees.state": remember,
    "agrees.log": write_lines,
    "agrees.call": context,
    "agrees.invalid": raise_invalid,
    "agrees.misconfigured": raise_misconfigured,
    "agrees.unavailable": raise_unavailable,
    "agrees.require": lambda event: drop(event.require("/absent", str)),
}
