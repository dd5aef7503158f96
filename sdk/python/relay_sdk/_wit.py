"""The interface as the relay offers it; a stand-in for it where there is no relay."""

from __future__ import annotations

import importlib
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["Err", "call", "config", "exported", "is_guest", "log", "payload", "power", "types"]

try:
    from componentize_py_types import Err  # type: ignore[import-not-found]
    from wit_world.imports import call, config, log, payload, types  # type: ignore[import-not-found]

    is_guest = True
    _IMPORTS, _EXPORTS = "wit_world.imports", "wit_world.exports"
except ImportError:
    from ._native import Err, call, config, log, payload, types  # type: ignore[assignment]

    is_guest = False
    _IMPORTS, _EXPORTS = "relay_sdk._native", "relay_sdk._native"


class _Absent:
    """A power that the plugin was not built with."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, member: str) -> Any:
        raise RuntimeError(
            f"the plugin was built without the power {self._name}; "
            f'list all that it uses in plugin.toml: powers = ["{self._name}", ...]'
        )


def power(name: str) -> Any:
    """An interface that not every plugin imports."""
    try:
        module = importlib.import_module(f"{_IMPORTS}.{name}")
    except ImportError:
        return _Absent(name)
    _hold(module)
    return module


_held: list[tuple[ModuleType, str, Any]] = []


def _hold(module: Any) -> None:
    """Lets nobody ask the relay yet: there is none while a component is built."""
    if is_guest:
        for name, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and value is not _too_early:
                _held.append((module, name, value))
                setattr(module, name, _too_early)


def _too_early(*_: Any) -> Any:
    raise RuntimeError("there is no relay to ask while the plugin is built: ask it in a hook")


def release() -> None:
    """From here on the relay is asked."""
    for module, name, value in _held:
        setattr(module, name, value)
    _held.clear()


for _module in (call, config, log, payload):
    _hold(_module)


def exported(name: str) -> Any:
    """The types of a hook."""
    found = _exported.get(name)
    if found is None:
        found = _exported[name] = importlib.import_module(f"{_EXPORTS}.{name}")
    return found


_exported: dict[str, Any] = {}


def members(power: Any, kind: str, names: dict[str, str]) -> dict[str, Any]:
    """The members of an enumeration by the words that authors use; none if the power is absent."""
    if isinstance(power, _Absent):
        return {}
    enumeration = getattr(power, kind)
    return {word: getattr(enumeration, name) for word, name in names.items()}
