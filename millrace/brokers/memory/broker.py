"""The broker port in memory. Nothing is awaited inside a verb, so each is seen whole or not at all."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import msgspec

from millrace.broker import (
    DEAD_SUFFIX,
    Broker,
    Capabilities,
    Peeked,
    Queue,
    Standing,
    Stats,
    dead_letters,
)
from millrace.brokers.limits import check_moments, check_sizes, check_texts
from millrace.brokers.memory.endings import Endings, death_of, without_origin
from millrace.brokers.memory.intake import Intake
from millrace.brokers.memory.item import Item
from millrace.brokers.memory.queue import MemoryQueue
from millrace.brokers.memory.queues import MemoryQueues
from millrace.brokers.names import check_dead_to, check_drop, check_names
from millrace.clock import Clock, SystemClock
from millrace.errors import BrokerError
from millrace.signals import Signals
from millrace.types import Accepted, Commit, Lease, Put

_MAX_BODY = 256_000_000


class MemoryParticipant(Protocol):
    """Takes its part of each commit: MemoryTables, MemoryResults."""

    def apply(self, commit: Commit) -> None:
        """Write what the commit holds for you; raising undoes the settle, if you have undone your own part."""
        ...


class MemoryBroker(Broker):
    """Queues in dicts and heaps, for one event loop."""

    capabilities = Capabilities(
        durable=False,
        transactional=True,
        fifo=True,
        delay=True,
        ttl=True,
        dedupe=True,
        shared=False,
        max_body=_MAX_BODY,
    )

    def __init__(self, clock: Clock | None = None, participants: Sequence[MemoryParticipant] = ()) -> None:
        self._clock = clock or SystemClock()
        self._participants = participants
        self._queues = MemoryQueues()
        self._signals = Signals(self._clock)
        self._tokens = itertools.count(1)
        self._intake = Intake(self._queues, self._clock, self._signals)
        self._endings = Endings(self._queues, self._clock, self._signals)

    async def declare(self, queues: Sequence[Queue]) -> None:
        check_names(queues)
        if any(queue.dead_to is not None for queue in queues):  # a look at all names, of which there may be thousands
            names = {*self._queues, *(queue.name for queue in queues)}
            for queue in queues:
                check_dead_to(queue, names)
        for queue in queues:
            self._queues.setdefault(queue.name, MemoryQueue(queue)).settings = queue
            dead = dead_letters(queue.name)
            self._queues.setdefault(dead, MemoryQueue(Queue(dead, queue.lease_s)))

    async def drop(self, queues: Sequence[str]) -> None:
        for name in queues:
            check_drop(name, self._queues)
        for name in queues:
            self._queues.pop(name, None)
            self._queues.pop(dead_letters(name), None)
        self._signals.wake(queues)

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        check_texts(puts)
        for each in puts:
            self._queues.named(each.queue)
        check_sizes(puts, _MAX_BODY)
        check_moments(puts)
        self._intake.check_depth(puts)
        return self._intake.put(puts)

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        here = self._queues.named(queue)
        now_s = self._clock.monotonic()
        until_s = now_s + (here.settings.lease_s if lease_s is None else lease_s)
        leases: list[Lease] = []
        seen: list[Item] = []  # placed again when all were: one that is leased for no time would come twice
        total = 0
        for item in here.due(now_s) if limit > 0 else ():
            if self._bury_if_past_saving(here, item, now_s):
                continue
            total += len(item.message.body)
            seen.append(item)
            if leases and max_bytes is not None and total > max_bytes:
                break
            leases.append(self._lease(here, item, until_s))
            if len(leases) == limit:
                break
        for item in seen:
            here.place(item)
        if here.settings.fifo:
            here.revoke({lease.message.group for lease in leases}, seen[: len(leases)])
        return leases

    async def wait(self, queue: str, timeout_s: float) -> None:
        here = self._queues.named(queue)
        with self._signals.listen(queue) as signal:
            due_in_s = here.due_in(self._clock.monotonic())
            await signal.wait(timeout_s if due_in_s is None else min(timeout_s, due_in_s))

    async def settle(self, commit: Commit) -> list[Lease]:
        here = self._queues.named(commit.queue)
        lost = [outcome.lease for outcome in commit.outcomes if self._held(here, outcome.lease) is None]
        ours = commit.without(lost) if lost else commit
        check_texts(ours.puts)
        for each in ours.puts:
            self._queues.named(each.queue)
        for outcome in ours.having("dead"):
            death_of(outcome)
        # What can fail comes first, so that a settle that raises has changed nothing here.
        for participant in self._participants:
            participant.apply(ours)
        for outcome in ours.outcomes:
            if item := self._held(here, outcome.lease):  # not so when the same lease is there twice
                self._endings.end(here, item, outcome)
        self._intake.put(list(ours.puts))
        self._signals.wake([commit.queue])
        return lost

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        expires_at = self._clock.monotonic() + lease_s
        extended = []
        for lease in leases:
            here = self._queues.named(lease.queue)
            item = self._held(here, lease)
            if item is not None:
                item.due_at = expires_at
                here.place(item)
                extended.append(msgspec.structs.replace(lease, expires_at=expires_at))
        self._signals.wake({lease.queue for lease in extended})
        return extended

    async def stats(self, queue: str) -> Stats:
        here = self._queues.named(queue)
        counts = Counter(self._state(item) for item in here.items.values())
        oldest = min((item.message.sent_at for item in here.items.values()), default=None)
        return Stats(
            queue,
            depth=counts["ready"],
            in_flight=counts["in_flight"],
            delayed=counts["delayed"],
            dead=len(self._queues.named(dead_letters(queue)).items),
            oldest_age_s=0.0 if oldest is None else max(0.0, self._clock.now() - oldest),
        )

    async def queues(self) -> list[str]:
        return list(self._queues)

    async def close(self) -> None:
        """Wake who waits; the messages go with the process."""
        self._signals.wake(None)

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        chosen = [item for item in self._queues.named(queue).in_order() if ids is None or item.message.id in ids]
        return [Peeked(item.message, self._state(item), item.attempts, item.death) for item in chosen[:limit]]

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        here, there = self._queues.named(source), self._queues.named(target)
        ttl_s = there.settings.ttl_s
        chosen = [item for item in self._idle(here, ids) if item.message.id not in there.items]
        for item in chosen:
            here.remove(item)
            for queue in (self._queues.get(source.removesuffix(DEAD_SUFFIX)), there):
                if queue is not None:
                    queue.forget(item.message.id)
            if item.death is not None:
                item.message = without_origin(item.message)
            item.refresh(None if ttl_s is None else self._clock.monotonic() + ttl_s)
            there.add(item)
        self._signals.wake([target])
        return len(chosen)

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        here = self._queues.named(queue)
        chosen = self._chosen(here, ids) if in_flight else self._idle(here, ids)
        for item in chosen:
            here.remove(item)
        if in_flight:
            self._signals.wake([queue])  # a group of a FIFO queue may be open again
        return len(chosen)

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        return [self._standing(self._queues.named(lease.queue), lease) for lease in leases]

    def _idle(self, queue: MemoryQueue, ids: Sequence[str] | None) -> list[Item]:
        now_s = self._clock.monotonic()
        return [item for item in self._chosen(queue, ids) if not item.is_in_flight(now_s)]

    @staticmethod
    def _chosen(queue: MemoryQueue, ids: Sequence[str] | None) -> list[Item]:
        if ids is None:
            return queue.in_order()
        return [queue.items[id] for id in dict.fromkeys(ids) if id in queue.items]

    def _state(self, item: Item) -> str:
        now_s = self._clock.monotonic()
        if item.is_due(now_s):
            return "ready"
        return "in_flight" if item.is_in_flight(now_s) else "delayed"

    def _lease(self, queue: MemoryQueue, item: Item, until_s: float) -> Lease:
        item.receipt = next(self._tokens)
        item.due_at = until_s
        item.attempts += 1
        item.first_taken_at = item.first_taken_at or self._clock.now()
        name, receipt = queue.settings.name, (item.message.id, item.receipt)
        deadline = math.inf if item.expires_at is None else item.expires_at
        return Lease(
            name,
            item.message,
            receipt,
            item.attempts,
            item.due_at,
            item.first_failed_at,
            deadline,
            item.first_taken_at,
            item.seq,
        )

    def _bury_if_past_saving(self, queue: MemoryQueue, item: Item, now_s: float) -> bool:
        settings = queue.settings
        expired = item.expires_at is not None and item.expires_at <= now_s
        spent = settings.max_receives is not None and item.attempts >= settings.max_receives
        if settings.name.endswith(DEAD_SUFFIX) or not (expired or spent):
            return False
        outcome = self._endings.past_saving(settings, item, expired=expired)
        self._endings.end(queue, item, outcome)
        for participant in self._participants:
            participant.apply(Commit(settings.name, [outcome]))
        return True

    def _held(self, queue: MemoryQueue, lease: Lease) -> Item | None:
        """The leased message, unless it is gone or was leased to somebody else. Raises BrokerError for no receipt."""
        id, token = _receipt(lease)
        item = queue.items.get(id)
        return item if item is not None and item.receipt == token else None

    def _standing(self, queue: MemoryQueue, lease: Lease) -> Standing:
        id, token = _receipt(lease)
        item = queue.items.get(id)
        if item is None:
            return "gone"
        if item.receipt != token:
            return "lost"
        return "held" if item.is_in_flight(self._clock.monotonic()) else "over"


def _receipt(lease: Lease) -> tuple[str, int]:
    """The id and the token of a receipt, which may have come from outside. Raises BrokerError."""
    receipt = lease.receipt
    if isinstance(receipt, tuple) and len(receipt) == 2 and isinstance(receipt[1], int):
        return receipt
    raise BrokerError(f"{receipt!r} is not a receipt of this broker", "settle a lease where it was taken")
