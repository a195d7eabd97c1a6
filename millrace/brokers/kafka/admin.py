"""What is asked of the cluster itself: topics, their ends, and how far a group has come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from millrace.brokers.kafka.client import Health, Settings, told
from millrace.brokers.kafka.progress import Progress
from millrace.errors import BrokerError

T = TypeVar("T")
Place = tuple[str, int]
"""A topic and a partition."""

_PATIENCE_S = 10.0
_PAUSE_S = 0.1
_EXISTS = KafkaError.TOPIC_ALREADY_EXISTS
_GONE = KafkaError.UNKNOWN_TOPIC_OR_PART
_KEPT = {KafkaError.TOPIC_DELETION_DISABLED, KafkaError.TOPIC_AUTHORIZATION_FAILED}
_RETENTION = {"retention.ms": "-1", "retention.bytes": "-1"}  # a message that waits long is no reason to lose it


class Admin:
    """Calls that raise BrokerError; `partitions` and `replicas` are of topics that are made now."""

    def __init__(self, settings: Settings, health: Health, *, partitions: int, replicas: int) -> None:
        self._client = AdminClient(settings)  # type: ignore[arg-type]  # its stub forgets the callbacks
        self._health = health
        self._partitions = partitions
        self._replicas = replicas

    async def metadata(self, topic: str | None = None) -> Any:
        """What the cluster is made of; asking for a topic makes it where the cluster makes topics by itself."""
        try:
            found = await asyncio.to_thread(self._client.list_topics, topic, _PATIENCE_S)
        except KafkaException as error:
            self._client.poll(0)  # the client tells what went wrong only to who asks
            if self._health.denied is not None:
                raise told(self._health.denied, "let us in") from error
            if error.args[0].code() == KafkaError._TRANSPORT:
                raise self._health.unreachable() from error
            raise told(error, "answer") from error
        self._health.well()
        return found

    async def create(self, topics: Sequence[str], *, compact: bool = False) -> None:
        """Make topics exist, and wait until they are known."""
        there = await self.metadata()
        missing = [topic for topic in topics if topic not in there.topics]
        if missing and there.controller_id in there.brokers:
            config = {"cleanup.policy": "compact"} if compact else _RETENTION
            count = 1 if compact else self._partitions
            new = [NewTopic(topic, count, self._replicas, config=config) for topic in missing]
            await self._each(self._client.create_topics(new).values(), "make a topic", {_EXISTS})
        for topic in missing:
            await self._known(topic)

    async def delete(self, topics: Sequence[str]) -> bool:
        """Delete topics; whether they are gone: a cluster may keep them, by its settings or without a controller."""
        there = await self.metadata()
        if there.controller_id not in there.brokers:
            return False
        refused = await self._each(self._client.delete_topics([*topics]).values(), "delete a topic", {_GONE, *_KEPT})
        return not refused & _KEPT

    async def ends(self, topics: Sequence[str], *, first: bool = False) -> dict[Place, int]:
        """The offset that comes next in each partition, or with `first` the oldest that is there."""
        spec: OffsetSpec = (OffsetSpec.earliest if first else OffsetSpec.latest)()  # type: ignore[no-untyped-call]
        there = await self.metadata()
        asked = {
            TopicPartition(topic, partition): spec
            for topic in topics
            for partition in (there.topics[topic].partitions if topic in there.topics else ())
        }
        if not asked:
            return {}
        try:
            found = await asyncio.gather(*map(asyncio.wrap_future, self._client.list_offsets(asked).values()))
        except KafkaException as error:
            raise told(error, "say where a topic ends") from error
        return {(each.topic, each.partition): info.offset for each, info in zip(asked, found, strict=True)}

    async def progress(self, group: str, topics: Sequence[str], floors: dict[Place, int]) -> dict[Place, Progress]:
        """How far a group has come in each partition."""
        low = await self.ends(topics, first=True)
        if not low:
            return {}
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in low])
        try:
            (answer,) = self._client.list_consumer_group_offsets([wanted]).values()
            found = (await asyncio.wrap_future(answer)).topic_partitions
        except KafkaException as error:
            raise told(error, "say how far a group has come") from error
        return {
            place: progress_of(committed.offset, committed.metadata, max(low[place], floors.get(place, 0)))
            for committed in found
            if (place := (committed.topic, committed.partition))
        }

    async def _known(self, topic: str) -> None:
        for _ in range(int(_PATIENCE_S / _PAUSE_S)):
            found = (await self.metadata(topic)).topics.get(topic)
            if found is not None and found.error is None and found.partitions:
                return
            await asyncio.sleep(_PAUSE_S)
        raise BrokerError(f"topic {topic} was made and is not there", "look at the cluster's controller")

    async def _each(self, answers: Iterable[Future[T]], doing: str, welcome: set[int]) -> set[int]:
        """Wait for all; the codes of those errors that are none."""
        seen: set[int] = set()
        for result in await asyncio.gather(*map(asyncio.wrap_future, answers), return_exceptions=True):
            if isinstance(result, KafkaException) and result.args[0].code() in welcome:
                seen.add(result.args[0].code())
            elif isinstance(result, KafkaException):
                raise told(result, doing) from result
        return seen


def progress_of(offset: int, metadata: str | None, floor: int) -> Progress:
    """A partition's progress by its commit, a negative offset being none, but not below its floor."""
    return Progress(floor) if offset < floor else Progress(offset, metadata or "")
