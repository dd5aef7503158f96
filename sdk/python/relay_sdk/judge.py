"""Asks a language model, or whatever else the operator has set up to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import _json, _wit
from ._json import plain
from .faults import Fault, Invalid, Misconfigured, Unavailable

_host = _wit.power("judge")


class Error(Fault):
    """There is no ruling."""


class Denied(Error, Misconfigured):
    """The owner has not granted it."""


class NotConfigured(Error, Misconfigured):
    """The operator has set up nothing that judges."""


class BudgetSpent(Error, Unavailable):
    """The tenant's budget is spent."""


class Timeout(Error, Unavailable):
    """It took too long."""


class Impossible(Error, Invalid):
    """The question is none: no choices, or too long."""


class NotThere(Error, Unavailable):
    """Nobody answers now."""


@dataclass(frozen=True)
class Ruling:
    """What was decided."""

    #: One of the choices.
    choice: str
    #: 0 to 1.
    confidence: float
    reason: str


def decide(instructions: str, subject: str, choices: Sequence[str]) -> Ruling:
    """Picks one of the choices. The instructions are the author's; the subject is not trusted, and kept apart
    from them."""
    question = _host.Question(
        plain(instructions, "an instruction"), plain(subject, "a subject"), [plain(c, "a choice") for c in choices]
    )
    try:
        ruling = _host.decide(question)
    except _wit.Err as error:
        raise _told(error.value) from None
    return Ruling(ruling.choice, ruling.confidence, ruling.reason)


def extract(instructions: str, subject: str, schema: Any) -> Any:
    """Fills a JSON Schema from the subject; a value that is valid under it."""
    written = schema if isinstance(schema, str) else _json.write(schema)
    try:
        text = _host.extract(plain(instructions, "an instruction"), plain(subject, "a subject"), written)
    except _wit.Err as error:
        raise _told(error.value) from None
    return _json.read(text, "what was extracted")


def _told(error: Any) -> Fault:
    if isinstance(error, _host.JudgeError_Denied):
        return Denied(error.value)
    if isinstance(error, _host.JudgeError_NotConfigured):
        return NotConfigured("the relay has nothing that judges")
    if isinstance(error, _host.JudgeError_BudgetSpent):
        return BudgetSpent("the budget for judging is spent")
    if isinstance(error, _host.JudgeError_Timeout):
        return Timeout("judging took too long")
    if isinstance(error, _host.JudgeError_Invalid):
        return Impossible(error.value)
    return NotThere(error.value)
