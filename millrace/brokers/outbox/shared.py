"""Calls that come while another is under way share the next one: a ledger is asked once for many clients."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

A = TypeVar("A")
R = TypeVar("R")
_Caller: TypeAlias = tuple[Sequence[A], asyncio.Future[Sequence[R]]]
_MOST = 1000  # items of one call, where no single caller has more and nothing else is said


class Shared(Generic[A, R]):
    """A function of many items, each with an answer of its own. A call that fails is made again for each caller alone.

    So nobody suffers for another's item; and the function may be called twice with the same ones. A failure that took
    `late_s` is everybody's: what is called is away, and they have waited for it already. Those who came meanwhile wait
    for a call to end. With `overlap_s` they wait for no longer than that, nor once they are `most`: a call that is full
    departs beside the others. Who is cancelled before a call departs is not in it.
    """

    def __init__(
        self,
        call: Callable[[Sequence[A]], Awaitable[Sequence[R]]],
        *,
        most: int = _MOST,
        overlap_s: float | None = None,
        late_s: float = math.inf,
    ) -> None:
        self._call = call
        self._most = most
        self._overlap_s = overlap_s
        self._late_s = late_s
        self._waiting: list[_Caller[A, R]] = []
        self._count = 0  # items of all who wait
        self._newest: asyncio.Task[None] | None = None  # the call that who comes now waits for
        self._under_way: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, items: Sequence[A]) -> Sequence[R]:
        """The answers to these items, in order."""
        future: asyncio.Future[Sequence[R]] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, future))
        self._count += len(items)
        if self._newest is None:
            self._depart(self._next_call())
        elif self._overlap_s is not None and self._count >= self._most:
            group = self._next()
            self._depart(self._together(group), group)
        return await future

    def _depart(self, call: Coroutine[Any, Any, None], group: Sequence[_Caller[A, R]] = ()) -> None:
        self._stop_timer()
        self._newest = asyncio.create_task(call)
        self._under_way.add(self._newest)
        self._newest.add_done_callback(partial(self._ended, group))
        if self._overlap_s is not None:
            self._timer = asyncio.get_running_loop().call_later(self._overlap_s, self._go_on)

    def _go_on(self) -> None:
        """Nobody waits for the newest call any more."""
        self._stop_timer()
        self._newest = None
        if self._waiting:
            self._depart(self._next_call())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ended(self, group: Sequence[_Caller[A, R]], call: asyncio.Task[None]) -> None:
        self._under_way.discard(call)
        if call.cancelled():  # the loop ends, perhaps before the call began
            for _, future in [*group, *self._waiting]:
                future.cancel()
            self._waiting.clear()
            self._count = 0
        if call is self._newest:
            self._go_on()

    async def _next_call(self) -> None:
        await self._together(self._next())  # now, not when it departed: all of one turn of the loop go together

    async def _together(self, group: Sequence[_Caller[A, R]]) -> None:
        if not group:
            return
        began_s = asyncio.get_running_loop().time()
        try:
            answers = await self._call([item for items, _ in group for item in items])
        except asyncio.CancelledError:
            for _, future in group:
                future.cancel()
            raise
        except Exception as error:
            if len(group) > 1 and asyncio.get_running_loop().time() - began_s < self._late_s:
                await asyncio.gather(*(self._together([caller]) for caller in group))
                return
            for _, future in group:
                _fail(future, error)
            return
        start = 0
        for items, future in group:
            _answer(future, answers[start : start + len(items)])
            start += len(items)

    def _next(self) -> list[_Caller[A, R]]:
        """As many callers as fit into one call; none where all have gone."""
        self._waiting = [(items, future) for items, future in self._waiting if not future.done()]
        count, total = 0, 0
        for items, _ in self._waiting:
            total += len(items)
            if count and total > self._most:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        self._count = sum(len(items) for items, _ in self._waiting)
        return group


def _answer(future: asyncio.Future[R], answer: R) -> None:
    if not future.done():  # else its caller has gone
        future.set_result(answer)


def _fail(future: asyncio.Future[R], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
