"""Taking from one queue: how many deliveries are asked for, what lies ready here, and what goes back.

The broker may send as many messages as takers have asked for and hold, and a little more where they come back quickly:
a function that is slow shall not hold messages that another process could run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from millrace.broker import DEAD_SUFFIX, Queue
from millrace.brokers.rabbitmq.caller import Caller
from millrace.brokers.rabbitmq.consumer import Arrived, Consumer
from millrace.brokers.rabbitmq.faults import NOT_FOUND, Closed, Lost, advice
from millrace.brokers.rabbitmq.pace import Pace
from millrace.brokers.rabbitmq.returns import Returns
from millrace.brokers.rabbitmq.shelf import RECALL_S, Item, Shelf
from millrace.brokers.rabbitmq.window import Window
from millrace.clock import Alarm, Clock
from millrace.errors import BrokerError
from millrace.signals import Signals
from millrace.types import Lease

_MOMENT_S, _MOMENTS = 0.005, 40
_GIVE_BACK_S = 5.0
_SENT_AT_ONCE = 32  # acknowledgements, by RabbitMQ to a quorum queue
_LOST = "%d leases of %s are lost, their messages are delivered again: %s%s"
T = TypeVar("T")
_log = logging.getLogger(__name__)
Make = Callable[[str, Callable[[Arrived], None]], Consumer]
Revive = Callable[[str], Awaitable[None]]
Recall = Callable[["Tap", list[Item]], Awaitable[None]]


class Tap:
    """One queue's deliveries, for the takers of this process; used in the broker's loop."""

    def __init__(
        self,
        settings: Queue,
        make: Make,
        caller: Caller,
        revive: Revive,
        recall: Recall,
        clock: Clock,
        signals: Signals,
        epoch: int,
    ) -> None:
        self.shelf = Shelf(settings, clock, epoch)
        self.stale = False  # something was put that may not have arrived
        self._freed = False  # the broker was told that there is room again
        self._consumer = make(settings.name, self._arrived)
        self._returns = Returns(self._consumer)
        self._caller = caller
        self._revive = revive
        self._recall = recall
        self._clock = clock
        self._signals = signals
        self._asked = 1
        self._asked_at = clock.monotonic()
        self._listeners = 0
        self._lock = asyncio.Lock()
        self._alarm: Alarm | None = None
        self._alarm_at = 0.0
        self._pace = Pace(clock.monotonic())
        self._closing = False
        self._closed = False

    @property
    def name(self) -> str:
        """The queue's."""
        return self.shelf.settings.name

    @property
    def _window(self) -> Window:
        return self._returns.window

    async def supply(self, count: int) -> None:
        """See to it that up to so many messages are ready here, if the queue has them. Raises BrokerError."""
        self.sweep()
        if self.shelf.ready >= count:
            return
        async with self._lock:
            self._asked = max(1, count)
            self._asked_at = self._clock.monotonic()
            missing = count - self.shelf.ready
            wanted = self.shelf.held + count + self._pace.ahead(count)
            if missing > 0 and (self._window.free < missing or self._window.size < wanted // 2):
                await self._widen(wanted)
                await self._catch_up(count)
            elif missing > 0 and (self.stale or (self._freed and not self.shelf.ready)):
                await self._catch_up(count)

    async def listen(self) -> None:
        """See to it that the broker sends what comes. Raises BrokerError."""
        if not self._window.size and not self._closing:
            async with self._lock:
                if not self._window.size:
                    await self._widen(self.shelf.held + self._asked)

    async def fetch(self, count: int) -> int:
        """Bring further messages here, whoever wants them; say how many came. Raises BrokerError."""
        return await self._run(partial(self._consumer.fetch, count), f"look into {self.name}")

    async def reopen(self) -> None:
        """The queue is another one: what was delivered from the old one went with it. Raises BrokerError."""
        await self._caller.call(self._consumer.close, f"take from {self.name} again")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Somebody waits for messages: they are to be sent for that long."""
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1
            self._asked_at = self._clock.monotonic()
            self.set_alarm()

    def taken(self, leases: Sequence[Lease]) -> None:
        """These were given to a taker: what the rate is learnt from."""
        self.set_alarm()
        self._pace.learn(leases, self._clock.monotonic())

    def done(self, items: list[Item]) -> None:
        """These may be deleted."""
        tags = [item.tag for item in items]
        self.shelf.remove(tags)
        self._freed = True
        self._returns.done(tags)

    def wake(self) -> None:
        """Something may be taken."""
        self._signals.wake([self.name])

    async def idle(self) -> None:
        """Give back what nobody takes here, and have no more sent until somebody asks. Raises BrokerError, Closed."""
        async with self._lock:
            await self._stop()
            items = self.shelf.pop_all()
            self._requeue([item for item in items if self._is_counted(item)])
            unseen = [item for item in items if not self._is_counted(item)]
            if unseen:
                await self._recall(self, unseen)
            if items:
                _log.info("%d messages of %s went back to the broker: nobody takes them here", len(items), self.name)
        self.wake()

    async def close(self, *, dropped: bool = False) -> None:
        """Tell what is done, give back what nobody has begun, let the rest of the leases run out."""
        self._closing = True
        self._returns.tell_all()
        if not dropped:
            with suppress(BrokerError, Closed, TimeoutError):
                async with asyncio.timeout(_GIVE_BACK_S):
                    await self._give_back()
        self._returns.tell_all()
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        self.shelf.clear(-1)
        await self._run(self._consumer.close, f"let go of {self.name}")
        self.wake()

    async def _give_back(self) -> None:
        """Give back what the queue has sent here, and have it hear of all acknowledgements: those of copies, too."""
        for _ in range(2):
            if self._window.size or self.shelf.ready or self._returns.unheard > _SENT_AT_ONCE:
                await self.idle()
                self._returns.tell_all()

    async def _stop(self) -> None:
        """Have no more sent; what was on its way is here then."""
        self._window.shut()
        self._returns.tell_all()
        acked, self._returns.unheard = self._returns.unheard > 0, 0
        await self._caller.call(partial(self._consumer.stop, acked=acked), f"stop taking from {self.name}")

    def _is_counted(self, item: Item) -> bool:
        """Whether the broker, which counts a delivery when it gets one back, is right: it was given once."""
        return item.given == 1 or self.name.endswith(DEAD_SUFFIX)

    def _requeue(self, items: list[Item]) -> None:
        tags = [item.tag for item in items]
        self.shelf.remove(tags)
        self._returns.requeue(tags)

    def sweep(self) -> None:
        """Leases that are over make their messages ready; what lies here for too long goes back."""
        over, too_long = self.shelf.sweep()
        if over:
            self.wake()
        if self._is_forgotten() and not self._lock.locked():
            task = asyncio.ensure_future(self._shut())
            task.add_done_callback(_seen)
        if too_long and not self._lock.locked() and not self._closing:
            task = asyncio.ensure_future(self.idle())
            task.add_done_callback(_seen)
        self.set_alarm()

    def set_alarm(self) -> None:
        """Sweep when the next lease runs out."""
        at = self.shelf.next_at
        if self._window.size and not self._listeners:
            at = min(at, self._asked_at + RECALL_S)
        if at == float("inf") or (self._alarm is not None and self._alarm_at <= at):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._clock.alarm(max(0.001, at - self._clock.monotonic()), self._ring)

    def _is_forgotten(self) -> bool:
        """Whether messages are sent though nobody has asked for any lately: others may need them more."""
        asked = self._listeners or self._clock.monotonic() < self._asked_at + RECALL_S
        return bool(self._window.size) and not asked and not self._closing

    async def _shut(self) -> None:
        async with self._lock:
            if self._is_forgotten():
                await self._stop()

    async def _widen(self, wanted: int) -> None:
        if by := self._pace.wider(self._window.size, wanted):
            await self._run(partial(self._consumer.widen, by), f"take from {self.name}")

    async def _catch_up(self, count: int) -> None:
        """Wait for what the queue has for us: it sends it a moment after it was told that there is room."""
        self.stale = self._freed = False
        for _ in range(_MOMENTS):
            waiting = await self._run(self._consumer.catch_up, f"take from {self.name}")
            if self.shelf.ready >= count or not waiting or self._window.free <= 0:
                return
            await asyncio.sleep(_MOMENT_S)
        if not self.shelf.ready:  # the queue was deleted and made again, and RabbitMQ did not say so
            await self._run(partial(self._consumer.restart, self._window.size), f"take from {self.name}")

    async def _run(self, doing: Callable[[], Coroutine[Any, Any, T]], what: str) -> T:
        """A call of the consumer; a queue that was deleted is made again first."""
        try:
            return await self._caller.call(doing, what)
        except Closed as error:
            if error.code != NOT_FOUND:
                raise BrokerError(f"could not {what}: {error}", "see the broker's log") from error
            await self._revive(self.name)
            return await self._caller.call(doing, what)

    def _ring(self) -> None:
        self._alarm = None
        self.sweep()

    def _arrived(self, arrived: Arrived) -> None:
        if self._closed or arrived.generation < self.shelf.generation:
            return
        if arrived.generation > self.shelf.generation:
            self._begin(arrived.generation)
        if arrived.lost is not None:
            self._lost(arrived.generation, arrived.lost)
            return
        if arrived.window and arrived.afresh:
            self._window.open(arrived.window)
        elif arrived.window:
            self._window.grow(arrived.window)
        if arrived.deliveries:
            self._window.came([each.tag for each in arrived.deliveries], fetched=arrived.fetched)
            self.shelf.add(arrived.deliveries, RECALL_S if arrived.fetched else self.shelf.settings.lease_s)
            self.set_alarm()
            self.wake()

    def _begin(self, generation: int) -> None:
        self.shelf.clear(generation)
        self._returns.begin(generation)

    def _lost(self, generation: int, error: Lost) -> None:
        """The leases are lost with the channel; the broker gives their messages to the next who takes."""
        held = self.shelf.held
        self._begin(generation + 1)
        level = logging.WARNING if isinstance(error, Closed) or held else logging.INFO
        _log.log(level, _LOST, held, self.name, error, advice(error))
        self.wake()


def _seen(task: asyncio.Future[None]) -> None:
    """A fault here is told when it is met again; what was to go back does so with the connection."""
    if not task.cancelled() and (error := task.exception()):
        _log.info("%s", error)
