"""All replicas of one function: hands batches to them, restarts those that die, and drains them in the end.

A batch goes to the replica with the fewest inside. A model's replica holds two: it preprocesses one while it predicts
the other. A handler has nothing to do ahead, so a second batch would only wait where another replica might be free.
Where there is no other, and each call takes but a moment, the next ones are there already.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from millrace.clock import Clock
from millrace.errors import Draining
from millrace.flow.hints import hint
from millrace.flow.process import Process, Spawn
from millrace.flow.replica import Replica
from millrace.flow.request import Lost, Request
from millrace.flow.seat import ReplicaStatus, Seat, State, backoff_s
from millrace.flow.waiting import WaitingLine
from millrace.pauses import spread
from millrace.types import Failure
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
        self.spec = msgspec.structs.replace(spec, root=os.path.abspath(spec.root))
        self.version = ""
        self._depth = 2 if spec.kind == "model" else 1
        self._environment = dict(environment)
        self._clock = clock
        self._load_timeout_s = load_timeout_s
        self._on_line = on_line
        self._telemetry = telemetry
        self._child = spawn
        self._seats = [Seat() for _ in range(count)]
        self._waiting = WaitingLine(self._seats, self._depth)
        self._numbers = itertools.count(1)
        self._pulse = asyncio.Event()
        self._stopping = asyncio.Event()
        self._closed = False
        self._told: Failure | None = None  # the load failure that the log has
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def slots(self) -> int:
        """How many batches can be inside at once."""
        return self._depth * len(self._seats)

    @property
    def quick(self) -> bool:
        """Whether the only replica takes several calls at once, since it is through with each in a moment."""
        return self._waiting.quick

    @property
    def ready(self) -> int:
        """How many replicas are loaded and alive."""
        return sum(seat.state == "ready" for seat in self._seats)

    def status(self) -> list[ReplicaStatus]:
        """Each replica as it is now."""
        return [seat.status() for seat in self._seats]

    async def until(self, holds: Callable[[ReplicaSet], bool]) -> None:
        """Return as soon as `holds(self)`: it is asked again whenever a replica's state changes.

        Once the set is closed it is asked when a replica's load changes, too.
        """
        while not holds(self):
            await self._pulse.wait()

    async def start(self) -> None:
        """Spawn all; does not wait until they have loaded."""
        for seat in self._seats:
            self._move(seat, "loading")
        self._keepers = [asyncio.create_task(self._keep(seat)) for seat in self._seats]

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
            raise self._draining()
        request = self.ask(run, alone=alone, impatient=impatient, on_began=on_began)
        if unless is not None and request in self._waiting:
            return await self._answer_unless(request, unless)
        return await request.answer

    def ask(
        self,
        run: Run,
        *,
        alone: bool = False,
        impatient: bool = False,
        ahead: bool = False,
        on_began: Callable[[], None] | None = None,
    ) -> Request:
        """As `run`, for who waits for the request's `answer` himself. Raises Draining when the set is closed.

        `ahead`: it may stand behind others in a handler's replica that is `quick`.
        """
        if self._closed:
            raise self._draining()
        run = msgspec.structs.replace(run, batch=next(self._numbers))
        request = Request(run, alone, impatient=impatient, ahead=ahead, on_began=on_began)
        self._waiting.add(request)
        self._waiting.assign()
        return request

    def withdraw(self, request: Request) -> None:
        """Cancel the answer to a batch that still waits for a replica; what is inside one goes on."""
        if request in self._waiting:
            self._waiting.remove(request)
            request.answer.cancel()

    def close(self) -> None:
        """Turn away what waits for a replica and what comes from now on; what is inside goes on."""
        self._closed = True
        for request in self._waiting.leave():
            self._turn_away(request)

    async def drain(self, timeout_s: float) -> None:
        """Close, answer what is inside, stop every replica; kill what is left after `timeout_s`."""
        end = self._clock.monotonic() + timeout_s
        self.close()
        await self._within(timeout_s, self.until(ReplicaSet._idle))
        self._stop()
        for seat in self._seats:
            if seat.replica is not None:
                seat.replica.stop()
        await self._within(end - self._clock.monotonic(), self._ended())
        await self.kill()

    async def kill(self) -> None:
        """End every replica now; batches that are inside or waiting get Draining. Harmless when repeated."""
        self._stop()
        self.close()
        for seat in self._seats:
            if seat.replica is not None:
                for request in seat.replica.inside:
                    self._turn_away(request)
                seat.replica.kill()
        await asyncio.gather(*self._keepers)

    def _stop(self) -> None:
        """Start no replica any more; those that wait for their next try end now."""
        self._stopping.set()
        self._change()

    def _idle(self) -> bool:
        return not any(seat.replica.inside for seat in self._seats if seat.replica)

    async def _ended(self) -> None:
        # Not gather: a limit that cuts this short must not cancel the keepers.
        for keeper in self._keepers:
            await asyncio.wait([keeper])

    async def _answer_unless(self, request: Request, unless: asyncio.Future[None]) -> Ran | Lost:
        """The answer to a request, which is turned away if it still waits when `unless` is done."""

        def give_up(_: asyncio.Future[None]) -> None:
            if request in self._waiting:
                self._waiting.remove(request)
                self._turn_away(request)

        unless.add_done_callback(give_up)
        try:
            return await request.answer
        finally:
            unless.remove_done_callback(give_up)

    def _turn_away(self, request: Request) -> None:
        if not request.answer.done():
            request.answer.set_exception(self._draining())

    def _draining(self) -> Draining:
        return Draining(f"the replicas of {self.spec.function} are shutting down")

    async def _within(self, seconds: float, work: Awaitable[object]) -> None:
        """Wait for `work`, but not longer than that many seconds of our clock."""
        task = asyncio.ensure_future(work)
        limit = asyncio.ensure_future(self._clock.sleep(max(0.0, seconds)))
        await asyncio.wait({task, limit}, return_when=asyncio.FIRST_COMPLETED)
        limit.cancel()
        if not task.done():
            task.cancel()

    def _change(self) -> None:
        self._waiting.assign()
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()

    async def _keep(self, seat: Seat) -> None:
        """Keep one replica alive until the set is stopped."""
        while not self._stopping.is_set():
            self._move(seat, "loading")
            try:
                seat.replica = replica = self._spawn(seat)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                self._missed(seat, Failure("LoadError", f"cannot start a replica: {error}"), "failed")
            else:
                await replica.gone.wait()
            if not self._stopping.is_set():
                await self._back_off(seat)
        self._move(seat, "stopped")
        self._change()

    def _spawn(self, seat: Seat) -> Replica:
        return Replica(
            self.spec,
            self._environment,
            self._clock,
            self._load_timeout_s,
            self._on_line,
            lambda: self._seat_changed(seat),
            self._child,
        )

    def _seat_changed(self, seat: Seat) -> None:
        replica = seat.replica
        assert replica is not None
        if replica.state == "stopped":
            self._bury(seat, replica)
        elif replica.loaded is not None and seat.state == "loading":
            self._move(seat, "ready")
            seat.failure = self._told = None
            self.version = replica.loaded.version
        elif not self._closed:
            # A batch has ended: that is waited for only to drain, and those who wait for states need not look.
            self._waiting.assign()
            return
        self._change()

    def _bury(self, seat: Seat, replica: Replica) -> None:
        seat.replica = None
        self._move(seat, "stopped")
        if self._closed:
            for request in replica.unbegun:
                self._turn_away(request)
        self._waiting.put_back(replica.unbegun)
        if replica.served:
            seat.misses = 0
        failure = replica.failure
        if self._stopping.is_set() or failure is None:
            return
        self._missed(seat, failure, "backoff" if replica.loaded else "failed")

    def _missed(self, seat: Seat, failure: Failure, state: State) -> None:
        seat.failure = failure
        self._move(seat, state)
        seat.misses += 1
        seat.restarts += 1
        if self._telemetry is not None:
            self._telemetry.replica_restarted(self.spec.function, failure.type)
        if state == "backoff":
            self._tell("died and is started again", failure)
        elif failure != self._told:  # once, not for every replica and every further try
            self._tell("did not load", failure)
            self._told = failure
        self._change()

    def _tell(self, what: str, failure: Failure) -> None:
        lines = [f"{self.spec.function} {what}: {failure.type}: {failure.message}"]
        lines += [f"what to do: {known}"] if (known := hint(failure)) else []
        # The traceback's last line is what has just been said.
        lines += failure.traceback.removesuffix(f"{failure.type}: {failure.message}").splitlines()
        self._on_line(Line("ERROR", "\n".join(lines), "", (), self._clock.now()))

    def _move(self, seat: Seat, state: State) -> None:
        if self._telemetry is not None:
            self._telemetry.replica_moved(self.spec.function, seat.state, state)
        seat.state = state

    async def _back_off(self, seat: Seat) -> None:
        delay_s = backoff_s(seat.misses, loaded=seat.state == "backoff")
        if delay_s:
            await self._within(spread(delay_s), self._stopping.wait())
        if seat.state == "failed":
            await self.until(lambda found: found._may_try(seat))

    def _may_try(self, seat: Seat) -> bool:
        """While nothing loads, one replica at a time tries for all: a slow import that fails is not run by each."""
        trying = next(other for other in self._seats if other.state in ("loading", "failed"))
        return trying is seat or self.ready > 0 or self._stopping.is_set()
