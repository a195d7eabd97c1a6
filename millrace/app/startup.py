"""A start that waits: a broker or a database elsewhere may come up after the processes that need it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from millrace.app.backend import Backend, connect
from millrace.app.listener import Listener
from millrace.clock import Clock
from millrace.config.schema import Project
from millrace.errors import BrokerError, Lasting, MillraceError, StorageError
from millrace.pauses import pauses

_LONGEST_PAUSE_S = 5.0


async def wait_for_backend(
    project: Project,
    listener: Listener | None,
    announce: Callable[[str], None],
    stop: asyncio.Event,
    clock: Clock,
) -> Backend | None:
    """The project's backend, as soon as its broker and database answer; None where `stop` was set first.

    Meanwhile the gateway listens, and answers 503. What is wrong is announced once for each reason. What is in the
    project's own folder is not waited for, nor is a password to become right: raises StorageError, ConfigError, and
    what is Lasting.
    """
    waits, told = pauses(longest_s=_LONGEST_PAUSE_S), ""
    while not stop.is_set():
        try:
            return await connect(project, clock)
        except (BrokerError, StorageError) as error:
            if isinstance(error, Lasting) or (project.broker is None and project.database is None):
                raise
            if error.problem != told:
                told = error.problem
                await _tell(error, listener, announce)
        await _pause(next(waits), stop, clock)
    return None


async def _tell(error: MillraceError, listener: Listener | None, announce: Callable[[str], None]) -> None:
    announce(f"waiting: {error}")
    if listener is not None:
        announce(f"until then {await listener.start()} answers 503")


async def _pause(seconds: float, stop: asyncio.Event, clock: Clock) -> None:
    """Sleep, but not beyond the word to stop."""
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(clock.sleep(seconds))]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
