"""SIGKILL of everything while an asynchronous call waits for its next try: nothing lost, tries counted on."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from millrace.app import Backend, open_backend
from millrace.config.load import load
from millrace.source import EVENT_ATTRIBUTE
from millrace.types import JSON, Message, Put

VICTIM = Path(__file__).with_name("victim.py")
PROJECT = """
service: crash
queues:
  ended: {}
functions:
  fails:
    handler: app.fails
    timeout: 1s
    asynchronous: {tries: 2, wait: 1s, on_failure: {queue: ended}}
"""
APP = """
import os

def fails(event, context):
    with open("tries", "a") as file:
        file.write(context.aws_request_id + "\\n")
    raise ValueError("no")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


async def start(folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(VICTIM), str(folder), "nobody", "", "1"), stdout=asyncio.subprocess.DEVNULL
    )


async def until_waiting(backend: Backend, tries: int) -> None:
    """Return when the call has failed that often and waits for its next try."""
    while True:
        (peeked,) = await backend.broker.peek("fails.async")
        if (peeked.state, peeked.attempts) == ("delayed", tries):
            return
        await backend.broker.wait("fails.async", 0.1)


async def ended(backend: Backend) -> list[Any]:
    while not (found := await backend.broker.peek("ended")):
        await backend.broker.wait("ended", 1.0)
    return [peeked.message.json() for peeked in found]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("tries", [1, 2])
async def test_a_call_that_waits_for_its_next_try_survives_and_keeps_its_count(folder: Path, tries: int) -> None:
    backend = await open_backend(load(folder))
    event = Message("c1", json.dumps({"n": 1}).encode(), {"content-type": JSON, EVENT_ATTRIBUTE: "raw"})
    await backend.broker.put([Put("fails.async", event)])
    first = await start(folder)
    await until_waiting(backend, tries)
    first.send_signal(signal.SIGKILL)
    await first.wait()
    second = await start(folder)
    try:
        (envelope,) = await ended(backend)
    finally:
        second.terminate()
        assert await second.wait() == 0
        await backend.close()
    assert envelope["requestContext"]["approximateInvokeCount"] == 3
    assert envelope["requestPayload"] == {"n": 1}
    made = (folder / "tries").read_text().split()
    assert len(made) == 3, "no try was lost, none made twice"
    assert len(set(made)) == 1, "one request id on each try"
