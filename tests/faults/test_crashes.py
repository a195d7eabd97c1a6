"""SIGKILL at every named step of the flow: nothing lost, no output twice, attempts and dead letters right."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from millrace.app import Backend, open_backend
from millrace.broker import dead_letters
from millrace.config.load import load
from millrace.ids import derived_id
from millrace.telemetry import Step
from millrace.types import JSON, Message, Put, Record

VICTIM = Path(__file__).with_name("victim.py")
HEALTHY = 60
STEPS = [
    Step.BEFORE_TAKE,
    Step.AFTER_TAKE,
    Step.BEFORE_RUN,
    Step.AFTER_RUN,
    Step.BEFORE_COMMIT,
    Step.AFTER_COMMIT,
]
PROJECT = """
service: crash
queues:
  work: {lease: 3s, max_receives: 3}
  out: {}
tables:
  rows: {key: id}
buckets:
  lake: {url: ./lake}
functions:
  double:
    model: app.Double
    events: [{queue: work}]
    batch: {size: 8}
    replicas: 2
    timeout: 3s
    retry: {base: 0s}
    to:
      - table: rows
      - queue: out
      - bucket: lake/{id}.json
"""
APP = """
import os

class Double:
    def predict(self, inputs):
        if "exit" in inputs:
            os._exit(7)
        return [{"twice": 2 * number} for number in inputs]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


async def start(folder: Path, who: str = "nobody", step: str = "", nth: int = 1) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(VICTIM), str(folder), who, step, str(nth)), stdout=asyncio.subprocess.PIPE
    )


async def put_work(backend: Backend) -> dict[str, object]:
    bodies: dict[str, object] = {f"m{i:03d}": i for i in range(HEALTHY)}
    bodies["killer"] = "exit"
    bodies["broken"] = {"not": "a number"}
    puts = [Put("work", Message(id, json.dumps(body).encode(), {"content-type": JSON})) for id, body in bodies.items()]
    await backend.broker.put(puts)
    return bodies


async def all_records(backend: Backend, ids: list[str]) -> dict[str, Record]:
    found = await asyncio.gather(*(backend.results.wait(id, 60.0) for id in ids))
    return {record.id: record for record in found if record is not None}


async def check(backend: Backend, records: dict[str, Record], bodies: dict[str, object]) -> None:
    healthy = [id for id, body in bodies.items() if isinstance(body, int)]
    assert {id for id, record in records.items() if record.state == "done"} == set(healthy), "nothing lost"
    assert {record.attempts for record in records.values() if record.state == "done"} <= {1, 2}

    rows = {row.key: json.loads(row.value) for row in await backend.tables["rows"].scan()}
    assert rows == {id: {"id": id, "twice": 2 * bodies[id]} for id in healthy}  # type: ignore[operator]
    objects = [item.key async for item in backend.buckets["lake"].list()]
    assert sorted(objects) == sorted(f"{id}.json" for id in healthy)
    out = await backend.broker.peek("out", 1000)
    assert sorted(peeked.message.id for peeked in out) == sorted(derived_id(id, "double", 1) for id in healthy)

    dead = {peeked.message.id: peeked.death for peeked in await backend.broker.peek(dead_letters("work"), 10)}
    assert set(dead) == {"killer", "broken"}
    assert dead["killer"] is not None
    assert dead["broken"] is not None
    assert (dead["killer"].failure.type, dead["killer"].attempts) == ("ReplicaDied", 3)
    assert (dead["broken"].failure.type, dead["broken"].attempts) == ("TypeError", 3)
    stats = await backend.broker.stats("work")
    assert (stats.depth, stats.in_flight, stats.delayed) == (0, 0, 0)


@pytest.mark.parametrize("step", STEPS)
async def test_the_parent_is_killed(folder: Path, step: Step) -> None:
    backend = await open_backend(load(folder))
    bodies = await put_work(backend)
    victim = await start(folder, "parent", step, 3)
    assert await victim.wait() == -signal.SIGKILL
    second = await start(folder)
    try:
        await check(backend, await all_records(backend, list(bodies)), bodies)
    finally:
        second.terminate()
        await backend.close()
    assert await second.wait() == 0


@pytest.mark.parametrize("step", STEPS)
async def test_all_replicas_are_killed(folder: Path, step: Step) -> None:
    backend = await open_backend(load(folder))
    bodies = await put_work(backend)
    victim = await start(folder, "replica", step, 3)
    try:
        records = await all_records(backend, list(bodies))
        await check(backend, records, bodies)
    finally:
        victim.terminate()
        await backend.close()
    output, _ = await victim.communicate()
    assert victim.returncode == 0
    assert f"killing replica {step}".encode() in output
