"""Events, requests and answers for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._native import authenticate, respond, types

#: The payload of the event or request, and of the destination's answer.
INPUT, ANSWER = 0, 1
_NOTHING: Any = object()


@dataclass
class SampleEvent:
    """An event with its headers and payload."""

    record: Any
    headers: list[tuple[str, str]]
    extensions: list[tuple[str, str]]
    data: bytes


@dataclass
class SampleRequest:
    """A request with its headers and body."""

    record: Any
    headers: list[tuple[str, str]]
    data: bytes


@dataclass
class SampleAnswer:
    """A destination's answer."""

    record: Any
    headers: list[tuple[str, str]]
    data: bytes


def event(
    type: str,
    data: Any = _NOTHING,
    *,
    text: str | bytes | None = None,
    headers: Mapping[str, str] | list[tuple[str, str]] = (),
    extensions: Mapping[str, str] | list[tuple[str, str]] = (),
    id: str = "evt_test",
    source: str = "test",
    subject: str | None = None,
    time: str | None = None,
    content_type: str | None = "application/json",
) -> SampleEvent:
    """An event of a type, with a JSON payload, or a text that need not be JSON."""
    record = types.Event(id, source, type, subject, time, content_type, INPUT)
    body = _body({} if data is _NOTHING else data, text)
    return SampleEvent(record, _fields(headers), list(dict(extensions).items()), body)


def request(
    body: Any = "",
    *,
    method: str = "POST",
    path: str = "/in/test",
    query: str = "",
    headers: Mapping[str, str] | list[tuple[str, str]] = (),
    remote: str | None = None,
) -> SampleRequest:
    """A request to a source. A body that is no text is sent as JSON."""
    record = authenticate.Request(method, path, query, remote, INPUT)
    is_text = isinstance(body, (str, bytes))
    return SampleRequest(record, _fields(headers), _body(body, body if is_text else None))


def answer(
    status: int = 200,
    data: Any = _NOTHING,
    *,
    text: str | bytes | None = None,
    headers: Mapping[str, str] | list[tuple[str, str]] = (),
) -> SampleAnswer:
    """A destination's answer, with a JSON payload, or a text."""
    body = b"" if data is _NOTHING and text is None else _body(data, text)
    return SampleAnswer(respond.Answer(status, ANSWER), _fields(headers), body)


def _fields(fields: Any) -> list[tuple[str, str]]:
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    return [(name.lower(), value) for name, value in pairs]


def _body(data: Any, text: str | bytes | None) -> bytes:
    if text is None:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return text.encode() if isinstance(text, str) else text
