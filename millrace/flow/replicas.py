"""All replicas of one function: hands batches to them, and drains them in the end.

A batch goes to the replica with the fewest inside. A model's replica holds two: it preprocesses one while it predicts
the other. A handler has nothing to do ahead, so a second batch would only wait where another replica might be free.
Where there is no other, and each call takes but a moment, the next ones are there already.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from millrace.clock import Clock
from millrace.flow.process import Process, Spawn
from millrace.flow.replica import Replica
from millrace.flow.request import Answer, Lost, Request
from millrace.flow.seat import ReplicaStatus, Seat
from millrace.flow.seats import Seats
from millrace.flow.waiting import WaitingLine
from millrace.wire import Line, Ran, Run, Spec

if TYPE_CHECKING:  # metrics and traces, which `invoke` has none of, take a tenth of its start
    from millrace.telemetry import Telemetry

__all__ = ["Lost", "ReplicaSet", "ReplicaStatus"]


class ReplicaSet:
    """The replicas of one function; every method belongs to one event loop."""

    def __init__(
        self,
        spec: Spec,
        *,
        count: int,
        environment: Mapping[str, str],
        clock: Clock,
        load_timeout_s: float,
        on_line: Callable[[Line], None],
        telemetry: Telemetry | None = None,
        spawn: Spawn = Process,
    ) -> None:
        self.spec = spec = msgspec.structs.replace(spec, root=os.path.abspath(spec.root))
        seats = [Seat() for _ in range(count)]
        depth = 2 if spec.kind == "model" else 1
        self._slots = depth * count
        self._clock = clock
        self._line = WaitingLine(spec.function, seats, depth)
        self._numbers = itertools.count(1)
        environment = dict(environment)

        def replica(changed: Callable[[], None]) -> Replica:
            return Replica(spec, environment, clock, load_timeout_s, on_line, changed, spawn)

        self._seats = Seats(spec.function, seats, self._line, replica, clock, on_line, telemetry)

    @property
    def version(self) -> str:
        """What the function's code calls its version, empty until it was loaded."""
        return self._seats.version

    @property
    def slots(self) -> int:
        """How many batches can be inside at once."""
        return self._slots

    @property
    def quick(self) -> bool:
        """Whether the only replica takes several calls at once, since it is through with each in a moment."""
        return self._line.quick

    @property
    def ready(self) -> int:
        """How many replicas are loaded and alive."""
        return self._seats.ready

    def status(self) -> list[ReplicaStatus]:
        """Each replica as it is now."""
        return self._seats.status()

    async def until(self, holds: Callable[[ReplicaSet], bool]) -> None:
        """Return as soon as `holds(self)`: it is asked again whenever a replica's state changes.

        Once the set is closed it is asked when a replica's load changes, too.
        """
        await self._seats.until(lambda: holds(self))

    async def start(self) -> None:
        """Spawn all; does not wait until they have loaded."""
        self._seats.start()

    async def run(
        self,
        run: Run,
        *,
        alone: bool = False,
        impatient: bool = False,
        on_began: Callable[[], None] | None = None,
        unless: asyncio.Future[None] | None = None,
    ) -> Ran | Lost:
        """Run a batch in the next free replica; with `alone` nothing else is inside that replica meanwhile.

        Waits while replicas load; with `impatient` it is lost when none can. `on_began` is called when predict
        begins, or a handler is given it. `run.batch` is numbered here. Raises Draining when the set is closed, or
        `unless` is done, before the batch is inside a replica, or when the set is killed before it is answered.
        """
        if unless is not None and unless.done():
            raise self._line.refusal()
        answer: asyncio.Future[Ran | Lost] = asyncio.get_running_loop().create_future()
        request = self.ask(run, answer=answer, alone=alone, impatient=impatient, on_began=on_began)
        if unless is not None and request in self._line:
            return await self._unless(unless, request, answer)
        return await answer

    def ask(
        self,
        run: Run,
        *,
        answer: Answer | None = None,
        alone: bool = False,
        impatient: bool = False,
        ahead: bool = False,
        on_began: Callable[[], None] | None = None,
    ) -> Request:
        """As `run`, for who is told the `answer`, or waits for the request's. Raises Draining when the set is closed.

        `ahead`: it may stand behind others in a handler's replica that is `quick`.
        """
        if self._line.closed:
            raise self._line.refusal()
        run = msgspec.structs.replace(run, batch=next(self._numbers))
        request = Request(run, alone, answer=answer, impatient=impatient, ahead=ahead, on_began=on_began)
        self._line.add(request)
        self._line.assign()
        return request

    def withdraw(self, request: Request) -> None:
        """Cancel the answer to a batch that still waits for a replica; what is inside one goes on."""
        if request in self._line:
            self._line.remove(request)
            request.answer.cancel()

    def close(self) -> None:
        """Turn away what waits for a replica and what comes from now on; what is inside goes on."""
        self._line.close()

    async def drain(self, timeout_s: float) -> None:
        """Close, answer what is inside, stop every replica; kill what is left after `timeout_s`."""
        end = self._clock.monotonic() + timeout_s
        self.close()
        await self._seats.idle(timeout_s)
        await self._seats.stop(end - self._clock.monotonic())
        await self.kill()

    async def kill(self) -> None:
        """End every replica now; batches that are inside or waiting get Draining. Harmless when repeated."""
        self.close()
        await self._seats.kill()

    async def _unless(
        self, unless: asyncio.Future[None], request: Request, answer: asyncio.Future[Ran | Lost]
    ) -> Ran | Lost:
        """The answer to a request, which is turned away if it still waits when `unless` is done."""

        def give_up(_: asyncio.Future[None]) -> None:
            self._line.refuse(request)

        unless.add_done_callback(give_up)
        try:
            return await answer
        finally:
            unless.remove_done_callback(give_up)
