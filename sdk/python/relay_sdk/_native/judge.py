"""Rulings that a test has set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from . import Err, current


@dataclass
class Question:
    instructions: str
    subject: str
    choices: list[str]


@dataclass
class Ruling:
    choice: str
    confidence: float
    reason: str


@dataclass
class JudgeError_Denied:
    value: str


@dataclass
class JudgeError_NotConfigured:
    pass


@dataclass
class JudgeError_BudgetSpent:
    pass


@dataclass
class JudgeError_Timeout:
    pass


@dataclass
class JudgeError_Invalid:
    value: str


@dataclass
class JudgeError_Unavailable:
    value: str


JudgeError = Union[JudgeError_Denied, JudgeError_NotConfigured, JudgeError_BudgetSpent, JudgeError_Timeout, JudgeError_Invalid, JudgeError_Unavailable]


def decide(question: Question) -> Ruling:
    if not question.choices:
        raise Err(JudgeError_Invalid("there are no choices"))
    host = current().host
    host.asked.append((question.instructions, question.subject))
    if not host.rulings:
        raise Err(JudgeError_NotConfigured())
    choice, confidence, reason = host.rulings.pop(0)
    return Ruling(choice, confidence, reason)


def extract(instructions: str, subject: str, schema: str) -> str:
    host = current().host
    host.asked.append((instructions, subject))
    if not host.extracts:
        raise Err(JudgeError_NotConfigured())
    return host.extracts.pop(0)
