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

from opentelemetry.trace import Span

from millrace.clock import Clock
from millrace.errors import Draining
from millrace.flow.failures import failure_lines
from millrace.flow.mapping import Mapping
from millrace.flow.outcomes import Decider, Result
from millrace.flow.replicas import ReplicaSet
from millrace.flow.request import Lost, Request
from millrace.telemetry import SpanName, Telemetry
from millrace.types import Lease, Message, Outcome, Record
from millrace.wire import Line, Ran, Run

_AHEAD = 2  # calls in the replicas' line beyond those inside, so that one is there as soon as a replica is free
_QUICK_AHEAD = 8  # where each takes but a moment: those of a turn of the loop go to the replica, and come, together


class Call:
    """A message on its way to its record: `answer` gets that, or raises Draining when the process ends before.

    What became of it in a replica it is told as a future would be (`Answer`), at once: a future between them would
    be a turn of the event loop more.
    """

    __slots__ = ("_dispatcher", "_over", "answer", "lease", "request", "request_id", "spans", "started_at")

    def __init__(self, dispatcher: Dispatcher, lease: Lease, request_id: str) -> None:
        self.lease = lease
        self.request_id = request_id
        self.answer: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self.request: Request | None = None  # None: it has not got as far as the replicas
        self.started_at = 0.0  # Unix seconds
        self.spans: Sequence[Span] = ()
        self._dispatcher = dispatcher
        self._over = False

    def withdraw(self) -> None:
        """Nobody waits any more: if it has not begun, it need not. What runs is finished."""
        self._dispatcher.withdraw(self)

    def finish(self, record: Record) -> None:
        """Answer whoever waits, if anybody does."""
        if not self.answer.done():
            self.answer.set_result(record)

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits that there will be no record."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def done(self) -> bool:
        """Whether it has had its turn."""
        return self._over

    def set_result(self, result: Ran | Lost, /) -> None:
        """It ran, or was lost."""
        self._end()
        self._dispatcher.finish(self, result)

    def set_exception(self, exception: BaseException, /) -> None:
        """The replicas turned it away."""
        self._end()
        self.fail(exception)

    def cancel(self) -> None:
        """It was withdrawn."""
        self._end()

    def _end(self) -> None:
        self._over = True
        for span in reversed(self.spans):
            span.end()
        self._dispatcher.next()


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
        call = Call(self, lease, self._mapping.request_id([lease]))
        if self._draining:
            call.fail(_ending(self._function))
        elif self._has_place:
            self._begin(call)
        else:
            self._line[call] = None
        return call

    def withdraw(self, call: Call) -> None:
        """Out of the line with it, here or at the replicas; what runs is finished."""
        if call.request is None:
            self._line.pop(call, None)
        else:
            self._replicas.withdraw(call.request)

    def next(self) -> None:
        """One has had its turn, and the next have theirs as soon as those are through who tell of it."""
        self._begun -= 1
        if self._line or self._draining:
            asyncio.get_running_loop().call_soon(self._proceed)

    def finish(self, call: Call, answer: Ran | Lost) -> None:
        """Answer whoever waits for a call, count it, and put down why it failed."""
        lease, result, started_at = call.lease, _result(answer), call.started_at
        record = self._decider.record(lease, result, version=self._replicas.version, started_at=started_at)
        call.finish(record)
        self._telemetry.called(self._function, record, answer.predict_s if isinstance(answer, Ran) else None)
        if record.failure is not None:
            outcome, at = Outcome(lease, "done", record), self._clock.now()
            for line in failure_lines([lease], [result], [outcome], request_id=call.request_id, at=at):
                self._on_line(line)

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
        call.started_at = self._clock.now()
        call.spans = self._telemetry.opened(SpanName, {"function": self._function, "request_id": call.request_id})
        run = Run(0, call.request_id, self._queue, [call.lease.message], [call.lease.attempt], [])
        self._begun += 1
        try:
            call.request = self._replicas.ask(run, answer=call, impatient=self._mapping.impatient, ahead=True)
        except Draining as error:
            call.set_exception(error)

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
