"""What a plugin answers with: a payload, and changes to the envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from . import _json, _wit

if TYPE_CHECKING:
    from ._payload import Payload

_types = _wit.types
_plain = _json.plain
Self = TypeVar("Self", bound="Envelope")


class Envelope:
    """Changes of headers and attributes, on whatever is sent."""

    __slots__ = ("_changes",)
    _changes: list[Any]

    def set_header(self: Self, name: str, value: str) -> Self:
        """Replaces every value of a header."""
        return self._change(_types.Change_SetHeader, name, value)

    def add_header(self: Self, name: str, value: str) -> Self:
        """Adds one more value of a header."""
        return self._change(_types.Change_AddHeader, name, value)

    def remove_header(self: Self, name: str) -> Self:
        """Takes every value of a header away."""
        self._changes.append(_types.Change_RemoveHeader(_plain(name, "a header's name")))
        return self

    def set_attribute(self: Self, name: str, value: str) -> Self:
        """Sets ``id``, ``source``, ``type``, ``subject``, ``time``, ``datacontenttype``, ``dataschema`` or an
        extension attribute."""
        return self._change(_types.Change_SetAttribute, name, value)

    def remove_attribute(self: Self, name: str) -> Self:
        """Takes an optional attribute away."""
        self._changes.append(_types.Change_RemoveAttribute(_plain(name, "an attribute's name")))
        return self

    def _change(self: Self, change: Any, name: str, value: str) -> Self:
        self._changes.append(change((_plain(name, "a name"), _plain(value, f"the value of {name}"))))
        return self

    def _data(self) -> Any:
        """The payload, as the interface has it."""
        raise NotImplementedError


class Edits(Envelope):
    """Changes to a JSON payload, made by the relay; what none of them names keeps its bytes. Pointers are
    RFC 6901."""

    __slots__ = ("_edits",)

    def __init__(self) -> None:
        self._changes = []
        self._edits: list[Any] = []

    def set(self, pointer: str, value: Any) -> Edits:
        """Creates or replaces a value. Missing parents are created; ``-`` appends to an array."""
        self._edits.append(_types.Edit_Set((_plain(pointer, "a pointer"), _json.write(value))))
        return self

    def set_raw(self, pointer: str, json: str) -> Edits:
        """The same with JSON text, which goes out as it is written."""
        self._edits.append(_types.Edit_Set((_plain(pointer, "a pointer"), _plain(json, "JSON text"))))
        return self

    def remove(self, pointer: str) -> Edits:
        """Takes a value away; an absent one is no error."""
        self._edits.append(_types.Edit_Remove(_plain(pointer, "a pointer")))
        return self

    def rename(self, origin: str, to: str) -> Edits:
        """Moves a value; nothing moves if there is none."""
        self._edits.append(_types.Edit_Move((_plain(origin, "a pointer"), _plain(to, "a pointer"))))
        return self

    def copy(self, origin: str, to: str) -> Edits:
        """Copies a value; nothing is copied if there is none."""
        self._edits.append(_types.Edit_Copy((_plain(origin, "a pointer"), _plain(to, "a pointer"))))
        return self

    def merge(self, pointer: str, patch: Any) -> Edits:
        """Merges a document into a value: a JSON Merge Patch (RFC 7396)."""
        self._edits.append(_types.Edit_Merge((_plain(pointer, "a pointer"), _json.write(patch))))
        return self

    def __len__(self) -> int:
        return len(self._edits)

    def __bool__(self) -> bool:
        return True

    def _data(self) -> Any:
        return _types.Data_Edits(self._edits) if self._edits else _types.Data_Same()


class Message(Envelope):
    """One message to send."""

    __slots__ = ("_payload",)

    def __init__(self, payload: Any) -> None:
        self._changes = []
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
