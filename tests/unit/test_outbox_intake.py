"""Puts of many clients at once: they go together, and each has an answer or an error of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from millrace.broker import Queue
from millrace.brokers.outbox import Outbox
from millrace.errors import BrokerError, QueueFull, Unencodable, UnknownQueue
from millrace.stores.memory_ledger import MemoryLedger
from millrace.testing import ManualClock
from millrace.testing.bench import outcome
from millrace.types import Accepted, Commit, Message, Put
from tests.conformance.outbox_parts import Forgetful

MOST_BYTES = 32 << 10  # of one who goes with others


class Bench:
    """An outbox whose calls are counted, and whose notes can be held."""

    def __init__(self) -> None:
        self.clock = clock = ManualClock()
        self.inner = Forgetful(clock)
        self.ledger = MemoryLedger(clock)
        self.outbox = Outbox(self.inner, self.ledger, clock=clock)
        self.calls: Counter[str] = Counter()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._witness(self.inner, "put")
        for name in ("note", "know", "confirm", "withdraw"):
            self._witness(self.ledger, name)

    def _witness(self, owner: object, name: str) -> None:
        found: Callable[..., Any] = getattr(owner, name)

        async def call(*given: object) -> object:
            self.calls[name] += 1
            await self.go_on.wait()
            return await found(*given)

        setattr(owner, name, call)

    async def together(self, *clients: Sequence[Put]) -> list[Any]:
        """What each of these clients is told, who come at the same time."""
        return await asyncio.gather(*(self.outbox.put(puts) for puts in clients), return_exceptions=True)

    async def ids(self, queue: str = "q") -> list[str]:
        return sorted(each.message.id for each in await self.inner.peek(queue, 100))


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.outbox.declare([Queue("q"), Queue("small", max_depth=2)])
    return made


def put(id: str, queue: str = "q", body: bytes = b"x", dedupe: str = "") -> Put:
    return Put(queue, Message(id, body), dedupe=dedupe)


def fresh(id: str) -> Put:
    return Put("q", Message(id, b"x"), fresh=True)


async def test_those_who_come_at_once_cost_one_note_one_put_and_one_confirm(bench: Bench) -> None:
    answers = await bench.together([put("a")], [put("b"), put("c")], [put("d")])
    assert [[each.id for each in answer] for answer in answers] == [["a"], ["b", "c"], ["d"]]
    assert bench.calls == {"note": 1, "put": 1, "confirm": 1}
    assert await bench.ids() == ["a", "b", "c", "d"]


async def test_what_is_fresh_costs_no_note_and_is_known_from_then_on(bench: Bench) -> None:
    answers = await bench.together([fresh("a")], [fresh("b"), fresh("c")])
    assert [(each.id, each.duplicate) for answer in answers for each in answer] == [(id, False) for id in "abc"]
    assert bench.calls == {"put": 1, "know": 1}
    again = await bench.together([put("a")], [fresh("d")])
    assert [(answer[0].id, answer[0].duplicate) for answer in again] == [("a", True), ("d", False)]
    assert await bench.ids() == ["a", "b", "c", "d"]


async def test_what_is_fresh_goes_together_with_what_is_not(bench: Bench) -> None:
    keyed = [msgspec.structs.replace(fresh(id), dedupe="k") for id in "de"]
    answers = await bench.together([fresh("a")], [put("b")], [put("b")], keyed)
    told = [(each.id, each.duplicate) for answer in answers for each in answer]
    assert told == [("a", False), ("b", False), ("b", True), ("d", False), ("d", True)]
    assert (await bench.outbox.put([put("b")]))[0].duplicate
    assert await bench.ids() == ["a", "b", "d"]


async def test_those_who_come_meanwhile_go_together_next(bench: Bench) -> None:
    bench.go_on.clear()
    first = asyncio.create_task(bench.outbox.put([put("a")]))
    while not bench.calls["note"]:
        await asyncio.sleep(0)
    others = [asyncio.create_task(bench.outbox.put([put(id)])) for id in "bcd"]
    await asyncio.sleep(0)
    bench.go_on.set()
    await asyncio.gather(first, *others)
    assert bench.calls == {"note": 2, "put": 2, "confirm": 2}


async def test_one_id_or_key_at_once_is_new_to_one_client(bench: Bench) -> None:
    answers = await bench.together([put("a")], [put("a")], [put("b", dedupe="k")], [put("c", dedupe="k")])
    assert [(answer[0].id, answer[0].duplicate) for answer in answers] == [
        ("a", False),
        ("a", True),
        ("b", False),
        ("b", True),
    ]
    assert await bench.ids() == ["a", "b"]


async def test_one_id_of_two_processes_in_one_instant_is_new_to_both_and_done_once(bench: Bench) -> None:
    other = Outbox(bench.inner, bench.ledger)
    await other.declare([Queue("q")])
    bench.go_on.clear()
    puts = [asyncio.create_task(outbox.put([put("a")])) for outbox in (bench.outbox, other)]
    while bench.calls["note"] < 2:
        await asyncio.sleep(0)
    bench.go_on.set()
    told = [answer for answers in await asyncio.gather(*puts) for answer in answers]
    assert [(answer.id, answer.duplicate) for answer in told] == [("a", False)] * 2
    assert await bench.ids() == ["a", "a"]
    (lease,) = await other.take("q", 10)
    assert await other.settle(Commit("q", [outcome(lease)])) == []
    assert await bench.outbox.take("q", 10) == []
    assert await bench.ids() == []
    assert (await bench.outbox.put([put("a")]))[0].duplicate


async def test_a_client_that_is_refused_is_refused_alone(bench: Bench) -> None:
    full = [put("s1", "small"), put("s2", "small"), put("s3", "small")]
    told = await bench.together([put("a")], [put("b"), put("c", "nowhere")], full, [put("d", "small")])
    assert [type(each) for each in told] == [list, UnknownQueue, QueueFull, list]
    assert (await bench.ids(), await bench.ids("small")) == (["a"], ["d"])
    again = await bench.together([put("a")], [put("b")], [put("s1", "small")])
    assert [answer[0].duplicate for answer in again] == [True, False, False], "nobody knows what was refused"


async def test_what_is_large_goes_alone(bench: Bench) -> None:
    large = bytes(MOST_BYTES + 1)
    await bench.together([put("a", body=large)], [put("b")], [put("c", body=large[:-1])])
    assert bench.calls["put"] == 2
    assert await bench.ids() == ["a", "b", "c"]


async def test_one_id_that_goes_alone_and_with_others_is_new_to_one_client(bench: Bench) -> None:
    told = await bench.together([put("a", body=bytes(MOST_BYTES + 1))], [put("a"), put("b")])
    assert sorted(answer.duplicate for answers in told for answer in answers) == [False, False, True]
    assert await bench.ids() == ["a", "b"]


async def test_a_key_that_came_with_a_known_id_is_remembered_for_longer_than_the_id(bench: Bench) -> None:
    window_s = Queue("q").dedupe_s
    await bench.outbox.put([put("a")])
    (lease,) = await bench.outbox.take("q", 1)
    await bench.outbox.settle(Commit("q", [outcome(lease)]))
    bench.clock.advance(window_s / 2)
    (known,) = await bench.outbox.put([put("a", dedupe="k")])
    bench.clock.advance(window_s * 0.75)
    (again,) = await bench.outbox.put([put("b", dedupe="k")])
    assert [(each.id, each.duplicate) for each in (known, again)] == [("a", True)] * 2


async def test_of_many_who_put_one_id_alone_each_waits_for_the_one_before(bench: Bench) -> None:
    told = await bench.together(*([put("a", body=bytes(MOST_BYTES + 1))] for _ in range(3)))
    assert [[each.duplicate for each in answers] for answers in told] == [[False], [True], [True]]
    assert await bench.ids() == ["a"]


async def test_a_key_is_not_bound_to_what_has_no_form_in_its_queue(bench: Bench) -> None:
    async def refusing(puts: Sequence[Put]) -> list[Accepted]:
        raise Unencodable("no form")

    found, bench.inner.put = bench.inner.put, refusing  # type: ignore[method-assign]
    with pytest.raises(Unencodable):
        await bench.outbox.put([put("a", dedupe="k")])
    bench.inner.put = found  # type: ignore[method-assign]
    assert await bench.outbox.put([put("b", dedupe="k")]) == [Accepted("b", False, 1)]


async def test_a_broker_that_fails_for_all_is_asked_for_each_and_answers_each(bench: Bench) -> None:
    found, bodies = bench.inner.put, []

    async def refusing(puts: Sequence[Put]) -> list[Accepted]:
        bodies.append([each.message.body for each in puts])
        if b"poison" in bodies[-1]:
            raise BrokerError("it cannot be written")
        return await found(puts)

    bench.inner.put = refusing  # type: ignore[method-assign]
    told = await bench.together([put("a")], [put("b", body=b"poison")], [put("c")])
    assert [type(each) for each in told] == [list, BrokerError, list]
    assert await bench.ids() == ["a", "c"]
    assert [len(each) for each in bodies] == [3, 1, 1, 1]


async def test_a_client_that_went_away_takes_nobody_with_it(bench: Bench) -> None:
    bench.go_on.clear()
    clients = [asyncio.create_task(bench.outbox.put([put(id)])) for id in "abc"]
    while not bench.calls["note"]:
        await asyncio.sleep(0)
    clients[1].cancel()
    bench.go_on.set()
    told = await asyncio.gather(*clients, return_exceptions=True)
    assert [type(each) for each in told] == [list, asyncio.CancelledError, list]


async def test_outputs_of_functions_go_into_a_full_queue_beside_puts_that_do_not(bench: Bench) -> None:
    await bench.outbox.put([put("s1", "small"), put("s2", "small")])
    await bench.outbox.put([put("a")])
    (lease,) = await bench.outbox.take("q", 1)
    told = await asyncio.gather(
        bench.outbox.put([put("s3", "small")]),
        bench.outbox.settle(Commit("q", [outcome(lease, puts=(put("s4", "small"),))])),
        return_exceptions=True,
    )
    assert [type(each) for each in told] == [QueueFull, list]
    assert await bench.ids("small") == ["s1", "s2", "s4"]
