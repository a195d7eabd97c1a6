"""Starts and drains everything that runs functions: the replicas, and the pipelines that feed them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from millrace.clock import Clock
from millrace.flow.pipeline import Pipeline
from millrace.flow.replicas import ReplicaSet

_log = logging.getLogger(__name__)


class Worker:
    """Replicas by function, and their pipelines; `drain_s` is the longest that a shutdown waits for running batches."""

    def __init__(
        self, replicas: Mapping[str, ReplicaSet], pipelines: Sequence[Pipeline], *, drain_s: float, clock: Clock
    ) -> None:
        self.replicas = replicas
        self._pipelines = pipelines
        self._drain_s = drain_s
        self._clock = clock
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Spawn the replicas and begin to take; returns before the functions are loaded."""
        await asyncio.gather(*(replicas.start() for replicas in self.replicas.values()))
        self._running = [asyncio.create_task(pipeline.run()) for pipeline in self._pipelines]

    async def drain(self) -> bool:
        """Stop taking, finish what runs, stop the replicas; False when drain_s ended first and the rest was killed.

        What was killed is not lost: its leases run out and it is delivered again.
        """
        for pipeline in self._pipelines:
            pipeline.drain()
        for replicas in self.replicas.values():
            replicas.close()
        finished = await self._all_done()
        if finished:
            await asyncio.gather(*(replicas.drain(self._drain_s) for replicas in self.replicas.values()))
        else:
            _log.warning("still running after %g s, killing the replicas; their messages come back", self._drain_s)
            await self.kill()
        return finished

    async def kill(self) -> None:
        """End everything now."""
        for pipeline in self._pipelines:
            pipeline.abandon()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*(replicas.kill() for replicas in self.replicas.values()))

    async def _all_done(self) -> bool:
        if not self._running:
            return True
        limit = asyncio.ensure_future(self._clock.sleep(self._drain_s))
        done = asyncio.ensure_future(asyncio.wait(self._running))
        await asyncio.wait({limit, done}, return_when=asyncio.FIRST_COMPLETED)
        finished = done.done()
        limit.cancel()
        done.cancel()
        return finished
