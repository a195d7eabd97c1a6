"""This process's place in a queue's consumer group: a consumer in a thread of its own, and commits in a second.

librdkafka's clients may be called from several threads; its callbacks come in the one that consumes. All that is known
of messages lives in the event loop (`shelf`), to which the thread hands what came.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from millrace.brokers.kafka.admin import Admin, Place, progress_of
from millrace.brokers.kafka.client import Health, Settings, told
from millrace.brokers.kafka.letters import envelope_in
from millrace.brokers.kafka.progress import Progress
from millrace.brokers.kafka.registry import Known
from millrace.brokers.kafka.shelf import Part, Shelf
from millrace.clock import Clock
from millrace.errors import BrokerError

_log = logging.getLogger(__name__)
_SOME = 500
_FEW = 64  # of so many ready ones the oldest is old enough
_TICK_S = 0.2
_POLL_S = 0.01
_CALL_S = 10.0
_JOIN_S = 10.0
_COMMIT_S = 20.0
_PAUSE_S = 0.05


class Member:
    """Joins when it is started; `shelf` holds what came."""

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
        self._loop = asyncio.get_running_loop()
        self._consumer = Consumer(
            settings
            | {
                "group.id": group,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "group.protocol": "consumer",  # KIP-848: the broker moves single partitions, the rest go on
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 16_384,
            }
        )
        self._closing = threading.Event()
        self._joined = asyncio.Event()
        self._changed = asyncio.Event()
        self._paused: set[Part] = set()
        self._dirty: set[Part] = set()
        self._committing: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._orders: SimpleQueue[tuple[Callable[[], None], Future[None]]] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="kafka-consumer", daemon=True)
        self._thread.start()

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
        while not self._ready() and not self._closing.is_set():
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
        self._dirty.add(part)
        self._resume()
        if self._committing is None:
            self._committing = self._loop.create_task(self._commit_all())

    async def commit(self) -> None:
        """Return when what was marked is committed. Raises BrokerError."""
        if self._committing is not None:
            answer: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(answer)
            await answer

    async def close(self) -> None:
        """Commit, and leave the group."""
        self._closing.set()
        self.wake()
        await asyncio.to_thread(self._thread.join)
        if self._committing is not None:
            await self._committing

    def _ready(self) -> int:
        return self.shelf.count_ready(self._clock.monotonic())

    def _lacks(self, ends: dict[Place, int]) -> bool:
        return any(
            progress.next < ends.get((self.topic(part), part[1]), 0) and part not in self._paused
            for part, progress in self.shelf.parts.items()
        )

    async def _commit_all(self) -> None:
        """One commit at a time; whoever asks meanwhile is part of the next."""
        while self._dirty or self._waiting:
            waiting, self._waiting = self._waiting, []
            fault = await self._commit_some()
            for each in waiting:
                if each.done():
                    continue
                if fault is None:
                    each.set_result(None)
                else:
                    each.set_exception(fault)
        self._committing = None

    async def _commit_some(self) -> BrokerError | None:
        """Commit what is marked, again until it is taken or the partitions are no longer ours."""
        until = self._clock.monotonic() + _COMMIT_S
        parts, self._dirty = self._dirty, set()
        while offsets := [self._offset(part) for part in parts if part in self.shelf.parts]:
            try:
                await asyncio.wrap_future(self._order(lambda: self._send(offsets)))
            except (KafkaException, RuntimeError) as error:  # RuntimeError: closed meanwhile
                if self._clock.monotonic() > until:
                    self._dirty |= parts
                    await asyncio.sleep(_PAUSE_S)
                    return told(error, "commit") if isinstance(error, KafkaException) else None
                await asyncio.sleep(_PAUSE_S)
                continue
            self._health.well()
            break
        self._resume()
        return None

    def _offset(self, part: Part) -> TopicPartition:
        progress = self.shelf.parts[part]
        return TopicPartition(self.topic(part), part[1], progress.base, progress.text())

    def _send(self, offsets: list[TopicPartition]) -> None:
        for each in self._consumer.commit(offsets=offsets, asynchronous=False) or ():
            if each.error is not None:
                raise KafkaException(each.error)

    def _resume(self) -> None:
        free = [part for part in self._paused if part in self.shelf.parts and not self.shelf.is_full(part)]
        if free:
            self._paused.difference_update(free)
            places = [TopicPartition(self.topic(part), part[1]) for part in free]
            self._order(lambda: self._consumer.resume(places))

    def _order(self, doing: Callable[[], None]) -> Future[None]:
        """Let the thread that consumes do something: while it does, a call from another can wait for ever."""
        answer: Future[None] = Future()
        self._orders.put((doing, answer))
        return answer

    # From here on: the thread that consumes.

    def _obey(self) -> None:
        while not self._orders.empty():
            doing, answer = self._orders.get()
            try:
                doing()
            except Exception as error:
                answer.set_exception(error)
            else:
                answer.set_result(None)

    def _serve(self) -> None:
        self._consumer.subscribe([*self._topics], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        while not self._closing.is_set():
            try:
                self._obey()
                found = self._consumer.consume(_SOME, _POLL_S)
            except KafkaException as error:
                _log.warning("queue %s: %s", self.known.name, told(error, "give messages").problem)
                continue
            if found:
                self._loop.call_soon_threadsafe(self._take, found)
        self._consumer.close()
        self._obey()

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        parts: dict[Part, Progress] = {}
        starts = []
        for each in self._committed(consumer, places):
            floor = max(self._low(consumer, each), self.known.floors.get((each.topic, each.partition), 0))
            progress = progress_of(each.offset, each.metadata, floor)
            parts[(self._topics.index(each.topic), each.partition)] = progress
            starts.append(TopicPartition(each.topic, each.partition, progress.base))
        consumer.incremental_assign(starts)
        self._loop.call_soon_threadsafe(self._begin, parts)

    def _committed(self, consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
        while places and not self._closing.is_set():
            try:
                return consumer.committed(places, timeout=_CALL_S)
            except KafkaException as error:
                _log.warning("queue %s: %s", self.known.name, told(error, "say what was settled").problem)
                self._closing.wait(_PAUSE_S)
        return []

    def _low(self, consumer: Consumer, place: TopicPartition) -> int:
        if place.offset >= 0:
            return 0
        while not self._closing.is_set():
            try:
                return (consumer.get_watermark_offsets(place, timeout=_CALL_S) or (0, 0))[0]
            except KafkaException as error:
                _log.warning("queue %s: %s", self.known.name, told(error, "say where a topic begins").problem)
        return 0

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Commit once more before somebody else goes on; leases that run are lost."""
        parts = [(self._topics.index(each.topic), each.partition) for each in places]
        try:
            last = asyncio.run_coroutine_threadsafe(self._end(parts), self._loop).result(_CALL_S)
            if last:
                consumer.commit(offsets=last, asynchronous=False)
        except (KafkaException, TimeoutError, RuntimeError) as error:
            _log.warning("queue %s: what was settled last may come again: %s", self.known.name, error)
        consumer.incremental_unassign(places)

    def _lost(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        parts = [(self._topics.index(each.topic), each.partition) for each in places]
        self._loop.call_soon_threadsafe(self._forget, parts)
        consumer.incremental_unassign(places)

    # From here on: the event loop again.

    def _begin(self, parts: dict[Part, Progress]) -> None:
        self.shelf.parts.update(parts)
        self._joined.set()
        self.wake()

    async def _end(self, parts: Sequence[Part]) -> list[TopicPartition]:
        last = [self._offset(part) for part in parts if part in self.shelf.parts]
        self._forget(parts)
        return last

    def _forget(self, parts: Sequence[Part]) -> None:
        for part in parts:
            self.shelf.drop(part)
            self._paused.discard(part)
        self.wake()

    def _take(self, found: list[KafkaMessage]) -> None:
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

    def _pause(self) -> None:
        full = [part for part in self.shelf.parts if part not in self._paused and self.shelf.is_full(part)]
        if full:
            self._paused.update(full)
            places = [TopicPartition(self.topic(part), part[1]) for part in full]
            self._order(lambda: self._consumer.pause(places))


async def _within(doing: object, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await doing  # type: ignore[misc]
    except TimeoutError:
        return
