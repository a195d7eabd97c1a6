"""Puts a message each time that a rule comes due.

The id is derived from rule, function and moment: two processes, or a clock that passes the same moment twice, make one
message. After a sleep, a suspended machine or a jump of the clock the last missed moment fires, the others never; what
passed while no process was up does not fire either, as on AWS.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec

from millrace.clock import Clock
from millrace.cron import latest, parse
from millrace.source import EVENT_ATTRIBUTE, RAW_EVENT, Emit, Tick
from millrace.types import JSON, Message, Put

_MAX_SLEEP_S = 30.0  # a monotonic sleep neither hears the wall clock jump nor counts a suspended machine's time


class ScheduleSource:
    """One `schedule:` event; `input` is what the function receives instead of the Tick, `path` the part of it.

    Raises ConfigError for a rule that cannot be read.
    """

    def __init__(
        self, name: str, queue: str, function: str, rule: str, input: Any, clock: Clock, path: str = ""
    ) -> None:
        self.name = name
        self._queue = queue
        self._function = function
        self._rule = rule.strip()
        self._schedule = parse(rule)
        self._input = input
        self._path = path
        self._clock = clock
        self._done_until: float | None = None
        meaning = msgspec.json.encode([self._rule, input, path] if path else [self._rule, input])
        self._id = f"schedule.{function}.{blake2b(meaning, digest_size=6).hexdigest()}"

    async def run(self, emit: Emit) -> None:
        """Emit at each firing until cancelled; a moment whose emit raised is still due at the next run."""
        while True:
            await self._fire(emit, self._clock.now())
            await self._clock.sleep(self._pause_s(self._clock.now()))

    async def _fire(self, emit: Emit, now: float) -> None:
        if self._done_until is None or now < self._done_until:
            # The clock went back: what comes due again has its old id, and the queue drops it.
            self._done_until = now
        due = latest(self._schedule, self._done_until, now)
        if due is not None:
            await emit([self._put(due)])
        self._done_until = now

    def _pause_s(self, now: float) -> float:
        due = self._schedule.next_after(now if self._done_until is None else self._done_until)
        return _MAX_SLEEP_S if due is None else min(_MAX_SLEEP_S, max(0.0, due - now))

    def _put(self, due: float) -> Put:
        moment = datetime.fromtimestamp(due, UTC).strftime("%Y%m%dT%H%M%SZ")
        is_raw = self._input is not None
        body = msgspec.json.encode(self._input if is_raw else Tick(self._rule, self._function, due, self._path))
        attributes = {"content-type": JSON, EVENT_ATTRIBUTE: RAW_EVENT if is_raw else "schedule"}
        return Put(self._queue, Message(f"{self._id}.{moment}", body, attributes, due))
