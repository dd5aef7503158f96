"""The configuration that a test gives the plugin."""

from __future__ import annotations

import json

from . import _pointer, current


def document() -> str:
    return current().config


def value(pointer: str) -> str | None:
    found = _pointer.find(json.loads(current().config), pointer)
    return None if found is _pointer.ABSENT else json.dumps(found)
