"""The endpoint as an ASGI application: guard → body → service → reply.

Plain ASGI, since a framework's request objects would cost more than the queue does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from typing import Any, Protocol

import msgspec

from millrace.aws.endpoint.beacon import HEALTH
from millrace.aws.endpoint.bodies import MAX_BODY_BYTES, MAX_OBJECT_BYTES, Bodies, Disconnected, Receive
from millrace.aws.endpoint.call import Call, Reply
from millrace.aws.endpoint.faults import fault
from millrace.aws.endpoint.guard import Guard
from millrace.aws.endpoint.routing import FORM, service_of, service_of_form
from millrace.aws.endpoint.signature import credential_of
from millrace.aws.endpoint.sigv4 import Refused
from millrace.errors import MillraceError

_log = logging.getLogger("millrace.aws")
_BODILESS = frozenset({204, 304})
_LINGER_S = 2.0
_AT_ONCE_S = 0.05
_WAITING = b"ReceiveMessage"

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Service(Protocol):
    """Answers calls in AWS's own words, its errors included."""

    def handle(self, call: Call) -> Coroutine[Any, Any, Reply]: ...


class Endpoint:
    """One address for every service: `services` by signing name, `others` for all that is not named there."""

    def __init__(
        self,
        services: Mapping[str, Service],
        others: Service | None,
        *,
        guard: Guard,
        account: str,
        region: str,
        health: Mapping[str, Any],
    ) -> None:
        self._services = services
        self._others = others
        self._guard = guard
        self._account = account
        self._region = region
        self._health = Reply(200, {"content-type": "application/json"}, msgspec.json.encode(health))
        self._bodies = Bodies()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the endpoint serves http, not {scope['type']}")
        query = scope["query_string"].decode("latin-1")
        asked = Call(scope["method"], scope["raw_path"].decode("latin-1"), query, _joined(scope["headers"]))
        service = service_of(asked.method, asked.path, query, asked.headers)
        try:
            await _send(send, await self._reply(service, asked, receive))
        except Disconnected:
            return
        except Refused as refused:
            await _refuse(fault(service, asked.headers, refused.reason, str(refused)), receive, send)
        except asyncio.CancelledError:
            # The server's drain ran out of time: the one who waits is told, and may ask again.
            await _send(send, fault(service, asked.headers, "ServiceUnavailable", "The endpoint is shutting down."))

    async def _reply(self, service: str, asked: Call, receive: Receive) -> Reply:
        """The answer; raises Disconnected, and Refused while the body may still be on its way."""
        is_health = asked.path == HEALTH and asked.method in {"GET", "HEAD"}
        self._guard.admit(asked, anyone=is_health)
        if is_health:
            return self._health
        limit = MAX_OBJECT_BYTES if service == "s3" else MAX_BODY_BYTES
        async with self._bodies.read(receive, limit, asked.headers.get("content-length")) as body:
            credential = credential_of(asked.headers, asked.query)
            region = credential.region if credential else self._region
            call = Call(asked.method, asked.path, asked.query, asked.headers, body, region, self._account)
            try:
                self._guard.check(call)
            except Refused as refused:
                return fault(service, asked.headers, refused.reason, str(refused))
            return await self._answer(service_of_form(body) if service == FORM else service, call, receive)

    async def _answer(self, service: str, call: Call, receive: Receive) -> Reply:
        chosen = self._services.get(service, self._others)
        if chosen is None or not service:
            return fault(service, call.headers, "UnknownService", self._unknown(service))
        try:
            if _may_wait(service, call):
                return await _while_connected(chosen.handle(call), receive)
            return await chosen.handle(call)
        except Disconnected:
            raise
        except MillraceError as error:
            _log.warning("%s cannot answer now: %s", service, error.problem)
            return fault(service, call.headers, "ServiceUnavailable", error.problem)
        except Exception:
            _log.exception("%s failed at a request that it should have answered", service)
            return fault(service, call.headers, "InternalFailure", "An internal error; the endpoint's log has it.")

    def _unknown(self, service: str) -> str:
        known = ", ".join(sorted(self._services))
        more = "" if self._others else "; the rest comes with `pip install 'millrace[aws]'`"
        return f"{service or 'What was asked'} is no service of this endpoint. It has {known}{more}."


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as text; what came several times joined with commas, as signatures have it."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _may_wait(service: str, call: Call) -> bool:
    """Whether the answer may take long by design, so that a client that went away must not be waited for."""
    if service == "lambda":
        return True
    if service != "sqs":
        return False
    return call.headers.get("x-amz-target", "").endswith(".ReceiveMessage") or _WAITING in call.body[:2048]


async def _while_connected(work: Coroutine[Any, Any, Reply], receive: Receive) -> Reply:
    """What `work` gives; it is cancelled, and Disconnected raised, when the client goes away before.

    Most answers are there at once: only then is looked whether somebody still waits for the others.
    """
    tasks: list[asyncio.Task[Any]] = [working := asyncio.create_task(work)]
    try:
        await asyncio.wait(tasks, timeout=_AT_ONCE_S)
        if not working.done():
            tasks.append(asyncio.create_task(_left(receive)))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Disconnected
    finally:
        if unfinished := [task for task in tasks if not task.done()]:
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(reply: Reply, receive: Receive, send: Send) -> None:
    """Answer before all of the body has come, throw the rest away for a while, and close.

    Closed at once, most clients would see a reset and not the answer.
    """
    closing = Reply(reply.status, {**reply.headers, "connection": "close"}, reply.body)
    await _send(send, closing, more=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while (await receive()).get("more_body", False):
                pass
    await send({"type": "http.response.body", "body": b""})


async def _send(send: Send, reply: Reply, *, more: bool = False) -> None:
    headers = [(name.encode("latin-1"), _header_value(value)) for name, value in reply.headers.items()]
    body = b"" if reply.status in _BODILESS else reply.body
    # The answer to a HEAD has the length of what a GET would bring, and says so itself.
    if reply.status not in _BODILESS and "content-length" not in reply.headers:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _header_value(text: str) -> bytes:
    # S3 lets a client choose headers of the answer in the query, line ends included.
    if "\r" in text or "\n" in text or "\0" in text:
        text = " ".join(text.replace("\0", " ").split())
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode(errors="replace")
