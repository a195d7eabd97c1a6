"""Asks broker and database again and again how they are: for the gauges of the queues, and for /readyz."""

from __future__ import annotations

import asyncio
import logging

from millrace.app.backend import Backend
from millrace.app.readiness import Reach
from millrace.clock import Clock
from millrace.errors import MillraceError
from millrace.telemetry import Telemetry

_log = logging.getLogger(__name__)
_PAUSE_S = 5.0
_PATIENCE_S = 5.0  # adapters wait longer for a connection to come back
_NOBODY = "0" * 32  # the id of no message


class Pulse:
    """Keeps the gauges of the queues about right, and what is known of broker and database.

    Away is a broker that answers for no queue. It is announced by those who need it to go on, not here.
    """

    def __init__(self, backend: Backend, reach: Reach, telemetry: Telemetry, clock: Clock) -> None:
        self._backend = backend
        self._reach = reach
        self._telemetry = telemetry
        self._clock = clock

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                self._reach.away = await self._ask()
            except Exception:
                _log.exception("broker and database could not be asked how they are; they are asked again")
            await self._clock.sleep(_PAUSE_S)

    async def _ask(self) -> str:
        *queues, database = await asyncio.gather(*map(self._count, self._backend.queues), self._ask_database())
        return queues[0] if queues and all(queues) else database

    async def _count(self, queue: str) -> str:
        """Set the gauges of one queue; why they cannot be known, "" when they are."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                stats = await self._backend.broker.stats(queue)
        except TimeoutError:
            return f"the broker does not answer within {_PATIENCE_S:.0f} s"
        except MillraceError as error:
            return error.problem
        by_state = {name: getattr(stats, name) for name in ("depth", "in_flight", "delayed", "dead")}
        self._telemetry.queue_messages(queue, by_state)
        return ""

    async def _ask_database(self) -> str:
        """Why the database does not answer, "" when it does."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._backend.results.get(_NOBODY)
        except TimeoutError:
            return f"the database does not answer within {_PATIENCE_S:.0f} s"
        except MillraceError as error:
            return error.problem
        return ""
