"""The flow. Read this first.

    take leases → sift them → gather a batch → run it in a replica → decide each message's outcome → commit

One pipeline moves the messages of one queue through one function. Several batches are under way at once: while one
is in predict, the next is preprocessed in the same replica, a third is being taken, and the one before is committed.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from millrace.broker import Broker, Queue, handle_of
from millrace.clock import Clock
from millrace.errors import Draining
from millrace.flow.batcher import Batcher
from millrace.flow.bisect import Part, results
from millrace.flow.commit import Committer, Lines
from millrace.flow.failures import failure_lines
from millrace.flow.insist import insist
from millrace.flow.leases import Hold, LeaseKeeper
from millrace.flow.mapping import Mapping
from millrace.flow.outcomes import Decider, Result
from millrace.flow.places import MOST_AHEAD, Place, Places
from millrace.flow.replicas import Lost, ReplicaSet
from millrace.flow.timing import Timing
from millrace.telemetry import SpanName, Step, Telemetry
from millrace.types import Batch, Commit, Lease, Outcome
from millrace.wire import Line, Ran, Run

_log = logging.getLogger(__name__)
_IDLE_S = 60.0  # a broker whose signal got lost is asked again after this
_SOON_S = 0.02  # what is expected to be through by then is taken at once, though it is several small batches
_MOST_SOON = 16  # messages


class Pipeline:
    """Moves one queue's messages through one function until drained."""

    def __init__(
        self,
        function: str,
        queue: Queue,
        *,
        broker: Broker,
        replicas: ReplicaSet,
        batcher: Batcher,
        timing: Timing,
        decider: Decider,
        committer: Committer,
        clock: Clock,
        telemetry: Telemetry,
        on_line: Callable[[Line], None],
        mapping: Mapping = Mapping(),  # noqa: B008 - frozen
    ) -> None:
        self.function = function
        self.queue = queue
        self._mapping = mapping
        self._broker = broker
        self._replicas = replicas
        self._batcher = batcher
        self._timing = timing
        self._decider = decider
        self._committer = committer
        self._clock = clock
        self._telemetry = telemetry
        self._on_line = on_line
        self._handles = replicas.spec.kind != "model"  # a model has no use for receipt handles
        # Never where messages of a group must follow each other, nor where a crash would bury what had not begun.
        self._looks_ahead = not queue.fifo and queue.max_receives != 1 and mapping.concurrency is None
        self._keeper = LeaseKeeper(broker, batcher, queue.lease_s, clock)
        # Beside the batches inside replicas, one is being taken and one is being committed; small ones go on without.
        places = replicas.slots + 2
        self._places = Places(min(places, mapping.concurrency or places), 0 if mapping.concurrency else MOST_AHEAD)
        self._draining: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Move messages until `drain` is called; return once every batch under way is committed."""
        keeping = asyncio.create_task(self._keeper.run())
        try:
            while (found := await self.next_batch()) is not None:
                batch, place = found
                task = asyncio.create_task(self.process(batch, place))
                self._under_way.add(task)
                task.add_done_callback(partial(self._finished, place))
            # Upstream first: nothing is taken any more, now give back what was not begun, then let the rest finish.
            await self.commit([Outcome(lease, "release") for lease in self._batcher.drain()])
            if self._under_way:
                await asyncio.wait(self._under_way)
        finally:
            keeping.cancel()

    def drain(self) -> None:
        """Stop taking; what is held but not begun is given back at once, what runs is finished."""
        if not self._draining.done():
            self._draining.set_result(None)
            self._places.close()

    def abandon(self) -> None:
        """Let go of the batches under way: their leases run out and they are delivered again."""
        for task in self._under_way:
            task.cancel()

    async def next_batch(self) -> tuple[Batch, Place] | None:
        """Gather a batch as soon as there is a place for it: until then its messages are better off in the queue."""
        place = await self._places.take()
        batch = await self.gather()
        return None if batch is None else (batch, place)

    async def gather(self) -> Batch | None:
        """Take leases until they are a batch; None when draining."""
        self._telemetry.step(Step.BEFORE_GATHER)
        while not self._draining.done():
            now = self._clock.monotonic()
            if reason := self._batcher.due(now):
                return await self._released(now, reason)
            if leases := await self.sift(await self.take()):
                self._batcher.add(leases, self._clock.monotonic(), self._waited_s(leases[0]))
            else:
                await self._signal(self._batcher.until_next(self._clock.monotonic()))
        return None

    async def take(self) -> list[Lease]:
        """Lease what still fits into the batch that is being gathered, or is soon through."""
        self._telemetry.step(Step.BEFORE_TAKE)
        count = max(self._batcher.room, self._soon() - len(self._batcher))
        take = partial(self._broker.take, self.queue.name, count, max_bytes=self._batcher.room_bytes)
        leases = await insist(take, f"take from {self.queue.name}", self._clock, until=self._draining) or []
        self._telemetry.step(Step.AFTER_TAKE)
        self._telemetry.taken(self.function, len(leases))
        return leases

    async def sift(self, leases: list[Lease]) -> list[Lease]:
        """The leases that are to be run: what the filter keeps out is deleted, what is too old is given up."""
        kept, filtered, outcomes = self._mapping.sift(leases, self._decider)
        self._telemetry.filtered(self.function, len(filtered))
        if not filtered and not outcomes:
            return kept
        with self._keeper.holding(kept) as hold:
            await self.commit([*(Outcome(lease, "done") for lease in filtered), *outcomes])
        return hold.leases

    async def process(self, batch: Batch, place: Place) -> None:
        """Run, decide and commit one batch, in parts as blame is settled, its leases renewed meanwhile."""
        lines = Lines(self._decider.line_of)
        started_at = self._clock.now()
        left: Sequence[Lease] = batch.leases
        with self._keeper.holding(batch.leases) as hold, self._span(SpanName.BATCH, batch):
            try:
                async for leases, answers in self._results(batch, hold, lines):
                    outcomes = self.decide(batch, leases, answers, started_at, lines)
                    left = _less(left, leases)
                    if not left:
                        place.ran(len(batch.leases), sum([len(lease.message.body) for lease in batch.leases]))
                    await self.commit(outcomes, lines)
                    self._tell(batch, leases, answers, outcomes)
            except Draining:
                await self.commit([Outcome(lease, "release") for lease in left])

    async def attempt(self, batch: Batch, hold: Hold, leases: Sequence[Lease], *, alone: bool) -> Ran | Lost:
        """Run these leases of a batch in a replica once."""
        self._telemetry.step(Step.BEFORE_RUN)
        hold.needed_until = math.inf
        with self._span(SpanName.RUN, batch):
            frame = _frame(batch, leases, handles=self._handles, partial=self._mapping.partial)
            answer = await self._replicas.run(
                frame,
                alone=alone,
                impatient=self._mapping.impatient,
                on_began=partial(self._began, hold),
                unless=self._draining,
            )
        self._telemetry.step(Step.AFTER_RUN)
        if isinstance(answer, Ran) and answer.failure is None:
            self._timing.learn(len(leases), answer.predict_s)
            self._telemetry.predicted(self.function, len(leases), answer.predict_s)
        return answer

    def decide(
        self, batch: Batch, leases: Sequence[Lease], answers: Sequence[Result], started_at: float, lines: Lines
    ) -> list[Outcome]:
        """What becomes of each message of a part of a batch, with all that must be durable with it."""
        self._telemetry.step(Step.BEFORE_DECIDE)
        outcomes = self._decider.decide(
            leases,
            answers,
            version=self._replicas.version,
            started_at=started_at,
            held=lines.held,
            request_id=batch.request_id,
        )
        self._telemetry.step(Step.AFTER_DECIDE)
        return outcomes

    async def commit(self, outcomes: Sequence[Outcome], lines: Lines | None = None) -> None:
        """Make outcomes durable, trying again for as long as it takes: the work is done and must not be lost."""
        if not outcomes:
            return
        commit = Commit(self.queue.name, outcomes)
        self._telemetry.step(Step.BEFORE_COMMIT)
        began = self._clock.monotonic()
        write = partial(self._committer.commit, commit, self._decider.refused, lines)
        lost = await insist(write, f"commit to {self.queue.name}", self._clock)
        self._telemetry.step(Step.AFTER_COMMIT)
        self._telemetry.committed(self.function, commit, len(lost or ()), self._clock.monotonic() - began)

    def _began(self, hold: Hold) -> None:
        """From now on the handler may change how long its messages stay hidden: no renewal shall overrule it."""
        if self._decider.at_lease_end:
            hold.needed_until = self._clock.monotonic() + self._replicas.spec.timeout_s

    def _tell(
        self, batch: Batch, leases: Sequence[Lease], answers: Sequence[Result], outcomes: Sequence[Outcome]
    ) -> None:
        for line in failure_lines(leases, answers, outcomes, request_id=batch.request_id, at=self._clock.now()):
            self._on_line(line)

    async def _results(self, batch: Batch, hold: Hold, lines: Lines) -> AsyncIterator[Part]:
        attempt, waits = partial(self.attempt, batch, hold), lines.holds
        for leases in self._apart(batch.leases):
            async for part in results(leases, attempt, bisect=self._mapping.bisect, waits=waits):
                yield part

    def _apart(self, leases: Sequence[Lease]) -> list[Sequence[Lease]]:
        """Messages that failed before are run apart: one that kills replicas shall not take the same company twice.

        A FIFO queue keeps its order instead, and where nobody looks for culprits there are no suspects.
        """
        if not self._mapping.bisect:
            return [leases]
        suspects = [lease for lease in leases if lease.first_failed_at]
        if not suspects or len(suspects) == len(leases) or self.queue.fifo:
            return [leases]
        return [[lease for lease in leases if not lease.first_failed_at], suspects]

    def _soon(self) -> int:
        """How many messages are expected to be through in a moment; 0 where none may be taken before its batch."""
        if not self._looks_ahead or not self._timing.expected_s(1):
            return 0
        return self._timing.fitting(_SOON_S, _MOST_SOON)

    async def _released(self, now: float, reason: str) -> Batch:
        batch = self._mapping.batch(self._batcher.release(now), reason)
        if self.queue.fifo and len(self._batcher):  # fewer fit than were taken: what follows must not run beside them
            left = self._batcher.without({lease.message.group for lease in batch.leases})
            with self._keeper.holding(batch.leases):
                await self.commit([Outcome(lease, "release") for lease in left])
        self._telemetry.batch_released(self.function, reason, len(batch.leases))
        self._telemetry.step(Step.AFTER_GATHER)
        return batch

    def _waited_s(self, lease: Lease) -> float:
        """How long a message has been waiting in its queue; a wall clock that jumped counts as no wait."""
        return max(0.0, self._clock.now() - lease.message.sent_at)

    def _span(self, name: SpanName, batch: Batch) -> AbstractContextManager[object]:
        return self._telemetry.span(name, {"function": self.function, "request_id": batch.request_id})

    async def _signal(self, timeout_s: float | None) -> None:
        """Return when there may be something to take, when the gathered batch is due, or when draining."""
        waiting = asyncio.ensure_future(self._broker.wait(self.queue.name, _IDLE_S if timeout_s is None else timeout_s))
        await asyncio.wait({waiting, self._draining}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    def _finished(self, place: Place, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        place.ended()
        if not task.cancelled() and (error := task.exception()):
            _log.error(
                "a batch of %s ended in an error of ours; its leases will run out", self.function, exc_info=error
            )


def _less(leases: Sequence[Lease], settled: Sequence[Lease]) -> Sequence[Lease]:
    if len(settled) == len(leases):
        return ()
    gone = {lease.receipt for lease in settled}
    return [lease for lease in leases if lease.receipt not in gone]


def _frame(batch: Batch, leases: Sequence[Lease], *, handles: bool, partial: bool) -> Run:
    return Run(
        batch=0,  # the replica set numbers it
        request_id=batch.request_id,
        queue=leases[0].queue,
        messages=[lease.message for lease in leases],
        attempts=[lease.attempt for lease in leases],
        receipts=[handle_of(lease.receipt) for lease in leases] if handles else [],
        first_taken=[lease.first_taken_at for lease in leases] if handles else [],
        sequences=[lease.sequence for lease in leases] if handles else [],
        partial=partial,
    )
