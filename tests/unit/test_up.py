"""`up` in this process without replicas: sources that break, disks that refuse, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from millrace.app import open_backend, up
from millrace.app.backend import call_queues
from millrace.app.mill import Mill
from millrace.app.triggers import pushes_of, routes_of, sources_of
from millrace.brokers.sqlite import SqliteBroker
from millrace.config.load import load
from millrace.config.schema import Project
from millrace.errors import ConfigError, StorageBusy
from millrace.flow.worker import Worker
from millrace.source import Emit
from millrace.sources.bucket_watch import BucketSource
from millrace.sources.schedule import ScheduleSource
from millrace.sources.table_watch import TableSource
from millrace.testing import ManualClock

PROJECT = """
service: pets
gateway: {port: 0}
queues:
  images: {fifo: true}
tables:
  rows: {}
buckets:
  lake: {url: ./lake, poll: 9s}
functions:
  model:
    model: app.Model
    events:
      - queue: images
      - http: POST /images
      - bucket: lake/in/*.jpg
      - table: rows
      - schedule: rate(5 minutes)
      - push: /pushed
        token: open-sesame
  called:
    handler: app.handler
    events:
      - http: GET /pets/{id}
    timeout: 2m
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    return load(tmp_path)


@asynccontextmanager
async def running(project: Project, clock: ManualClock) -> AsyncIterator[asyncio.Task[int]]:
    """The gateway alone; stopped at the end of the block, at which it must have been sound."""
    stop, listening = asyncio.Event(), asyncio.Event()

    def announce(text: str) -> None:
        if "listening on" in text:
            listening.set()

    task = asyncio.create_task(up(project, functions=(), announce=announce, stop=stop, clock=clock))
    await listening.wait()
    yield task
    stop.set()
    assert await task == 0


async def test_a_source_that_breaks_is_started_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        name = "broken"
        runs = 0
        again = asyncio.Event()

        async def run(self, emit: Emit) -> None:
            self.runs += 1
            if self.runs == 1:
                raise RuntimeError("a bug")
            self.again.set()
            await asyncio.Event().wait()

    source, clock = Broken(), ManualClock()
    monkeypatch.setattr(sys.modules["millrace.app.parts"], "sources_of", lambda *_: [source])
    async with running(project, clock):
        while not source.again.is_set():
            await clock.until_sleeping()
            clock.advance(5.0)
            await asyncio.sleep(0)
    assert source.runs == 2
    assert "the source broken ended in an error" in caplog.text
    assert "a bug" in caplog.text


async def test_gauges_survive_a_disk_that_refuses(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    told, refusals = asyncio.Event(), [StorageBusy("locked", "wait")]
    stats = SqliteBroker.stats

    async def refusing(broker: SqliteBroker, queue: str) -> Any:
        if refusals:
            raise refusals.pop()
        told.set()
        return await stats(broker, queue)

    monkeypatch.setattr(SqliteBroker, "stats", refusing)
    clock = ManualClock()
    async with running(project, clock):
        while not told.is_set():
            await clock.until_sleeping()
            clock.advance(5.0)
            await asyncio.sleep(0)


async def test_a_worker_that_broke_ends_the_process_with_1(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        async def run(self) -> None:
            raise RuntimeError("a bug")

        def drain(self) -> None: ...
        def abandon(self) -> None: ...

    clock = ManualClock()
    worker = Worker({}, [Broken()], clock=clock)  # type: ignore[list-item]
    monkeypatch.setattr(Mill, "worker", lambda *_, **__: worker)
    caplog.set_level(logging.CRITICAL)
    assert await up(project, announce=lambda _: None, stop=asyncio.Event(), clock=clock) == 1
    assert "a bug" in caplog.text


async def test_every_event_becomes_its_source_route_or_push(project: Project) -> None:
    backend = await open_backend(project)
    try:
        sources = list(sources_of(project, backend, ManualClock()))
    finally:
        await backend.close()
    assert [(source.name, type(source)) for source in sources] == [
        ("model.2", BucketSource),
        ("model.3", TableSource),
        ("model.4", ScheduleSource),
    ]
    assert [
        (route.function, route.queue, route.kind, route.timeout_s) for route in routes_of(project, call_queues(project))
    ] == [
        ("model", "images", "model", 30.0),
        ("called", "called", "handler", 120.0),
    ]
    (push,) = pushes_of(project)
    assert (push.path, push.function, push.queue, push.token) == ("/pushed", "model", "images", "open-sesame")


async def test_a_table_that_is_watched_keeps_its_changes(project: Project) -> None:
    backend = await open_backend(project)
    try:
        assert await backend.tables["rows"].changes(after=0) == []
    finally:
        await backend.close()


async def test_an_unknown_broker_or_database_is_refused(project: Project) -> None:
    for setting in ("broker", "database"):
        with pytest.raises(ConfigError, match=f"{setting}: .* that millrace knows") as refused:
            await open_backend(project.model_copy(update={setting: "ampq://me:secret@somewhere"}))
        assert "secret" not in str(refused.value)


async def test_a_start_that_fails_lets_go_of_the_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise StorageBusy("locked", "wait")

    closed: list[bool] = []
    close = SqliteBroker.close

    async def closing(broker: SqliteBroker) -> None:
        closed.append(True)
        await close(broker)

    monkeypatch.setattr(SqliteBroker, "declare", refuse)
    monkeypatch.setattr(SqliteBroker, "close", closing)
    with pytest.raises(StorageBusy):
        await open_backend(project)
    assert closed == [True]
