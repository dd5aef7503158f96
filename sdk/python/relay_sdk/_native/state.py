"""State that lives as long as the host of a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from . import Err, current


@dataclass
class StateError_Denied:
    value: str


@dataclass
class StateError_TooLarge:
    value: int


@dataclass
class StateError_QuotaExceeded:
    pass


@dataclass
class StateError_Unavailable:
    value: str


StateError = Union[StateError_Denied, StateError_TooLarge, StateError_QuotaExceeded, StateError_Unavailable]


@dataclass
class Page:
    keys: list[str]
    cursor: str | None


def get(key: str) -> bytes | None:
    return current().host.kept.get(key)


def set(key: str, value: bytes, ttl_seconds: int | None) -> None:
    current().host.kept.set(key, value, ttl_seconds)


def delete(key: str) -> None:
    current().host.kept.delete(key)


def claim(key: str, ttl_seconds: int) -> bool:
    return current().host.kept.compare_and_set(key, None, b"", ttl_seconds)


def add(key: str, delta: int, ttl_seconds: int | None) -> int:
    sum = current().host.kept.add(key, delta, ttl_seconds)
    if sum is None:
        raise Err(StateError_Unavailable("the value is not a counter"))
    return sum


def compare_and_set(key: str, expected: bytes | None, value: bytes, ttl_seconds: int | None) -> bool:
    return current().host.kept.compare_and_set(key, expected, value, ttl_seconds)


def keys(prefix: str, cursor: str | None, limit: int) -> Page:
    return Page(*current().host.kept.keys(prefix, cursor, limit))
