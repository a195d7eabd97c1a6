"""The client for programs without an event loop: the same calls, run by a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from millrace.client.asynchronous import AsyncClient
from millrace.client.body import Body
from millrace.client.result import Result
from millrace.client.transport import TIMEOUT_S

T = TypeVar("T")


class Client:
    """AsyncClient for plain functions and threads; it may be shared by them. See AsyncClient for the arguments."""

    def __init__(
        self,
        project: str | Path = ".",
        *,
        stage: str | None = None,
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="millrace-client", daemon=True)
        self._thread.start()
        self._client = AsyncClient(project, stage=stage, token=token, timeout_s=timeout_s)
        try:
            self._run(self._client.__aenter__())
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files, connections and the thread; the client cannot be used after."""
        if not self._loop.is_closed():
            self._run(self._client.close())
            self._stop()

    def send(
        self,
        queue: str,
        body: Body,
        *,
        id: str | None = None,
        attributes: Mapping[str, str] | None = None,
        delay_s: float | None = None,
        group: str = "",
    ) -> str:
        """Put one message, durable when this returns, and give its id; see AsyncClient.send."""
        return self._run(self._client.send(queue, body, id=id, attributes=attributes, delay_s=delay_s, group=group))

    def send_many(self, queue: str, bodies: Iterable[Body]) -> list[str]:
        """Put many messages in one commit, all or none, and give their ids in order."""
        return self._run(self._client.send_many(queue, bodies))

    def result(self, id: str) -> Result | None:
        """What became of a message so far; None when the id is unknown or longer ago than results are kept."""
        return self._run(self._client.result(id))

    def wait(self, id: str, timeout_s: float | None = None) -> Result:
        """The result as soon as the message is done or dead; raises NotFinished (a TimeoutError) after timeout_s."""
        return self._run(self._client.wait(id, timeout_s))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("this client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
