"""What a plugin answers with: a payload, and changes to the envelope."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from . import _json, _wit

if TYPE_CHECKING:
    from ._payload import Payload

_types = _wit.types
_plain = _json.plain
_quote = _json.quote
Self = TypeVar("Self", bound="Envelope")


class Envelope:
    """Changes of headers and attributes, on whatever is sent.

    They are kept as the relay takes those of one message: pieces of one list in JSON, of each the name of its
    case, then its strings. Handing over an object for each takes a call several times as long."""

    __slots__ = ("_steps",)
    _steps: list[str]

    def set_header(self: Self, name: str, value: str) -> Self:
        """Replaces every value of a header."""
        return self._change("set-header", name, value)

    def add_header(self: Self, name: str, value: str) -> Self:
        """Adds one more value of a header."""
        return self._change("add-header", name, value)

    def remove_header(self: Self, name: str) -> Self:
        """Takes every value of a header away."""
        known = _plain(name, "a header's name")
        self._steps.append(f'"remove-header",{_quote(known)}')
        return self

    def set_attribute(self: Self, name: str, value: str) -> Self:
        """Sets ``id``, ``source``, ``type``, ``subject``, ``time``, ``datacontenttype``, ``dataschema`` or an
        extension attribute."""
        return self._change("set-attribute", name, value)

    def remove_attribute(self: Self, name: str) -> Self:
        """Takes an optional attribute away."""
        known = _plain(name, "an attribute's name")
        self._steps.append(f'"remove-attribute",{_quote(known)}')
        return self

    def _change(self: Self, case: str, name: str, value: str) -> Self:
        one, other = _plain(name, "a name"), _plain(value, f"the value of {name}")
        self._steps.append(f'"{case}",{_quote(one)},{_quote(other)}')
        return self

    def _written(self) -> str:
        """All steps as one text."""
        return f"[{','.join(self._steps)}]"

    def _changes(self) -> list[Any]:
        """The changes, as the interface has them one by one."""
        return cases(self._written())[0]

    def _data(self) -> Any:
        """The payload, as the interface has it."""
        raise NotImplementedError


class Edits(Envelope):
    """Changes to a JSON payload, made by the relay; what none of them names keeps its bytes. Pointers are
    RFC 6901."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._steps = []
        self._count = 0

    def set(self, pointer: str, value: Any) -> Edits:
        """Creates or replaces a value. Missing parents are created; ``-`` appends to an array."""
        return self._edit("set-value", pointer, _json.write(value))

    def set_raw(self, pointer: str, json: str) -> Edits:
        """The same with JSON text, which goes out as it is written."""
        return self._edit("set", pointer, _quote(_plain(json, "JSON text")))

    def remove(self, pointer: str) -> Edits:
        """Takes a value away; an absent one is no error."""
        self._steps.append(f'"remove",{_quote(_plain(pointer, "a pointer"))}')
        self._count += 1
        return self

    def rename(self, origin: str, to: str) -> Edits:
        """Moves a value; nothing moves if there is none."""
        return self._edit("move", origin, _quote(_plain(to, "a pointer")))

    def copy(self, origin: str, to: str) -> Edits:
        """Copies a value; nothing is copied if there is none."""
        return self._edit("copy", origin, _quote(_plain(to, "a pointer")))

    def merge(self, pointer: str, patch: Any) -> Edits:
        """Merges a document into a value: a JSON Merge Patch (RFC 7396)."""
        return self._edit("merge", pointer, _quote(_json.write(patch)))

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return True

    def _edit(self, case: str, pointer: str, other: str) -> Edits:
        self._steps.append(f'"{case}",{_quote(_plain(pointer, "a pointer"))},{other}')
        self._count += 1
        return self

    def _data(self) -> Any:
        return _types.Data_Edits(cases(self._written())[1]) if self._count else _types.Data_Same()


def cases(written: str) -> tuple[list[Any], list[Any]]:
    """Steps one by one, as the interface has them: changes, and edits."""
    changes: list[Any] = []
    edits: list[Any] = []
    steps = iter(json.loads(written))
    for case in steps:
        one = next(steps)
        if case == "remove":
            edits.append(_types.Edit_Remove(one))
        elif case == "remove-header":
            changes.append(_types.Change_RemoveHeader(one))
        elif case == "remove-attribute":
            changes.append(_types.Change_RemoveAttribute(one))
        elif case == "set-value":
            edits.append(_types.Edit_Set((one, _json.write(next(steps)))))
        elif case in _EDITS:
            edits.append(getattr(_types, _EDITS[case])((one, next(steps))))
        else:
            changes.append(getattr(_types, _CHANGES[case])((one, next(steps))))
    return changes, edits


_EDITS = {"set": "Edit_Set", "move": "Edit_Move", "copy": "Edit_Copy", "merge": "Edit_Merge"}
_CHANGES = {
    "set-header": "Change_SetHeader",
    "add-header": "Change_AddHeader",
    "set-attribute": "Change_SetAttribute",
}


class Message(Envelope):
    """One message to send."""

    __slots__ = ("_payload",)

    def __init__(self, payload: Any) -> None:
        self._steps = []
        self._payload = payload

    @classmethod
    def same(cls) -> Message:
        """The event's own payload, untouched."""
        return cls(_types.Data_Same())

    @classmethod
    def json(cls, document: Any) -> Message:
        """A JSON document; the content type becomes ``application/json``."""
        message = cls(_types.Data_Text(_json.write(document)))
        return message.set_attribute("datacontenttype", "application/json")

    @classmethod
    def text(cls, text: str) -> Message:
        """A text. Its content type is the event's unless ``datacontenttype`` is set."""
        return cls(_types.Data_Text(_plain(text, "the payload")))

    @classmethod
    def bytes(cls, data: bytes | bytearray | memoryview) -> Message:
        """Bytes. Their content type is the event's unless ``datacontenttype`` is set."""
        return cls(_types.Data_Bytes(bytes(data)))

    @classmethod
    def held(cls, payload: Payload) -> Message:
        """Another payload that the relay holds, passed on without entering the plugin."""
        return cls(_types.Data_Held(payload._blob))

    def _data(self) -> Any:
        return self._payload
