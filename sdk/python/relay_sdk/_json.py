"""JSON text from values and back, for what goes to the relay and comes from it."""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import Any

from .faults import Invalid

_plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_ascii = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
_constants = {True: "true", False: "false", None: "null"}


def write(value: Any) -> str:
    """A value as JSON text."""
    if type(value) is str:
        text = encode_basestring(value)
    elif value is True or value is False or value is None:
        return _constants[value]
    else:
        try:
            text = _plain(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise Invalid(f"it cannot be written as JSON: {error}") from None
    if text.isascii() or is_unicode(text):
        return text
    # Half a surrogate pair has no UTF-8, but an escape.
    return _ascii(value)


def quote(text: str) -> str:
    """A text as JSON text; it is one that can go to the relay."""
    return encode_basestring(text)


def read(text: str | bytes, what: str = "it") -> Any:
    """The value of a JSON text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{what} is no JSON that can be read: {error}") from None


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(text: Any, what: str) -> str:
    """A text that can go to the relay."""
    if type(text) is not str:
        if not isinstance(text, str):
            raise TypeError(f"{what} is a str, not {type(text).__name__}")
        text = str(text)
    if text.isascii() or is_unicode(text):
        return text
    raise Invalid(f"{what} is no Unicode text: {text!a}")


def lenient(text: object) -> str:
    """A text that can go to the relay, for what is only read by people."""
    text = str(text)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
