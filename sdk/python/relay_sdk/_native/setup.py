"""The types of the hook ``setup``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Problem:
    at: str
    message: str
