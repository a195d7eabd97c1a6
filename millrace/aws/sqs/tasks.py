"""A move task: dead letters on their way back, step by step, so that it can be watched, paced and stopped."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import msgspec

from millrace.broker import DEAD_FROM_ATTRIBUTE, Broker, Peeked
from millrace.clock import Clock
from millrace.errors import MillraceError

_STEP = 500  # messages moved between two looks at whether to go on
_LOOK = 10_000  # how many are looked at to find those that can be moved

Status = Literal["RUNNING", "COMPLETED", "CANCELLED", "FAILED", "CANCELLING"]


class MoveTask(msgspec.Struct):
    """What is to be moved where, and how far it got; `target` None sends each to the queue in which it died.

    Tasks are forgotten when the process ends; what they moved stays moved.
    """

    handle: str
    source: str
    target: str | None
    per_second: int | None
    started_at: float  # Unix seconds
    to_move: int
    status: Status = "RUNNING"
    moved: int = 0
    failure: str = ""

    @property
    def active(self) -> bool:
        """Whether it still moves messages."""
        return self.status in ("RUNNING", "CANCELLING")

    async def run(self, broker: Broker, clock: Clock) -> None:
        """Move until nothing is left that can be moved."""
        try:
            while self.status == "RUNNING" and await self._step(broker):
                if self.per_second is not None:
                    await clock.sleep(1.0)
        except MillraceError as error:
            self.status, self.failure = "FAILED", error.problem
        else:
            self.status = "COMPLETED" if self.status == "RUNNING" else "CANCELLED"

    async def _step(self, broker: Broker) -> int:
        count = self.per_second or _STEP
        goals = await self._goals(broker, count, count) or await self._goals(broker, _LOOK, count)
        moved = 0
        for goal, ids in goals.items():
            moved += await broker.move(self.source, goal, ids)
        self.moved += moved
        return moved

    async def _goals(self, broker: Broker, look: int, count: int) -> dict[str, list[str]]:
        """Where the next messages go, by queue; those in flight, and those that died nowhere, stay."""
        found = [(each, self._goal(each)) for each in await broker.peek(self.source, look) if each.state != "in_flight"]
        goals: defaultdict[str, list[str]] = defaultdict(list)
        for each, goal in [(each, goal) for each, goal in found if goal][:count]:
            goals[goal].append(each.message.id)
        return goals

    def _goal(self, each: Peeked) -> str:
        return self.target or each.message.attributes.get(DEAD_FROM_ATTRIBUTE, "")
