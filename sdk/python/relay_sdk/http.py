"""Outbound HTTP to the hosts that the owner granted, and to no other. A call waits for its answer; that time
is not the plugin's own, it has a limit of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

from . import _json, _wit
from ._json import plain
from ._payload import Payload
from .faults import Fault, Invalid, Misconfigured, Unavailable

_host = _wit.power("http")
_types = _wit.types
_U32_MAX = 0xFFFF_FFFF
Body = Union[str, bytes, Payload]


class Error(Fault):
    """There is no answer."""


class Denied(Error, Misconfigured):
    """Not granted, or the name leads to an address that nobody may reach."""


class Timeout(Error, Unavailable):
    """It took too long."""


class TooLarge(Error, Invalid):
    """The answer is too long."""


class Impossible(Error, Invalid):
    """The request itself is none: a method, URL or header that cannot be."""


class Failed(Error, Unavailable):
    """No answer: name, connection, TLS, or half an answer."""


@dataclass(frozen=True)
class Response:
    """An answer. Redirects are answers like any other: nothing is followed."""

    status: int
    headers: list[tuple[str, str]]
    body: Payload

    @property
    def ok(self) -> bool:
        """Whether it is a success: 200 to 299."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        wanted = name.lower()
        return next((value for known, value in self.headers if known == wanted), None)

    def json(self) -> Any:
        """The body, parsed."""
        return self.body.json()

    def text(self) -> str | None:
        """The body as text; ``None`` if it is not UTF-8."""
        return self.body.text()


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Body | None = None,
    json: Any = None,
    bearer_secret: str | None = None,
    timeout: float | None = None,
    max_bytes: int | None = None,
) -> Response:
    """Sends one request. ``bearer_secret`` names a granted secret that the relay sends as ``authorization:
    Bearer …``: it does not enter the plugin. ``timeout`` is in seconds."""
    fields = [(plain(name, "a header").lower(), plain(value, "a value")) for name, value in (headers or {}).items()]
    data = None if body is None else _data(body)
    if json is not None:
        data = _types.Data_Text(_json.write(json))
        if all(name != "content-type" for name, _ in fields):
            fields.append(("content-type", "application/json"))
    limit = None if timeout is None else max(0, min(round(timeout * 1000), _U32_MAX))
    most = None if max_bytes is None else max(0, min(max_bytes, _U32_MAX))
    request = _host.Request(
        plain(method, "a method").upper(), plain(url, "a URL"), fields, data, bearer_secret, limit, most
    )
    try:
        response = _host.send(request)
    except _wit.Err as error:
        raise _told(error.value) from None
    return Response(response.status, response.headers, Payload(response.body))


def get(url: str, **options: Any) -> Response:
    """Sends a ``GET``."""
    return send("GET", url, **options)


def post(url: str, **options: Any) -> Response:
    """Sends a ``POST``."""
    return send("POST", url, **options)


def _data(body: Body) -> Any:
    if isinstance(body, Payload):
        return _types.Data_Held(body._blob)
    return _types.Data_Text(plain(body, "a body")) if isinstance(body, str) else _types.Data_Bytes(bytes(body))


def _told(error: Any) -> Fault:
    if isinstance(error, _host.HttpError_Denied):
        return Denied(error.value)
    if isinstance(error, _host.HttpError_Timeout):
        return Timeout("the request took too long")
    if isinstance(error, _host.HttpError_TooLarge):
        return TooLarge(f"the answer has more than {error.value} bytes")
    if isinstance(error, _host.HttpError_Invalid):
        return Impossible(error.value)
    return Failed(error.value)
