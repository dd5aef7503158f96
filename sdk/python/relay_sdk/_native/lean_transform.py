"""The types of the hook ``transform``, in its lean form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from . import types


@dataclass
class Message:
    changes: list[types.Change]
    data: types.Data


@dataclass
class Outcome_Keep:
    pass


@dataclass
class Outcome_Drop:
    value: str


@dataclass
class Outcome_Edited:
    value: str


@dataclass
class Outcome_Emit:
    value: list[Message]


Outcome = Union[Outcome_Keep, Outcome_Drop, Outcome_Edited, Outcome_Emit]
