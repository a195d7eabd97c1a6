"""Servers that speak SQS, for the adapter: millrace's own endpoint with time by hand, and moto with real time."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn

from millrace.aws.endpoint.app import Endpoint
from millrace.aws.endpoint.guard import Guard
from millrace.aws.sqs import SqsService
from millrace.brokers.sqlite import SqliteBroker
from millrace.brokers.sqs import SqsBroker, open_broker
from millrace.clock import Clock
from millrace.database import Database
from millrace.stores.sqlite import SqliteTables
from millrace.testing import ManualClock
from millrace.testing.bench import BrokerBench
from tests.services.ports import free_port

ACCOUNT, REGION = "123456789012", "eu-west-1"
_ROUND_TRIP_S = 0.01  # what was on its way when time passed gets there before more of it does
MOTO_UNIT_S = 0.9  # SQS counts whole seconds: ten of these are a lease of nine, five a delay of five


@asynccontextmanager
async def own_endpoint(folder: Path, clock: Clock) -> AsyncIterator[str]:
    """The URL of an endpoint of this process, over the embedded queue."""
    database = Database.open(folder / "sqs.db", clock=clock)
    tables = SqliteTables(database)
    broker = SqliteBroker(database, [tables])
    service = SqsService(broker, await tables.open("sqs", "name"), account=ACCOUNT, region=REGION, clock=clock)
    await service.start([])
    app = Endpoint({"sqs": service}, None, guard=Guard(None, clock), account=ACCOUNT, region=REGION, health={})
    port = free_port()
    config = uvicorn.Config(app, port=port, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await service.close()
        await serving
        await database.close()


@contextmanager
def moto_server() -> Iterator[str]:
    """The URL of moto's server in a process of its own, which listens."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _listens(port):
            assert process.poll() is None, "moto's server ended while it started"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def address(endpoint: str, prefix: str = "") -> str:
    """A broker's URL at an endpoint."""
    return f"sqs://AKIDEXAMPLE:a-secret-of-some-length@{REGION}?endpoint={endpoint}" + (
        f"&prefix={prefix}" if prefix else ""
    )


@asynccontextmanager
async def virtual(folder: Path) -> AsyncIterator[BrokerBench]:
    """The own endpoint, whose time and whose client's time are one clock that a check moves."""
    clock = ManualClock()

    async def advance(seconds: float) -> None:
        clock.advance(seconds)
        await asyncio.sleep(_ROUND_TRIP_S)

    async with own_endpoint(folder, clock) as endpoint, _bench(address(endpoint), clock) as bench:
        bench.advance, bench.unit_s = advance, 10.0
        yield bench


@asynccontextmanager
async def real(url: str, unit_s: float = MOTO_UNIT_S) -> AsyncIterator[BrokerBench]:
    """A server of another's with queues of a prefix, which are dropped at the end."""
    async with _bench(url, None, unit_s) as bench:
        try:
            yield bench
        finally:
            left = [name for name in await bench.broker.queues() if not name.endswith(".dead")]
            await bench.broker.drop(left)


@asynccontextmanager
async def _bench(url: str, clock: Clock | None, unit_s: float = MOTO_UNIT_S) -> AsyncIterator[BrokerBench]:
    opened: list[SqsBroker] = []

    async def reopen() -> SqsBroker:
        if opened:
            await opened[-1].close()
        opened.append(await open_broker(url, clock=clock))
        return opened[-1]

    bench = BrokerBench(await reopen(), asyncio.sleep, unit_s, reopen)
    try:
        yield bench
    finally:
        await opened[-1].close()
