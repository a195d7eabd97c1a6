"""Time by hand."""

from __future__ import annotations

import asyncio
import threading

import pytest

from millrace.clock import SystemClock
from millrace.testing import ManualClock


async def test_a_sleeper_wakes_when_time_was_moved_far_enough() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(10))
    await clock.until_sleeping()
    clock.advance(9)
    await asyncio.sleep(0)
    assert not task.done()
    clock.advance(1)
    await task
    assert clock.sleepers == 0


async def test_both_clocks_advance_and_only_one_jumps() -> None:
    clock = ManualClock(now=100.0, monotonic=5.0)
    clock.advance(2.5)
    clock.jump(-50)
    assert (clock.now(), clock.monotonic()) == (52.5, 7.5)
    with pytest.raises(ValueError, match="jump"):
        clock.advance(-1)


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock, woken = ManualClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2)]
    await clock.until_sleeping(3)
    clock.advance(5)
    await asyncio.gather(*tasks)
    assert woken == [1, 2, 3]


async def test_no_time_at_all_lets_others_run() -> None:
    clock, ran = ManualClock(), []
    task = asyncio.create_task(asyncio.sleep(0, ran.append(1)))
    await clock.sleep(0)
    assert ran == [1]
    await task


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(10))
    await clock.until_sleeping()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleepers == 0
    clock.advance(20)


async def test_an_alarm_rings_when_time_was_moved_far_enough_unless_it_was_cancelled() -> None:
    clock, rung = ManualClock(), []
    clock.alarm(10, lambda: rung.append("far"))
    clock.alarm(0, lambda: rung.append("now"))
    clock.alarm(5, lambda: rung.append("never")).cancel()
    assert clock.sleepers == 1
    clock.advance(9)
    await asyncio.sleep(0)
    assert rung == ["now"]
    clock.advance(1)
    await asyncio.sleep(0)
    assert rung == ["now", "far"]
    assert clock.sleepers == 0


async def test_until_sleeping_returns_at_once_when_they_sleep() -> None:
    clock = ManualClock()
    tasks = [asyncio.create_task(clock.sleep(1)) for _ in range(2)]
    await clock.until_sleeping(2)
    await clock.until_sleeping(1)
    clock.advance(1)
    await asyncio.gather(*tasks)


async def test_time_can_be_moved_from_another_thread() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(10))
    await clock.until_sleeping()
    thread = threading.Thread(target=clock.advance, args=(10,))
    thread.start()
    await asyncio.wait_for(task, 30)
    thread.join()


async def test_the_system_clock_is_the_machines() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before
    rung = asyncio.Event()
    clock.alarm(0, rung.set)
    await rung.wait()
    assert clock.now() > 1_700_000_000
