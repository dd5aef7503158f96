"""The types of the hook ``authenticate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass
class Request:
    method: str
    path: str
    query: str
    remote: str | None
    body: int

@dataclass
class Identity:
    principal: str | None
    tenant: str | None
    attributes: list[tuple[str, str]]

@dataclass
class Rejection:
    status: int
    reason: str

@dataclass
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Verdict_Accept:
    value: Identity


@dataclass
class Verdict_Reject:
    value: Rejection


@dataclass
class Verdict_Answer:
    value: Reply


Verdict = Union[Verdict_Accept, Verdict_Reject, Verdict_Answer]
