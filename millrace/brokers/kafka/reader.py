"""A consumer in a thread of its own: what it is told to do, and whom it tells of what came.

librdkafka's clients may be called from several threads; its callbacks come in the one that consumes. All that is known
of messages lives in the event loop, to which the thread hands what came.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from millrace.brokers.kafka.admin import progress_of
from millrace.brokers.kafka.client import Settings, told
from millrace.brokers.kafka.progress import Progress
from millrace.brokers.kafka.registry import Known
from millrace.brokers.kafka.shelf import Part

_log = logging.getLogger(__name__)
_SOME = 500
_POLL_S = 0.01
_CALL_S = 10.0
_PAUSE_S = 0.05
_CONSUMER: Settings = {
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",
    "group.protocol": "consumer",  # KIP-848: the broker moves single partitions, the rest go on
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 16_384,
}


class Hands(Protocol):
    """Who is told, in the event loop."""

    known: Known

    def begin(self, parts: dict[Part, Progress]) -> None:
        """These partitions are ours from now on."""

    async def end(self, parts: Sequence[Part]) -> list[TopicPartition]:
        """They are somebody else's once what is returned is committed."""

    def forget(self, parts: Sequence[Part]) -> None:
        """They are somebody else's already."""

    def came(self, found: list[KafkaMessage]) -> None:
        """Messages, and the ends of partitions."""


class Reader:
    """Joins the group when it is made."""

    def __init__(self, topics: Sequence[str], group: str, settings: Settings, hands: Hands) -> None:
        self._topics = topics
        self._hands = hands
        self._loop = asyncio.get_running_loop()
        self._consumer = Consumer(settings | _CONSUMER | {"group.id": group})
        self._closing = threading.Event()
        self._orders: SimpleQueue[tuple[Callable[[], None], Future[None]]] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="kafka-consumer", daemon=True)
        self._thread.start()

    @property
    def is_closing(self) -> bool:
        """Whether it is leaving the group, or has."""
        return self._closing.is_set()

    def commit(self, offsets: list[TopicPartition]) -> Future[None]:
        """Commit these; the answer fails with KafkaException, or RuntimeError once the group is left."""
        return self._order(lambda: self._send(offsets))

    def pause(self, places: list[TopicPartition]) -> None:
        """Fetch no more of these."""
        self._order(lambda: self._consumer.pause(places))

    def resume(self, places: list[TopicPartition]) -> None:
        """Fetch these again."""
        self._order(lambda: self._consumer.resume(places))

    def stop(self) -> None:
        """Begin to leave the group."""
        self._closing.set()

    async def gone(self) -> None:
        """Return when it is left."""
        await asyncio.to_thread(self._thread.join)

    def _order(self, doing: Callable[[], None]) -> Future[None]:
        """Let the thread that consumes do something: while it does, a call from another can wait for ever."""
        answer: Future[None] = Future()
        self._orders.put((doing, answer))
        return answer

    # From here on: the thread that consumes.

    def _serve(self) -> None:
        self._consumer.subscribe([*self._topics], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        while not self._closing.is_set():
            try:
                self._obey()
                found = self._consumer.consume(_SOME, _POLL_S)
            except KafkaException as error:
                self._complain(error, "give messages")
                continue
            if found:
                self._loop.call_soon_threadsafe(self._hands.came, found)
        self._consumer.close()
        self._obey()

    def _obey(self) -> None:
        while not self._orders.empty():
            doing, answer = self._orders.get()
            try:
                doing()
            except Exception as error:
                answer.set_exception(error)
            else:
                answer.set_result(None)

    def _send(self, offsets: list[TopicPartition]) -> None:
        for each in self._consumer.commit(offsets=offsets, asynchronous=False) or ():
            if each.error is not None:
                raise KafkaException(each.error)

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        parts: dict[Part, Progress] = {}
        starts = []
        for each in self._committed(consumer, places):
            floor = max(self._low(consumer, each), self._hands.known.floors.get((each.topic, each.partition), 0))
            progress = progress_of(each.offset, each.metadata, floor)
            parts[self._part(each)] = progress
            starts.append(TopicPartition(each.topic, each.partition, progress.base))
        consumer.incremental_assign(starts)
        self._loop.call_soon_threadsafe(self._hands.begin, parts)

    def _committed(self, consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
        while places and not self._closing.is_set():
            try:
                return consumer.committed(places, timeout=_CALL_S)
            except KafkaException as error:
                self._complain(error, "say what was settled")
                self._closing.wait(_PAUSE_S)
        return []

    def _low(self, consumer: Consumer, place: TopicPartition) -> int:
        if place.offset >= 0:
            return 0
        while not self._closing.is_set():
            try:
                return (consumer.get_watermark_offsets(place, timeout=_CALL_S) or (0, 0))[0]
            except KafkaException as error:
                self._complain(error, "say where a topic begins")
        return 0

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Commit once more before somebody else goes on; leases that run are lost."""
        try:
            ending = self._hands.end([self._part(each) for each in places])
            last = asyncio.run_coroutine_threadsafe(ending, self._loop).result(_CALL_S)
            if last:
                consumer.commit(offsets=last, asynchronous=False)
        except (KafkaException, TimeoutError, RuntimeError) as error:
            _log.warning("queue %s: what was settled last may come again: %s", self._hands.known.name, error)
        consumer.incremental_unassign(places)

    def _lost(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self._loop.call_soon_threadsafe(self._hands.forget, [self._part(each) for each in places])
        consumer.incremental_unassign(places)

    def _part(self, place: TopicPartition) -> Part:
        return self._topics.index(place.topic), place.partition

    def _complain(self, error: KafkaException, doing: str) -> None:
        _log.warning("queue %s: %s", self._hands.known.name, told(error, doing).problem)
