"""Payloads that a test gives the plugin."""

from __future__ import annotations

import json as _json

from . import _pointer, current


def size(of: int) -> int:
    return len(current().payloads[of])


def bytes(of: int) -> bytes:
    return current().payloads[of]


def text(of: int) -> str | None:
    try:
        return current().payloads[of].decode()
    except UnicodeDecodeError:
        return None


def slice(of: int, offset: int, length: int) -> bytes:
    return current().payloads[of][offset : offset + length]


def json(of: int, pointer: str) -> str | None:
    try:
        document = _json.loads(current().payloads[of])
    except ValueError:
        return None
    found = _pointer.find(document, pointer)
    return None if found is _pointer.ABSENT else _json.dumps(found, ensure_ascii=False)
