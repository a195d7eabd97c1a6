"""Calls without a queue: somebody waits for each and nothing of it is kept, so it goes straight to the replicas.

    in line → in a replica → its record, for whoever waits

A queue in memory, with its leases, batches and commits, would give the same for several times the work. What has to
outlive its caller, or may be asked for by a second one (a call with a key), goes through a queue.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from opentelemetry.trace import Span

from millrace.clock import Clock
from millrace.errors import Draining
from millrace.flow.failures import failure_lines
from millrace.flow.mapping import Mapping
from millrace.flow.outcomes import Decider, Result
from millrace.flow.replicas import ReplicaSet
from millrace.flow.request import Lost, Request
from millrace.telemetry import SpanName, Telemetry
from millrace.types import Batch, Lease, Message, Record
from millrace.wire import Line, Ran, Run

_AHEAD = 2  # calls in the replicas' line beyond those inside, so that one is there as soon as a replica is free
_QUICK_AHEAD = 8  # where each takes but a moment: those of a turn of the loop go to the replica, and come, together


class Call:
    """A message on its way to its record: `answer` gets that, or raises Draining when the process ends before."""

    __slots__ = ("_withdraw", "answer", "batch", "request", "started_at")

    def __init__(self, batch: Batch, withdraw: Callable[[Call], None]) -> None:
        self.batch = batch
        self.answer: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self.request: Request | None = None  # None: it has not got as far as the replicas
        self.started_at = 0.0  # Unix seconds
        self._withdraw = withdraw

    def withdraw(self) -> None:
        """Nobody waits any more: if it has not begun, it need not. What runs is finished."""
        self._withdraw(self)

    def finish(self, record: Record) -> None:
        """Answer whoever waits, if anybody does."""
        if not self.answer.done():
            self.answer.set_result(record)

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits that there will be no record."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Dispatcher:
    """Hands calls of one function to its replicas, first come first served, until drained.

    Each message is an invocation of its own. So that queues which feed the same replicas have their turn, no more calls
    stand in the replicas' line than a queue's batches would; the others wait here.
    """

    def __init__(
        self,
        function: str,
        queue: str,
        *,
        replicas: ReplicaSet,
        decider: Decider,
        mapping: Mapping,
        clock: Clock,
        telemetry: Telemetry,
        on_line: Callable[[Line], None],
    ) -> None:
        """`queue` is what records name as theirs."""
        self._function = function
        self._queue = queue
        self._replicas = replicas
        self._decider = decider
        self._mapping = mapping
        self._clock = clock
        self._telemetry = telemetry
        self._on_line = on_line
        self._begun = 0
        self._line: OrderedDict[Call, None] = OrderedDict()
        self._draining = False
        self._over = asyncio.Event()

    def call(self, message: Message) -> Call:
        """Begin a call, or let it wait for its turn."""
        lease = Lease(self._queue, message, None, 1, math.inf)
        call = Call(self._mapping.batch([lease], "full"), self._withdraw)
        if self._draining:
            call.fail(_ending(self._function))
        elif self._has_place:
            self._begin(call)
        else:
            self._line[call] = None
        return call

    async def run(self) -> None:
        """Return when it was drained and every call that had its turn is answered."""
        await self._over.wait()

    def drain(self) -> None:
        """Turn away what waits for its turn, and what comes from now on; what has had it is finished."""
        self._draining = True
        while self._line:
            self._line.popitem(last=False)[0].fail(_ending(self._function))
        self._proceed()

    def abandon(self) -> None:
        """The replicas are about to be killed, and answer what is inside."""
        self.drain()

    def _begin(self, call: Call) -> None:
        (lease,) = call.batch.leases
        call.started_at = self._clock.now()
        run = Run(0, call.batch.request_id, self._queue, [lease.message], [lease.attempt], [])
        try:
            call.request = self._replicas.ask(run, impatient=self._mapping.impatient, ahead=True)
        except Draining as error:
            call.fail(error)
            return
        self._begun += 1
        spans = self._telemetry.opened(SpanName, {"function": self._function, "request_id": run.request_id})
        call.request.answer.add_done_callback(partial(self._answered, call, spans))

    def _answered(self, call: Call, spans: Sequence[Span], answer: asyncio.Future[Ran | Lost]) -> None:
        self._begun -= 1
        for span in reversed(spans):
            span.end()
        try:
            if answer.cancelled():  # withdrawn
                return
            if error := answer.exception():
                call.fail(error)
            else:
                self._finish(call, answer.result())
        finally:
            self._proceed()

    def _finish(self, call: Call, answer: Ran | Lost) -> None:
        leases, results, id = call.batch.leases, [_result(answer)], call.batch.request_id
        version, started_at = self._replicas.version, call.started_at
        outcomes = self._decider.decide(
            leases, results, version=version, started_at=started_at, held=set(), request_id=id
        )
        record = outcomes[0].record
        assert record is not None  # a call is done, whether or not it failed
        call.finish(record)
        self._telemetry.called(self._function, record, answer.predict_s if isinstance(answer, Ran) else None)
        if record.failure is not None:
            for line in failure_lines(leases, results, outcomes, request_id=id, at=self._clock.now()):
                self._on_line(line)

    def _withdraw(self, call: Call) -> None:
        if call.request is None:
            self._line.pop(call, None)
        else:
            self._replicas.withdraw(call.request)

    def _proceed(self) -> None:
        while self._line and self._has_place:
            self._begin(self._line.popitem(last=False)[0])
        if self._draining and not self._begun:
            self._over.set()

    @property
    def _has_place(self) -> bool:
        return self._begun < self._replicas.slots + (_QUICK_AHEAD if self._replicas.quick else _AHEAD)


def _result(answer: Ran | Lost) -> Result:
    """What became of the only message: no other can be to blame."""
    if isinstance(answer, Lost):
        return answer.failure
    found = answer.failure or answer.failures.get(0) or answer.values[0]
    assert found is not None
    return found


def _ending(function: str) -> Draining:
    return Draining(f"calls of {function} are turned away: this process is shutting down")
