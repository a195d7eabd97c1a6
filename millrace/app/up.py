"""Runs a project in this process: `up` puts the parts together and runs them until the word to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from typing import Protocol, TypeVar

from millrace.app.backend import Backend, Calls
from millrace.app.endpoint import AwsEndpoint, check_keys, endpoint_elsewhere
from millrace.app.health import HealthListener
from millrace.app.holder import Holder
from millrace.app.inside import unhurried
from millrace.app.listener import Listener, token_of
from millrace.app.mill import Mill
from millrace.app.parts import Parts
from millrace.app.readiness import Reach
from millrace.app.startup import wait_for_backend
from millrace.app.tails import Tails
from millrace.app.webhook import Webhooks
from millrace.app.witness import Witness
from millrace.clock import Clock, SystemClock
from millrace.config.schema import Project
from millrace.flow.replicas import ReplicaSet
from millrace.flow.worker import Worker
from millrace.sources.http import Caller, check_bind
from millrace.telemetry import Step, Telemetry
from millrace.wire import Line

P = TypeVar("P", bound="_Closable")


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
            probed = HealthListener(health, replicas, reach, telemetry, stop.is_set, clock)
            announce(f"health at {await _kept(probed, stack).start()}")
        backend = await wait_for_backend(project, listener, announce, stop, clock)
        if backend is None:
            return 0
        await _kept(backend, stack).start()
        if shared := project.broker is not None or not alone:
            await backend.share_calls()
        webhooks, tails = _kept(Webhooks(), stack), Tails(on_line)
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
            calls, callers = _calls(backend, worker, alone=alone)
            listener.open(backend, calls, callers, replicas, reach, telemetry, clock)
        reach.away = ""
        return await Parts(project, backend, worker, listener, witness, reach, telemetry, clock).run(stop)


def _listener(project: Project, stack: AsyncExitStack, debug: str | None, *, alone: bool) -> Listener:
    """The gateway's, where it may be; who is `alone` holds the project's folder. Raises ConfigError, InUse."""
    check_bind(project.gateway.host, token_of(project))
    check_keys(project.aws)
    if alone:
        stack.enter_context(Holder(project.state))
    return _kept(Listener(project if debug is None else unhurried(project, debug)), stack)


def _calls(backend: Backend, worker: Worker, *, alone: bool) -> tuple[Calls, dict[str, Caller]]:
    """Where calls wait that somebody waits for, and the functions that are called without a queue."""
    if alone:
        return backend.calls, {name: each.call for name, each in worker.dispatchers.items()}
    return backend.calls_elsewhere, {}


async def _endpoint(endpoint: AwsEndpoint, stack: AsyncExitStack, announce: Callable[[str], None]) -> dict[str, str]:
    """Start it before the functions, which are told where it is, and close it behind them."""
    leads = await _kept(endpoint, stack).start()
    announce(endpoint.line)
    return leads


def _kept(part: P, stack: AsyncExitStack) -> P:
    """The part, which is closed when the stack is."""
    stack.push_async_callback(part.close)
    return part
