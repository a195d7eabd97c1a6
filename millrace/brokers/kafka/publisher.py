"""Puts records and returns when all in-sync replicas have them; librdkafka batches, and calls back from a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from millrace.brokers.kafka.client import Health, Settings, told
from millrace.brokers.kafka.letters import Record
from millrace.errors import BrokerError

PATIENCE_S = 10.0
MOST_BYTES = 1_048_576  # of a record; a broker's message.max.bytes is a little more
_TICK_S = 0.1
_BY_KEY = -1  # RD_KAFKA_PARTITION_UA
_FULL_S = 0.01


class Publisher:
    """One idempotent producer: a retry of its own stores nothing twice and changes no order."""

    def __init__(self, settings: Settings, health: Health) -> None:
        self._health = health
        self._producer = Producer(
            settings
            | {
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 1,
                "message.max.bytes": MOST_BYTES,
                "message.timeout.ms": int(PATIENCE_S * 1000),
                "queue.buffering.max.kbytes": 65_536,
            }
        )
        self._turn = 0
        self._counts: dict[str, int] = {}  # partitions of topics
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="kafka-producer", daemon=True)
        self._thread.start()

    async def put(self, records: Sequence[Record]) -> None:
        """Store records. Raises BrokerError where one was not; the others of the same put are stored then."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()
        left = len(records)
        fault: KafkaError | None = None

        def delivered(error: KafkaError | None, _: KafkaMessage) -> None:
            nonlocal left, fault
            left -= 1
            fault = fault or error
            if not left:
                loop.call_soon_threadsafe(_finish, answer, fault)

        self._turn += 1
        for record in records:
            await self._produce(record, delivered, await self._partition(record))
        if records:
            await answer
            self._health.well()

    async def close(self) -> None:
        """Let go, once what is on its way has arrived."""
        await asyncio.to_thread(self._producer.flush, PATIENCE_S)
        self._closing.set()
        await asyncio.to_thread(self._thread.join)

    async def _partition(self, record: Record) -> int:
        """By its group; what has none goes where the rest of its put goes, so that it stays in its order."""
        if record.key is not None:
            return _BY_KEY
        if record.topic not in self._counts:
            found = await asyncio.to_thread(self._producer.list_topics, record.topic, PATIENCE_S)
            self._counts[record.topic] = len(found.topics[record.topic].partitions)
        return self._turn % max(1, self._counts[record.topic])

    async def _produce(
        self, record: Record, delivered: Callable[[KafkaError | None, KafkaMessage], None], partition: int
    ) -> None:
        while True:
            try:
                return self._producer.produce(
                    record.topic,
                    record.envelope.message.body,
                    record.key,
                    partition,
                    headers=record.headers,
                    on_delivery=delivered,
                )
            except BufferError:  # 64 MB are on their way
                await asyncio.sleep(_FULL_S)
            except KafkaException as error:
                raise told(error, "store a message") from error

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_TICK_S)


def _finish(answer: asyncio.Future[None], fault: KafkaError | None) -> None:
    if answer.done():
        return
    if fault is None:
        answer.set_result(None)
    else:
        error: BrokerError = told(fault, "store a message")
        answer.set_exception(error)
