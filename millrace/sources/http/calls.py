"""A handler's path: the request waits, as one message, for what the function answers.

Where the function runs in this process the message goes straight to it. One that a second request may ask for (by its
key), or that another process answers, goes through a queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from millrace.aws import responses
from millrace.aws.errors import TIMED_OUT
from millrace.broker import Broker
from millrace.clock import Clock
from millrace.ids import new_id
from millrace.source import DEFAULT_ROUTE, EVENT_ATTRIBUTE, PAYLOAD_ATTRIBUTE, HttpRequest
from millrace.sources.http import problems
from millrace.sources.http.bodies import Bodies
from millrace.sources.http.preferences import keyed_id
from millrace.sources.http.presence import answered, while_connected
from millrace.sources.http.replies import Reply
from millrace.sources.http.requests import Request
from millrace.sources.http.settings import Route
from millrace.sources.http.waiting import Waiting, finished
from millrace.types import JSON, Message, Put, Record

_log = logging.getLogger("millrace.gateway")


class Pending(Protocol):
    """A call that was begun; `answer` gets its record, or an error when there will be none."""

    @property
    def answer(self) -> asyncio.Future[Record]: ...

    def withdraw(self) -> None:
        """Nobody waits any more: if it has not begun, it need not; harmless when it is over."""
        ...


Caller = Callable[[Message], Pending]


class Calls:
    """Synchronous calls: straight to those of `callers`, by function; else through the broker."""

    def __init__(
        self,
        broker: Broker,
        callers: Mapping[str, Caller],
        waiting: Waiting,
        bodies: Bodies,
        draining: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._broker = broker
        self._callers = callers
        self._waiting = waiting
        self._bodies = bodies
        self._draining = draining
        self._clock = clock

    async def call(self, request: Request, route: Route) -> Reply:
        """Begin, wait for the record, and answer with what it means as an HTTP response."""
        if self._draining():
            raise problems.draining()
        caller = None if request.has(b"idempotency-key") else self._callers.get(route.function)
        with self._bodies.open(request) as body:
            message = self._message(request, route, await body.read())
            if caller is not None:
                record = await self._straight(request, caller, message, route)
            else:
                (accepted,) = await self._broker.put([Put(route.queue, message)])
                record = await self._answered(request, accepted.id, route)
        return _reply(route, record)

    async def _straight(self, request: Request, caller: Caller, message: Message, route: Route) -> Record:
        with self._waiting:
            pending = caller(message)
            try:
                record = await answered(request, pending.answer, route.timeout_s, self._clock)
            finally:
                pending.withdraw()
        if record is None:
            raise _no_answer(route, message.id)
        return record

    def _message(self, request: Request, route: Route, content: bytes) -> Message:
        now = self._clock.now()
        event = HttpRequest(
            method=request.method,
            path=request.path,
            route=route.path,
            path_parameters={} if route.path == DEFAULT_ROUTE else request.path_parameters,
            query=request.query,
            headers=request.headers,
            body=content,
            source_ip=request.source_ip,
            at=now,
            key_name=request.key_name,
        )
        attributes = {"content-type": JSON, EVENT_ATTRIBUTE: "http", PAYLOAD_ATTRIBUTE: route.payload}
        return Message(keyed_id(request, route.queue) or new_id(), msgspec.json.encode(event), attributes, now)

    async def _answered(self, request: Request, id: str, route: Route) -> Record:
        record: Record | None = None
        try:
            record = await while_connected(request, self._waiting.get(id, route.timeout_s))
        finally:
            # Nobody waits for it any more: if it has not begun, it need not. With a key others may wait as well.
            if (
                not finished(record)
                and request.header(b"idempotency-key") is None
                and self._broker.capabilities.browsable
            ):
                await self._broker.purge(route.queue, [id])
        if record is None or not finished(record):
            raise _no_answer(route, id)
        return record


def _reply(route: Route, record: Record) -> Reply:
    if record.state == "dead":
        raise _failed(route, record)
    response = responses.response(route.payload, b"null" if record.value is None else bytes(record.value))
    if response.problem:
        _log.warning("call %s: %s", record.id, response.problem)
        raise _refused(response, "function-failed", "The function failed", record.id)
    headers = tuple((name.encode("latin-1"), _header_value(value)) for name, value in response.headers)
    return Reply(response.status, response.body, None, headers)


def _failed(route: Route, record: Record) -> problems.Problem:
    """What the function's failure is to the caller; its lines are in the function's log already."""
    if record.failure is None:
        why = "the call became a dead letter"
        _log.warning("call %s: %s", record.id, why)
    else:
        why = f"{record.failure.type}: {record.failure.message}"
        if record.failure.type == TIMED_OUT:
            return _too_long(route, why, record.id)
    return _refused(responses.failed(route.payload, why), "function-failed", "The function failed", record.id)


def _header_value(text: str) -> bytes:
    # Headers are latin-1 on the wire; what does not fit goes as UTF-8, which is what browsers expect then.
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode(errors="replace")


def _no_answer(route: Route, id: str) -> problems.Problem:
    why = f"no answer from {route.function!r} within {route.timeout_s:g} s"
    _log.warning("call %s: %s", id, why)
    return _too_long(route, why, id)


def _too_long(route: Route, why: str, id: str) -> problems.Problem:
    return _refused(responses.timed_out(route.payload, why), "function-timeout", "The function took too long", id)


def _refused(response: responses.HttpResponse, kind: str, title: str, id: str) -> problems.Problem:
    """A problem with the status and `message` that API Gateway gives; why is in the function's log alone."""
    message = msgspec.json.decode(response.body)["message"]
    detail = "The function's log has the reason under this id."
    return problems.Problem(response.status, kind, title, detail, id=id, message=message)


class HandlerEndpoint:
    """A handler's path: each request is one call."""

    def __init__(self, calls: Calls, route: Route) -> None:
        self._calls = calls
        self._route = route

    def __call__(self, request: Request) -> Awaitable[Reply]:
        return self._calls.call(request, self._route)
