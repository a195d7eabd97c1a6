"""A check in real time: a failure counts where the test kept up with its clock, and only there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from tests.conformance import real_time
from tests.conformance.real_time import run_in_real_time


class Bench(msgspec.Struct):
    advance: Callable[[float], Awaitable[None]]
    unit_s: float


class Clock:
    """A machine on which time passes when somebody says so."""

    def __init__(self) -> None:
        self.now = self.late_s = 0.0
        self.units: list[float] = []

    def monotonic(self) -> float:
        return self.now

    @asynccontextmanager
    async def bench(self, unit_s: float) -> AsyncIterator[Bench]:
        async def advance(seconds: float) -> None:
            self.now += seconds + self.late_s

        self.units.append(unit_s)
        yield Bench(advance, unit_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(real_time, "time", found)
    return found


async def test_a_failure_of_what_kept_up_counts_at_once(clock: Clock) -> None:
    async def run(bench: Bench) -> None:
        await bench.advance(9 * bench.unit_s)
        clock.now += 0.2
        raise AssertionError("wrong")

    with pytest.raises(AssertionError, match="wrong"):
        await run_in_real_time(clock.bench, run, 1.0)
    assert clock.units == [1.0]


@pytest.mark.parametrize("late_s", [5.0, 0.0], ids=["while it waited", "while it worked"])
async def test_what_stood_still_is_run_again_with_longer_units(clock: Clock, late_s: float) -> None:
    """Until its units are so long that what it does in between is next to nothing."""
    clock.late_s = late_s

    async def run(bench: Bench) -> None:
        await bench.advance(9 * bench.unit_s)
        clock.now += 5.0 - late_s
        assert bench.unit_s > 5.0, "late"

    await run_in_real_time(clock.bench, run, 1.0)
    assert clock.units == [1.0, 4.0, 16.0]


async def test_what_never_keeps_up_fails_in_the_end(clock: Clock) -> None:
    async def run(bench: Bench) -> None:
        clock.now += 10 * bench.unit_s
        raise AssertionError("slow")

    with pytest.raises(AssertionError, match="slow"):
        await run_in_real_time(clock.bench, run, 1.0)
    assert clock.units == [1.0, 4.0, 16.0]
