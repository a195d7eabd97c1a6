"""`millrace worker --health`, as a supervisor asks it: alive at once, ready when loaded, gone after SIGTERM."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

import httpx

PROJECT = """
service: probed
queues:
  numbers: {}
functions:
  count:
    handler: app.main
    events:
      - queue: numbers
"""
CODE = """
import os, time
while not os.path.exists("go"):
    time.sleep(0.01)

def main(event, context):
    return event
"""


async def test_a_worker_is_alive_at_once_and_ready_when_its_function_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(CODE)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace", "worker", "--function", "count", "--health", "0"),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with httpx.AsyncClient(base_url=await address(worker)) as probe:
            assert (await probe.get("/healthz")).status_code == 200
            loading = await probe.get("/readyz")
            assert loading.status_code == 503
            assert loading.json()["details"]["functions"]["count"]["ready"] is False
            (tmp_path / "go").touch()
            while (await probe.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.02)
            assert "millrace_replicas" in (await probe.get("/metrics")).text
        worker.send_signal(signal.SIGTERM)
        await worker.communicate()
        assert worker.returncode == 0
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()


async def address(worker: asyncio.subprocess.Process) -> str:
    assert worker.stderr is not None
    said = b""
    async for line in worker.stderr:
        said += line
        if found := re.search(rb"health at (http://\S+)", line):
            return found[1].decode()
    raise AssertionError(said.decode())
