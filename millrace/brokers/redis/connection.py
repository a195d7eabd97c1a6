"""One connection that many coroutines share: commands go out as they come, answers come back in that order.

Protocol: RESP3 (redis.io/docs/latest/develop/reference/protocol-spec), so that published messages, which belong to no
command, come over the same connection.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis

from millrace.broker_address import Address

Answer = asyncio.Future[Any]
Push = Callable[[list[Any]], None]
_CONNECT_S = 5.0
FOREIGN = "what answers there is no Redis"


class Connection(asyncio.Protocol):
    """A connection whose server answers every command within `answer_s`, or counts as gone."""

    def __init__(self, on_push: Push, answer_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._pending: deque[tuple[Answer, float]] = deque()
        self._on_push = on_push
        self._answer_s = answer_s
        self._watch: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[str] = self._loop.create_future()  # done with the reason

    @classmethod
    async def to(cls, address: Address, on_push: Push, answer_s: float) -> Connection:
        """Connect. Raises OSError."""
        context = address.tls_context()
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: cls(on_push, answer_s), address.host, address.port, ssl=context
                )
        except TimeoutError as error:
            raise OSError(f"no answer within {_CONNECT_S:.0f} s") from error
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as error:
            why = (error.reason or str(error)).replace("_", " ").lower()
            raise OSError(f"no encrypted connection: {why}") from error
        return connection

    def call(self, *command: str | bytes | int) -> Answer:
        """Send a command; its answer, or its hiredis.ReplyError, or ConnectionError when the connection ends first."""
        answer: Answer = self._loop.create_future()
        if self.lost.done() or self._transport is None:
            answer.set_exception(ConnectionError(self.lost.result() if self.lost.done() else "not connected"))
            return answer
        packed = _packed(command)  # before anybody waits: an answer expected for what was never sent is the next one's
        self._pending.append((answer, self._loop.time()))
        if self._watch is None:
            self._watch = self._loop.call_later(self._answer_s, self._look)
        self._transport.write(packed)
        return answer

    def tell(self, *command: str) -> None:
        """Send a command whose only answer is pushed: SUBSCRIBE."""
        if self._transport is not None and not self.lost.done():
            self._transport.write(_packed(command))

    def close(self, reason: str = "closed") -> None:
        """End the connection; commands without an answer get ConnectionError."""
        if not self.lost.done():
            self.lost.set_result(reason)
            if self._transport is not None:
                self._transport.abort()
            self._fail()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (found := self._reader.gets()) is not False:
                self._received(found)
        except hiredis.ProtocolError as error:
            self.close(f"{FOREIGN}: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self.close(str(error) if error is not None else "the server closed it")

    def _received(self, found: Any) -> None:
        if isinstance(found, hiredis.PushNotification):
            self._on_push(found)
            return
        if not self._pending:
            self.close("an answer that nobody asked for")
            return
        answer, _ = self._pending.popleft()
        if answer.done():  # whoever asked has been cancelled
            return
        if isinstance(found, hiredis.ReplyError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def _look(self) -> None:
        """Give up on a server that has not answered for too long: it is paused, or the network is gone."""
        self._watch = None
        if not self._pending:
            return
        left_s = self._pending[0][1] + self._answer_s - self._loop.time()
        if left_s <= 0:
            self.close(f"no answer within {self._answer_s:.0f} s")
        else:
            self._watch = self._loop.call_later(left_s, self._look)

    def _fail(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        while self._pending:
            answer, _ = self._pending.popleft()
            if not answer.done():
                answer.set_exception(ConnectionError(self.lost.result()))
                answer.exception()  # seen, even where whoever asked is gone


def _packed(command: tuple[str | bytes | int, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub means a tuple of any length
    return packed
