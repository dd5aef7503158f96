"""Calls an author's functions as the relay calls hooks."""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Callable
from typing import Any

from . import _json, _lower, _shape, _wit, config
from .event import Answer, Event, Request
from .faults import Fault, Misconfigured, Unavailable

#: Each hook: what its function is given, before the configuration, and what its answer becomes.
_GIVEN: dict[str, tuple[tuple[Any, ...], Callable[[Any], Any]]] = {
    "transform": ((Event,), _lower.outcome),
    "filter": ((Event,), _lower.decision),
    "authenticate": ((Request,), _lower.verdict),
    "respond": ((Event, Answer), _lower.reply),
}
_U32_MAX = 0xFFFF_FFFF


def hook(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The hook of that name as the relay calls it: for an answer of the interface."""
    kinds, lower = _GIVEN[name]
    read = _configuration(function, len(kinds))
    if len(kinds) == 2:
        return lambda one, other: lower(function(Event(one.data), kinds[1](other), *read()))
    if read is _nothing:
        kind = kinds[0]
        return lambda given: lower(function(kind(given)))
    return lambda given: lower(function(kinds[0](given), *read()))


def check(function: Callable[..., Any]) -> Callable[[str], list[Any]]:
    """The hook that looks at a configuration."""
    kind = _kind(function, 0)

    def run(document: str) -> list[Any]:
        value = _json.read(document, "the configuration")
        if kind is None:
            return _lower.problems(function(value))
        try:
            value = _shape.fit(value, kind)
        except _shape.Misfit as misfit:
            return _lower.problems([(misfit.at, misfit.message)])
        return _lower.problems(function(value))

    return run


def _nothing() -> tuple[Any, ...]:
    return ()


def _configuration(function: Callable[..., Any], given: int) -> Callable[[], tuple[Any, ...]]:
    """What reads the last argument, if the function takes one more than it is given."""
    count = function.__code__.co_argcount
    if count == given:
        return _nothing
    if count != given + 1:
        takes = "the configuration" if given == 1 else "the answer and the configuration"
        raise TypeError(f"{function.__name__} takes {count} arguments; it is given {given}, and perhaps {takes}")
    kind = _kind(function, given)
    # An instance serves one configuration only; where there is no relay, every test has its own.
    known: list[Any] = []

    def read() -> tuple[Any, ...]:
        if not known or not _wit.is_guest:
            known[:] = [config.load(kind) if kind else config.document()]
        return (known[0],)

    return read


def _kind(function: Callable[..., Any], argument: int) -> Any:
    """The dataclass that an argument is annotated with."""
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    if argument >= len(names):
        raise TypeError(f"{function.__name__} takes the configuration as an argument")
    kind = _annotation(function, names[argument])
    return kind if isinstance(kind, type) and dataclasses.is_dataclass(kind) else None


def _annotation(function: Callable[..., Any], name: str) -> Any:
    try:
        return typing.get_type_hints(function).get(name)
    except NameError:
        # Another annotation is for type checkers alone.
        pass
    try:
        written = function.__annotations__.get(name)
        return eval(written, function.__globals__) if isinstance(written, str) else written
    except NameError:
        return None


def fault(error: BaseException) -> Any:
    """The fault that an exception is."""
    types = _wit.types
    if isinstance(error, Unavailable):
        after = None if error.after is None else max(0, min(round(error.after * 1000), _U32_MAX))
        return types.Fault_Unavailable(types.Retry(_json.lenient(error.message), after))
    if isinstance(error, Misconfigured):
        return types.Fault_Misconfigured(_json.lenient(error.message))
    if isinstance(error, Fault):
        return types.Fault_Invalid(_json.lenient(error.message))
    return types.Fault_Invalid(_json.lenient(_last_line(error)))


def _last_line(error: BaseException) -> str:
    try:
        said = str(error)
    except Exception:
        said = ""
    line = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if isinstance(error, ModuleNotFoundError) and _wit.is_guest:
        line += "; modules are loaded when the plugin is built: import it at the top of the file"
    where = place(error)
    return f"{line} ({where})" if where else line


def place(error: BaseException) -> str | None:
    """The author's line that an exception passed last."""
    found = None
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not is_inner(file):
            found = f"{file.rsplit('/', 1)[-1]}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found


def is_inner(file: str) -> bool:
    """Whether a file is the SDK's, Python's own or made by a tool."""
    return file.startswith(_INNER) or file.endswith("/relay_entry.py")


_INNER = (__file__.rsplit("/", 1)[0] + "/", sys.prefix + ("/" if _wit.is_guest else "/lib"), "<")
