"""A stand-in for the interface, for where there is no relay: the tests of a plugin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from ..testing import Host

E = TypeVar("E")


@dataclass(frozen=True)
class Err(Generic[E], Exception):  # type: ignore[misc]
    """A failure, as the interface has it."""

    value: E


@dataclass
class Call:
    """What a plugin sees while it runs."""

    host: Host
    config: str
    #: Those of the event, extensions included.
    attributes: dict[str, str] = field(default_factory=dict)
    headers: list[tuple[str, str]] = field(default_factory=list)
    extensions: list[tuple[str, str]] = field(default_factory=list)
    answer_headers: list[tuple[str, str]] = field(default_factory=list)
    #: The event or request, then the answer, then what came by HTTP.
    payloads: list[bytes] = field(default_factory=list)


_calls: list[Call] = []


def current() -> Call:
    """The call in progress."""
    if not _calls:
        raise RuntimeError("no call in progress: run the hook through relay_sdk.testing.Host")
    return _calls[-1]


def during(call: Call, work: Any) -> Any:
    """Runs a hook as part of a call."""
    _calls.append(call)
    try:
        return work()
    finally:
        _calls.pop()


from . import call, config, log, payload, types  # noqa: E402

__all__ = ["Call", "Err", "call", "config", "current", "during", "log", "payload", "types"]
