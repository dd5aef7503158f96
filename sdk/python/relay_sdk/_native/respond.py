"""The types of the hook ``respond``."""

from __future__ import annotations

from dataclasses import dataclass

from . import types


@dataclass
class Answer:
    status: int
    body: int

@dataclass
class Reply:
    status: int | None
    changes: list[types.Change]
    data: types.Data
