"""The worker: pipelines stop before replicas, and what does not end in time is killed."""

import asyncio

import pytest

from millrace.flow.worker import Worker
from millrace.testing import ManualClock


class Pipeline:
    """Runs until drained, or for ever."""

    def __init__(self, log: list[str], name: str = "pipeline", *, stubborn: bool = False) -> None:
        self.log, self.name, self.stubborn = log, name, stubborn
        self.draining = asyncio.Event()

    async def run(self) -> None:
        await (asyncio.Event() if self.stubborn else self.draining).wait()
        self.log.append(f"{self.name} ended")

    def drain(self) -> None:
        self.log.append(f"{self.name} drains")
        self.draining.set()

    def abandon(self) -> None:
        self.log.append(f"{self.name} abandons")


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


def worker(log: list[str], clock: ManualClock, *pipelines: Pipeline, calls: list[Pipeline] | None = None) -> Worker:
    return Worker({"f": Replicas(log)}, pipelines, calls=calls or [], clock=clock)  # type: ignore[dict-item, arg-type]


async def test_queues_first_then_calls_then_replicas() -> None:
    log: list[str] = []
    queue, call = Pipeline(log, "queue"), Pipeline(log, "call")
    mine = worker(log, ManualClock(), queue, calls=[call])
    await mine.start()
    await mine.stop(30.0)
    assert log == ["replicas start", "queue drains", "queue ended"], "calls are still answered"
    assert await mine.drain(30.0)
    assert log[3:] == ["queue drains", "call drains", "replicas close", "call ended", "replicas drain 30.0"]


async def test_what_does_not_end_in_time_is_killed() -> None:
    log: list[str] = []
    clock = ManualClock()
    mine = worker(log, clock, Pipeline(log, stubborn=True))
    await mine.start()
    draining = asyncio.create_task(mine.drain(30.0))
    await clock.until_sleeping()
    clock.advance(30.0)
    assert not await draining
    assert log[-2:] == ["pipeline abandons", "replicas killed"]
    assert "pipeline ended" not in log
    assert not mine.broken.is_set()


async def test_a_worker_without_functions_drains_at_once() -> None:
    mine = Worker({}, [], clock=ManualClock())
    await mine.start()
    assert await mine.drain(30.0)
    await mine.kill()


async def test_a_pipeline_that_breaks_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Pipeline):
        async def run(self) -> None:
            raise RuntimeError("a bug")

    mine = worker([], ManualClock(), Broken([]))
    await mine.start()
    await mine.broken.wait()
    assert "a bug" in caplog.text
    await mine.kill()
