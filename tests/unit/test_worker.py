"""The worker: pipelines stop before replicas, and what does not end in time is killed."""

import asyncio

from millrace.flow.worker import Worker
from millrace.testing import ManualClock


class Pipeline:
    """Runs until drained, or for ever."""

    def __init__(self, log: list[str], *, stubborn: bool = False) -> None:
        self.log, self.stubborn = log, stubborn
        self.draining = asyncio.Event()

    async def run(self) -> None:
        await (asyncio.Event() if self.stubborn else self.draining).wait()
        self.log.append("pipeline ended")

    def drain(self) -> None:
        self.log.append("pipeline drains")
        self.draining.set()

    def abandon(self) -> None:
        self.log.append("pipeline abandons")


class Replicas:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def start(self) -> None:
        self.log.append("replicas start")

    def close(self) -> None:
        self.log.append("replicas close")

    async def drain(self, timeout_s: float) -> None:
        self.log.append(f"replicas drain {timeout_s}")

    async def kill(self) -> None:
        self.log.append("replicas killed")


def worker(log: list[str], clock: ManualClock, *pipelines: Pipeline) -> Worker:
    return Worker({"f": Replicas(log)}, pipelines, drain_s=30.0, clock=clock)  # type: ignore[dict-item, arg-type]


async def test_upstream_first_then_downstream() -> None:
    log: list[str] = []
    mine = worker(log, ManualClock(), Pipeline(log))
    await mine.start()
    assert await mine.drain()
    order = ["replicas start", "pipeline drains", "replicas close", "pipeline ended", "replicas drain 30.0"]
    assert log == order


async def test_what_does_not_end_in_time_is_killed() -> None:
    log: list[str] = []
    clock = ManualClock()
    mine = worker(log, clock, Pipeline(log, stubborn=True))
    await mine.start()
    draining = asyncio.create_task(mine.drain())
    await clock.until_sleeping()
    clock.advance(30.0)
    assert not await draining
    assert log[-2:] == ["pipeline abandons", "replicas killed"]
    assert "pipeline ended" not in log


async def test_a_worker_without_functions_drains_at_once() -> None:
    mine = Worker({}, [], drain_s=30.0, clock=ManualClock())
    await mine.start()
    assert await mine.drain()
    await mine.kill()
