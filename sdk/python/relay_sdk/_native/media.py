"""Files, kept for the test to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from . import current


@dataclass
class Kept:
    url: str
    expires: str
    size: int


@dataclass
class MediaError_Denied:
    value: str


@dataclass
class MediaError_TooLarge:
    value: int


@dataclass
class MediaError_QuotaExceeded:
    pass


@dataclass
class MediaError_Unavailable:
    value: str


MediaError = Union[MediaError_Denied, MediaError_TooLarge, MediaError_QuotaExceeded, MediaError_Unavailable]


def keep(of: int, content_type: str, ttl_seconds: int | None) -> Kept:
    call = current()
    data = call.payloads[of]
    call.host.files.append((content_type, data))
    number = len(call.host.files)
    return Kept(f"https://relay.test/media/{number}", "2030-01-01T00:00:00Z", len(data))
