"""Puts on their way to the server: those that wait for it at the same time share one script.

A gateway puts one message a request; a script for each would cost more than the messages. When a shared script is
refused, each of its puts is tried again alone, so that nobody suffers for another's message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from millrace.errors import MillraceError
from millrace.types import Accepted, Put

_SHARED_BYTES = 65_536  # a put with more in it goes alone
_SHARED_PUTS = 500
_AT_ONCE = 2  # scripts under way: while one is run, the next is being sent

Store = Callable[[Sequence[Put]], Awaitable[list[Accepted]]]
_Waiting = tuple[Sequence[Put], asyncio.Future[list[Accepted]]]


class Intake:
    """Gathers puts; `store` puts them, all or none. It raises Refusal and MillraceError, and so does `put`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        """Store these, with others that come at the same time."""
        if len(puts) > _SHARED_PUTS or sum(len(each.message.body) for each in puts) > _SHARED_BYTES:
            return await self._store(puts)
        answer: asyncio.Future[list[Accepted]] = asyncio.get_running_loop().create_future()
        self._waiting.append((puts, answer))
        self._begin()
        return await answer

    def _begin(self) -> None:
        if self._waiting and len(self._under_way) < _AT_ONCE:
            task = asyncio.create_task(self._run(self._next()))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._begin()

    def _next(self) -> list[_Waiting]:
        """The longest head of the line that one script may have."""
        count = size = taken = 0
        for puts, _ in self._waiting:
            count += len(puts)
            size += sum(len(each.message.body) for each in puts)
            if taken and (count > _SHARED_PUTS or size > _SHARED_BYTES):
                break
            taken += 1
        chosen, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return [each for each in chosen if not each[1].done()]

    async def _run(self, waiting: list[_Waiting]) -> None:
        try:
            accepted = await self._store([put for puts, _ in waiting for put in puts])
        except Exception as error:  # anything: whoever put waits for this answer alone
            if not isinstance(error, MillraceError) and len(waiting) > 1:
                for each in waiting:
                    await self._run([each])
                return
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
            return
        start = 0
        for puts, answer in waiting:
            if not answer.done():
                answer.set_result(accepted[start : start + len(puts)])
            start += len(puts)
