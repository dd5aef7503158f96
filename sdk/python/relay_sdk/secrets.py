"""Named secrets that the operator granted.

Prefer ``crypto``, with which the secret does not enter the plugin at all.
"""

from __future__ import annotations

from typing import Any

from . import _wit
from ._json import plain
from .faults import Fault, Misconfigured, Unavailable

_host = _wit.power("secrets")


class Error(Fault):
    """There is no secret."""


class NotGranted(Error, Misconfigured):
    """The secret is not granted or not there: the two are not told apart."""


class NotThere(Error, Unavailable):
    """The secret cannot be read now."""


def get(name: str) -> str:
    """The secret of this name; ``NotGranted`` if there is none for this plugin."""
    try:
        return _host.get(plain(name, "a secret's name"))
    except _wit.Err as error:
        raise _told(error.value) from None


def _told(error: Any) -> Fault:
    if isinstance(error, _host.SecretError_NotGranted):
        return NotGranted(f"the secret `{error.value}` is not granted: grant it to this plugin")
    return NotThere(f"the secret cannot be read now: {error.value}")
