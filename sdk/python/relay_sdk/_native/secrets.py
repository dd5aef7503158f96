"""Named secrets that a test grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from . import Err, current


@dataclass
class SecretError_NotGranted:
    value: str


@dataclass
class SecretError_Unavailable:
    value: str


SecretError = Union[SecretError_NotGranted, SecretError_Unavailable]


def get(name: str) -> str:
    value = current().host.secrets.get(name)
    if value is None:
        raise Err(SecretError_NotGranted(name))
    return value
