"""The configuration that an endpoint or source gives the plugin.

Most plugins take it as a hook's last argument and need nothing from here.
"""

from __future__ import annotations

from typing import Any, TypeVar

from . import _json, _shape, _wit
from .faults import Misconfigured

T = TypeVar("T")


def document() -> Any:
    """The whole document, the schema's defaults filled in."""
    return _json.read(_wit.config.document(), "the configuration")


def get(pointer: str, default: Any = None) -> Any:
    """One value, by JSON Pointer."""
    text = _wit.config.value(_json.plain(pointer, "a pointer"))
    return default if text is None else _json.read(text)


def load(kind: type[T]) -> T:
    """The whole document as a dataclass; ``Misconfigured`` with the JSON Pointer of what does not fit."""
    try:
        return _shape.fit(document(), kind)
    except _shape.Misfit as misfit:
        place = f" at {misfit.at}" if misfit.at else ""
        raise Misconfigured(f"the configuration{place}: {misfit.message}") from None
