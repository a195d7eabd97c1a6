"""The baseline of `intake`: the same gateway in front of a broker that says "accepted" and keeps nothing.

python -m benchmarks.hollow          prints the URL, serves until stdin closes
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import uvloop

from benchmarks.mill import QUEUE
from millrace.brokers.memory import MemoryBroker
from millrace.clock import SystemClock
from millrace.sources.http import Readiness, Server, Settings, create_app
from millrace.stores.memory import MemoryResults
from millrace.telemetry import Telemetry
from millrace.types import Accepted, Put


class HollowBroker(MemoryBroker):
    """Accepts at once and forgets."""

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        return [Accepted(put.message.id) for put in puts]


async def main() -> None:
    clock = SystemClock()
    results = MemoryResults()
    app = create_app(
        settings=Settings(service="hollow"),
        routes=[],
        queues=[QUEUE],
        pushes=[],
        broker=HollowBroker(clock, []),
        results=results,
        memory=MemoryBroker(clock, [results]),
        memory_results=results,
        telemetry=Telemetry(),
        readiness=lambda: Readiness(True, {}),
        draining=lambda: False,
        clock=clock,
    )
    server = Server(app)
    print(f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.drain(5.0)
    await server.close()


if __name__ == "__main__":
    uvloop.run(main())
