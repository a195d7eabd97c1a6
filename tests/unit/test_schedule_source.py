"""Schedules on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest

from millrace.errors import ConfigError, StorageFull
from millrace.source import EVENT_ATTRIBUTE, Tick
from millrace.sources.schedule import ScheduleSource
from millrace.types import Accepted, Put

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


class Wall:
    """A clock whose wall time and sleeps the test decides; `slept` holds what was asked for."""

    def __init__(self, now: float) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.get_running_loop().create_future()


class Inbox:
    """Remembers what was emitted; refuses while `broken`."""

    def __init__(self) -> None:
        self.puts: list[Put] = []
        self.broken = False

    async def __call__(self, puts: Sequence[Put]) -> list[Accepted]:
        if self.broken:
            raise StorageFull("no space", "free some")
        self.puts += puts
        return [Accepted(put.message.id) for put in puts]

    @property
    def times(self) -> list[str]:
        return [datetime.fromtimestamp(put.message.sent_at, UTC).strftime("%d %H:%M") for put in self.puts]


async def at(source: ScheduleSource, inbox: Inbox, wall: Wall, time: float) -> float:
    """Let the source wake at a time and go to sleep again; say for how long."""
    wall.time = time
    running = asyncio.create_task(source.run(inbox))
    slept = len(wall.slept)
    while len(wall.slept) == slept and not running.done():
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    if len(wall.slept) == slept:
        running.result()
    return wall.slept[-1]


def source(
    wall: Wall, rule: str = "rate(5 minutes)", input: object = None, function: str = "nightly"
) -> ScheduleSource:
    return ScheduleSource("nightly.0", "inbox", function, rule, input, wall)


async def test_fires_at_each_moment_and_never_at_the_start() -> None:
    wall, inbox = Wall(NOON), Inbox()
    clockwork = source(wall)
    assert await at(clockwork, inbox, wall, NOON) == 30.0
    assert await at(clockwork, inbox, wall, NOON + 290) == 10.0
    assert inbox.puts == []
    await at(clockwork, inbox, wall, NOON + 300)
    await at(clockwork, inbox, wall, NOON + 301)
    await at(clockwork, inbox, wall, NOON + 600.5)
    assert inbox.times == ["21 12:05", "21 12:10"]


async def test_a_tick_says_what_came_due_and_when() -> None:
    wall, inbox = Wall(NOON), Inbox()
    clockwork = source(wall, " cron(5 12 * * ? *) ")
    await at(clockwork, inbox, wall, NOON)
    await at(clockwork, inbox, wall, NOON + 301)
    (put,) = inbox.puts
    assert put.queue == "inbox"
    assert put.message.attributes == {"content-type": "application/json", EVENT_ATTRIBUTE: "schedule"}
    assert msgspec.json.decode(put.message.body, type=Tick) == Tick("cron(5 12 * * ? *)", "nightly", NOON + 300)


async def test_a_configured_input_is_the_whole_event() -> None:
    wall, inbox = Wall(NOON), Inbox()
    clockwork = source(wall, input={"full": True})
    await at(clockwork, inbox, wall, NOON)
    await at(clockwork, inbox, wall, NOON + 300)
    assert inbox.puts[0].message.json() == {"full": True}
    assert inbox.puts[0].message.attributes[EVENT_ATTRIBUTE] == "raw"


async def test_a_tick_says_which_part_of_the_event_is_wanted() -> None:
    wall, inbox = Wall(NOON), Inbox()
    clockwork = ScheduleSource("nightly.0", "inbox", "nightly", "rate(5 minutes)", None, wall, "$.time")
    await at(clockwork, inbox, wall, NOON)
    await at(clockwork, inbox, wall, NOON + 300)
    (put,) = inbox.puts
    assert msgspec.json.decode(put.message.body, type=Tick).path == "$.time"
    assert put.message.attributes[EVENT_ATTRIBUTE] == "schedule"


async def test_two_processes_give_one_moment_one_id_and_other_rules_another() -> None:
    ids = []
    for input, function in ((None, "nightly"), (None, "nightly"), ({"n": 1}, "nightly"), (None, "hourly")):
        wall, inbox = Wall(NOON), Inbox()
        clockwork = source(wall, input=input, function=function)
        await at(clockwork, inbox, wall, NOON + 1 + len(ids))
        await at(clockwork, inbox, wall, NOON + 302)
        ids.append(inbox.puts[0].message.id)
    assert ids[0] == ids[1]
    assert ids[0].endswith(".20261121T120500Z")
    assert len(set(ids)) == 3


async def test_after_a_long_sleep_only_the_last_missed_moment_fires() -> None:
    wall, inbox = Wall(NOON), Inbox()
    clockwork = source(wall)
    await at(clockwork, inbox, wall, NOON)
    assert await at(clockwork, inbox, wall, NOON + 10 * 3600 + 17) == 30.0
    assert inbox.times == ["21 22:00"]


async def test_when_the_clock_goes_back_the_same_moment_has_the_same_id() -> None:
    wall, inbox = Wall(NOON), Inbox()
    clockwork = source(wall)
    await at(clockwork, inbox, wall, NOON)
    await at(clockwork, inbox, wall, NOON + 300)
    await at(clockwork, inbox, wall, NOON - 3600)
    await at(clockwork, inbox, wall, NOON - 3300)
    await at(clockwork, inbox, wall, NOON + 300)
    assert inbox.times == ["21 12:05", "21 11:05", "21 12:05"]
    assert inbox.puts[0].message.id == inbox.puts[2].message.id


async def test_a_moment_that_could_not_be_put_is_still_due() -> None:
    wall, inbox = Wall(NOON), Inbox()
    clockwork = source(wall)
    await at(clockwork, inbox, wall, NOON)
    inbox.broken = True
    with pytest.raises(StorageFull):
        await at(clockwork, inbox, wall, NOON + 300)
    inbox.broken = False
    await at(clockwork, inbox, wall, NOON + 330)
    assert inbox.times == ["21 12:05"]


async def test_a_rule_of_the_past_sleeps_and_does_not_spin() -> None:
    wall, inbox = Wall(NOON), Inbox()
    clockwork = source(wall, "cron(0 0 1 1 ? 2020)")
    assert await at(clockwork, inbox, wall, NOON) == 30.0
    assert await at(clockwork, inbox, wall, NOON + 86400) == 30.0
    assert inbox.puts == []


def test_a_rule_that_cannot_be_read_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="field minute"):
        source(Wall(NOON), "cron(99 * * * ? *)")
