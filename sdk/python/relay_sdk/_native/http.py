"""Answers that a test has set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from . import Err, current, types


@dataclass
class Request:
    method: str
    url: str
    headers: list[tuple[str, str]]
    body: types.Data | None
    bearer_secret: str | None
    timeout_ms: int | None
    max_bytes: int | None


@dataclass
class Response:
    status: int
    headers: list[tuple[str, str]]
    body: int


@dataclass
class HttpError_Denied:
    value: str


@dataclass
class HttpError_Timeout:
    pass


@dataclass
class HttpError_TooLarge:
    value: int


@dataclass
class HttpError_Invalid:
    value: str


@dataclass
class HttpError_Failed:
    value: str


HttpError = Union[HttpError_Denied, HttpError_Timeout, HttpError_TooLarge, HttpError_Invalid, HttpError_Failed]


def send(request: Request) -> Response:
    call = current()
    answer = call.host._answer_of(request)
    if answer is None:
        raise Err(HttpError_Denied(f"no answer is set up for {request.method} {request.url}"))
    status, headers, body = answer
    call.payloads.append(body)
    return Response(status, headers, len(call.payloads) - 1)
