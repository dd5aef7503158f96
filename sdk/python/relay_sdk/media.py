"""Files that the relay keeps for a time and serves under a signed address of its own: for media whose own
address dies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import _wit
from ._json import plain
from ._payload import Payload
from .faults import Fault, Invalid, Misconfigured, Unavailable
from .state import Duration, _maybe

_host = _wit.power("media")


class Error(Fault):
    """The file is not kept."""


class Denied(Error, Misconfigured):
    """The owner has not granted it, or this relay has no address that the world knows."""


class TooLarge(Error, Invalid):
    """The file is too long."""


class Full(Error, Unavailable):
    """There is no room left for files."""


class NotThere(Error, Unavailable):
    """Files cannot be kept now."""


@dataclass(frozen=True)
class Kept:
    """Where a file is kept. Who has the address can fetch it, until it expires."""

    url: str
    #: RFC 3339.
    expires: str
    #: Bytes.
    size: int


def keep(payload: Payload, content_type: str, ttl: Duration | None = None) -> Kept:
    """Keeps a payload that the relay holds, such as the body of an answer."""
    try:
        kept = _host.keep(payload._blob, plain(content_type, "a content type"), _maybe(ttl))
    except _wit.Err as error:
        raise _told(error.value) from None
    return Kept(kept.url, kept.expires, kept.size)


def _told(error: Any) -> Fault:
    if isinstance(error, _host.MediaError_Denied):
        return Denied(error.value)
    if isinstance(error, _host.MediaError_TooLarge):
        return TooLarge(f"the file has more than {error.value} bytes")
    if isinstance(error, _host.MediaError_QuotaExceeded):
        return Full("there is no room left for files")
    return NotThere(error.value)
