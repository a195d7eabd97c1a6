"""The broker port on Redis: each verb is one script, which is all or nothing, whoever else is at the queue.

A script whose answer got lost with its connection is run again. A put is then found as a duplicate, an extension is the
same twice; a settle that had been done finds its leases gone and says that they were lost; messages of a take come back
when their leases run out.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from millrace.broker import Broker, Peeked, Queue, Standing, Stats
from millrace.brokers.limits import check_sizes, check_texts, queue_full
from millrace.brokers.names import check_dead_to, check_name, check_names, holds_letters, unknown_queue
from millrace.brokers.redis import scripts
from millrace.brokers.redis.fields import id_text
from millrace.brokers.redis.intake import Intake
from millrace.brokers.redis.leases import entry_and_token, extra_of, lease_in, peeked_in
from millrace.brokers.redis.link import Link
from millrace.brokers.redis.putting import accepted_of, arguments_of, by_queue
from millrace.brokers.redis.replies import Refusal
from millrace.brokers.redis.settings import settings_text
from millrace.clock import Clock
from millrace.errors import BrokerError, StorageError, UnknownQueue
from millrace.known_brokers import REDIS
from millrace.signals import Signals
from millrace.types import Accepted, Commit, Lease, Put

T = TypeVar("T")
_log = logging.getLogger(__name__)
_TAKE_BYTES = 32_000_000  # of one take: the server does nothing else meanwhile
_MOST_TAKEN = 5000
_LOOK_S = 1.0  # how often a waiter looks for messages of programs that do not publish theirs
_IDS_AT_ONCE = 500
_IDLE_MS = 3_600_000  # after which a consumer without messages counts as gone
_REPLICATED_MS = 5000
_DEFAULT_TAG = "millrace"


class RedisBroker(Broker):
    """Queues in one Redis or Valkey server. `puts` is a link of its own for puts that wait for replicas."""

    capabilities = REDIS.claims

    def __init__(self, link: Link, clock: Clock, signals: Signals, *, puts: Link | None = None) -> None:
        self.link = link
        self.replicas = 0
        self.replicated_ms = _REPLICATED_MS
        self._puts = puts or link
        self._clock = clock
        self._signals = signals
        self._tag = "{" + (link.address.prefix or _DEFAULT_TAG) + "}"
        self._key = f"{self._tag}:queues"
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._declared: dict[str, Queue] = {}
        self._read: set[str] = set()  # queues in which this consumer may be known
        self._intake = Intake(self._store)

    @property
    def facts(self) -> dict[str, str]:
        """What the server said of itself."""
        return self.link.facts

    async def open(self) -> None:
        """Connect. Raises BrokerError."""
        for link in {self.link, self._puts}:
            await link.open()

    async def declare(self, queues: Sequence[Queue]) -> None:
        check_names(queues)
        if any(queue.dead_to is not None for queue in queues):
            names = {*await self.queues(), *(queue.name for queue in queues)}
            for queue in queues:
                check_dead_to(queue, names)
        if not queues:
            return
        pairs = [text for queue in queues for text in (queue.name, settings_text(queue))]
        names_here = [queue.name for queue in queues]
        await self._run(scripts.DECLARE, names_here, *pairs)
        self._declared |= {queue.name: queue for queue in queues}
        await self._run(scripts.TIDY, [], "", _IDLE_MS, *names_here)

    async def drop(self, queues: Sequence[str]) -> None:
        await self._run(scripts.DROP, queues, *queues)
        for queue in queues:
            self._declared.pop(queue, None)

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        check_texts(puts)
        check_sizes(puts, self.capabilities.max_body)
        if not puts:
            return []
        return await self._understood(lambda: self._intake.put(puts), list(by_queue(puts)))

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        most_bytes = _TAKE_BYTES if max_bytes is None else min(max_bytes, _TAKE_BYTES)
        lease_text = "" if lease_s is None else _ms(lease_s)
        wanted = max(min(limit, _MOST_TAKEN), 0)
        self._reads(queue)
        more = 1
        while more:
            began_s, token = self._clock.monotonic(), secrets.randbits(62)
            more, lease_ms, now_ms, found = await self._run(
                scripts.TAKE, [queue], queue, wanted, most_bytes, lease_text, token, self._consumer
            )
        return [lease_in(queue, token, began_s, lease_ms, now_ms, each) for each in found]

    async def wait(self, queue: str, timeout_s: float) -> None:
        until_s = self._clock.monotonic() + timeout_s
        self._reads(queue)
        channel = f"{self._tag}:wake:{queue}"
        with self._signals.listen(channel) as signal:
            self.link.subscribe(channel)
            while (left_s := until_s - self._clock.monotonic()) > 0:
                due_s = await self._due_in(queue)
                if due_s <= 0 or await signal.wait(min(left_s, due_s, _LOOK_S)) or due_s <= _LOOK_S:
                    return

    async def settle(self, commit: Commit) -> list[Lease]:
        arguments: list[str | int] = []
        for outcome in commit.outcomes:
            arguments += (outcome.verdict, *entry_and_token(outcome.lease), extra_of(outcome))
        lost = await self._run(scripts.SETTLE, [commit.queue], commit.queue, *arguments)
        return [commit.outcomes[place - 1].lease for place in lost]

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        expires_at = self._clock.monotonic() + lease_s
        lost: set[tuple[str, object]] = set()
        for queue, mine in _by_queue(leases).items():
            receipts = [part for lease in mine for part in entry_and_token(lease)]
            places = await self._run(scripts.EXTEND, [queue], queue, _ms(lease_s), *receipts)
            lost.update((queue, mine[place - 1].receipt) for place in places)
        return [
            msgspec.structs.replace(lease, expires_at=expires_at)
            for lease in leases
            if (lease.queue, lease.receipt) not in lost
        ]

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        found: dict[tuple[str, object], Standing] = {}
        for queue, mine in _by_queue(leases).items():
            receipts = [part for lease in mine for part in entry_and_token(lease)]
            answers = await self._run(scripts.STANDING, [queue], queue, *receipts)
            found |= {(queue, lease.receipt): each.decode() for lease, each in zip(mine, answers, strict=True)}
        return [found[lease.queue, lease.receipt] for lease in leases]

    async def stats(self, queue: str) -> Stats:
        depth, in_flight, delayed, dead, age_ms = await self._run(scripts.STATS, [queue], queue)
        return Stats(queue, depth, in_flight, delayed, dead, max(age_ms, 0) / 1000)

    async def queues(self) -> list[str]:
        return [name.decode() for name in await self.link.command("HKEYS", self._key)]

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        found: list[Any] = []
        first = "-"
        texts = None if ids is None else [id_text(id) for id in ids]
        while len(found) < limit and texts != []:
            some = await self._run(scripts.PEEK, [queue], queue, limit - len(found), first, _TAKE_BYTES, *(texts or ()))
            found += some
            if not some or texts is not None:
                break
            first = "(" + some[-1][0].decode()
        return [peeked_in(each) for each in found]

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        return await self._page(scripts.MOVE, [source, target], ids, source, target)

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        return await self._page(scripts.PURGE, [queue], ids, queue, int(in_flight))

    async def close(self) -> None:
        """Leave the groups in which nothing of ours is pending, and disconnect."""
        if self._read and self.link.is_up:
            try:
                await self._run(scripts.TIDY, [], self._consumer, _IDLE_MS, *self._read)
            except (BrokerError, StorageError) as error:
                _log.info("redis: %s stays among the consumers: %s", self._consumer, error.problem)
        for link in {self.link, self._puts}:
            await link.close()
        self._signals.wake(None)

    async def _store(self, puts: Sequence[Put]) -> list[Accepted]:
        queues = by_queue(puts)
        arguments = arguments_of(puts, queues, self._clock.now())
        if self.replicas:
            answers = await self._puts.run_and_wait(
                scripts.PUT, self._key, *arguments, replicas=self.replicas, ms=self.replicated_ms
            )
        else:
            answers = await self._puts.run(scripts.PUT, self._key, *arguments)
        return accepted_of(puts, queues, answers)

    def _reads(self, queue: str) -> None:
        """Remember a queue; never a name that cannot be sent, by which reconnecting and closing would fail."""
        if queue not in self._read:
            check_name(queue)
            self._read.add(queue)

    async def _due_in(self, queue: str) -> float:
        """Seconds until a take might give something; for ever when nothing is there or the server is away."""
        while True:
            try:
                due_ms = await self._run(scripts.DUE, [queue], queue, self._consumer)
            except UnknownQueue:
                raise
            except (BrokerError, StorageError):
                return math.inf  # the link wakes us when it is back
            if due_ms != -2:
                return math.inf if due_ms == -1 else due_ms / 1000

    async def _page(
        self, script: scripts.Script, queues: Sequence[str], ids: Sequence[str] | None, *arguments: str | int
    ) -> int:
        """Run a script until it has been through all of these ids, or through the queue as it is now."""
        if ids is not None:
            texts = [id_text(id) for id in dict.fromkeys(ids)]
            parts = [texts[start : start + _IDS_AT_ONCE] for start in range(0, len(texts), _IDS_AT_ONCE)]
            return sum([(await self._run(script, queues, *arguments, "-", "+", *part))[0] for part in parts])
        total, first, last = 0, "-", "+"
        while first:
            count, next_first, end = await self._run(script, queues, *arguments, first, last)
            total, first, last = total + count, next_first.decode(), end.decode()
        return total

    async def _run(self, script: scripts.Script, queues: Sequence[str], *arguments: str | bytes | int) -> Any:
        """A script's answer; `queues` are the names to whose places its errors refer."""
        return await self._understood(lambda: self.link.run(script, self._key, *arguments), queues)

    async def _understood(self, ask: Callable[[], Awaitable[T]], queues: Sequence[str]) -> T:
        """What was asked for, once more where the server had lost our queues; its refusals become errors for people."""
        try:
            return await ask()
        except Refusal as refusal:
            if not (refusal.code == "UNKNOWNQUEUE" and await self._restored()):
                raise await self._explained(refusal, queues) from None
        return await self._understood(ask, queues)

    async def _restored(self) -> bool:
        """Declare our queues anew on a server that came back without any: it was started without its data."""
        if not self._declared or await self.link.command("EXISTS", self._key, f"{self._tag}:generations"):
            return False
        _log.error("redis %s has lost its queues with all messages; they are declared anew", self.link.address)
        await self.declare(list(self._declared.values()))
        return True

    async def _explained(self, refusal: Refusal, queues: Sequence[str]) -> BrokerError:
        name, rest = queues[refusal.numbers[0] - 1], refusal.numbers[1:]
        if refusal.code == "UNKNOWNQUEUE":
            return unknown_queue(name, await self.queues())
        if refusal.code == "QUEUEFULL":
            held, limit, refused = rest
            return queue_full(name, held=held, limit=limit, refused=refused)
        if refusal.code == "ORDERCHANGE":
            return BrokerError(
                f"queue {name} holds messages, so it can neither become a FIFO queue nor stop being one",
                "work it off or purge it first, or declare a queue of another name",
            )
        return holds_letters(name, name.rpartition(".")[0])


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def _by_queue(leases: Sequence[Lease]) -> dict[str, list[Lease]]:
    queues: defaultdict[str, list[Lease]] = defaultdict(list)
    for lease in leases:
        queues[lease.queue].append(lease)
    return queues
