"""Over HTTP: a gateway's /queues and /results, its problems translated back into the errors that a file would raise.

Every message has its id before it is sent, so a request whose connection broke may be sent a second time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from millrace.brokers.limits import check_texts
from millrace.client.result import GatewayError
from millrace.client.transport import TIMEOUT_S
from millrace.errors import (
    BrokerError,
    Draining,
    MillraceError,
    QueueFull,
    StorageBusy,
    StorageError,
    StorageFull,
    TooLarge,
    Unencodable,
    UnknownQueue,
)
from millrace.types import Failure, Put, RawJson, Record, State

T = TypeVar("T")

ENVELOPES = "application/vnd.millrace.messages+json"
_PROBLEM_PREFIX = "urn:millrace:problem:"
_NO_RESULT = "no-such-result"

_ERRORS: dict[str, tuple[type[MillraceError], str]] = {
    "no-such-queue": (UnknownQueue, "declare it under `queues:` in the gateway's project"),
    "queue-full": (QueueFull, "try again when it has been worked off"),
    "too-large": (TooLarge, "send less at once, or raise gateway.max_body"),
    "too-many": (TooLarge, "send fewer at once"),
    "draining": (Draining, "try again, here or at another gateway"),
    "unencodable": (Unencodable, "send what the queue's codec can carry, and text that is UTF-8"),
    "starting": (BrokerError, "try again in a while, here or at another gateway"),
    "broker-unavailable": (BrokerError, "try again; an id of your own, given each time, makes it one message"),
    "storage-full": (StorageFull, "make room on the gateway's disk"),
    "storage-busy": (StorageBusy, "try again"),
    "storage-unavailable": (StorageError, "the gateway's log says why"),
}
_AGAIN = "try again in a while"
_STATUS_HINTS = {
    401: "give token=, or set MILLRACE_TOKEN",
    404: "is this the URL of a millrace gateway?",
    429: _AGAIN,
    **dict.fromkeys((502, 503, 504), f"{_AGAIN}; a proxy before the gateway may have said this"),
}


class _Envelope(msgspec.Struct, omit_defaults=True):
    body: bytes
    attributes: dict[str, str]
    id: str
    group: str = ""
    delay_s: float | None = None
    ttl_s: float | None = None


class _Receipts(msgspec.Struct):
    ids: list[str]


class _Told(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Document(msgspec.Struct):
    id: str
    queue: str
    state: State
    value: RawJson = None
    failure: _Told | None = None
    attempts: int = 0
    function: str = ""
    version: str = ""
    accepted_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0


class _Problem(msgspec.Struct):
    type: str = ""
    title: str = ""
    detail: str = ""
    error_id: str = ""


class HttpTransport:
    """A gateway at `url`; `token` is sent as its Bearer token, by default MILLRACE_TOKEN."""

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        secret = token or os.environ.get("MILLRACE_TOKEN")
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout_s)

    async def put(self, puts: Sequence[Put]) -> list[str]:
        check_texts(puts)
        body = msgspec.json.encode([_envelope(put) for put in puts])
        path = f"/queues/{quote(puts[0].queue, safe='')}"
        answer = await self._request("POST", path, content=body, headers={"content-type": ENVELOPES})
        return _read(answer, _Receipts).ids

    async def record(self, id: str, wait_s: float = 0.0) -> Record | None:
        path = f"/results/{quote(id, safe='')}"
        wait = {"params": {"wait": f"{wait_s:g}"}} if wait_s else {}
        try:
            answer = await self._request("GET", path, timeout=self._timeout_s + wait_s, **wait)
        except _NoResult:
            return None
        return _record(_read(answer, _Document))

    async def close(self) -> None:
        await self._http.aclose()

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = await self._sent(method, path, options)
        except httpx.TimeoutException as error:
            raise GatewayError(f"{self._url} did not answer in time", "try again, or give timeout_s=") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            hint = "is `millrace up` or `millrace gateway` running there?"
            raise GatewayError(f"{self._url} cannot be reached: {error}", hint) from error
        if answer.is_success:
            return answer
        raise _translated(answer)

    async def _sent(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        try:
            return await self._http.request(method, self._url + path, **options)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            # A kept connection that the gateway closed meanwhile looks like this; ids make the repeat harmless.
            return await self._http.request(method, self._url + path, **options)


class _NoResult(Exception):
    """The gateway knows no result of that id."""


def _envelope(put: Put) -> _Envelope:
    message = put.message
    return _Envelope(message.body, message.attributes, message.id, message.group, put.delay_s, put.ttl_s)


def _record(told: _Document) -> Record:
    failure = None if told.failure is None else Failure(told.failure.type, told.failure.message)
    return Record(
        id=told.id,
        queue=told.queue,
        state=told.state,
        value=told.value,
        failure=failure,
        attempts=told.attempts,
        function=told.function,
        version=told.version,
        accepted_at=told.accepted_at,
        started_at=told.started_at,
        finished_at=told.finished_at,
    )


def _read(answer: httpx.Response, type: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=type)
    except msgspec.DecodeError as error:
        problem = f"{answer.url} answered with something else than a millrace gateway does: {error}"
        raise GatewayError(problem, _STATUS_HINTS[404], status=answer.status_code) from error


def _translated(answer: httpx.Response) -> Exception:
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    kind = problem.type.removeprefix(_PROBLEM_PREFIX)
    if kind == _NO_RESULT:
        return _NoResult()
    text = problem.detail or problem.title or f"{answer.url} answered {answer.status_code} {answer.reason_phrase}"
    if problem.error_id:
        text += f" (error_id {problem.error_id})"
    if kind in _ERRORS:
        error, hint = _ERRORS[kind]
        return error(text, hint)
    return GatewayError(text, _STATUS_HINTS.get(answer.status_code, ""), status=answer.status_code)
