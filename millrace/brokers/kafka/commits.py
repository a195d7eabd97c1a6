"""Commits of one process's progress: one request at a time, and whoever asks meanwhile is part of the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from confluent_kafka import KafkaException, TopicPartition

from millrace.brokers.kafka.client import Health, told
from millrace.brokers.kafka.reader import Reader
from millrace.brokers.kafka.shelf import Part
from millrace.clock import Clock
from millrace.errors import BrokerError

_LONGEST_S = 20.0
_PAUSE_S = 0.05


class Commits:
    """`offset` is how far a part is, None where it is no longer ours; `on_done` is called after each commit."""

    def __init__(
        self,
        reader: Reader,
        offset: Callable[[Part], TopicPartition | None],
        on_done: Callable[[], None],
        health: Health,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._offset = offset
        self._on_done = on_done
        self._health = health
        self._clock = clock
        self._dirty: set[Part] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._running: asyncio.Task[None] | None = None

    def mark(self, part: Part) -> None:
        """Commit a part's progress soon."""
        self._dirty.add(part)
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def done(self) -> None:
        """Return when what was marked is committed. Raises BrokerError."""
        if self._running is not None:
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(answer)
            await answer

    async def ended(self) -> None:
        """Return when nothing is under way."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._dirty or self._waiting:
            waiting, self._waiting = self._waiting, []
            fault = await self._some()
            for each in waiting:
                if each.done():
                    continue
                if fault is None:
                    each.set_result(None)
                else:
                    each.set_exception(fault)
        self._running = None

    async def _some(self) -> BrokerError | None:
        """Commit what is marked, again until it is taken or the partitions are no longer ours."""
        until = self._clock.monotonic() + _LONGEST_S
        parts, self._dirty = self._dirty, set()
        while offsets := [offset for part in parts if (offset := self._offset(part)) is not None]:
            try:
                await asyncio.wrap_future(self._reader.commit(offsets))
            except (KafkaException, RuntimeError) as error:  # RuntimeError: closed meanwhile
                await asyncio.sleep(_PAUSE_S)
                if self._clock.monotonic() > until:
                    self._dirty |= parts
                    return told(error, "commit") if isinstance(error, KafkaException) else None
                continue
            self._health.well()
            break
        self._on_done()
        return None
