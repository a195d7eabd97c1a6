"""What people are told of functions: on the terminal, in the logbook, and at /readyz."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from millrace.app.readiness import Reach, readiness
from millrace.app.witness import Witness
from millrace.flow.replicas import ReplicaStatus
from millrace.logbook import LogBook
from millrace.types import Failure
from millrace.wire import Line

NO_WEIGHTS = Failure("RuntimeError", "no weights")
READY = ReplicaStatus(1, "ready", None, 0, 1)
LOADING = ReplicaStatus(1, "loading", None, 0, 1)
FAILED = ReplicaStatus(None, "failed", NO_WEIGHTS, 3, 0)


class Replicas:
    """Stands in for a ReplicaSet whose replicas are in the states that a test sets."""

    version = "v1"

    def __init__(self, *found: ReplicaStatus) -> None:
        self.found = found
        self._changed = asyncio.Condition()

    @property
    def ready(self) -> int:
        return sum(status.state == "ready" for status in self.found)

    def status(self) -> list[ReplicaStatus]:
        return list(self.found)

    async def until(self, wanted: Callable[[Any], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: wanted(self))

    async def become(self, *found: ReplicaStatus) -> None:
        async with self._changed:
            self.found = found
            self._changed.notify_all()


async def test_each_change_between_able_and_unable_is_announced_once(tmp_path: Path) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    witness = Witness(tmp_path, said.put_nowait, None)
    replicas = Replicas(LOADING)
    telling = asyncio.create_task(witness.loading("f", replicas))  # type: ignore[arg-type]
    await replicas.become(FAILED)
    assert (await said.get()).startswith("f cannot run yet")
    await replicas.become(FAILED, LOADING)
    await replicas.become(READY, FAILED)
    assert await said.get() == "f is ready (version v1)"
    await replicas.become(LOADING)  # one that died and comes again is no news
    await replicas.become(FAILED)
    assert (await said.get()).startswith("f cannot run yet")
    assert said.empty()
    telling.cancel()
    witness.close()


async def test_lines_go_to_the_logbook_and_are_passed_on(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    witness = Witness(tmp_path, print, lambda function, line: heard.append((function, line.text)))
    witness.writer("f")(Line("stdout", "hello", "r", ("a",), 1.0))
    Witness(tmp_path, print, None).writer("g")(Line("stdout", "unheard", "r", (), 2.0))
    witness.close()
    assert heard == [("f", "hello")]
    (entry,) = LogBook(tmp_path).read("f")
    assert entry.text == "hello"


def test_ready_means_every_function_has_a_loaded_replica() -> None:
    reach = Reach()
    reach.away = ""
    found = readiness({"good": Replicas(READY, LOADING), "bad": Replicas(FAILED)}, reach)  # type: ignore[dict-item]
    assert not found.ready
    assert found.details == {
        "functions": {
            "good": {"ready": True, "version": "v1", "replicas": {"ready": 1, "loading": 1}},
            "bad": {
                "ready": False,
                "version": "v1",
                "replicas": {"failed": 1},
                "failure": {"type": "RuntimeError", "message": "no weights"},
            },
        }
    }
    assert readiness({"good": Replicas(READY)}, reach).ready  # type: ignore[dict-item]
    assert readiness({}, reach).ready


def test_nothing_is_ready_whose_broker_has_not_answered_or_does_not_any_more() -> None:
    reach = Reach()
    assert not readiness({}, reach).ready
    reach.away = "nobody listens"
    found = readiness({"good": Replicas(READY)}, reach)  # type: ignore[dict-item]
    assert not found.ready
    assert found.details["away"] == "nobody listens"
