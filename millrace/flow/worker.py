"""Starts and drains everything that runs functions: the replicas, and the pipelines that feed them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from millrace.clock import Clock
from millrace.flow.dispatcher import Dispatcher
from millrace.flow.pipeline import Pipeline
from millrace.flow.replicas import ReplicaSet

_log = logging.getLogger(__name__)


class Worker:
    """Replicas by function and their pipelines; `calls` are those whose callers wait for the answer.

    So do those of `dispatchers`, by function, which no queue feeds.
    """

    def __init__(
        self,
        replicas: Mapping[str, ReplicaSet],
        pipelines: Sequence[Pipeline],
        *,
        calls: Sequence[Pipeline] = (),
        dispatchers: Mapping[str, Dispatcher] | None = None,
        clock: Clock,
    ) -> None:
        self.replicas = replicas
        self.broken = asyncio.Event()  # a pipeline ended in an error of ours: this process is of no more use
        self.dispatchers = dispatchers or {}
        self._pipelines = pipelines
        self._calls: list[Pipeline | Dispatcher] = [*calls, *self.dispatchers.values()]
        self._clock = clock
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Spawn the replicas and begin to take; returns before the functions are loaded."""
        await asyncio.gather(*(replicas.start() for replicas in self.replicas.values()))
        self._running = [asyncio.create_task(pipeline.run()) for pipeline in (*self._pipelines, *self._calls)]
        for task in self._running:
            task.add_done_callback(self._ended)

    async def stop(self, limit_s: float) -> None:
        """Take nothing more from queues, and return when what runs of them is finished or limit_s ended.

        Calls are still answered.
        """
        self._stop()
        await self._done(self._running[: len(self._pipelines)], limit_s)

    async def drain(self, limit_s: float) -> bool:
        """Stop, finish what runs, end the replicas; False when limit_s ended first and the rest was killed.

        What was killed is not lost: its leases run out and it is delivered again.
        """
        end = self._clock.monotonic() + limit_s
        self._stop()
        for pipeline in self._calls:
            pipeline.drain()
        for replicas in self.replicas.values():
            replicas.close()
        finished = await self._done(self._running, limit_s)
        if finished:
            left_s = max(0.0, end - self._clock.monotonic())
            await asyncio.gather(*(replicas.drain(left_s) for replicas in self.replicas.values()))
        else:
            _log.warning("still running after %g s, killing the replicas; their messages come back", limit_s)
            await self.kill()
        return finished

    async def kill(self) -> None:
        """End everything now."""
        for pipeline in (*self._pipelines, *self._calls):
            pipeline.abandon()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*(replicas.kill() for replicas in self.replicas.values()))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            _log.critical("a pipeline ended in an error", exc_info=error)
            self.broken.set()

    def _stop(self) -> None:
        for pipeline in self._pipelines:
            pipeline.drain()

    async def _done(self, tasks: Sequence[asyncio.Task[None]], limit_s: float) -> bool:
        if not tasks:
            return True
        limit = asyncio.ensure_future(self._clock.sleep(limit_s))
        done = asyncio.ensure_future(asyncio.wait(tasks))
        await asyncio.wait({limit, done}, return_when=asyncio.FIRST_COMPLETED)
        finished = done.done()
        limit.cancel()
        done.cancel()
        return finished
