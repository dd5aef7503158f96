"""Lines for the delivery's log and the relay's own.

Never log a payload or a secret: logs live longer than either should. ``print`` goes there too, at ``info``,
and what is written to ``sys.stderr`` at ``warn``.
"""

from __future__ import annotations

from . import _wit
from ._json import lenient

_log = _wit.log
_Level = _wit.log.Level


def trace(message: object, **fields: object) -> None:
    """Every step."""
    _write(_Level.TRACE, message, fields)


def debug(message: object, **fields: object) -> None:
    """For the author, while developing."""
    _write(_Level.DEBUG, message, fields)


def info(message: object, **fields: object) -> None:
    """For the operator."""
    _write(_Level.INFO, message, fields)


def warn(message: object, **fields: object) -> None:
    """Something is odd, the work goes on."""
    _write(_Level.WARN, message, fields)


warning = warn


def error(message: object, **fields: object) -> None:
    """Something went wrong."""
    _write(_Level.ERROR, message, fields)


def _write(level: _Level, message: object, fields: dict[str, object]) -> None:
    # Asked first: the texts of a line that is thrown away are not made.
    if _log.enabled(level):
        pairs = [(lenient(name), lenient(value)) for name, value in fields.items()]
        _log.log(level, lenient(message), pairs)
