"""Runs fixtures: tests of a plugin as files, which `relay plugin test` runs too."""

from __future__ import annotations

import json
import unittest
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import _hooks
from .._native import types
from ..answers import Accept, Drop, Reject
from ._apply import Sent
from ._host import Host
from ._samples import answer, event, request


_MEMBERS = {"hook", "event", "request", "answer", "config", "secrets", "http", "judge", "expect"}


def fixtures(case: unittest.TestCase, plugin: ModuleType, folder: str | Path | None = None) -> None:
    """Runs every fixture of a plugin, ``tests/*.json`` beside it: each is a subtest."""
    home = Path(plugin.__file__ or ".").parent
    paths = sorted(Path(folder or home / "tests").glob("*.json"))
    case.assertTrue(paths, f"there is no fixture in {folder or home / 'tests'}")
    schema = home / "config.schema.json"
    known = json.loads(schema.read_text("utf-8")) if schema.exists() else None
    for path in paths:
        with case.subTest(fixture=path.stem):
            fixture = json.loads(path.read_text("utf-8"))
            # A list goes on with the state that each has left, which takes a relay: `relay plugin test` plays it.
            if isinstance(fixture, list):
                continue
            _complete(case, fixture)
            if fixture["hook"] == "check" and not hasattr(plugin, "check"):
                case.skipTest("the schema of the configuration is for the relay to check: relay plugin test")
            found = run(plugin, fixture, known)
            expected = fixture.get("expect", {})
            if not fits(expected, found):
                case.fail(f"\n  expected {json.dumps(expected)}\n  found    {json.dumps(found)}")


def _complete(case: unittest.TestCase, fixture: dict[str, Any]) -> None:
    unknown = sorted(set(fixture) - _MEMBERS)
    case.assertFalse(unknown, f"a fixture has no {unknown}, but {sorted(_MEMBERS)}")
    for member in ("hook", "expect"):
        case.assertTrue(fixture.get(member), f"the fixture has no {member}")


def run(plugin: ModuleType, fixture: dict[str, Any], schema: Any = None) -> dict[str, Any]:
    """What a plugin does, in the words of ``expect``."""
    host = Host(config=fixture.get("config", {}), secrets=fixture.get("secrets", {}), schema=schema)
    name = fixture.get("hook", "transform")
    hook = getattr(plugin, name, None)
    if hook is None:
        return {"fault": "unloadable", "message": f"the plugin has no hook {name}"}
    try:
        return _PLAYED[name](host, hook, fixture)
    except Exception as error:
        return _fault(_hooks.fault(error))


def _transform(host: Host, hook: Callable[..., Any], fixture: dict[str, Any]) -> dict[str, Any]:
    result = host.transform(hook, _event(fixture))
    if result.dropped is not None:
        return {"drop": result.dropped}
    shown: dict[str, Any] = {"emit": [_message(sent) for sent in result.messages]}
    return {**shown, "keep": True} if result.kept else shown


def _filter(host: Host, hook: Callable[..., Any], fixture: dict[str, Any]) -> dict[str, Any]:
    decision = host.filter(hook, _event(fixture))
    return {"drop": decision.reason} if isinstance(decision, Drop) else {"keep": True}


def _authenticate(host: Host, hook: Callable[..., Any], fixture: dict[str, Any]) -> dict[str, Any]:
    given = dict(fixture["request"])
    sample = request(given.pop("body", ""), **given)
    verdict = host.authenticate(hook, sample)
    if isinstance(verdict, Accept):
        return {"accept": True, "principal": verdict.principal, "attributes": dict(verdict.attributes)}
    if isinstance(verdict, Reject):
        return {"reject": verdict.status, "reason": verdict.reason}
    body = verdict.body if isinstance(verdict.body, bytes) else verdict.body.encode()
    shown = _message(Sent(body, list(verdict.headers.items())))
    return {**shown, "answer": verdict.status}


def _respond(host: Host, hook: Callable[..., Any], fixture: dict[str, Any]) -> dict[str, Any]:
    given = dict(fixture["answer"])
    text, data = given.pop("data_text", None), given.pop("data", None)
    sample = answer(given.pop("status", 200), data, text=text, **given)
    replied = host.respond(hook, _event(fixture), sample)
    return {"reply": {**_message(replied.message), "status": replied.status}}


def _check(host: Host, hook: Callable[..., Any], _: dict[str, Any]) -> dict[str, Any]:
    return {"problems": [{"at": problem.at, "message": problem.message} for problem in host.check(hook)]}


_PLAYED = {
    "transform": _transform,
    "filter": _filter,
    "authenticate": _authenticate,
    "respond": _respond,
    "check": _check,
}


def _event(fixture: dict[str, Any]) -> Any:
    given = dict(fixture["event"])
    text = given.pop("data_text", None)
    return event(given.pop("type"), given.pop("data", {}), text=text, **given)


def _message(sent: Sent) -> dict[str, Any]:
    text = sent.text()
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    headers = dict(sent.headers)
    return {"data": data, "data_text": text, "headers": headers, "attributes": sent.attributes}


def _fault(fault: Any) -> dict[str, Any]:
    if isinstance(fault, types.Fault_Unavailable):
        return {"fault": "unavailable", "message": fault.value.message}
    kind = "misconfigured" if isinstance(fault, types.Fault_Misconfigured) else "invalid"
    return {"fault": kind, "message": fault.value}


def fits(expected: Any, found: Any, key: str = "") -> bool:
    """Whether what was found is what was expected: objects may hold more than was asked for, except in a
    payload; messages and reasons may be longer."""
    if key == "data":
        return _same(expected, found)
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(fits(value, found.get(name), name) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(fits, expected, found))
    if key in ("message", "drop") and isinstance(expected, str) and isinstance(found, str):
        return expected in found
    return _same(expected, found)


def _same(one: Any, other: Any) -> bool:
    """As JSON: 1 is not true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
