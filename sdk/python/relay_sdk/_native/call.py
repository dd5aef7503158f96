"""The call in progress."""

from __future__ import annotations

from dataclasses import dataclass

from . import current as _current


@dataclass
class Context:
    tenant: str
    source: str | None
    endpoint: str | None
    delivery: str | None
    attempt: int
    budget_ms: int


def current() -> Context:
    host = _current().host
    return Context(host.tenant, host.source, host.endpoint, host.delivery, host.attempt, 50)


def attribute(of: int, name: str) -> str | None:
    return _current().attributes.get(name)


def header(name: str) -> str | None:
    return _first(_current().headers, name)


def headers() -> list[tuple[str, str]]:
    return list(_current().headers)


def extension(name: str) -> str | None:
    return _first(_current().extensions, name)


def extensions() -> list[tuple[str, str]]:
    return list(_current().extensions)


def answer_header(name: str) -> str | None:
    return _first(_current().answer_headers, name)


def answer_headers() -> list[tuple[str, str]]:
    return list(_current().answer_headers)


def _first(fields: list[tuple[str, str]], name: str) -> str | None:
    return next((value for known, value in fields if known == name), None)
