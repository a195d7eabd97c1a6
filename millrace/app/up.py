"""Runs a project in this process: `up` starts the parts, waits for the word to stop, and drains them in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from typing import Protocol, TypeVar

from millrace.app.backend import Backend
from millrace.app.endpoint import AwsEndpoint, check_keys, endpoint_elsewhere
from millrace.app.health import HealthListener
from millrace.app.holder import Holder
from millrace.app.inside import unhurried
from millrace.app.listener import Listener, token_of
from millrace.app.mill import Mill
from millrace.app.pulse import Pulse
from millrace.app.reach import reached
from millrace.app.readiness import Reach
from millrace.app.tails import Tails
from millrace.app.triggers import sources_of
from millrace.app.webhook import Webhooks
from millrace.app.witness import Witness
from millrace.clock import Clock, SystemClock
from millrace.config.schema import Project
from millrace.errors import MillraceError
from millrace.flow.insist import insist
from millrace.flow.replicas import ReplicaSet
from millrace.flow.worker import Worker
from millrace.source import Source
from millrace.sources.http import check_bind
from millrace.telemetry import Step, Telemetry
from millrace.wire import Line

P = TypeVar("P", bound="_Closable")
_log = logging.getLogger(__name__)
_SWEEP_S = 3600.0
_SOURCE_PAUSE_S = 5.0


class _Closable(Protocol):
    async def close(self) -> None: ...


async def up(
    project: Project,
    *,
    gateway: bool = True,
    functions: Collection[str] | None = None,
    announce: Callable[[str], None],
    stop: asyncio.Event,
    on_line: Callable[[str, Line], None] | None = None,
    observer: Callable[[Step], None] | None = None,
    clock: Clock | None = None,
    debug: str | None = None,
    health: tuple[str, int] | None = None,
) -> int:
    """Run the gateway (with schedules and watches) and the functions (None: all) until `stop` is set.

    Returns the exit code: 0, or 1 when `drain` seconds were not enough. `announce` gets a line for each thing that a
    person should know, `on_line` (function, line) what functions print; `observer` is told each step of the flow.
    `debug` names a function that runs inside this process, where a debugger sees it. `health` is the address at which
    a process without a gateway says whether it is ready.
    Raises InUse, ConfigError, StorageError.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        alone = gateway and functions is None  # then nobody else answers calls, and none are answered for others
        listener = _listener(project, stack, debug, alone=alone) if gateway else None
        telemetry, replicas, reach = Telemetry(observer), dict[str, ReplicaSet](), Reach()
        if health is not None:
            probed = _kept(HealthListener(health, replicas, reach, telemetry, stop.is_set, clock), stack)
            announce(f"health at {await probed.start()}")
        backend = await reached(project, listener, announce, stop, clock)
        if backend is None:
            return 0
        await _kept(backend, stack).start()
        if shared := project.broker is not None or not alone:
            await backend.share_calls()
        webhooks = _kept(Webhooks(), stack)
        tails = Tails(on_line)
        witness = Witness(project.state / "logs", announce, tails.hear)
        stack.callback(witness.close)
        announce(f"running {project.service} (stage {project.stage}) in {project.root}")
        leads = endpoint_elsewhere(project)
        if project.aws is not None and gateway:
            leads = await _endpoint(AwsEndpoint(project, backend, tails, replicas, clock), stack, announce)
        mill = Mill(project, backend, webhooks, witness, telemetry, clock, leads, debug=debug)
        worker = mill.worker(functions, shared=shared)
        stack.push_async_callback(worker.kill)
        replicas |= worker.replicas
        if listener is not None:
            calls = backend.calls if alone else backend.calls_elsewhere
            callers = {name: each.call for name, each in worker.dispatchers.items()} if alone else {}
            listener.open(backend, calls, callers, replicas, reach, telemetry, clock)
        reach.away = ""
        return await _Parts(project, backend, worker, listener, witness, reach, telemetry, clock).run(stop)


def _listener(project: Project, stack: AsyncExitStack, debug: str | None, *, alone: bool) -> Listener:
    """The gateway's, where it may be; who is `alone` holds the project's folder. Raises ConfigError, InUse."""
    check_bind(project.gateway.host, token_of(project))
    check_keys(project.aws)
    if alone:
        stack.enter_context(Holder(project.state))
    return _kept(Listener(project if debug is None else unhurried(project, debug)), stack)


async def _endpoint(endpoint: AwsEndpoint, stack: AsyncExitStack, announce: Callable[[str], None]) -> dict[str, str]:
    """Start it before the functions, which are told where it is, and close it behind them."""
    leads = await _kept(endpoint, stack).start()
    announce(endpoint.line)
    return leads


def _kept(part: P, stack: AsyncExitStack) -> P:
    """The part, which is closed when the stack is."""
    stack.push_async_callback(part.close)
    return part


class _Parts:
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
