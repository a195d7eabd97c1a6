"""A fleet: two gateways and two workers of one project, which know each other only through broker and database."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import httpx

from benchmarks.chaos.member import Member
from benchmarks.served import free_port

LEASE_S = 5.0
GATEWAYS = WORKERS = 2
_PROJECT = {
    "service": "chaos",
    "queues": {
        "items": {"lease": f"{LEASE_S:.0f}s", "max_receives": 1000},
        "labels": {"lease": f"{LEASE_S:.0f}s", "max_receives": 1000},
    },
    "tables": {"effects": {"key": "id"}, "filed": {"key": "id"}},
    "functions": {
        "classify": {
            "model": "work.Classify",
            "events": [{"http": "POST /items"}, {"queue": "items"}],
            "batch": {"size": 32, "wait": "20ms"},
            "timeout": "4s",
            "to": [{"table": "effects"}, {"queue": "labels"}],
        },
        "file": {
            "model": "work.File",
            "events": [{"queue": "labels"}],
            "batch": {"size": 32, "wait": "20ms"},
            "timeout": "4s",
            "to": [{"table": "filed"}],
        },
    },
}
_READY_S = 60.0
_POLL_S = 0.1


class Fleet:
    """Its members, by kind; a member that was killed is started again under its old name and port."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        ports = [free_port() for _ in range(GATEWAYS)]
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.gateways = [
            Member(f"gateway-{number}", ["gateway", "--port", str(port)], folder, environment)
            for number, port in enumerate(ports)
        ]
        self.workers = [Member(f"worker-{number}", ["worker"], folder, environment) for number in range(WORKERS)]
        self._dice = random.Random(17)

    async def start(self) -> None:
        """Write the project, start everybody, and return when the gateways are ready."""
        shutil.copy(Path(__file__).with_name("work.py"), self.folder)
        (self.folder / "millrace.yml").write_text(json.dumps(_PROJECT, indent=2))
        for member in [*self.gateways, *self.workers]:
            await member.start()
        async with asyncio.timeout(_READY_S), httpx.AsyncClient(trust_env=False) as client:
            for url in self.urls:
                await _ready(client, url)

    async def stop(self) -> list[int]:
        """Drain everybody, gateways first; the exit codes."""
        codes = [await member.stop() for member in self.gateways]
        return codes + await asyncio.gather(*(member.stop() for member in self.workers))

    async def kill(self) -> None:
        """End whoever is left, whatever happens."""
        for member in [*self.gateways, *self.workers]:
            await member.kill()

    def any_worker(self) -> Member:
        return self._dice.choice(self.workers)

    def any_gateway(self) -> Member:
        return self._dice.choice(self.gateways)


async def _ready(client: httpx.AsyncClient, url: str) -> None:
    while True:
        try:
            if (await client.get(f"{url}/readyz")).is_success:
                return
        except httpx.HTTPError:
            pass  # it is starting
        await asyncio.sleep(_POLL_S)
