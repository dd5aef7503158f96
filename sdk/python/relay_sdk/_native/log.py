"""Lines, kept for the test to look at."""

from __future__ import annotations

from enum import Enum

from . import current


class Level(Enum):
    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4


def log(level: Level, message: str, fields: list[tuple[str, str]]) -> None:
    current().host.lines.append((level.name.lower(), message, dict(fields)))


def enabled(level: Level) -> bool:
    return level is not Level.TRACE
