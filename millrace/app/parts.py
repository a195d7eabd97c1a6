"""What runs in a process: started in order, kept running until the word to stop, drained in the opposite order."""

from __future__ import annotations

import asyncio
import logging

from millrace.app.backend import Backend
from millrace.app.listener import Listener
from millrace.app.pulse import Pulse
from millrace.app.readiness import Reach
from millrace.app.triggers import sources_of
from millrace.app.witness import Witness
from millrace.clock import Clock
from millrace.config.schema import Project
from millrace.errors import MillraceError
from millrace.flow.insist import insist
from millrace.flow.worker import Worker
from millrace.source import Source
from millrace.telemetry import Telemetry

_log = logging.getLogger(__name__)
_SWEEP_S = 3600.0
_SOURCE_PAUSE_S = 5.0


class Parts:
    """What runs in this process, started downstream first and drained upstream first."""

    def __init__(
        self,
        project: Project,
        backend: Backend,
        worker: Worker,
        listener: Listener | None,
        witness: Witness,
        reach: Reach,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        self._project = project
        self._backend = backend
        self._worker = worker
        self._listener = listener
        self._witness = witness
        self._pulse = Pulse(backend, reach, telemetry, clock)
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> int:
        say = self._witness.announce
        await self._worker.start()
        beside = [asyncio.create_task(self._witness.loading(name, set)) for name, set in self._worker.replicas.items()]
        beside.append(asyncio.create_task(self._pulse.run()))
        if self._listener is not None:
            say(f"listening on {await self._listener.start()}")
            if (keys := self._listener.keys_file) is not None:
                say(f"API keys that the project file gives no value are in {keys}")
            sources = sources_of(self._project, self._backend, self._clock)
            beside += [asyncio.create_task(self._run_source(source)) for source in sources]
            beside.append(asyncio.create_task(self._sweeps()))
        await _first(stop, self._worker.broken)
        say("draining: nothing new is taken, what runs is finished")
        finished = await self._drain(beside)
        say("stopped" if finished else "stopped before all was finished; the rest will be delivered again")
        return 0 if finished and not self._worker.broken.is_set() else 1

    async def _drain(self, beside: list[asyncio.Task[None]]) -> bool:
        """Upstream first: sources, queues, the gateway, and only then the functions that its calls still need.

        Until the queues' work is done the gateway stays, to tell whoever comes that it is draining.
        """
        end = self._clock.monotonic() + self._project.drain
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if self._listener is not None:
            self._listener.refuse()
        await self._worker.stop(self._project.drain)
        if self._listener is not None:
            await self._listener.drain(self._left_s(end))
        return await self._worker.drain(self._left_s(end))

    def _left_s(self, end: float) -> float:
        return max(0.0, end - self._clock.monotonic())

    async def _run_source(self, source: Source) -> None:
        """Run a source for ever: what it cannot read or put now it tries again, and so after an error of ours."""

        async def run() -> None:
            await source.run(self._backend.broker.put)

        while True:
            try:
                await insist(run, f"run the source {source.name}", self._clock)
            except Exception:
                _log.exception("the source %s ended in an error; it is started again", source.name)
                await self._clock.sleep(_SOURCE_PAUSE_S)

    async def _sweeps(self) -> None:
        """Now and then delete what crashes left behind."""
        while True:
            try:
                await self._backend.sweep()
            except MillraceError as error:
                _log.warning("large bodies are not swept now: %s", error)
            await self._clock.sleep(_SWEEP_S)


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
