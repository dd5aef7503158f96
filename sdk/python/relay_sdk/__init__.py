"""Write plugins for Relay in Python.

A plugin is a module, ``plugin.py``, with functions named after the hooks that it stands on::

    from relay_sdk import Event, drop

    def transform(event: Event):
        if event.get("/test") is True:
            return drop("a test")
        return event.edit().set("/checked", True).remove("/internal")

==================================  =======================================================
``authenticate(request)``           is a request genuine? ``accept()``, ``reject()``, ``answer()``
``filter(event)``                   ``True``, ``False``, ``keep()`` or ``drop("why")``
``transform(event)``                edits, a message, several, ``drop("why")``; ``None`` keeps it
``respond(event, answer)``          edits, a message or a ``Reply``; ``None`` keeps it
``check(config)``                   a list of ``Problem``, when the configuration is saved
==================================  =======================================================

Each but ``check`` may take one more argument, the configuration: a ``dict``, or the dataclass that the
argument is annotated with. An exception is a fault: ``Invalid`` unless it is another one of this module.
"""

from . import call, config, crypto, http, judge, log, media, secrets, state
from ._payload import Payload
from .answers import (
    Accept,
    Drop,
    Handshake,
    Keep,
    Problem,
    Reject,
    Reply,
    accept,
    answer,
    drop,
    keep,
    reject,
    reply,
)
from .event import Answer, Event, Request
from .faults import Fault, Invalid, Misconfigured, Unavailable
from .message import Edits, Message

__all__ = [
    "Accept",
    "Answer",
    "Drop",
    "Edits",
    "Event",
    "Fault",
    "Handshake",
    "Invalid",
    "Keep",
    "Message",
    "Misconfigured",
    "Payload",
    "Problem",
    "Reject",
    "Reply",
    "Request",
    "Unavailable",
    "accept",
    "answer",
    "call",
    "config",
    "crypto",
    "drop",
    "http",
    "judge",
    "keep",
    "log",
    "media",
    "reject",
    "reply",
    "secrets",
    "state",
]
