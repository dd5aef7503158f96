"""What hooks answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .message import Edits, Envelope, Message


@dataclass(frozen=True)
class Keep:
    """The event goes on as it is."""


@dataclass(frozen=True)
class Drop:
    """The event ends here; the reason is shown in the delivery's log."""

    reason: str


def keep() -> Keep:
    """Lets the event go on as it is."""
    return Keep()


def drop(reason: str) -> Drop:
    """Ends the event here; the reason is shown in the delivery's log."""
    return Drop(reason)


@dataclass(frozen=True)
class Accept:
    """A request that is genuine, and what it tells of its sender."""

    principal: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reject:
    """A request that is not genuine."""

    reason: str
    status: int = 401


@dataclass(frozen=True)
class Handshake:
    """The answer to a handshake or challenge: no event is made."""

    body: str | bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def accept(principal: str | None = None, **attributes: str) -> Accept:
    """Accepts a request. ``principal`` is an account, an installation, the id of a key; the attributes are the
    event's, by CloudEvents name."""
    return Accept(principal, attributes)


def reject(reason: str, status: int = 401) -> Reject:
    """Refuses a request with a status from 400 to 499. The reason goes to the relay's log, never to the
    caller."""
    return Reject(reason, status)


def answer(body: str | bytes = b"", status: int = 200, headers: Mapping[str, str] | None = None) -> Handshake:
    """Answers a handshake or challenge here, without making an event."""
    return Handshake(body, status, headers or {})


class Reply(Envelope):
    """The answer for a platform that waits for it."""

    __slots__ = ("_content", "status")

    def __init__(self, content: Edits | Message | None = None, status: int | None = None) -> None:
        self._content = Message.same() if content is None else content
        self._steps = []
        self.status = status

    def _changes(self) -> list[Any]:
        return self._content._changes() + super()._changes()

    def _data(self) -> Any:
        return self._content._data()


def reply(content: Edits | Message | None = None, status: int | None = None) -> Reply:
    """An answer with this content, or the destination's own, and this status, or the destination's own."""
    return Reply(content, status)


@dataclass(frozen=True)
class Problem:
    """Something wrong with the configuration, at a JSON Pointer into it."""

    at: str
    message: str
