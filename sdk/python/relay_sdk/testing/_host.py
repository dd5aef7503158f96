"""The stand-in for the relay."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import _hooks
from .._native import Call, authenticate, during, lean_filter, lean_transform, types
from ..answers import Accept, Drop, Handshake, Keep, Problem, Reject
from ..message import cases
from ._apply import Sent, sent
from ._samples import ANSWER, INPUT, SampleAnswer, SampleEvent, SampleRequest
from ._state import State


@dataclass
class Transformed:
    """What came of a transform."""

    #: What is sent: the event itself if it is kept, nothing if it is dropped.
    messages: list[Sent]
    #: Why it was dropped, if it was.
    dropped: str | None = None
    #: Whether it was left as it is.
    kept: bool = False

    @property
    def message(self) -> Sent:
        """The one message that is sent."""
        if len(self.messages) != 1:
            raise AssertionError(f"not one message: {self}")
        return self.messages[0]

    def json(self) -> Any:
        """The JSON payload of the one message that is sent."""
        return self.message.json()


@dataclass
class Replied:
    """What the waiting platform gets."""

    status: int
    message: Sent

    def json(self) -> Any:
        """The body, parsed."""
        return self.message.json()


@dataclass
class Host:
    """A stand-in for the relay: what an operator would set, and what a plugin left behind."""

    config: Any = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    #: The JSON Schema whose defaults are filled in.
    schema: Any = None
    tenant: str = "test"
    source: str | None = "test"
    endpoint: str | None = "test"
    delivery: str | None = "dlv_test"
    attempt: int = 1
    #: Lines that were logged: level, message, fields.
    lines: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    #: Requests that were sent.
    requests: list[Any] = field(default_factory=list)
    #: Rulings that `judge.decide` gets, one after the other: choice, confidence, reason.
    rulings: list[tuple[str, float, str]] = field(default_factory=list)
    #: JSON texts that `judge.extract` gets, one after the other.
    extracts: list[str] = field(default_factory=list)
    #: What was asked: instructions, subject.
    asked: list[tuple[str, str]] = field(default_factory=list)
    #: Files that were kept: content type, bytes.
    files: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kept = State()
        self._answers: dict[tuple[str, str], tuple[int, list[tuple[str, str]], bytes]] = {}

    def http(self, method: str, url: str, status: int = 200, body: Any = "", headers: Any = ()) -> Host:
        """Sets up the answer to a request. A body that is no text is sent as JSON."""
        data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        fields = [(name.lower(), value) for name, value in dict(headers).items()]
        self._answers[method.upper(), url] = status, fields, data.encode() if isinstance(data, str) else data
        return self

    def _answer_of(self, request: Any) -> tuple[int, list[tuple[str, str]], bytes] | None:
        self.requests.append(request)
        return self._answers.get((request.method, request.url))

    def advance(self, seconds: float) -> None:
        """Lets time pass for the plugin's state."""
        self.kept.now += seconds

    def transform(self, hook: Callable[..., Any], sample: SampleEvent) -> Transformed:
        """Runs ``transform``, and does to the event what it answers."""
        call = self._call(sample)
        outcome = during(call, lambda: _hooks.hook(hook, "transform")(sample.record.data))
        start = _envelope(sample)
        if isinstance(outcome, lean_transform.Outcome_Drop):
            return Transformed([], dropped=outcome.value)
        if isinstance(outcome, lean_transform.Outcome_Keep):
            return Transformed([sent(start, call.payloads, INPUT, [], types.Data_Same())], kept=True)
        if isinstance(outcome, lean_transform.Outcome_Edited):
            changes, edits = cases(outcome.value)
            data = types.Data_Edits(edits) if edits else types.Data_Same()
            return Transformed([sent(start, call.payloads, INPUT, changes, data)])
        messages = [sent(start, call.payloads, INPUT, one.changes, one.data) for one in outcome.value]
        return Transformed(messages)

    def filter(self, hook: Callable[..., Any], sample: SampleEvent) -> Keep | Drop:
        """Runs ``filter``."""
        decision = during(self._call(sample), lambda: _hooks.hook(hook, "filter")(sample.record.data))
        return Drop(decision.value) if isinstance(decision, lean_filter.Decision_Drop) else Keep()

    def authenticate(self, hook: Callable[..., Any], sample: SampleRequest) -> Accept | Reject | Handshake:
        """Runs ``authenticate``."""
        verdict = during(self._call(sample), lambda: _hooks.hook(hook, "authenticate")(sample.record))
        found = verdict.value
        if isinstance(verdict, authenticate.Verdict_Accept):
            return Accept(found.principal, dict(found.attributes))
        if isinstance(verdict, authenticate.Verdict_Reject):
            return Reject(found.reason, found.status)
        return Handshake(found.body, found.status, dict(found.headers))

    def respond(self, hook: Callable[..., Any], sample: SampleEvent, answer: SampleAnswer) -> Replied:
        """Runs ``respond``, and does to the answer what it says."""
        call = self._call(sample)
        call.payloads.append(answer.data)
        call.answer_headers = answer.headers
        reply = during(call, lambda: _hooks.hook(hook, "respond")(sample.record, answer.record))
        start = Sent(b"", answer.headers)
        message = sent(start, call.payloads, ANSWER, reply.changes, reply.data)
        return Replied(answer.record.status if reply.status is None else reply.status, message)

    def check(self, hook: Callable[..., Any]) -> list[Problem]:
        """Runs ``check`` on the configuration."""
        call = self._call(None)
        found = during(call, lambda: _hooks.check(hook)(call.config))
        return [Problem(problem.at, problem.message) for problem in found]

    def run(self, work: Callable[[], Any], sample: SampleEvent | SampleRequest | None = None) -> Any:
        """Runs any code that asks the relay for something."""
        return during(self._call(sample), work)

    def _call(self, sample: SampleEvent | SampleRequest | None) -> Call:
        config = fill_defaults(self.config, self.schema)
        call = Call(self, json.dumps(config))
        if sample is not None:
            call.headers = sample.headers
            call.extensions = getattr(sample, "extensions", [])
            if isinstance(sample, SampleEvent):
                call.attributes = _envelope(sample).attributes
            call.payloads = [sample.data]
        return call


def _envelope(sample: SampleEvent) -> Sent:
    record = sample.record
    attributes = {
        "id": record.id,
        "source": record.source,
        "type": record.type,
        "subject": record.subject,
        "time": record.time,
        "datacontenttype": record.content_type,
        **dict(sample.extensions),
    }
    given = {name: value for name, value in attributes.items() if value is not None}
    return Sent(b"", sample.headers, given)


def fill_defaults(config: Any, schema: Any) -> Any:
    """A configuration with the members that a schema has defaults for."""
    if not isinstance(schema, dict):
        return config
    if isinstance(config, list):
        return [fill_defaults(item, schema.get("items")) for item in config]
    if not isinstance(config, dict):
        return config
    members = schema.get("properties") or {}
    defaults = {
        name: inner["default"]
        for name, inner in members.items()
        if isinstance(inner, dict) and "default" in inner
    }
    return {name: fill_defaults(value, members.get(name)) for name, value in {**defaults, **config}.items()}
