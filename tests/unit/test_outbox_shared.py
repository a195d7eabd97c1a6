"""Calls that share one: each caller has its own answers, and suffers for nobody else's item."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from millrace.brokers.outbox.shared import Shared


class Doubling:
    """A function that can be held, and fails for negative numbers."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.go_on = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append(list(numbers))
        await self.go_on.wait()
        if min(numbers) < 0:
            raise ValueError(f"{min(numbers)} is negative")
        return [2 * number for number in numbers]


async def test_those_who_come_meanwhile_share_the_next_call() -> None:
    doubling = Doubling()
    shared = Shared(doubling)
    first = asyncio.create_task(shared([1]))
    await asyncio.sleep(0)
    others = [asyncio.create_task(shared([number, number])) for number in (2, 3)]
    await asyncio.sleep(0)
    doubling.go_on.set()
    assert [await task for task in (first, *others)] == [[2], [4, 4], [6, 6]]
    assert doubling.calls == [[1], [2, 2, 3, 3]]


async def test_a_failure_is_its_callers_alone() -> None:
    doubling = Doubling()
    shared = Shared(doubling)
    tasks = [asyncio.create_task(shared([number])) for number in (1, 2, -3, 4, -5)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    doubling.go_on.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert done[:2] == [[2], [4]]
    assert [type(each) for each in done[2:]] == [ValueError, asyncio.CancelledError, ValueError]
    with pytest.raises(ValueError, match="-7"):
        await shared([-7])


async def test_a_failure_that_came_late_is_everybodys() -> None:
    doubling = Doubling()
    shared = Shared(doubling, late_s=0.0)
    tasks = [asyncio.create_task(shared([number])) for number in (1, -3)]
    await asyncio.sleep(0)
    doubling.go_on.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(each) for each in done] == ["-3 is negative"] * 2
    assert doubling.calls == [[1, -3]], "expected nobody to wait a second time"


async def test_those_whose_call_failed_wait_for_nobody_when_they_are_alone() -> None:
    doubling = Doubling()
    shared = Shared(doubling)
    doubling.go_on.set()
    tasks = [asyncio.create_task(shared([number])) for number in (-1, 2, 3)]
    while len(doubling.calls) < 1:
        await asyncio.sleep(0)
    doubling.go_on.clear()
    while len(doubling.calls) < 4:  # ends only if no call waits for the one before
        await asyncio.sleep(0)
    assert doubling.calls == [[-1, 2, 3], [-1], [2], [3]]
    doubling.go_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_call_that_takes_long_lets_the_next_go() -> None:
    doubling = Doubling()
    shared = Shared(doubling, overlap_s=0.0)
    tasks = [asyncio.create_task(shared([1]))]
    while len(doubling.calls) < 1:
        await asyncio.sleep(0)
    tasks.append(asyncio.create_task(shared([2])))
    while len(doubling.calls) < 2:  # the first is not back
        await asyncio.sleep(0)
    doubling.go_on.set()
    assert await asyncio.gather(*tasks, shared([3])) == [[2], [4], [6]]


async def test_a_full_call_departs_beside_the_one_that_is_under_way() -> None:
    doubling = Doubling()
    shared = Shared(doubling, most=4, overlap_s=3600.0)
    tasks = [asyncio.create_task(shared([0]))]
    while len(doubling.calls) < 1:
        await asyncio.sleep(0)
    tasks += [asyncio.create_task(shared([number])) for number in range(1, 5)]
    while len(doubling.calls) < 2:  # ends only if four are enough, and wait neither for the first nor for the hour
        await asyncio.sleep(0)
    tasks += [asyncio.create_task(shared([number])) for number in range(5, 8)]
    while len(shared._waiting) < 3:
        await asyncio.sleep(0)
    assert doubling.calls == [[0], [1, 2, 3, 4]], "expected the other three to wait"
    doubling.go_on.set()
    assert await asyncio.gather(*tasks) == [[2 * number] for number in range(8)]
    assert doubling.calls[2:] == [[5, 6, 7]]


async def test_those_of_one_turn_go_in_full_calls() -> None:
    doubling = Doubling()
    shared = Shared(doubling, most=4, overlap_s=3600.0)
    tasks = [asyncio.create_task(shared([number])) for number in range(10)]
    while len(doubling.calls) < 2:
        await asyncio.sleep(0)
    doubling.go_on.set()
    assert await asyncio.gather(*tasks) == [[2 * number] for number in range(10)]
    assert sorted(len(call) for call in doubling.calls) == [2, 4, 4]


async def test_a_full_call_that_the_end_of_the_loop_keeps_from_beginning_leaves_nobody_waiting() -> None:
    doubling = Doubling()
    shared = Shared(doubling, most=2, overlap_s=3600.0)
    tasks = [asyncio.create_task(shared([0]))]
    while len(doubling.calls) < 1:
        await asyncio.sleep(0)
    first = shared._newest
    tasks += [asyncio.create_task(shared([number])) for number in (1, 2, 3)]
    while shared._newest is first:
        await asyncio.sleep(0)
    for call in list(shared._under_way):
        call.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(each) for each in done} == {asyncio.CancelledError}


async def test_a_call_has_a_bound() -> None:
    doubling = Doubling()
    shared = Shared(doubling)
    doubling.go_on.set()
    tasks = [asyncio.create_task(shared([number] * 600)) for number in (1, 2, 3)] + [
        asyncio.create_task(shared([4] * 2000))
    ]
    await asyncio.gather(*tasks)
    assert [len(call) for call in doubling.calls] == [600, 600, 600, 2000]


async def test_when_the_loop_ends_nobody_waits_for_ever() -> None:
    shared = Shared(Doubling())
    tasks = [asyncio.create_task(shared([number])) for number in (1, 2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    later = asyncio.create_task(shared([3]))
    await asyncio.sleep(0)
    assert shared._newest is not None
    shared._newest.cancel()
    done = await asyncio.gather(*tasks, later, return_exceptions=True)
    assert {type(each) for each in done} == {asyncio.CancelledError}


async def test_who_is_gone_before_a_call_departs_is_not_in_it() -> None:
    doubling = Doubling()
    shared = Shared(doubling)
    doubling.go_on.set()
    tasks = [asyncio.create_task(shared([number])) for number in (1, 2)]
    while not shared._waiting:
        await asyncio.sleep(0)
    tasks[0].cancel()
    assert await tasks[1] == [4]
    gone = asyncio.create_task(shared([3]))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await shared([5]) == [10]
    assert doubling.calls == [[2], [5]], "expected no call for nobody"
