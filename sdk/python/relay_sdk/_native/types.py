"""Records and variants that every hook shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass
class Event:
    id: str
    source: str
    type: str
    subject: str | None
    time: str | None
    content_type: str | None
    data: int


@dataclass
class Edit_Set:
    value: tuple[str, str]


@dataclass
class Edit_Remove:
    value: str


@dataclass
class Edit_Move:
    value: tuple[str, str]


@dataclass
class Edit_Copy:
    value: tuple[str, str]


@dataclass
class Edit_Merge:
    value: tuple[str, str]


Edit = Union[Edit_Set, Edit_Remove, Edit_Move, Edit_Copy, Edit_Merge]


@dataclass
class Data_Same:
    pass


@dataclass
class Data_Text:
    value: str


@dataclass
class Data_Bytes:
    value: bytes


@dataclass
class Data_Edits:
    value: list[Edit]


@dataclass
class Data_Held:
    value: int


Data = Union[Data_Same, Data_Text, Data_Bytes, Data_Edits, Data_Held]


@dataclass
class Change_SetAttribute:
    value: tuple[str, str]


@dataclass
class Change_RemoveAttribute:
    value: str


@dataclass
class Change_SetHeader:
    value: tuple[str, str]


@dataclass
class Change_AddHeader:
    value: tuple[str, str]


@dataclass
class Change_RemoveHeader:
    value: str


Change = Union[Change_SetAttribute, Change_RemoveAttribute, Change_SetHeader, Change_AddHeader, Change_RemoveHeader]


@dataclass
class Retry:
    message: str
    after_ms: int | None


@dataclass
class Fault_Invalid:
    value: str


@dataclass
class Fault_Misconfigured:
    value: str


@dataclass
class Fault_Unavailable:
    value: Retry


Fault = Union[Fault_Invalid, Fault_Misconfigured, Fault_Unavailable]
