"""This process's place in a queue's consumer group: what came and is not settled yet, and how far that is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka import Message as KafkaMessage

from millrace.brokers.kafka.admin import Admin, Place
from millrace.brokers.kafka.client import Health, Settings
from millrace.brokers.kafka.commits import Commits
from millrace.brokers.kafka.letters import envelope_in
from millrace.brokers.kafka.progress import Progress
from millrace.brokers.kafka.reader import Reader
from millrace.brokers.kafka.registry import Known
from millrace.brokers.kafka.shelf import Part, Shelf
from millrace.clock import Clock

_FEW = 64  # of so many ready ones the oldest is old enough
_TICK_S = 0.2
_CALL_S = 10.0
_JOIN_S = 10.0


class Member:
    """Joins when it is made; `shelf` holds what came."""

    def __init__(
        self,
        known: Known,
        topics: Sequence[str],
        group: str,
        settings: Settings,
        health: Health,
        admin: Admin,
        clock: Clock,
    ) -> None:
        self.known = known
        self.shelf = Shelf()
        self._topics = topics
        self._admin = admin
        self._clock = clock
        self._health = health
        self._joined = asyncio.Event()
        self._changed = asyncio.Event()
        self._paused: set[Part] = set()
        self._reader = Reader(topics, group, settings, self)
        self._commits = Commits(self._reader, self._offset, self._resume, health, clock)

    def topic(self, part: Part) -> str:
        """The name of a part's topic."""
        return self._topics[part[0]]

    async def arrived(self, wanted: int) -> None:
        """Return when as many can be taken, or all that the broker has is here."""
        if not self._joined.is_set():
            await _within(self._joined.wait(), _JOIN_S)
        if self._ready() >= max(wanted, _FEW):
            return
        ends = await self._admin.ends(self._topics)
        until = self._clock.monotonic() + _CALL_S
        while self._ready() < max(wanted, _FEW) and self._lacks(ends) and self._clock.monotonic() < until:
            self._changed.clear()
            await _within(self._changed.wait(), _TICK_S)

    async def wait(self, timeout_s: float) -> None:
        """Return when something can be taken, or after that many seconds."""
        until = self._clock.monotonic() + timeout_s
        while not self._ready() and not self._reader.is_closing:
            left = until - self._clock.monotonic()
            if left <= 0:
                return
            self._changed.clear()
            await _within(self._changed.wait(), min(left, self.shelf.next_s(self._clock.monotonic()), 60.0))

    def wake(self) -> None:
        """Something can be taken, or is to be looked at."""
        self._changed.set()

    def mark(self, part: Part) -> None:
        """Commit a part's progress soon."""
        self._resume()
        self._commits.mark(part)

    async def commit(self) -> None:
        """Return when what was marked is committed. Raises BrokerError."""
        await self._commits.done()

    async def close(self) -> None:
        """Commit, and leave the group."""
        self._reader.stop()
        self.wake()
        await self._reader.gone()
        await self._commits.ended()

    def begin(self, parts: dict[Part, Progress]) -> None:
        """These partitions are ours from now on."""
        self.shelf.parts.update(parts)
        self._joined.set()
        self.wake()

    async def end(self, parts: Sequence[Part]) -> list[TopicPartition]:
        """They are no longer ours; how far they are."""
        last = [offset for part in parts if (offset := self._offset(part)) is not None]
        self.forget(parts)
        return last

    def forget(self, parts: Sequence[Part]) -> None:
        """They are no longer ours."""
        for part in parts:
            self.shelf.drop(part)
            self._paused.discard(part)
        self.wake()

    def came(self, found: list[KafkaMessage]) -> None:
        """Put messages on the shelf; of a part that has too many, fetch no more."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        for each in found:
            error, topic = each.error(), each.topic()
            if topic is None:
                continue
            part = (self._topics.index(topic), each.partition() or 0)
            if error is None:
                envelope, due_at = envelope_in(each)
                hidden_until = monotonic + due_at - now if due_at > now else 0.0
                self.shelf.add((*part, each.offset() or 0), envelope, each.timestamp()[1], hidden_until)
            elif error.code() == KafkaError._PARTITION_EOF and part in self.shelf.parts:
                self.shelf.parts[part].reach(each.offset() or 0)
        self._health.well()
        self._pause()
        self.wake()

    def _ready(self) -> int:
        return self.shelf.count_ready(self._clock.monotonic())

    def _lacks(self, ends: dict[Place, int]) -> bool:
        return any(
            progress.next < ends.get((self.topic(part), part[1]), 0) and part not in self._paused
            for part, progress in self.shelf.parts.items()
        )

    def _offset(self, part: Part) -> TopicPartition | None:
        """How far a part is, None where it is no longer ours."""
        progress = self.shelf.parts.get(part)
        if progress is None:
            return None
        return TopicPartition(self.topic(part), part[1], progress.base, progress.text())

    def _pause(self) -> None:
        full = [part for part in self.shelf.parts if part not in self._paused and self.shelf.is_full(part)]
        if full:
            self._paused.update(full)
            self._reader.pause(self._places(full))

    def _resume(self) -> None:
        free = [part for part in self._paused if part in self.shelf.parts and not self.shelf.is_full(part)]
        if free:
            self._paused.difference_update(free)
            self._reader.resume(self._places(free))

    def _places(self, parts: Sequence[Part]) -> list[TopicPartition]:
        return [TopicPartition(self.topic(part), part[1]) for part in parts]


async def _within(doing: Awaitable[object], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await doing
    except TimeoutError:
        return
