"""JSON documents as dataclasses."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Union

from . import _json

_UNIONS = (Union, getattr(types, "UnionType", Union))
_CALLED = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class Misfit(Exception):
    """A document does not fit a type, at a JSON Pointer."""

    def __init__(self, at: str, message: str) -> None:
        super().__init__(at, message)
        self.at = at
        self.message = message


def fit(value: Any, kind: Any, at: str = "") -> Any:
    """The value as a type: a dataclass, what JSON has, and lists, dicts and unions of these."""
    if kind is Any or kind is object:
        return value
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _record(value, kind, at)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in _UNIONS:
        return _one_of(value, arguments, at)
    if origin is typing.Literal:
        return _literal(value, arguments, at)
    if origin is list:
        _check(value, list, at)
        return [fit(item, arguments[0], f"{at}/{index}") for index, item in enumerate(value)]
    if origin is dict:
        _check(value, dict, at)
        return {name: fit(item, arguments[1], f"{at}/{escape(name)}") for name, item in value.items()}
    # A whole number stays one where a float is asked for, as PEP 484 has it: 50 is not written as 50.0.
    _check(value, kind, at)
    return value


def escape(name: str) -> str:
    """A name as part of a JSON Pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _record(value: Any, kind: Any, at: str) -> Any:
    _check(value, dict, at)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    unknown = next((name for name in value if name not in fields), None)
    if unknown is not None:
        known = ", ".join(fields) or "none"
        raise Misfit(f"{at}/{escape(unknown)}", f"there is no such field; known: {known}")
    given = {name: fit(item, hints[name], f"{at}/{escape(name)}") for name, item in value.items()}
    for name, field in fields.items():
        has_default = (
            field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        )
        if name not in given and not has_default:
            raise Misfit(at, f"{name} is missing")
    return kind(**given)


def _one_of(value: Any, kinds: tuple[Any, ...], at: str) -> Any:
    deepest: Misfit | None = None
    for kind in kinds:
        try:
            return fit(value, kind, at)
        except Misfit as misfit:
            if deepest is None or len(misfit.at) > len(deepest.at):
                deepest = misfit
    assert deepest is not None
    if len(deepest.at) > len(at):
        raise deepest
    wanted = " or ".join(_CALLED.get(kind, getattr(kind, "__name__", str(kind))) for kind in kinds)
    raise Misfit(at, f"expected {wanted}, found {_shown(value)}")


def _literal(value: Any, known: tuple[Any, ...], at: str) -> Any:
    for one in known:
        if type(one) is type(value) and one == value:
            return value
    raise Misfit(at, f"expected one of {', '.join(_shown(one) for one in known)}, found {_shown(value)}")


def _check(value: Any, kind: Any, at: str) -> None:
    kind = type(None) if kind is None else kind
    fits = isinstance(value, kind) and (not isinstance(value, bool) or kind is bool)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        fits = True
    if not fits:
        raise Misfit(at, f"expected {_CALLED.get(kind, kind.__name__)}, found {_shown(value)}")


def _shown(value: Any) -> str:
    text = _json.write(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
