"""What a handler's result means as an HTTP response, by the rules of API Gateway.

    the result is                                payload v1 (REST API)        payload v2 (HTTP API)
    an object with statusCode                    that response                that response
    any other JSON                               malformed                    200, the JSON as body
    malformed, or the function failed            502 Internal server error    502 Internal Server Error
    the function did not answer in time          504 Endpoint request ...     504 Service Unavailable

Sources: API Gateway developer guide, "Output format of a Lambda function for proxy integration" (v1: headers and
multiValueHeaders are merged, a pair in both appears once, isBase64Encoded) and "Lambda function response for format
2.0" (what is inferred, cookies); AWS re:Post, "Resolve malformed Lambda proxy responses" (502) and "Troubleshoot 5xx
errors" (504). An HTTP API itself says 500 and 503 in the last two rows: here both payloads say 502 and 504, which
tell a broken function from a slow one.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import msgspec

JSON = "application/json"
_TEXT = "text/plain;charset=UTF-8"
# The server's own: taken from a handler they would break the framing of the response.
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")

_LEAST, _MOST = 200, 599
_STATUS = re.compile(r"[2-5]\d\d", re.ASCII)

_Pairs = list[tuple[str, str]]


class HttpResponse(msgspec.Struct, frozen=True):
    """A response to send: header names in lower case, repeated ones repeated.

    `problem` is for the log of whoever runs the function, "" when there is none: clients are told no more than
    API Gateway tells them.
    """

    status: int
    headers: _Pairs
    body: bytes
    problem: str = ""


class _Malformed(Exception):
    """The result is not a response; the text says what was expected."""


def response(payload: str, value: bytes) -> HttpResponse:
    """The response that a handler's result (JSON) stands for; never raises."""
    result = msgspec.json.decode(value)
    is_response = isinstance(result, dict) and "statusCode" in result
    if payload != "v1" and not is_response:
        body = result.encode() if isinstance(result, str) else value
        return HttpResponse(200, [("content-type", JSON)], body)
    try:
        if not is_response:
            raise _Malformed(f"expected an object with statusCode, got {_shown(result)}")
        return _v1(result) if payload == "v1" else _v2(result)
    except _Malformed as fault:
        return failed(payload, f"the handler's result is no HTTP response: {fault}")


def failed(payload: str, problem: str) -> HttpResponse:
    """The response when the function raised, exited or returned what is no response."""
    text = "Internal server error" if payload == "v1" else "Internal Server Error"
    return _error(502, text, problem)


def timed_out(payload: str, problem: str) -> HttpResponse:
    """The response when the function did not answer in time."""
    return _error(504, "Endpoint request timed out" if payload == "v1" else "Service Unavailable", problem)


def _error(status: int, text: str, problem: str) -> HttpResponse:
    return HttpResponse(status, [("content-type", JSON)], msgspec.json.encode({"message": text}), problem)


def _v1(result: dict[str, Any]) -> HttpResponse:
    many = list(_many(result.get("multiValueHeaders")))
    headers = many + [pair for pair in _single(result) if pair not in many]
    return _built(result, headers, default_type=JSON)


def _v2(result: dict[str, Any]) -> HttpResponse:
    headers = _single(result)
    if (cookies := result.get("cookies")) is not None:
        headers += [_header("set-cookie", cookie) for cookie in _list(cookies, "cookies")]
    return _built(result, headers, default_type=_TEXT)


def _built(result: dict[str, Any], headers: _Pairs, *, default_type: str) -> HttpResponse:
    headers = [pair for pair in headers if pair[0] not in _FRAMING]
    if "content-type" not in dict(headers):
        headers.append(("content-type", default_type))
    return HttpResponse(_status(result["statusCode"]), headers, _body(result))


def _status(code: Any) -> int:
    """The status as a number; `"200"` counts, and what no server may send as a last word (1xx) does not."""
    if type(code) is int and _LEAST <= code <= _MOST:
        return code
    text = str(code) if isinstance(code, int | str) and not isinstance(code, bool) else ""
    if not _STATUS.fullmatch(text):
        raise _Malformed(f"expected statusCode from 200 to 599, got {_shown(code)}")
    return int(text)


def _single(result: dict[str, Any]) -> _Pairs:
    headers = result.get("headers")
    return [] if headers is None else [_header(*pair) for pair in _object(headers, "headers").items()]


def _many(headers: Any) -> Iterator[tuple[str, str]]:
    for name, values in _object(headers, "multiValueHeaders").items():
        for value in _list(values, f"multiValueHeaders.{name}"):
            yield _header(name, value)


def _header(name: str, value: Any) -> tuple[str, str]:
    """One header; a line break in it would begin a header, or a body, of somebody else's making."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, dict | list) or value is None or not _VALUE.fullmatch(text):
        raise _Malformed(f"expected a string without control characters in header {name[:100]!r}, got {_shown(value)}")
    if not _NAME.fullmatch(name):
        raise _Malformed(f"expected a header name, got {name[:100]!r}")
    return name.lower(), text


def _body(result: dict[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise _Malformed(f"expected body to be a string (json.dumps it), got {_shown(body)}")
    if result.get("isBase64Encoded") not in (True, "true", "True"):
        return body.encode()
    try:
        return b64decode(body, validate=True)
    except ValueError:
        raise _Malformed("expected body to be base64, since isBase64Encoded is true") from None


def _object(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _Malformed(f"expected {name} to be an object, got {_shown(value)}")
    return value


def _list(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _Malformed(f"expected {name} to be a list, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    """A value as the log may carry it: its type, and its beginning when it is short by nature."""
    if isinstance(value, dict):
        return f"an object with {', '.join(list(value)[:10]) or 'nothing'}"
    return f"{type(value).__name__} {value!r:.60}"
