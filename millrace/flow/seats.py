"""The seats of a replica set: on each a replica is started, watched, and followed by another when it dies."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from millrace.clock import Clock
from millrace.flow.hints import hint
from millrace.flow.replica import Replica
from millrace.flow.seat import ReplicaStatus, Seat, State, backoff_s
from millrace.flow.waiting import WaitingLine
from millrace.pauses import spread
from millrace.types import Failure
from millrace.wire import Line

if TYPE_CHECKING:  # metrics and traces, which `invoke` has none of, take a tenth of its start
    from millrace.telemetry import Telemetry

Start = Callable[
    [Callable[[], None]], Replica
]  # is given what to call when the replica changes; raises as `spawn` does


class Seats:
    """Keeps a replica on every seat; those in `line` are told of each that is free."""

    def __init__(
        self,
        function: str,
        seats: Sequence[Seat],
        line: WaitingLine,
        start: Start,
        clock: Clock,
        on_line: Callable[[Line], None],
        telemetry: Telemetry | None,
    ) -> None:
        self.version = ""
        self._function = function
        self._seats = seats
        self._line = line
        self._start = start
        self._clock = clock
        self._on_line = on_line
        self._telemetry = telemetry
        self._pulse = asyncio.Event()
        self._stopping = asyncio.Event()
        self._told: Failure | None = None  # the load failure that the log has
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def ready(self) -> int:
        """How many replicas are loaded and alive."""
        return sum(seat.state == "ready" for seat in self._seats)

    def status(self) -> list[ReplicaStatus]:
        """Each replica as it is now."""
        return [seat.status() for seat in self._seats]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as it holds: it is asked again whenever a replica's state changes.

        Once the line is closed it is asked when a replica's load changes, too.
        """
        while not holds():
            await self._pulse.wait()

    def start(self) -> None:
        """Spawn all."""
        for seat in self._seats:
            self._move(seat, "loading")
        self._keepers = [asyncio.create_task(self._keep(seat)) for seat in self._seats]

    async def idle(self, timeout_s: float) -> None:
        """Return when nothing is inside any replica, or the time is over."""
        await self._within(timeout_s, self.until(lambda: not any(replica.inside for replica in self._replicas)))

    async def stop(self, timeout_s: float) -> None:
        """Let every replica finish what is inside; start none any more. Return when all are gone, or time is over."""
        self._last()
        for replica in self._replicas:
            replica.stop()
        await self._within(timeout_s, self._gone())

    async def kill(self) -> None:
        """End every replica now; what is inside is refused. Harmless when repeated."""
        self._last()
        for replica in self._replicas:
            for request in replica.inside:
                request.refuse(self._line.refusal())
            replica.kill()
        await asyncio.gather(*self._keepers)

    @property
    def _replicas(self) -> list[Replica]:
        return [seat.replica for seat in self._seats if seat.replica is not None]

    def _last(self) -> None:
        """Start no replica any more; those that wait for their next try end now."""
        self._stopping.set()
        self._change()

    async def _gone(self) -> None:
        # Not gather: a limit that cuts this short must not cancel the keepers.
        for keeper in self._keepers:
            await asyncio.wait([keeper])

    async def _within(self, seconds: float, work: Awaitable[object]) -> None:
        """Wait for `work`, but not longer than that many seconds of our clock."""
        task = asyncio.ensure_future(work)
        limit = asyncio.ensure_future(self._clock.sleep(max(0.0, seconds)))
        await asyncio.wait({task, limit}, return_when=asyncio.FIRST_COMPLETED)
        limit.cancel()
        if not task.done():
            task.cancel()

    def _change(self) -> None:
        self._line.assign()
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()

    async def _keep(self, seat: Seat) -> None:
        """Keep one replica alive until the seats are stopped."""
        while not self._stopping.is_set():
            self._move(seat, "loading")
            try:
                seat.replica = replica = self._start(lambda: self._seat_changed(seat))
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                self._missed(seat, Failure("LoadError", f"cannot start a replica: {error}"), "failed")
            else:
                await replica.gone.wait()
            if not self._stopping.is_set():
                await self._back_off(seat)
        self._move(seat, "stopped")
        self._change()

    def _seat_changed(self, seat: Seat) -> None:
        replica = seat.replica
        assert replica is not None
        if replica.state == "stopped":
            self._bury(seat, replica)
        elif replica.loaded is not None and seat.state == "loading":
            self._move(seat, "ready")
            seat.failure = self._told = None
            self.version = replica.loaded.version
        elif not self._line.closed:
            # A batch has ended: that is waited for only to drain, and those who wait for states need not look.
            self._line.assign()
            return
        self._change()

    def _bury(self, seat: Seat, replica: Replica) -> None:
        seat.replica = None
        self._move(seat, "stopped")
        self._line.put_back(replica.unbegun)
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
            self._telemetry.replica_restarted(self._function, failure.type)
        if state == "backoff":
            self._tell("died and is started again", failure)
        elif failure != self._told:  # once, not for every replica and every further try
            self._tell("did not load", failure)
            self._told = failure
        self._change()

    def _tell(self, what: str, failure: Failure) -> None:
        lines = [f"{self._function} {what}: {failure.type}: {failure.message}"]
        lines += [f"what to do: {known}"] if (known := hint(failure)) else []
        # The traceback's last line is what has just been said.
        lines += failure.traceback.removesuffix(f"{failure.type}: {failure.message}").splitlines()
        self._on_line(Line("ERROR", "\n".join(lines), "", (), self._clock.now()))

    def _move(self, seat: Seat, state: State) -> None:
        if self._telemetry is not None:
            self._telemetry.replica_moved(self._function, seat.state, state)
        seat.state = state

    async def _back_off(self, seat: Seat) -> None:
        delay_s = backoff_s(seat.misses, loaded=seat.state == "backoff")
        if delay_s:
            await self._within(spread(delay_s), self._stopping.wait())
        if seat.state == "failed":
            await self.until(lambda: self._may_try(seat))

    def _may_try(self, seat: Seat) -> bool:
        """While nothing loads, one replica at a time tries for all: a slow import that fails is not run by each."""
        trying = next(other for other in self._seats if other.state in ("loading", "failed"))
        return trying is seat or self.ready > 0 or self._stopping.is_set()
