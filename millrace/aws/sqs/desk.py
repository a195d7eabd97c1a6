"""What every action has at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from millrace.aws.sqs.attempts import Attempts
from millrace.aws.sqs.inflight import InFlight
from millrace.aws.sqs.registry import Registry
from millrace.aws.sqs.tasks import MoveTask
from millrace.broker import Broker
from millrace.clock import Clock


class Desk:
    """The broker, the queues, the time, and what is remembered only while the process runs."""

    def __init__(self, broker: Broker, registry: Registry, account: str, clock: Clock) -> None:
        self.broker = broker
        self.registry = registry
        self.account = account
        self.clock = clock
        self.attempts = Attempts(clock)
        self.in_flight = InFlight(broker)
        self.purged_at: dict[str, float] = {}  # monotonic seconds, by queue
        self.moves: dict[str, MoveTask] = {}  # by handle, oldest first
        self._running: set[asyncio.Task[None]] = set()

    def now_s(self) -> int:
        """Whole Unix seconds."""
        return int(self.clock.now())

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Run something beside the answers, until it ends or the service closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Stop what runs; each step that it did is done, no step is done by half."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
