"""The SDK where there is no relay: python -m unittest tests.test_sdk"""

import dataclasses
import json
import unittest
from datetime import timedelta

import relay_sdk
from relay_sdk import (
    Accept,
    Drop,
    Event,
    Invalid,
    Keep,
    Message,
    Misconfigured,
    Problem,
    Reject,
    Request,
    Unavailable,
    accept,
    answer as handshake,
    config,
    crypto,
    drop,
    http,
    judge,
    keep,
    log,
    media,
    reject,
    reply,
    secrets,
    state,
)
from relay_sdk import _hooks, _json
from relay_sdk.testing import Host, answer, event, request


@dataclasses.dataclass
class Row:
    key: str


@dataclasses.dataclass
class Config:
    rows: list[Row]
    number: float = 0
    word: str | None = None


class Transforms(unittest.TestCase):
    def test_edits_change_what_they_name(self):
        def transform(event: Event):
            edits = event.edit().set("/a/b", [1, "é"]).remove("/c").rename("/d", "/e").copy("/e", "/f")
            return edits.merge("/g", {"x": None, "y": 1}).set("/list/-", True).set_header("X-A", "1")

        sample = event("t", {"c": 1, "d": {"k": 2}, "g": {"x": 1}, "list": [0]})
        result = Host().transform(transform, sample)
        expected = {"g": {"y": 1}, "list": [0, True], "a": {"b": [1, "é"]}, "e": {"k": 2}, "f": {"k": 2}}
        self.assertEqual(result.json(), expected)
        self.assertEqual(result.message.header("x-a"), "1")

    def test_every_answer_is_understood(self):
        sample = event("t", {"a": 1}, extensions={"region": "eu"}, headers={"X-Shop": "7"})
        for given, bodies in [
            (None, [{"a": 1}]),
            (keep(), [{"a": 1}]),
            (Message.json({"b": 2}), [{"b": 2}]),
            ({"b": 2}, [{"b": 2}]),
            ([Message.json(1), Message.same()], [1, {"a": 1}]),
            ((m for m in [Message.text("[]")]), [[]]),
            ([], []),
        ]:
            result = Host().transform(lambda event: given, sample)
            self.assertEqual([sent.json() for sent in result.messages], bodies, given)
        self.assertEqual(Host().transform(lambda event: drop("no"), sample).dropped, "no")
        for wrong in ["text", 7, [7]]:
            with self.assertRaisesRegex(TypeError, "transform returned"):
                Host().transform(lambda event: wrong, sample)
        seen = Host().transform(lambda event: drop(f"{event.header('X-Shop')} {event.extension('region')}"), sample)
        self.assertEqual(seen.dropped, "7 eu")

    def test_edits_that_do_not_fit_are_a_fault(self):
        with self.assertRaisesRegex(Invalid, "edit 1"):
            Host().transform(lambda event: event.edit().set("/a/b", 1), event("t", {"a": 1}))
        with self.assertRaisesRegex(Invalid, "not JSON"):
            Host().transform(lambda event: event.edit().set("/a", 1), event("t", text="no"))

    def test_values_are_read_and_asked_for_by_type(self):
        def look(work):
            return Host().transform(lambda event: drop(str(work(event))), event("t", {"n": 1, "b": True})).dropped

        self.assertEqual(look(lambda event: event.get("/n")), "1")
        self.assertEqual(look(lambda event: event.get("/x", 5)), "5")
        self.assertEqual(look(lambda event: event.require("/n", float)), "1")
        for pointer, kind, said in [("/x", int, "no value at"), ("/b", int, "is no int"), ("/n", str, "is no str")]:
            with self.assertRaisesRegex(Invalid, said):
                look(lambda event: event.require(pointer, kind))


class Others(unittest.TestCase):
    def test_filters_say_yes_no_or_why(self):
        for given, expected in [(True, Keep()), (keep(), Keep()), (drop("x"), Drop("x"))]:
            self.assertEqual(Host().filter(lambda event: given, event("t")), expected)
        self.assertIn("said no", Host().filter(lambda event: False, event("t")).reason)
        with self.assertRaisesRegex(TypeError, "filter returned nothing"):
            Host().filter(lambda event: None, event("t"))

    def test_requests_are_judged(self):
        def authenticate(request: Request):
            if request.parameter("challenge"):
                return handshake(request.parameter("challenge"), headers={"X-A": "1"})
            if crypto.hmac_verify("key", [request.body, "!"], request.header("X-Sign") or ""):
                return accept("acme", subject=request.form_field("who") or "?")
            return reject("no", 403)

        host = Host(secrets={"key": "k"})
        body = "who=me+%26+you"
        sign = host.run(lambda: crypto.hmac("key", [body, b"!"]))
        good = host.authenticate(authenticate, request(body, headers={"x-sign": sign}))
        self.assertEqual(good, Accept("acme", {"subject": "me & you"}))
        self.assertEqual(host.authenticate(authenticate, request("x")), Reject("no", 403))
        told = host.authenticate(authenticate, request(query="challenge=a%20b"))
        self.assertEqual((told.body, told.status, dict(told.headers)), (b"a b", 200, {"x-a": "1"}))

    def test_answers_are_changed(self):
        def respond(event, answer, config: dict):
            return reply(answer.edit().set("/n", answer.status), config["status"]).set_header("x-b", "2")

        host = Host(config={"status": 201})
        replied = host.respond(respond, event("t"), answer(200, {"a": 1}))
        self.assertEqual((replied.status, replied.json()), (201, {"a": 1, "n": 200}))
        same = host.respond(lambda event, answer: None, event("t"), answer(204, text="x"))
        self.assertEqual((same.status, same.message.text()), (204, "x"))
        whole = host.respond(lambda event, answer: {"b": 1}, event("t"), answer(200, text="x"))
        self.assertEqual((whole.json(), whole.message.header("content-type")), ({"b": 1}, "application/json"))


class Configurations(unittest.TestCase):
    def test_a_dataclass_is_filled(self):
        def filter(event, config: Config):
            return drop(f"{config.rows[0].key} {config.number} {config.word}")

        host = Host(config={"rows": [{"key": "a"}]}, schema={"properties": {"number": {"default": 2}}})
        self.assertEqual(host.filter(filter, event("t")), Drop("a 2 None"))

    def test_a_misfit_names_its_place(self):
        def check(config: Config):
            return []

        for given, at, said in [
            ({"rows": [{"key": "a"}, {"key": 7}]}, "/rows/1/key", "expected a string, found 7"),
            ({"rows": [{}]}, "/rows/0", "key is missing"),
            ({"rows": {}}, "/rows", "expected a list"),
            ({"rows": [], "row": 1}, "/row", "no such field"),
            ({"rows": [], "number": True}, "/number", "expected a number, found true"),
            ({"rows": [], "word": 7}, "/word", "expected a string or null, found 7"),
            ({}, "", "rows is missing"),
        ]:
            problems = Host(config=given).check(check)
            self.assertEqual(problems[0].at, at, given)
            self.assertIn(said, problems[0].message)
        with self.assertRaisesRegex(Misconfigured, "at /rows"):
            Host(config={"rows": 1}).run(lambda: config.load(Config))

    def test_check_says_what_is_wrong(self):
        host = Host(config={"a": 1})
        self.assertEqual(host.check(lambda config: [Problem("/a", "no")]), [Problem("/a", "no")])
        self.assertEqual(host.check(lambda config: [("/a", "no")]), [Problem("/a", "no")])
        self.assertEqual(host.check(lambda config: None), [])

    def test_hooks_take_what_they_are_given(self):
        with self.assertRaisesRegex(TypeError, "takes 3 arguments"):
            Host().filter(lambda event, config, more: True, event("t"))


class Powers(unittest.TestCase):
    def test_state_outlives_a_call_and_ends_with_its_time(self):
        host = Host()
        claim = lambda: host.run(lambda: state.claim("c", timedelta(minutes=1)))  # noqa: E731
        self.assertEqual((claim(), claim()), (True, False))
        self.assertEqual(host.run(lambda: [state.add("n", 2, 60), state.add("n", 3)]), [2, 5])
        self.assertEqual(host.run(lambda: state.keys("", None, 1)), state.Page(["c"], "c"))
        self.assertTrue(host.run(lambda: state.compare_and_set("x", None, "é")))
        self.assertEqual(host.run(lambda: state.get("x")), "é".encode())
        host.advance(60)
        self.assertEqual((claim(), host.run(lambda: state.get("n"))), (True, None))
        with self.assertRaises(ValueError):
            host.run(lambda: state.claim("c", -1))

    def test_secrets_and_hashes(self):
        host = Host(secrets={"token": "t"})
        self.assertEqual(host.run(lambda: secrets.get("token")), "t")
        self.assertTrue(host.run(lambda: crypto.equals("token", "t")))
        with self.assertRaises(Misconfigured):
            host.run(lambda: secrets.get("other"))
        empty = "2jmj7l5rSw0yVb/vlWAYkK/YBwk="
        self.assertEqual(host.run(lambda: crypto.hash([], "sha1", "base64")), empty)
        with self.assertRaisesRegex(ValueError, "known: sha1"):
            host.run(lambda: crypto.hash([], "md5"))

    def test_signatures_of_ed25519(self):
        # RFC 8032, section 7.1, test 2.
        key = crypto.Key.raw(bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
        signature = (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        )
        check = lambda message: Host().run(lambda: crypto.verify(key, "ed25519", [message], signature))  # noqa: E731
        self.assertEqual((check(b"r"), check(b"s")), (True, False))

    def test_http_judge_and_media_answer_as_set_up(self):
        host = Host(rulings=[("yes", 0.9, "since")], extracts=['{"a": 1}'])
        host.http("GET", "https://api.example.com/7", 201, {"plan": "pro"}, {"X-A": "1"})

        def work():
            found = http.get("https://api.example.com/7", bearer_secret="key", timeout=1.5)
            kept = media.keep(found.body, "application/json", 60)
            ruling = judge.decide("Is it?", "text", ["yes", "no"])
            return found.status, found.json(), found.header("x-a"), kept.size, ruling.choice, judge.extract("", "", {})

        self.assertEqual(host.run(work), (201, {"plan": "pro"}, "1", 15, "yes", {"a": 1}))
        self.assertEqual((host.requests[0].timeout_ms, host.requests[0].bearer_secret), (1500, "key"))
        with self.assertRaises(http.Denied):
            host.run(lambda: http.post("https://api.example.com/8", json={}))
        with self.assertRaises(judge.NotConfigured):
            host.run(lambda: judge.decide("", "", ["a"]))

    def test_lines_are_kept_with_their_fields(self):
        host = Host()
        host.run(lambda: log.info("kept", rows=3))
        host.run(lambda: log.trace("not kept"))
        self.assertEqual(host.lines, [("info", "kept", {"rows": "3"})])

    def test_without_a_call_it_is_said(self):
        with self.assertRaisesRegex(RuntimeError, "no call in progress"):
            config.document()


class Faults(unittest.TestCase):
    def test_exceptions_are_faults(self):
        def raised(error):
            try:
                raise error
            except BaseException as caught:
                return _hooks.fault(caught)

        self.assertEqual(type(raised(Misconfigured("x"))).__name__, "Fault_Misconfigured")
        later = raised(Unavailable("x", after=1.5))
        self.assertEqual((later.value.message, later.value.after_ms), ("x", 1500))
        self.assertEqual(raised(state.TooLarge("big")).value, "big")
        said = raised(ValueError("odd")).value
        self.assertRegex(said, r"^ValueError: odd \(test_sdk\.py, line \d+\)$")
        self.assertRegex(raised(SystemExit()).value, r"^SystemExit \(")

    def test_text_that_is_no_unicode_goes_out_as_escape_or_not_at_all(self):
        half = "\ud800"
        self.assertEqual(_json.write({"a": half}), '{"a":"\\ud800"}')
        self.assertEqual(_json.write("é"), '"é"')
        with self.assertRaises(Invalid):
            Message.text(half)
        self.assertEqual(_json.lenient(half), "?")
        for wrong in [float("nan"), object(), {1, 2}]:
            with self.assertRaises(Invalid):
                _json.write(wrong)
        self.assertEqual(_json.write(10**30), "1" + "0" * 30)
        self.assertEqual(json.loads(_json.write([None, True, 1.5])), [None, True, 1.5])

    def test_what_is_exported_is_there(self):
        for name in relay_sdk.__all__:
            self.assertTrue(hasattr(relay_sdk, name), name)


if __name__ == "__main__":
    unittest.main()
