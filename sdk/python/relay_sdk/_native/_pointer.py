"""JSON Pointers, and what edits do to a document."""

from __future__ import annotations

import re
from typing import Any

#: Stands for a value that is not there.
ABSENT: Any = object()
_INDEX = re.compile(r"0|[1-9][0-9]*")


class Unfit(Exception):
    """An edit does not fit the document."""


def find(document: Any, pointer: str) -> Any:
    """The value at a pointer, or ``ABSENT``."""
    try:
        keys = split(pointer)
    except Unfit:
        return ABSENT
    for key in keys:
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and _INDEX.fullmatch(key) and int(key) < len(document):
            document = document[int(key)]
        else:
            return ABSENT
    return document


def split(pointer: str) -> list[str]:
    """The keys of a pointer."""
    if pointer and not pointer.startswith("/"):
        raise Unfit(f"{pointer!r} is no JSON Pointer")
    if re.search("~(?![01])", pointer):
        raise Unfit(f"{pointer!r} is no JSON Pointer")
    return [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]


def put(document: Any, pointer: str, value: Any) -> Any:
    """The document with a value at a pointer; missing parents are made."""
    keys = split(pointer)
    if not keys:
        return value
    at = document
    for place, key in enumerate(keys[:-1]):
        at = _step(at, key, keys[: place + 1])
    last = keys[-1]
    if isinstance(at, dict):
        at[last] = value
    elif isinstance(at, list) and last == "-":
        at.append(value)
    elif isinstance(at, list) and _INDEX.fullmatch(last) and int(last) < len(at):
        at[int(last)] = value
    else:
        raise Unfit(f"there is no place {pointer!r}")
    return document


def _step(at: Any, key: str, keys: list[str]) -> Any:
    if isinstance(at, dict):
        return at.setdefault(key, {})
    if isinstance(at, list) and key == "-":
        at.append({})
        return at[-1]
    if isinstance(at, list) and _INDEX.fullmatch(key) and int(key) < len(at):
        return at[int(key)]
    raise Unfit(f"there is no place {'/'.join(['', *keys])!r}")


def take(document: Any, pointer: str) -> tuple[Any, Any]:
    """The document without the value at a pointer, and that value or ``ABSENT``."""
    keys = split(pointer)
    if not keys:
        raise Unfit("the whole payload cannot be taken away")
    found = find(document, pointer)
    if found is ABSENT:
        return document, ABSENT
    parent = document
    for key in keys[:-1]:
        parent = parent[key] if isinstance(parent, dict) else parent[int(key)]
    del parent[keys[-1] if isinstance(parent, dict) else int(keys[-1])]
    return document, found


def merge(value: Any, patch: Any) -> Any:
    """A value with a JSON Merge Patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, item in patch.items():
        if item is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), item)
    return merged
