"""The call in progress: why the plugin runs."""

from __future__ import annotations

from dataclasses import dataclass

from . import _wit


@dataclass(frozen=True)
class Context:
    """Why the plugin runs."""

    #: The tenant whose event it is.
    tenant: str
    #: The name of the source the event came in by; ``None`` for events from the API.
    source: str | None
    #: The name of the endpoint it goes to; ``None`` at ingest.
    endpoint: str | None
    #: The delivery's id, the same on every attempt and so an idempotency key; ``None`` at ingest.
    delivery: str | None
    #: 1 for the first attempt.
    attempt: int
    #: Seconds left until the relay ends this call.
    budget: float


def current() -> Context:
    """The call in progress."""
    now = _wit.call.current()
    return Context(now.tenant, now.source, now.endpoint, now.delivery, now.attempt, now.budget_ms / 1000)
