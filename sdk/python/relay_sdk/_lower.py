"""What hooks return, in the words of the interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _json, _wit
from .answers import Accept, Drop, Handshake, Keep, Problem, Reject, Reply
from .message import Edits, Message

_lenient = _json.lenient
_plain = _json.plain


def outcome(answer: Any) -> Any:
    """What ``transform`` returned."""
    transform = _wit.exported("lean_transform")
    if isinstance(answer, Edits):
        return transform.Outcome_Edited(answer._written())
    if isinstance(answer, Message):
        return transform.Outcome_Emit([transform.Message(answer._changes(), answer._data())])
    if answer is None or isinstance(answer, Keep):
        return transform.Outcome_Keep()
    if isinstance(answer, Drop):
        return transform.Outcome_Drop(_lenient(answer.reason))
    messages = [_message(transform, item) for item in _items(answer)]
    return transform.Outcome_Emit(messages)


def _items(answer: Any) -> Any:
    if isinstance(answer, Mapping):
        return [answer]
    if isinstance(answer, (str, bytes)) or not hasattr(answer, "__iter__"):
        raise TypeError(
            f"transform returned {_called(answer)}; it returns edits, a message, several, drop(reason), or None"
        )
    return answer


def _message(transform: Any, item: Any) -> Any:
    if isinstance(item, Mapping):
        item = Message.json(item)
    if not isinstance(item, (Edits, Message)):
        raise TypeError(f"transform returned {_called(item)} among its messages; Message.json(…) makes one of it")
    return transform.Message(item._changes(), item._data())


def decision(answer: Any) -> Any:
    """What ``filter`` returned."""
    hook = _wit.exported("lean_filter")
    if answer is True or isinstance(answer, Keep):
        return hook.Decision_Keep()
    if answer is False:
        return hook.Decision_Drop("the plugin's filter said no")
    if isinstance(answer, Drop):
        return hook.Decision_Drop(_lenient(answer.reason))
    raise TypeError(f"filter returned {_called(answer)}; it returns True, False, keep() or drop(reason)")


def verdict(answer: Any) -> Any:
    """What ``authenticate`` returned."""
    hook = _wit.exported("authenticate")
    if isinstance(answer, Accept):
        principal = None if answer.principal is None else _plain(answer.principal, "the principal")
        return hook.Verdict_Accept(hook.Identity(principal, None, _fields(answer.attributes)))
    if isinstance(answer, Reject):
        return hook.Verdict_Reject(hook.Rejection(_status(answer.status), _lenient(answer.reason)))
    if isinstance(answer, Handshake):
        body = answer.body.encode() if isinstance(answer.body, str) else bytes(answer.body)
        headers = [(name.lower(), value) for name, value in _fields(answer.headers)]
        return hook.Verdict_Answer(hook.Reply(_status(answer.status), headers, body))
    raise TypeError(
        f"authenticate returned {_called(answer)}; it returns accept(), reject(reason) or answer(body)"
    )


def reply(answer: Any) -> Any:
    """What ``respond`` returned."""
    hook = _wit.exported("respond")
    if answer is None or isinstance(answer, Keep):
        answer = Reply()
    elif isinstance(answer, Mapping):
        answer = Reply(Message.json(answer))
    elif isinstance(answer, (Edits, Message)):
        answer = Reply(answer)
    elif not isinstance(answer, Reply):
        raise TypeError(f"respond returned {_called(answer)}; it returns edits, a message, reply(…), or None")
    status = None if answer.status is None else _status(answer.status)
    # The content type of an answer is a header; an answer has no attributes.
    return hook.Reply(status, [_as_header(change) for change in answer._changes()], answer._data())


def _as_header(change: Any) -> Any:
    types = _wit.types
    if isinstance(change, types.Change_SetAttribute) and change.value[0] == "datacontenttype":
        return types.Change_SetHeader(("content-type", change.value[1]))
    return change


def problems(found: Any) -> list[Any]:
    """What ``check`` returned."""
    hook = _wit.exported("setup")
    return [hook.Problem(_lenient(at), _lenient(message)) for at, message in map(_problem, found or ())]


def _problem(found: Any) -> tuple[str, str]:
    if isinstance(found, Problem):
        return found.at, found.message
    if isinstance(found, tuple) and len(found) == 2:
        return found
    raise TypeError(f"check returned {_called(found)} among its problems; Problem(at, message) is one")


def _fields(fields: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(_plain(name, "a name"), _plain(value, f"the value of {name}")) for name, value in fields.items()]


def _status(status: Any) -> int:
    if not isinstance(status, int) or not 100 <= status <= 599:
        raise ValueError(f"{status!r} is no HTTP status")
    return int(status)


def _called(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
