"""Which queues there are, and their settings: a compacted topic that every process follows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from millrace.broker import DEAD_SUFFIX, Queue, dead_letters
from millrace.brokers.kafka.admin import Admin, Place
from millrace.brokers.kafka.client import Health, Settings, told
from millrace.brokers.kafka.names import Names
from millrace.brokers.kafka.publisher import PATIENCE_S
from millrace.brokers.names import check_dead_to, check_drop, unknown_queue
from millrace.errors import BrokerError

_log = logging.getLogger(__name__)
_SOME = 500
_TICK_S = 0.05


class Entry(msgspec.Struct, frozen=True):
    """What the registry says of a name: no settings once it was dropped; `floors` where its topics then ended.

    Floors are only there where the cluster would not delete the topics: whatever lies below them is not there.
    """

    settings: Queue | None = None
    floors: list[tuple[str, int, int]] = []

    @property
    def by_place(self) -> dict[Place, int]:
        """The floor of each topic and partition."""
        return {(topic, partition): offset for topic, partition, offset in self.floors}


class Known(msgspec.Struct, frozen=True):
    """A queue as this process knows it; another object when it was dropped and declared anew."""

    name: str
    settings: Queue
    floors: dict[Place, int]
    born: int

    @property
    def is_dead(self) -> bool:
        """Whether it holds another's dead letters."""
        return self.name.endswith(DEAD_SUFFIX)


class Registry:
    """Reads and writes the topic."""

    def __init__(self, settings: Settings, health: Health, admin: Admin, names: Names) -> None:
        self._names = names
        self._admin = admin
        self._health = health
        self._settings = settings
        self._entries: dict[str, Entry] = {}
        self._known: dict[str, Known] = {}
        self._read = 0  # the offset that is to be read next
        self._consumer: Consumer | None = None

    async def open(self) -> None:
        """Make the topic where there is none, and read it."""
        await self._admin.create([self._names.registry], compact=True)
        settings = {"group.id": self._names.registry, "enable.auto.commit": False, "fetch.wait.max.ms": 100}
        self._consumer = Consumer(
            self._settings | settings | {"auto.offset.reset": "earliest", "enable.partition.eof": True}
        )
        self._consumer.assign([TopicPartition(self._names.registry, 0, 0)])
        await self.sync()

    async def close(self) -> None:
        """Read no more."""
        if self._consumer is not None:
            await asyncio.to_thread(self._consumer.close)
            self._consumer = None

    async def sync(self) -> None:
        """Read all that is written by now. Raises BrokerError when it does not come."""
        end = (await self._admin.ends([self._names.registry])).get((self._names.registry, 0), 0)
        for _ in range(int(PATIENCE_S / _TICK_S)):
            self._drain()
            if self._read >= end:
                return
            await asyncio.sleep(_TICK_S)
        raise BrokerError(f"topic {self._names.registry} cannot be read", "check that its leader is up, and the ACLs")

    async def named(self, name: str) -> Known:
        """A queue by its name. Raises UnknownQueue."""
        self._drain()
        if name not in self._known:
            await self.sync()
        if name not in self._known:
            raise unknown_queue(name, self._known)
        return self._known[name]

    async def queues(self) -> list[str]:
        """All names, those of dead letters too."""
        await self.sync()
        return sorted(self._known)

    async def declare(self, queues: Sequence[Queue]) -> None:
        """Make queues exist with these settings. Raises BrokerError, UnknownQueue."""
        await self.sync()
        for queue in queues:
            self._names.check(queue.name)
            if queue.fifo:
                raise BrokerError(
                    f"queue {queue.name}: no FIFO on Kafka", "groups share a partition, in no strict order"
                )
            check_dead_to(queue, {*self._known, *(each.name for each in queues)})
        topics = [topic for queue in queues for name in _both(queue.name) for topic in self._names.topics(name)]
        await self._admin.create(list(dict.fromkeys(topics)))
        changed: dict[str, Entry | None] = {
            queue.name: Entry(queue, self._entries[queue.name].floors if queue.name in self._entries else [])
            for queue in queues
            if queue.name not in self._entries or self._entries[queue.name].settings != queue
        }
        await self._write(changed)

    async def drop(self, queues: Sequence[str]) -> None:
        """Forget queues and delete their topics. Raises UnknownQueue and BrokerError before anything is done."""
        await self.sync()
        for name in queues:
            check_drop(name, self._known)
        gone: dict[str, Entry | None] = {}
        for name in dict.fromkeys(queues):
            topics = [topic for each in _both(name) for topic in self._names.topics(each)]
            ends = await self._admin.ends(topics)
            kept = not await self._admin.delete(topics)
            floors = [(topic, partition, offset) for (topic, partition), offset in ends.items()]
            gone[name] = Entry(None, floors) if kept else None
        await self._write(gone)

    async def _write(self, entries: dict[str, Entry | None]) -> None:
        if not entries:
            return
        await asyncio.to_thread(self._send, entries)
        await self.sync()

    def _send(self, entries: dict[str, Entry | None]) -> None:
        faults: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: KafkaMessage) -> None:
            if error is not None:
                faults.append(error)

        producer = Producer(self._settings | {"acks": "all", "message.timeout.ms": int(PATIENCE_S * 1000)})
        for name, entry in entries.items():
            value = None if entry is None else msgspec.json.encode(entry)
            producer.produce(self._names.registry, value, name.encode(), partition=0, on_delivery=delivered)
        producer.flush()
        if faults:
            raise told(faults[0], "keep a queue's settings")

    def _drain(self) -> None:
        if self._consumer is None:
            return
        try:
            while found := self._consumer.consume(_SOME, 0):
                for each in found:
                    self._take(each)
        except KafkaException as error:
            raise told(error, "say which queues there are") from error

    def _take(self, found: KafkaMessage) -> None:
        error = found.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._read = max(self._read, found.offset() or 0)
            return
        self._read = (found.offset() or 0) + 1
        key, value = found.key(), found.value()
        if not isinstance(key, bytes):
            return
        try:
            entry = msgspec.json.decode(value, type=Entry) if value else Entry()
        except msgspec.MsgspecError as wrong:
            _log.warning("topic %s holds what is no queue's settings: %s", self._names.registry, wrong)
            return
        self._enter(key.decode(errors="replace"), entry)

    def _enter(self, name: str, entry: Entry) -> None:
        before = self._known.get(name)
        self._entries[name] = entry
        for each in _both(name):
            if entry.settings is None:
                self._known.pop(each, None)
                continue
            settings = (
                entry.settings if each == name else Queue(each, lease_s=entry.settings.lease_s, max_receives=None)
            )
            self._known[each] = Known(each, settings, entry.by_place, self._read if before is None else before.born)


def _both(name: str) -> tuple[str, str]:
    return name, dead_letters(name)
