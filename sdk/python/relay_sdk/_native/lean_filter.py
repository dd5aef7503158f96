"""The types of the hook ``filter``, in its lean form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass
class Decision_Keep:
    pass


@dataclass
class Decision_Drop:
    value: str


Decision = Union[Decision_Keep, Decision_Drop]
