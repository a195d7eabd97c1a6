"""The client for programs with an event loop; it opens itself at the first call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from millrace.brokers.limits import check_text
from millrace.client.body import Body, message
from millrace.client.result import NotFinished, Result, from_record
from millrace.client.transport import TIMEOUT_S, Transport
from millrace.types import Put

_LONGEST_WAIT_S = 20.0  # of one request: gateways and proxies end longer ones


class AsyncClient:
    """Sends messages to a project and reads what became of them.

    `project` is a project's folder or millrace.yml, or the http(s) URL of its gateway; `stage` chooses the overlay of
    a project file; `token` is the gateway's, by default MILLRACE_TOKEN. Every method raises MillraceError's
    subclasses, the same over both ways: UnknownQueue, QueueFull, TooLarge, Unencodable, BrokerError where the broker is
    away, StorageError, and over HTTP GatewayError.
    """

    def __init__(
        self,
        project: str | Path = ".",
        *,
        stage: str | None = None,
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._project = project
        self._stage = stage
        self._token = token
        self._timeout_s = timeout_s
        self._transport: Transport | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> AsyncClient:
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of files and connections; a later call opens them again."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    async def send(
        self,
        queue: str,
        body: Body,
        *,
        id: str | None = None,
        attributes: Mapping[str, str] | None = None,
        delay_s: float | None = None,
        group: str = "",
    ) -> str:
        """Put one message, durable when this returns, and give its id.

        `body` is bytes, text, or a value that JSON can hold. The same `id` within the queue's dedupe window
        (24 h) stores nothing and gives the first message's result.
        """
        put = Put(queue, message(body, id=id, attributes=attributes, group=group), delay_s)
        return (await (await self._opened()).put([put]))[0]

    async def send_many(self, queue: str, bodies: Iterable[Body]) -> list[str]:
        """Put many messages in one commit, all or none, and give their ids in order."""
        puts = [Put(queue, message(body)) for body in bodies]
        return await (await self._opened()).put(puts) if puts else []

    async def result(self, id: str) -> Result | None:
        """What became of a message so far; None when the id is unknown or longer ago than results are kept."""
        check_text(id, "the id")
        record = await (await self._opened()).record(id)
        return None if record is None else from_record(record)

    async def wait(self, id: str, timeout_s: float | None = None) -> Result:
        """The result as soon as the message is done or dead; raises NotFinished (a TimeoutError) after timeout_s."""
        check_text(id, "the id")
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        transport = await self._opened()
        while True:
            left_s = _LONGEST_WAIT_S if deadline is None else max(0.0, deadline - time.monotonic())
            record = await transport.record(id, min(left_s, _LONGEST_WAIT_S))
            if record is not None and record.state in ("done", "dead"):
                return from_record(record)
            if deadline is not None and time.monotonic() >= deadline:
                state = "unknown" if record is None else record.state
                raise NotFinished(f"message {id!r} is {state} after {timeout_s:g} s", "wait again, or longer")

    async def _opened(self) -> Transport:
        async with self._opening:
            if self._transport is None:
                self._transport = await self._open()
            return self._transport

    async def _open(self) -> Transport:
        target = str(self._project)
        if target.startswith(("http://", "https://")):
            from millrace.client.http import HttpTransport

            return HttpTransport(target, token=self._token, timeout_s=self._timeout_s)
        from millrace.client.local import LocalTransport

        return await LocalTransport.open(Path(target), self._stage)
