"""Calls that come while another is under way share the next one: a ledger is asked once for many clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")
_MOST = 1000  # items of one call, where no single caller has more


class Shared(Generic[A, R]):
    """A function of many items, each with an answer of its own. A call that fails is made again for each caller alone.

    So nobody suffers for another's item; and the function may be called twice with the same ones.
    """

    def __init__(self, call: Callable[[Sequence[A]], Awaitable[Sequence[R]]]) -> None:
        self._call = call
        self._waiting: list[tuple[Sequence[A], asyncio.Future[Sequence[R]]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, items: Sequence[A]) -> Sequence[R]:
        """The answers to these items, in order."""
        future: asyncio.Future[Sequence[R]] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            group = self._next()
            try:
                answers = await self._call([item for items, _ in group for item in items])
            except asyncio.CancelledError:  # the loop ends
                for _, future in [*group, *self._waiting]:
                    future.cancel()
                raise
            except Exception as error:
                await self._apart(group, error)
                continue
            start = 0
            for items, future in group:
                _answer(future, answers[start : start + len(items)])
                start += len(items)

    def _next(self) -> list[tuple[Sequence[A], asyncio.Future[Sequence[R]]]]:
        """As many callers as fit into one call, at least one."""
        count, total = 0, 0
        for items, _ in self._waiting:
            total += len(items)
            if count and total > _MOST:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _apart(self, group: Sequence[tuple[Sequence[A], asyncio.Future[Sequence[R]]]], error: Exception) -> None:
        if len(group) == 1:
            _fail(group[0][1], error)
            return
        for items, future in group:
            try:
                answers = await self._call(items)
            except Exception as own:
                _fail(future, own)
            else:
                _answer(future, answers)


def _answer(future: asyncio.Future[R], answer: R) -> None:
    if not future.done():  # else its caller has gone
        future.set_result(answer)


def _fail(future: asyncio.Future[R], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
