"""A payload that the relay holds."""

from __future__ import annotations

from typing import Any

from . import _json, _wit
from .faults import Invalid

_host = _wit.payload
_U32_MAX = 0xFFFF_FFFF
#: Stands for an argument that was not given.
_REQUIRED: Any = object()


class Payload:
    """A payload that the relay holds. It is copied into the plugin as far as it is read: looking at one
    field of a large document costs that field."""

    __slots__ = ("_blob",)

    def __init__(self, blob: int) -> None:
        self._blob = blob

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return _host.size(self._blob)

    def bytes(self) -> bytes:
        """All its bytes."""
        return _host.bytes(self._blob)

    def text(self) -> str | None:
        """All of it as text; ``None`` if it is not UTF-8."""
        return _host.text(self._blob)

    def slice(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on, fewer at the end."""
        if offset < 0 or length < 0:
            raise ValueError("neither offset nor length is below 0")
        return _host.slice(self._blob, min(offset, _U32_MAX), min(length, _U32_MAX))

    def value(self, pointer: str) -> str | None:
        """One value as JSON text, exactly as it stands there, by JSON Pointer."""
        return _host.json(self._blob, _json.plain(pointer, "a pointer"))

    def get(self, pointer: str, default: Any = None) -> Any:
        """One value, by JSON Pointer; found by the relay, so that the rest is neither copied nor parsed."""
        text = _host.json(self._blob, _json.plain(pointer, "a pointer"))
        return default if text is None else _json.read(text, pointer)

    def require(self, pointer: str, kind: type | tuple[type, ...] = object) -> Any:
        """One value, by JSON Pointer; ``Invalid`` if it is absent or of another type."""
        value = self.get(pointer, _REQUIRED)
        if value is _REQUIRED:
            raise Invalid(f"the payload has no value at {_json.write(pointer)}")
        if not _is_a(value, kind):
            wanted = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
            raise Invalid(f"the value at {_json.write(pointer)} is no {wanted}: {_json.write(value)[:100]}")
        return value

    def json(self) -> Any:
        """The whole document; ``Invalid`` if it is no JSON. ``get`` is cheaper for a few fields."""
        return _json.read(_host.bytes(self._blob), "the payload")

    def __repr__(self) -> str:
        return f"Payload({self._blob})"


def _is_a(value: Any, kind: type | tuple[type, ...]) -> bool:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, bool):
        return bool in kinds or object in kinds
    return isinstance(value, kinds) or (float in kinds and isinstance(value, int))
