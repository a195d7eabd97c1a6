"""Commits of one queue at once: they go together, and each is told of its own leases and suffers for nobody else's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from millrace.broker import Queue
from millrace.brokers.outbox import Outbox
from millrace.brokers.outbox.receipts import inner
from millrace.errors import BrokerError, StorageError, TooLarge, UnknownQueue
from millrace.store import Table
from millrace.stores.memory import MemoryTables
from millrace.stores.memory_ledger import MemoryLedger
from millrace.testing import ManualClock
from millrace.testing.bench import outcome
from millrace.types import Commit, Lease, Message, Outcome, Put, Row
from tests.conformance.outbox_parts import Forgetful

LEASE_S = 10.0
MOST_OUTCOMES = 16  # of a commit that goes with others


class Bench:
    """An outbox whose calls are counted, and whose ledger can be held."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.inner = Forgetful(self.clock)
        self.tables = MemoryTables(self.clock)
        self.ledger = MemoryLedger(self.clock, [self.tables])
        self.outbox = Outbox(self.inner, self.ledger, clock=self.clock)
        self.calls: Counter[str] = Counter()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.table: Table
        for owner, name in ((self.inner, "standing"), (self.inner, "settle"), (self.ledger, "write")):
            self._witness(owner, name)

    async def open(self) -> None:
        self.table = await self.tables.open("rows", "id")
        await self.outbox.declare([Queue("q", LEASE_S, max_receives=None), Queue("out")])

    def _witness(self, owner: object, name: str) -> None:
        found: Callable[..., Any] = getattr(owner, name)

        async def call(*given: object, **named: object) -> object:
            self.calls[name] += 1
            if name == "write":
                await self.go_on.wait()
            return await found(*given, **named)

        setattr(owner, name, call)

    async def leases(self, *ids: str) -> list[Lease]:
        """These messages, put as copies that know nothing of each other, and taken one by one."""
        await self.inner.put([Put("q", Message(id, b"x")) for id in ids])
        return [lease for _ in ids for lease in await self.outbox.take("q", 1)]

    async def together(self, *commits: Sequence[Outcome]) -> list[Any]:
        """What each of these is told, who come at the same time: ids of lost leases, or an error."""
        told = await asyncio.gather(
            *(self.outbox.settle(Commit("q", outcomes)) for outcomes in commits), return_exceptions=True
        )
        return [each if isinstance(each, BaseException) else [lease.message.id for lease in each] for each in told]

    async def outputs(self) -> list[str]:
        return sorted(each.message.id for each in await self.inner.peek("out", 100))

    async def written(self, *ids: str) -> list[str]:
        return [id for id in ids if await self.table.get(id) is not None]

    async def held(self) -> int:
        return (await self.inner.stats("q")).in_flight


def done(lease: Lease, **how: Any) -> Outcome:
    """An outcome with a row and an output."""
    id = lease.message.id
    rows = (Row("rows", id, b'{"id":"%s"}' % id.encode()),)
    return outcome(lease, **{"rows": rows, "puts": (Put("out", Message(f"{id}.out")),), **how})


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.open()
    return made


async def test_those_who_come_at_once_cost_one_look_one_transaction_and_one_acknowledgement(bench: Bench) -> None:
    leases = await bench.leases("a", "b", "c")
    assert await bench.together(*([done(lease)] for lease in leases)) == [[], [], []]
    assert bench.calls == {"standing": 1, "write": 1, "settle": 1}
    assert await bench.written("a", "b", "c") == ["a", "b", "c"]
    assert await bench.outputs() == ["a.out", "b.out", "c.out"]
    assert await bench.held() == 0


async def test_those_who_come_meanwhile_go_together_next(bench: Bench) -> None:
    first, *others = await bench.leases("a", "b", "c")
    bench.go_on.clear()
    tasks = [asyncio.create_task(bench.together([done(first)]))]
    while not bench.calls["write"]:
        await asyncio.sleep(0)
    tasks += [asyncio.create_task(bench.together([done(lease)])) for lease in others]
    await asyncio.sleep(0)
    bench.go_on.set()
    assert await asyncio.gather(*tasks) == [[[]], [[]], [[]]]
    assert bench.calls["write"] == 2


async def test_a_large_commit_goes_alone(bench: Bench) -> None:
    leases = await bench.leases(*map(str, range(MOST_OUTCOMES + 2)))
    assert await bench.together([done(lease) for lease in leases[1:]], [done(leases[0])]) == [[], []]
    assert bench.calls["write"] == 2
    assert await bench.held() == 0


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda lease: done(lease, puts=(Put("nowhere", Message("x")),)), UnknownQueue),
        (lambda lease: done(lease, puts=(Put("out", Message("x", bytes(256_000_001))),)), TooLarge),
        (lambda lease: done(lease, rows=(Row("none such", "x", b"{}"),)), StorageError),
        (lambda lease: Outcome(lease, "dead"), BrokerError),
    ],
)
async def test_a_commit_that_is_refused_is_refused_alone(
    bench: Bench, spoil: Callable[[Lease], Outcome], error: type[Exception]
) -> None:
    a, b, c = await bench.leases("a", "b", "c")
    told = await bench.together([done(a)], [spoil(b)], [done(c)])
    assert [told[0], type(told[1]), told[2]] == [[], error, []]
    assert await bench.written("a", "b", "c") == ["a", "c"]
    assert await bench.outputs() == ["a.out", "c.out"]
    assert await bench.held() == 1, "the refused one is still ours"
    assert await bench.together([done(b)]) == [[]]


async def test_who_lost_a_lease_is_told_and_nobody_else(bench: Bench) -> None:
    a, b, c = await bench.leases("a", "b", "c")
    await bench.outbox.extend([b], 0.0)
    (again,) = await bench.outbox.take("q", 1)
    assert await bench.together([done(a)], [done(b)], [done(c)]) == [[], ["b"], []]
    assert await bench.written("a", "b", "c") == ["a", "c"]
    assert await bench.together([done(again)]) == [[]]


async def test_of_two_copies_in_two_commits_one_has_effects(bench: Bench) -> None:
    first, second = await bench.leases("a", "a")
    assert await bench.together([outcome(first, "dead")], [done(second)]) == [["a"], []], "done is more than dead"
    assert await bench.written("a") == ["a"]
    assert await bench.held() == 0
    assert (await bench.inner.stats("q")).dead == 0


async def test_a_lease_ends_once_however_many_end_it(bench: Bench) -> None:
    (lease,) = await bench.leases("a")
    assert await bench.together([done(lease)], [outcome(lease, "retry")], [done(lease)]) == [[], ["a"], ["a"]]
    assert await bench.outputs() == ["a.out"]
    assert await bench.outbox.take("q", 1) == []


async def test_retries_and_releases_go_with_the_rest(bench: Bench) -> None:
    a, b, c = await bench.leases("a", "b", "c")
    assert await bench.together([outcome(a, "retry")], [outcome(b, "release")], [done(c)]) == [[], [], []]
    assert bench.calls == {"standing": 1, "write": 1, "settle": 1}
    back = await bench.outbox.take("q", 5)
    assert sorted((each.message.id, each.attempt) for each in back) == [("a", 2), ("b", 1)]


async def test_a_retry_whose_lease_is_lost_meanwhile_is_told_and_what_is_written_is_done(bench: Bench) -> None:
    a, b, c = await bench.leases("a", "b", "c")
    settle = bench.inner.settle

    async def late(commit: Commit) -> list[Lease]:
        await bench.inner.extend([inner(a), inner(b)], 0.0)
        await bench.inner.take("q", 5)
        return await settle(commit)

    bench.inner.settle = late  # type: ignore[method-assign]
    assert await bench.together([outcome(a, "retry")], [done(b)], [done(c)]) == [["a"], [], []]
    assert await bench.written("b", "c") == ["b", "c"]


async def test_an_acknowledgement_that_fails_for_all_is_made_for_each_and_what_is_written_is_not_lost(
    bench: Bench,
) -> None:
    """The broker took the first message and then failed: the second time it knows that lease no more."""
    a, b, c = await bench.leases("a", "b", "c")
    settle = bench.inner.settle

    async def halting(commit: Commit) -> list[Lease]:
        if len(commit.outcomes) > 1:
            await settle(Commit("q", commit.outcomes[:1]))
            raise BrokerError("away in the middle")
        return await settle(commit)

    bench.inner.settle = halting  # type: ignore[method-assign]
    assert await bench.together([done(a)], [done(b)], [done(c)]) == [[], [], []]
    assert await bench.outputs() == ["a.out", "b.out", "c.out"]
    assert await bench.held() == 0


async def test_who_goes_away_takes_nobody_with_it(bench: Bench) -> None:
    """One has gone before its commit departs, which then is not carried out; one while it is under way."""
    a, b, c, d = await bench.leases("a", "b", "c", "d")
    bench.go_on.clear()
    tasks = [asyncio.create_task(bench.together([done(each)])) for each in (a, b)]
    while not bench.calls["write"]:
        await asyncio.sleep(0)
    tasks += [asyncio.create_task(bench.together([done(each)])) for each in (c, d)]
    await asyncio.sleep(0)
    for leaving in (tasks[1], tasks[2]):
        leaving.cancel()
    bench.go_on.set()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [told[0], type(told[1]), type(told[2]), told[3]] == [
        [[]],
        asyncio.CancelledError,
        asyncio.CancelledError,
        [[]],
    ]
    assert await bench.written("a", "b", "c", "d") == ["a", "b", "d"]
    assert await bench.together([done(c)]) == [[]], "its lease is still ours"


async def test_what_a_dropped_queue_had_shared_is_gone_with_it(bench: Bench) -> None:
    (lease,) = await bench.leases("a")
    await bench.together([done(lease)])
    await bench.outbox.drop(["q"])
    await bench.open()
    (lease,) = await bench.leases("a")
    assert await bench.together([done(lease)]) == [[]]
