"""What a plugin looks at: an event, a request, a destination's answer."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from . import _json, _wit
from ._payload import Payload
from .message import Edits, Message

_call = _wit.call
_host = _wit.payload


class _Read:
    """What can be read of a payload, in short."""

    __slots__ = ()

    @property
    def body(self) -> Payload:
        """The payload as the relay holds it."""
        raise NotImplementedError

    def get(self, pointer: str, default: Any = None) -> Any:
        """One value of a JSON payload, by JSON Pointer; the rest is neither copied nor parsed."""
        return self.body.get(pointer, default)

    def require(self, pointer: str, kind: type | tuple[type, ...] = object) -> Any:
        """The same; ``Invalid`` if it is absent or of another type."""
        return self.body.require(pointer, kind)

    def text(self) -> str | None:
        """The whole payload as text; ``None`` if it is not UTF-8."""
        return self.body.text()

    def bytes(self) -> bytes:
        """The whole payload."""
        return self.body.bytes()

    def json(self) -> Any:
        """The whole payload, parsed; ``Invalid`` if it is no JSON."""
        return self.body.json()


class Event(_Read):
    """An event: the context attributes of CloudEvents, which the relay is asked for, and a payload that it
    holds."""

    __slots__ = ("_blob",)

    def __init__(self, blob: int) -> None:
        self._blob = blob

    @property
    def id(self) -> str:
        """Its id, the same on every attempt."""
        return _call.attribute(self._blob, "id") or ""

    @property
    def source(self) -> str:
        """CloudEvents ``source``."""
        return _call.attribute(self._blob, "source") or ""

    @property
    def type(self) -> str:
        """Its type, such as ``invoice.paid``."""
        return _call.attribute(self._blob, "type") or ""

    @property
    def subject(self) -> str | None:
        """CloudEvents ``subject``."""
        return _call.attribute(self._blob, "subject")

    @property
    def time(self) -> str | None:
        """When it happened, in RFC 3339."""
        return _call.attribute(self._blob, "time")

    @property
    def content_type(self) -> str | None:
        """CloudEvents ``datacontenttype``."""
        return _call.attribute(self._blob, "datacontenttype")

    @property
    def body(self) -> Payload:
        return Payload(self._blob)

    def get(self, pointer: str, default: Any = None) -> Any:
        # The usual way to read, without a payload made for it.
        text = _host.json(self._blob, _json.plain(pointer, "a pointer"))
        return default if text is None else _json.read(text, pointer)

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return _call.header(name.lower())

    def headers(self) -> list[tuple[str, str]]:
        """Every header in the order of arrival; one that came twice is two entries."""
        return _call.headers()

    def extension(self, name: str) -> str | None:
        """A CloudEvents extension attribute, or ``dataschema``."""
        return _call.extension(name)

    def extensions(self) -> list[tuple[str, str]]:
        """Every extension attribute."""
        return _call.extensions()

    def edit(self) -> Edits:
        """Begins a list of changes to the payload, which the relay makes."""
        return Edits()

    def replace(self, document: Any) -> Message:
        """A message with this JSON document in place of the payload."""
        return Message.json(document)


class Request(_Read):
    """A request to a source, as it came."""

    __slots__ = ("_record",)

    def __init__(self, record: Any) -> None:
        self._record = record

    @property
    def method(self) -> str:
        """``POST`` and so on."""
        return self._record.method

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self._record.path

    @property
    def query(self) -> str:
        """What stands behind the ``?``, as it came."""
        return self._record.query

    @property
    def remote(self) -> str | None:
        """The address of the peer, if known."""
        return self._record.remote

    @property
    def body(self) -> Payload:
        return Payload(self._record.body)

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return _call.header(name.lower())

    def headers(self) -> list[tuple[str, str]]:
        """Every header in the order of arrival."""
        return _call.headers()

    def parameter(self, name: str) -> str | None:
        """The first value of a parameter of the query."""
        return _first(self.query, name)

    def form_field(self, name: str) -> str | None:
        """The first value of a field of a form that is the body."""
        return _first(self.text() or "", name)


class Answer(_Read):
    """What a destination answered."""

    __slots__ = ("_record",)

    def __init__(self, record: Any) -> None:
        self._record = record

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._record.status

    @property
    def body(self) -> Payload:
        return Payload(self._record.body)

    def header(self, name: str) -> str | None:
        """The first value of a header of the answer."""
        return _call.answer_header(name.lower())

    def headers(self) -> list[tuple[str, str]]:
        """Every header of the answer."""
        return _call.answer_headers()

    def edit(self) -> Edits:
        """Begins a list of changes to the answer's body, which the relay makes."""
        return Edits()


def _first(form: str, name: str) -> str | None:
    fields = parse_qsl(form, keep_blank_values=True, errors="replace")
    return next((value for known, value in fields if known == name), None)
