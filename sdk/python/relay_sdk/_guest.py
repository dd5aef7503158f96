"""What a component calls: only there is it loaded."""

from __future__ import annotations

import codecs
import gc
import linecache
import os
import re
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import _hooks, _json, _wit
from ._wit import Err

#: Modules that others load when they are used: there are no files then.
_LATE = {"datetime": "_strptime", "time": "_strptime"}
_CODECS = ("ascii", "latin-1", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "idna")
#: Where a folder that modules are in was when the plugin was built.
_MOUNT = re.compile(r"^/[0-9]+/")
_has_begun = False


def transform(function: Callable[..., Any]) -> type:
    """A class whose instance is the hook."""
    return type("LeanTransform", (), {"transform": _guarded(_hooks.hook(function, "transform"))})


def filter(function: Callable[..., Any]) -> type:
    """A class whose instance is the hook."""
    return type("LeanFilter", (), {"filter": _guarded(_hooks.hook(function, "filter"))})


def authenticate(function: Callable[..., Any]) -> type:
    """A class whose instance is the hook."""
    return type("Authenticate", (), {"authenticate": _guarded(_hooks.hook(function, "authenticate"))})


def respond(function: Callable[..., Any]) -> type:
    """A class whose instance is the hook."""
    return type("Respond", (), {"respond": _guarded(_hooks.hook(function, "respond"))})


def check(function: Callable[..., Any]) -> type:
    """A class whose instance is the hook. It has no fault to answer with: an exception is a problem with the
    whole configuration."""
    inner = _hooks.check(function)

    def run(_: Any, document: str) -> list[Any]:
        if not _has_begun:
            _begin()
        try:
            return inner(document)
        except MemoryError:
            raise
        except BaseException as error:
            problem = _hooks.fault(_shown(error)).value
            return _hooks._lower.problems([("", getattr(problem, "message", problem))])

    return type("Setup", (), {"check": run})


def _guarded(hook: Callable[..., Any]) -> Callable[..., Any]:
    """The hook as a method, with exceptions as faults: what left it would end the instance."""

    def run(_: Any, *given: Any) -> Any:
        if not _has_begun:
            _begin()
        try:
            return hook(*given)
        except MemoryError:
            # Nothing can be trusted to be whole: the relay takes the instance down.
            raise
        except BaseException as error:
            raise Err(_hooks.fault(_shown(error))) from None

    return run


def _begin() -> None:
    """Before the first call of an instance: what was made when the plugin was built is the same in all."""
    global _has_begun
    _has_begun = True
    sys.stdout, sys.stderr = _Stream(1), _Stream(2)  # type: ignore[assignment]
    random = sys.modules.get("random")
    if random is not None:
        random.seed()


def _shown(error: BaseException) -> BaseException:
    """Writes where an exception comes from to the log, without what is not the author's."""
    if isinstance(error, _hooks.Fault):
        return error
    whole = traceback.TracebackException.from_exception(error, limit=-20)
    whole.stack = traceback.StackSummary.from_list(
        [frame for frame in whole.stack if not _hooks.is_inner(frame.filename)]
    )
    for frame in whole.stack:
        # As the file is called in the project: what stands before it is where it was built.
        frame.filename = _MOUNT.sub("", frame.filename)
    sys.stderr.write("".join(whole.format()))
    return error


class _Stream:
    """A standard stream that keeps nothing back: the next event's lines are not this one's."""

    encoding = "utf-8"

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        os.write(self._descriptor, text.encode("utf-8", "replace"))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._descriptor


def settle(plugin: ModuleType) -> None:
    """Loads what would be looked for in files later: there are none when a plugin runs."""
    for name, late in _LATE.items():
        if name in sys.modules:
            __import__(late)
    for name in _CODECS:
        try:
            codecs.lookup(name)
        except LookupError:
            continue
    _json.read("{}")
    # For tracebacks with the author's lines in them.
    folder = (plugin.__file__ or "").rsplit("/", 1)[0]
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.startswith(folder) and not _hooks.is_inner(file):
            linecache.getlines(file)
    linecache.checkcache = lambda filename=None: None
    sys.stdout.flush()
    sys.stderr.flush()
    _wit.release()
    # What is there now stays: nothing has to be looked through again in every instance.
    gc.collect()
    gc.freeze()
