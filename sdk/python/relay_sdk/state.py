"""Small durable state, private to one plugin on one endpoint or source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Union

from . import _wit
from ._json import plain
from .faults import Fault, Invalid, Misconfigured, Unavailable

_host = _wit.power("state")
_U32_MAX = 0xFFFF_FFFF
#: Seconds.
Duration = Union[int, float, timedelta]


class Error(Fault):
    """State cannot be read or written."""


class Denied(Error, Misconfigured):
    """The owner has not granted it."""


class TooLarge(Error, Invalid):
    """The key or value is too large."""


class Full(Error, Unavailable):
    """There is no room left for this plugin."""


class NotThere(Error, Unavailable):
    """The store cannot be reached now."""


@dataclass(frozen=True)
class Page:
    """Keys, a page at a time; pass the cursor back to go on."""

    keys: list[str]
    cursor: str | None


def get(key: str) -> bytes | None:
    """The value of a key."""
    return _asked("get", plain(key, "a key"))


def set(key: str, value: str | bytes, ttl: Duration | None = None) -> None:
    """Writes a value, for good or for a time."""
    _asked("set", plain(key, "a key"), _bytes(value), _maybe(ttl))


def delete(key: str) -> None:
    """Takes a key away; an absent one is no error."""
    _asked("delete", plain(key, "a key"))


def claim(key: str, ttl: Duration) -> bool:
    """True for the first caller within the time: deduplication in one step."""
    return _asked("claim", plain(key, "a key"), seconds(ttl))


def add(key: str, delta: int = 1, ttl: Duration | None = None) -> int:
    """Adds to a counter and answers its new value. The time starts with the first add."""
    if not -(1 << 63) <= delta < 1 << 63:
        raise ValueError(f"{delta} has more than 64 bits")
    return _asked("add", plain(key, "a key"), int(delta), _maybe(ttl))


def compare_and_set(
    key: str, expected: str | bytes | None, value: str | bytes, ttl: Duration | None = None
) -> bool:
    """Writes if the present value is the expected one (``None``: absent); whether it did."""
    known = None if expected is None else _bytes(expected)
    return _asked("compare_and_set", plain(key, "a key"), known, _bytes(value), _maybe(ttl))


def keys(prefix: str = "", cursor: str | None = None, limit: int = 100) -> Page:
    """Keys that begin with ``prefix``, in byte order."""
    page = _asked("keys", plain(prefix, "a prefix"), cursor, max(0, min(limit, _U32_MAX)))
    return Page(page.keys, page.cursor)


def seconds(ttl: Duration) -> int:
    """Whole seconds, rounded up: a claim must not end before its time."""
    given = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if not given >= 0:
        raise ValueError(f"{given} is no time to live")
    return min(ceil(given), _U32_MAX)


def _maybe(ttl: Duration | None) -> int | None:
    return None if ttl is None else seconds(ttl)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _asked(function: str, *given: Any) -> Any:
    try:
        return getattr(_host, function)(*given)
    except _wit.Err as error:
        raise _told(error.value) from None


def _told(error: Any) -> Fault:
    if isinstance(error, _host.StateError_Denied):
        return Denied(error.value)
    if isinstance(error, _host.StateError_TooLarge):
        return TooLarge(f"the key or value has more than {error.value} bytes")
    if isinstance(error, _host.StateError_QuotaExceeded):
        return Full("the plugin's state is full")
    return NotThere(f"the plugin's state cannot be reached: {error.value}")
