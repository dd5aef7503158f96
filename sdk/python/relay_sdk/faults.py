"""Why a hook could not do its work. The case decides what the relay does next."""

from __future__ import annotations


class Fault(Exception):
    """Why a hook could not do its work; raise one of its cases."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(Fault):
    """This event can never be handled: give up on it, keep it for a manual retry."""


class Misconfigured(Fault):
    """The configuration or a secret is wrong: other events would fail likewise."""


class Unavailable(Fault):
    """It may work later: retry by the endpoint's schedule, but no sooner than ``after`` seconds."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after
