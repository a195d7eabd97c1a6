"""What people ask: how much lies where, what it is, and to move or delete it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from millrace.broker import Peeked, Stats, dead_letters
from millrace.brokers.envelope import Envelope
from millrace.brokers.kafka.admin import Admin, Place
from millrace.brokers.kafka.burial import without_origin
from millrace.brokers.kafka.client import Settings, told
from millrace.brokers.kafka.letters import envelope_in
from millrace.brokers.kafka.member import Member
from millrace.brokers.kafka.names import Names
from millrace.brokers.kafka.progress import Progress
from millrace.brokers.kafka.registry import Known, Registry
from millrace.brokers.kafka.shelf import DELAYED, LEASED, READY, Item, Part
from millrace.clock import Clock
from millrace.errors import BrokerError

_SOME = 500
_TICK_S = 0.2
_PATIENCE_S = 10.0
Ending = Callable[[list[Envelope]], Awaitable[None]]


class _Seen(msgspec.Struct, frozen=True):
    """One message that was read, and where."""

    place: Place
    offset: int
    envelope: Envelope
    due_at: float


class People:
    """Looks without joining a group; moves and deletes as its member."""

    def __init__(self, admin: Admin, registry: Registry, names: Names, settings: Settings, clock: Clock) -> None:
        self._admin = admin
        self._registry = registry
        self._names = names
        self._settings = settings
        self._clock = clock

    async def stats(self, known: Known, member: Member | None) -> Stats:
        """Counts by the commits of all members, and for the partitions of this one by what it holds."""
        counted = await self._counts(known, member)
        letters = counted if known.is_dead else await self._counts(await self._registry.named(dead_letters(known.name)))
        dead = sum(letters)
        items = () if member is None else member.shelf.items.values()
        oldest = min((item.envelope.message.sent_at for item in items), default=0.0)
        age_s = max(0.0, self._clock.now() - oldest) if oldest else 0.0
        return Stats(known.name, *counted, dead, age_s)

    async def depth(self, known: Known, member: Member | None) -> int:
        """How many messages there are, in flight or delayed too."""
        return sum(await self._counts(known, member))

    async def peek(self, known: Known, member: Member | None, limit: int, ids: Sequence[str] | None) -> list[Peeked]:
        """Messages in the order of their time; of other processes' it is only known whether they were delivered."""
        topics = self._names.topics(known.name)
        progress = await self._progress(known, member)
        ends = await self._admin.ends(topics)
        wanted = None if ids is None else frozenset(ids)
        most = limit if wanted is None else None
        seen = await asyncio.to_thread(self._read, progress, ends, most, wanted)
        seen.sort(key=lambda each: (each.envelope.message.sent_at, each.offset))
        items = {} if member is None else member.shelf.items
        found = [
            self._peeked(
                each, progress[each.place], items.get((topics.index(each.place[0]), each.place[1], each.offset))
            )
            for each in seen
        ]
        return found if wanted is not None else found[:limit]

    async def sweep(self, member: Member, ids: Sequence[str] | None, ending: Ending, *, in_flight: bool) -> int:
        """End the messages that are there now and in the partitions of this process; `ending` is called before."""
        wanted = None if ids is None else frozenset(ids)
        ends = await self._admin.ends(self._names.topics(member.known.name))
        done = 0
        while True:
            await member.arrived(_SOME)
            chosen = [
                item for item in member.shelf.items.values() if self._chosen(member, item, ends, wanted, in_flight)
            ]
            if not chosen:
                return done
            for item in chosen:
                item.serial = 0
                member.shelf.hide(item, LEASED, float("inf"))
            try:
                await ending([item.envelope for item in chosen])
            except BaseException:
                for item in chosen:
                    member.shelf.show(item)
                raise
            for item in chosen:
                member.shelf.remove(item)
                member.mark(item.part)
            await member.commit()
            done += len(chosen)

    def _chosen(
        self, member: Member, item: Item, ends: dict[Place, int], ids: frozenset[str] | None, in_flight: bool
    ) -> bool:
        busy = item.state == LEASED and item.visible_at > self._clock.monotonic()
        there = item.spot[2] < ends.get((member.topic(item.part), item.part[1]), 0)
        return there and (in_flight or not busy) and (ids is None or item.envelope.message.id in ids)

    async def _progress(self, known: Known, member: Member | None) -> dict[Place, Progress]:
        topics = self._names.topics(known.name)
        found = await self._admin.progress(self._names.group(known.name), topics, known.floors)
        own = {} if member is None else member.shelf.parts
        return found | {(topics[part[0]], part[1]): progress for part, progress in own.items()}

    async def _counts(self, known: Known, member: Member | None = None) -> tuple[int, int, int]:
        """Ready, in flight, delayed."""
        topics = self._names.topics(known.name)
        progress = await self._progress(known, member)
        ends = await self._admin.ends(topics)
        depth = in_flight = delayed = 0
        for (topic, partition), each in progress.items():
            part = (topics.index(topic), partition)
            left, begun = each.counts(ends.get((topic, partition), 0))
            late = left - begun if part[0] else 0
            if member is not None and part in member.shelf.parts:
                begun, late = _held(member, part, self._clock.monotonic())
            depth += left - begun - late
            in_flight += begun
            delayed += late
        return depth, in_flight, delayed

    def _read(
        self, progress: dict[Place, Progress], ends: dict[Place, int], most: int | None, ids: frozenset[str] | None
    ) -> list[_Seen]:
        """Messages that are not settled, `most` of each partition; called in a thread."""
        left = {place: most for place, each in progress.items() if each.base < ends.get(place, 0)}
        if not left:
            return []
        consumer = Consumer(
            self._settings | {"group.id": "millrace-look", "enable.auto.commit": False, "enable.partition.eof": True}
        )
        try:
            consumer.assign([TopicPartition(*place, progress[place].base) for place in left])
            return self._collect(consumer, progress, ends, left, ids)
        except KafkaException as error:
            raise told(error, "show messages") from error
        finally:
            consumer.close()

    def _collect(
        self,
        consumer: Consumer,
        progress: dict[Place, Progress],
        ends: dict[Place, int],
        left: dict[Place, int | None],
        ids: frozenset[str] | None,
    ) -> list[_Seen]:
        seen: list[_Seen] = []
        quiet_since = self._clock.monotonic()
        while left:
            found = consumer.consume(_SOME, _TICK_S)
            if found:
                quiet_since = self._clock.monotonic()
            elif self._clock.monotonic() - quiet_since > _PATIENCE_S:
                raise BrokerError("Kafka does not show its messages", "check that the partitions' leaders are up")
            for each in found:
                place, offset, error = (each.topic() or "", each.partition() or 0), each.offset() or 0, each.error()
                if place not in left:
                    continue
                if error is None and not progress[place].is_settled(offset):
                    envelope, due_at = envelope_in(each)
                    if ids is None or envelope.message.id in ids:
                        seen.append(_Seen(place, offset, envelope, due_at))
                        if (most := left[place]) is not None:
                            left[place] = most - 1
                ended = error.code() == KafkaError._PARTITION_EOF if error is not None else offset + 1 >= ends[place]
                if ended or left[place] == 0:
                    del left[place]
        return seen

    def _peeked(self, seen: _Seen, progress: Progress, item: Item | None) -> Peeked:
        if item is not None:
            hidden = item.visible_at > self._clock.monotonic()
            state, attempts = (item.state if hidden else READY), item.attempts
        else:
            begun = progress.attempts(seen.offset)
            state = LEASED if begun else DELAYED if seen.due_at > self._clock.now() else READY
            attempts = seen.envelope.attempts + begun
        return Peeked(seen.envelope.message, state, attempts, seen.envelope.death)


def fresh(envelope: Envelope) -> Envelope:
    """A message that is moved: its attempts, its failures and its death are forgotten."""
    return Envelope(without_origin(envelope.message))


def _held(member: Member, part: Part, now_s: float) -> tuple[int, int]:
    """How many of a part's messages are leased and how many delayed at this moment."""
    hidden = [item.state for item in member.shelf.waiting(part) if item.visible_at > now_s]
    return hidden.count(LEASED), hidden.count(DELAYED)
