"""`millrace up --debug`: a breakpoint in a handler opens pdb in the terminal, and nothing ends it meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

PROJECT = """
service: looked-at
gateway: {port: 0}
queues:
  numbers: {lease: 1s}
functions:
  count:
    handler: app.main
    timeout: 500ms
    environment: {GREETING: hello}
    events:
      - queue: numbers
      - http: GET /count
"""
APP = """
import os

def main(event, context):
    number = 41
    breakpoint()
    return {"number": number, "greeting": os.environ["GREETING"]}
"""


class Terminal:
    """A running `up` whose standard input and output are a person's."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed = ""

    async def until(self, text: str) -> str:
        """Everything that was printed since the last call, up to a text."""
        assert self.process.stdout is not None
        while text not in self.printed:
            read = await self.process.stdout.read(4096)
            assert read, f"it ended without {text!r}: {self.printed}"
            self.printed += read.decode()
        before, found, self.printed = self.printed.partition(text)
        return before + found

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())


@asynccontextmanager
async def up(folder: Path, *arguments: str) -> AsyncIterator[Terminal]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace", "up", *arguments),
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        async with asyncio.timeout(60):
            yield Terminal(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


async def test_a_breakpoint_stops_in_the_terminal_and_outlives_timeout_and_lease(folder: Path) -> None:
    async with up(folder, "--debug", "count") as terminal:
        await terminal.until("listening on http://127.0.0.1:")
        port = (await terminal.until("\n")).strip()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=50) as client:
            asked = asyncio.create_task(client.get("/count"))
            await terminal.until("(Pdb) ")
            terminal.type("p number + 1")
            assert "42" in await terminal.until("(Pdb) ")
            # Longer than the function's limit of half a second, by the function's own clock.
            terminal.type("__import__('time').sleep(1.2)")
            await terminal.until("(Pdb) ")
            terminal.type("number = 7")
            await terminal.until("(Pdb) ")
            terminal.type("continue")
            answer = await asked
            assert (answer.status_code, answer.json()) == (200, {"number": 7, "greeting": "hello"})
        terminal.process.send_signal(signal.SIGTERM)
        await terminal.until("stopped")
        assert await terminal.process.wait() == 0


async def test_a_function_that_does_not_load_says_why(folder: Path) -> None:
    (folder / "app.py").write_text("import nothing_of_the_kind\n")
    async with up(folder, "--debug", "count") as terminal:
        told = await terminal.until("cannot run yet")
        assert "No module named 'nothing_of_the_kind'" in told
        assert "what to do: install nothing_of_the_kind" in told


async def test_a_function_that_is_not_there(folder: Path) -> None:
    async with up(folder, "--debug", "cuont") as terminal:
        assert "did you mean 'count'?" in await terminal.until("\n")
        assert await terminal.process.wait() == 1
