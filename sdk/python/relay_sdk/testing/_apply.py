"""Does to an event what a plugin answers, as the relay would."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

from .._native import _pointer, types
from ..faults import Invalid


@dataclass
class Sent:
    """A message as the destination would get it."""

    #: The payload.
    body: bytes
    #: Names in lower case, and values.
    headers: list[tuple[str, str]] = field(default_factory=list)
    #: CloudEvents attributes, extensions included.
    attributes: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The payload, parsed."""
        return json.loads(self.body)

    def text(self) -> str:
        """The payload as text."""
        return self.body.decode("utf-8", "replace")

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for known, value in self.headers if known == name), None)


def sent(start: Sent, payloads: list[bytes], same: int, changes: list[Any], data: Any) -> Sent:
    """What is sent; ``same`` is the number of the payload that the message begins with."""
    result = Sent(_body(payloads, same, data), list(start.headers), dict(start.attributes))
    for change in changes:
        _change(result, change)
    return result


def _body(payloads: list[bytes], same: int, data: Any) -> bytes:
    if isinstance(data, types.Data_Same):
        return payloads[same]
    if isinstance(data, types.Data_Text):
        return data.value.encode()
    if isinstance(data, types.Data_Bytes):
        return data.value
    if isinstance(data, types.Data_Held):
        return payloads[data.value]
    return edited(payloads[same], data.value)


def edited(payload: bytes, edits: list[Any]) -> bytes:
    """A payload with edits; ``Invalid`` if one does not fit it."""
    try:
        document = json.loads(payload)
    except ValueError as error:
        raise Invalid(f"the payload is not JSON to edit: {error}") from None
    for number, edit in enumerate(edits, 1):
        try:
            document = _edit(document, edit)
        except (_pointer.Unfit, ValueError) as error:
            raise Invalid(f"edit {number} does not fit the payload: {error}") from None
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _edit(document: Any, edit: Any) -> Any:
    if isinstance(edit, types.Edit_Remove):
        return _pointer.take(document, edit.value)[0]
    one, other = edit.value
    if isinstance(edit, types.Edit_Set):
        return _pointer.put(document, one, json.loads(other))
    if isinstance(edit, types.Edit_Move):
        document, value = _pointer.take(document, one)
        return document if value is _pointer.ABSENT else _pointer.put(document, other, value)
    value = _pointer.find(document, one)
    if isinstance(edit, types.Edit_Copy):
        return document if value is _pointer.ABSENT else _pointer.put(document, other, copy.deepcopy(value))
    before = None if value is _pointer.ABSENT else value
    return _pointer.put(document, one, _pointer.merge(before, json.loads(other)))


def _change(message: Sent, change: Any) -> None:
    if isinstance(change, types.Change_SetAttribute):
        message.attributes[change.value[0]] = change.value[1]
    elif isinstance(change, types.Change_RemoveAttribute):
        message.attributes.pop(change.value, None)
    elif isinstance(change, types.Change_RemoveHeader):
        _remove(message, change.value.lower())
    else:
        name = change.value[0].lower()
        if isinstance(change, types.Change_SetHeader):
            _remove(message, name)
        message.headers.append((name, change.value[1]))


def _remove(message: Sent, name: str) -> None:
    message.headers = [(known, value) for known, value in message.headers if known != name]
