"""How long until something happens: the import, the help, and `millrace up` to the first durable 202."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import httpx

from benchmarks import mill
from benchmarks.measured import Figure

_IMPORT = "import time; t = time.perf_counter(); import millrace; print(time.perf_counter() - t)"


def measure(quick: bool) -> list[Figure]:
    repeats = 3 if quick else 15
    importing = [float(_output("-c", _IMPORT)) for _ in range(repeats)]
    helping = [_seconds("-m", "millrace", "--help") for _ in range(repeats)]
    accepting = [asyncio.run(_first_202()) for _ in range(3 if quick else 7)]
    return [
        Figure("import", "import millrace", importing, "at most", 0.05, "s", "inside a running Python"),
        Figure("help", "millrace --help", helping, "at most", 0.25, "s", "the whole process"),
        Figure("up", "millrace up to the first 202", accepting, "at most", 1.0, "s", "from spawn; new folder"),
    ]


def _output(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


def _seconds(*arguments: str) -> float:
    began = time.perf_counter()
    _output(*arguments)
    return time.perf_counter() - began


async def _first_202() -> float:
    with mill.scratch() as folder:
        mill.write_project(folder, "noop.Noop", {})
        began = time.perf_counter()
        async with mill.up(folder, ready=False) as server, httpx.AsyncClient(trust_env=False) as client:
            response = await client.post(f"{server.url}/queues/{mill.QUEUE}", content=b"hello")
            elapsed_s = time.perf_counter() - began
            if response.status_code != 202:
                raise RuntimeError(f"the first post was answered {response.status_code}")
            return elapsed_s
