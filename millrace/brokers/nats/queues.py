"""The queues in the server: each a work-queue stream with one durable consumer; its settings are in its description."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from millrace.broker import Queue, dead_letters
from millrace.brokers.names import check_dead_to, check_name, unknown_queue
from millrace.brokers.nats.api import IN_USE, Api, ApiError, is_absent
from millrace.brokers.nats.names import CONSUMER, stream_of, subject_of
from millrace.brokers.nats.notes import Notes
from millrace.brokers.nats.queue import NatsQueue
from millrace.errors import BrokerError

T = TypeVar("T")
_log = logging.getLogger(__name__)
_MARK = "millrace "  # begins the description of our streams
_SHORTEST_WINDOW_S = 30.0  # within which a put is repeated after a lost connection
_NS = 1_000_000_000


class _Described(msgspec.Struct):
    prefix: str
    queue: Queue


class NatsQueues:
    """Every queue that this process has heard of."""

    def __init__(self, api: Api, notes: Notes, prefix: str, *, replicas: int, window_s: float) -> None:
        self._api = api
        self._notes = notes
        self._prefix = prefix
        self._replicas = replicas
        self._window_s = window_s
        self._known: dict[str, NatsQueue] = {}
        self._making = asyncio.Lock()

    def dedupes(self, queue: NatsQueue) -> bool:
        """Whether the server knows a message by its id for a while; a shorter window is none."""
        return queue.settings.dedupe_s >= _SHORTEST_WINDOW_S

    async def declare(self, queues: Sequence[Queue]) -> None:
        """Make queues and their dead-letter queues. Raises UnknownQueue, BrokerError."""
        for each in queues:
            if each.fifo:
                raise BrokerError(
                    f"queue {each.name}: JetStream keeps no order within groups",
                    "leave fifo out, or use the embedded queue",
                )
        there = set(await self.names())
        for each in queues:
            check_dead_to(each, there | {queue.name for queue in queues})
        new = {each.name: each for each in queues}
        for each in queues:
            dead = dead_letters(each.name)
            if dead not in there:
                new.setdefault(dead, Queue(dead, each.lease_s, None, dedupe_s=0.0))
        async with self._making:
            for each in new.values():
                await self._make(each)

    async def named(self, name: str) -> NatsQueue:
        """The queue of that name, whoever declared it. Raises UnknownQueue."""
        found = self._known.get(name)
        return found if found is not None else await self._find(name)

    async def using(self, name: str, action: Callable[[NatsQueue], Awaitable[T]]) -> T:
        """Do something with a queue; once more where its stream or its consumer had been deleted and is made anew."""
        queue = await self.named(name)
        try:
            return await action(queue)
        except ApiError as error:
            if not is_absent(error):
                raise
        return await action(await self.again(queue))

    async def again(self, queue: NatsQueue) -> NatsQueue:
        """Make what is missing of a queue, unless it was dropped. Raises UnknownQueue."""
        async with self._making:
            if self._known.get(queue.name) is not queue:  # somebody else was faster
                return self._known.get(queue.name) or await self._find(queue.name)
            await self._notes.open()
            if await self._api.stream(queue.stream) is None:
                queue.let_all_go()
                if await self._notes.marked(queue.stream, "dropped") is not None:
                    del self._known[queue.name]
                    raise unknown_queue(queue.name, await self.names())
                _log.warning(
                    "queue %s: its stream %s was deleted with all that was in it; it is made anew",
                    queue.name,
                    queue.stream,
                )
            await self._make(queue.settings)
            return self._known[queue.name]

    async def drop(self, names: Sequence[str]) -> None:
        """Delete queues that are there, and their dead-letter queues."""
        for name in dict.fromkeys([*names, *map(dead_letters, names)]):
            stream = stream_of(subject_of(self._prefix, name))
            await self._notes.drop(stream)
            if await self._api.stream(stream) is not None:
                await self._api.call(f"STREAM.DELETE.{stream}")
            if (queue := self._known.pop(name, None)) is not None:
                queue.let_all_go()

    async def names(self) -> list[str]:
        """The names of all queues under our prefix."""
        found = [_described(stream["config"]) for stream in await self._api.streams()]
        return [each.queue.name for each in found if each is not None and each.prefix == self._prefix]

    async def _find(self, name: str) -> NatsQueue:
        check_name(name)
        stream = await self._api.stream(stream_of(subject_of(self._prefix, name)))
        found = None if stream is None else _described(stream["config"])
        if found is None:
            raise unknown_queue(name, await self.names())
        return self._known.setdefault(name, NatsQueue(found.queue, self._prefix))

    async def _make(self, settings: Queue) -> None:
        queue = NatsQueue(settings, self._prefix)
        wanted = self._wanted(queue)
        try:
            made = await self._api.call(f"STREAM.CREATE.{queue.stream}", wanted)
        except ApiError as error:
            if error.number != IN_USE:
                raise BrokerError(
                    f"queue {queue.name}: stream {queue.stream} cannot be made: {error.problem}",
                    "another stream may listen to that subject: see nats stream ls, or set ?prefix=",
                ) from error
            made = await self._update(queue, wanted)
        if made["state"]["last_seq"] == 0:
            await self._notes.declared(queue.stream)
        await self._api.call(
            f"CONSUMER.DURABLE.CREATE.{queue.stream}.{CONSUMER}",
            {"stream_name": queue.stream, "config": self._consumer(settings)},
        )
        known = self._known.setdefault(settings.name, queue)
        known.settings = settings

    async def _update(self, queue: NatsQueue, wanted: dict[str, Any]) -> dict[str, Any]:
        """A stream of that name is there: it is ours and gets our settings, or can be used as it is, or is refused."""
        config = (await self._api.call(f"STREAM.INFO.{queue.stream}"))["config"]
        expected = {"retention": "workqueue", "subjects": wanted["subjects"], "allow_direct": True}
        got = {name: config.get(name) for name in expected}
        if got != expected:
            raise BrokerError(
                f"queue {queue.name}: stream {queue.stream} is there with {_text(got)}; expected {_text(expected)}",
                "it is left as it is: give the queue another name, or set ?prefix=",
            )
        ours = ("description", "discard", "max_msgs", "duplicate_window")
        return await self._api.call(f"STREAM.UPDATE.{queue.stream}", config | {name: wanted[name] for name in ours})

    def _wanted(self, queue: NatsQueue) -> dict[str, Any]:
        settings = queue.settings
        window_s = max(_SHORTEST_WINDOW_S, min(settings.dedupe_s, self._window_s))
        return {
            "name": queue.stream,
            "description": _MARK + msgspec.json.encode(_Described(self._prefix, settings)).decode(),
            "subjects": [queue.subject],
            "retention": "workqueue",
            "storage": "file",
            "discard": "new",  # at max_msgs, or where the server's own limits are reached: nothing accepted goes
            "max_msgs": -1 if settings.max_depth is None else settings.max_depth,
            "duplicate_window": int(window_s * _NS),
            "allow_direct": True,
            "num_replicas": self._replicas,
        }

    def _consumer(self, settings: Queue) -> dict[str, Any]:
        return {
            "durable_name": CONSUMER,
            "ack_policy": "explicit",
            "ack_wait": int(settings.lease_s * _NS),
            "deliver_policy": "all",
            "replay_policy": "instant",
            "max_deliver": -1,  # max_receives is ours, since a dead letter must go somewhere
            "max_ack_pending": -1,
            "max_waiting": 2048,
        }


def _described(config: dict[str, Any]) -> _Described | None:
    """What a stream's description says of the queue; None for a stream of somebody else."""
    text = config.get("description") or ""
    if not text.startswith(_MARK):
        return None
    try:
        return msgspec.json.decode(text[len(_MARK) :], type=_Described)
    except msgspec.MsgspecError:
        return None


def _text(config: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in config.items())
