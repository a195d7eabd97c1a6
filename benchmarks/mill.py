"""millrace as the benchmarks run it: a scratch project, `millrace up` in its own process, messages from outside."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from millrace.app import Backend, open_backend
from millrace.config.load import load
from millrace.ids import new_id
from millrace.server_process import ServerProcess
from millrace.types import Message, Put, Record

MODELS = Path(__file__).resolve().parent / "models"
QUEUE = "work"
FUNCTION = "run"
TABLE = "results"
PUT_AT_ONCE = 100
_POLL_S = 0.01


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the disk that holds the checkout (/tmp may be memory), removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=".bench-", dir=Path(__file__).resolve().parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_project(
    folder: Path, model: str, function: Mapping[str, Any], queue: Mapping[str, Any] | None = None
) -> None:
    """A project with one queue, one model of benchmarks/models and one table; JSON is YAML."""
    shutil.copytree(MODELS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    project = {
        "service": "benchmark",
        "queues": {QUEUE: {"lease": "60s", **(queue or {})}},
        "tables": {TABLE: {"key": "id"}},
        "functions": {FUNCTION: {"model": model, "events": [{"queue": QUEUE}], "to": [{"table": TABLE}], **function}},
    }
    (folder / "millrace.yml").write_text(json.dumps(project, indent=2))


@asynccontextmanager
async def up(folder: Path, *arguments: str, ready: bool = True) -> AsyncIterator[ServerProcess]:
    """`millrace up` on the project, loaded when `ready`; SIGTERM afterwards must give exit code 0."""
    server = await ServerProcess.start(folder, arguments)
    try:
        if ready:
            async with httpx.AsyncClient(trust_env=False) as client:
                await server.wait_ready(client)
        yield server
        code = await server.stop()
        if code:
            raise RuntimeError(f"millrace up exited with {code}: {server.log.read_text()[-2000:]}")
    finally:
        await server.kill()


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Backend]:
    """The project's queue, table and records from this process."""
    backend = await open_backend(load(folder))
    try:
        yield backend
    finally:
        await backend.close()


def messages(bodies: Sequence[bytes]) -> list[Message]:
    """Messages with fresh ids."""
    return [Message(new_id(), body, {"content-type": "application/octet-stream"}) for body in bodies]


async def put_all(backend: Backend, work: Sequence[Message], at_once: int = PUT_AT_ONCE) -> None:
    """Put in order, `at_once` messages a commit."""
    for start in range(0, len(work), at_once):
        await backend.broker.put([Put(QUEUE, message) for message in work[start : start + at_once]])


async def drained(backend: Backend, work: Sequence[Message]) -> None:
    """Return when the queue is empty: wait for the last message first, since counting a queue is not free."""
    await finished(backend, work[-1].id)
    while (stats := await backend.broker.stats(QUEUE)).depth + stats.in_flight + stats.delayed:
        await asyncio.sleep(_POLL_S)


async def finished(backend: Backend, id: str) -> Record:
    """The final record of a message."""
    while True:
        record = await backend.results.wait(id, 30.0)
        if record is not None and record.state in ("done", "dead"):
            return record


async def drain_rate(backend: Backend, work: Sequence[Message], batch: int, replicas: int) -> float:
    """Items a second between the first and the last commit of a backlog, from the records' own times.

    What the first batches needed to load a model and fill the pipeline is left out: the backlog is long, this is not
    what is measured.
    """
    await drained(backend, work)
    edge = 4 * batch * replicas
    first = sorted([(await finished(backend, message.id)).finished_at for message in work[:edge]])
    last = max([(await finished(backend, message.id)).finished_at for message in work[-edge:]])
    begun = first[batch * replicas - 1]  # every replica has answered about once
    return (len(work) - batch * replicas) / (last - begun)
