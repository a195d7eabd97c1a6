"""One project on every broker: what a client puts, what a worker drains, and how soon an answer is there.

A table of its own, held to no target: it is for choosing a broker, not for comparing libraries. Client and worker are a
process each, and share the file in which rows, answers and what is done are kept, as on one machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import mill
from benchmarks.chaos.brokers import KINDS, Kind
from benchmarks.chaos.member import Member
from benchmarks.measured import Better, Figure, skipped
from benchmarks.speeds import MEASURES, PART
from benchmarks.workers.seen import MARK, Seen, payload
from millrace.app import Backend
from millrace.known_brokers import KNOWN_BROKERS
from millrace.types import Put
from tests.services.redis import Redis

SIZE = 200  # bytes
BATCH = 500
RATE_PER_S = 50.0
BROKERS: dict[str, Kind | None] = {
    "embedded": None,
    "RabbitMQ": KINDS["rabbitmq"],
    "Redis, always": KINDS["redis"],
    "Redis, everysec": Kind(Redis, None, "appendonly yes, appendfsync everysec"),
    "NATS": KINDS["nats"],
    "SQS": KINDS["sqs"],
}
_FILE = "one SQLite file, synced at each commit"
_EXTRAS = {"RabbitMQ": "rabbitmq", "Redis, always": "redis", "Redis, everysec": "redis", "SQS": "sqs"}

Values = Mapping[str, Sequence[float]]


def measure(quick: bool) -> list[Figure]:
    found: list[Figure] = []
    for broker, kind in BROKERS.items():
        if why := missing(broker, kind):
            found += figures(broker, kind, {}, why)
        else:
            with _project(kind) as folder:
                found += figures(broker, kind, asyncio.run(_speeds(folder, quick)))
    return found


def missing(broker: str, kind: Kind | None) -> str:
    """Why a broker cannot be measured here, "" where it can."""
    server = kind.server() if kind is not None else None
    if server is not None and server.program() is None:
        return f"{server.package} is not installed"
    known = next((each for each in KNOWN_BROKERS if each.name == _EXTRAS.get(broker)), None)
    return "" if known is None or known.is_installed else f"{known.package} is not installed"


def figures(broker: str, kind: Kind | None, values: Values, why: str = "") -> list[Figure]:
    """A figure for each measure of one broker, skipped, with `why`, where there are no values."""
    settings = _FILE if kind is None else kind.settings
    found = []
    for measure, (what, unit) in MEASURES.items():
        name, said = f"{broker}: {measure}", f"{what}; {settings}"
        better: Better = "at most" if unit == "ms" else "at least"
        if why:
            found.append(skipped(name, said, better, None, why, PART))
        else:
            found.append(Figure(name, said, values[measure], better, None, unit, _how(measure), part=PART))
    return found


def _how(measure: str) -> str:
    return f"{RATE_PER_S:.0f} a second" if measure in ("p50", "p99") else f"{SIZE} bytes"


def _count(quick: bool) -> int:
    """How many messages are put, and then drained: MILLRACE_BENCH_MESSAGES, where it is set."""
    return int(os.environ.get("MILLRACE_BENCH_MESSAGES", 2_000 if quick else 5_000))


@contextlib.contextmanager
def _project(kind: Kind | None) -> Iterator[Path]:
    """The folder of the project, whose broker runs with its data on the disk of the checkout."""
    with mill.scratch() as folder, contextlib.ExitStack() as servers:
        mill.write_project(folder, "noop.Noop", {"batch": {"size": BATCH, "wait": "5ms"}})
        if kind is not None:
            url = servers.enter_context(kind.server()).start(folder)
            path = folder / "millrace.yml"
            path.write_text(json.dumps({**json.loads(path.read_text()), "broker": url}))
        yield folder


async def _speeds(folder: Path, quick: bool) -> Values:
    async with mill.opened(folder) as backend:
        rates = [await _backlog(folder, backend, _count(quick)) for _ in range(1 if quick else 3)]
        latencies_ms = await _one_by_one(folder, backend, 100 if quick else 400)
    cuts = statistics.quantiles(latencies_ms, n=100)
    put, drained = zip(*rates, strict=True)
    return {"put": put, "drained": drained, "p50": [cuts[49]], "p99": [cuts[98]]}


@contextlib.asynccontextmanager
async def _working(folder: Path) -> AsyncIterator[None]:
    """One `millrace worker` on the project. Raises RuntimeError when it does not end in order."""
    worker = Member("worker", ["worker"], folder, {})
    await worker.start()
    try:
        yield
        if code := await worker.stop():
            raise RuntimeError(f"millrace worker exited with {code}: {worker.log.read_text()[-2000:]}")
    finally:
        await worker.kill()


async def _backlog(folder: Path, backend: Backend, count: int) -> tuple[float, float]:
    """Messages a second that a client puts, a hundred at once, and that a worker then drains."""
    work = mill.messages([payload(number, SIZE).encode() for number in range(count)])
    began = time.monotonic()
    await mill.put_all(backend, work)
    put_per_s = count / (time.monotonic() - began)
    seen = Seen(count)
    async with _working(folder):
        for number, message in reversed([*enumerate(work)]):  # the last one first: it is waited for, the rest looked up
            record = await mill.finished(backend, message.id)
            seen.note(payload(number, MARK), record.finished_at)
    return put_per_s, seen.report().per_s


async def _one_by_one(folder: Path, backend: Backend, count: int) -> list[float]:
    """Milliseconds from before a put until its durable answer is there, for messages that come at a low rate."""
    async with _working(folder):
        await _answered_ms(backend)  # the worker is ready
        asked = []
        began = time.monotonic()
        for number in range(count):
            await asyncio.sleep(number / RATE_PER_S - (time.monotonic() - began))
            asked.append(asyncio.create_task(_answered_ms(backend)))
        return await asyncio.gather(*asked)


async def _answered_ms(backend: Backend) -> float:
    [message] = mill.messages([payload(0, SIZE).encode()])
    began = time.monotonic()
    await backend.broker.put([Put(mill.QUEUE, message)])
    await mill.finished(backend, message.id)
    return (time.monotonic() - began) * 1000
