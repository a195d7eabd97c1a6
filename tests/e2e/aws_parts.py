"""A project with `aws:` up in this process, its addresses, and clients of AWS's that find it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from millrace.app import Backend, open_backend, up
from millrace.config.load import load
from millrace.types import Message


class Site:
    """A running project: where its endpoint and its gateway are, what was announced, and its queues and tables."""

    def __init__(self, backend: Backend, lines: list[str]) -> None:
        self.backend = backend
        self.lines = lines
        self.endpoint = next(line.split()[3] for line in lines if line.startswith("AWS endpoint on "))
        self.gateway = next(line.split()[2] for line in lines if line.startswith("listening on "))

    async def received(self, queue: str, count: int) -> list[Message]:
        """What a queue holds, once it holds that many."""
        while len(found := await self.backend.broker.peek(queue)) < count:
            await self.backend.broker.wait(queue, 1.0)
        return [peeked.message for peeked in found]


@asynccontextmanager
async def running(folder: Path, *overrides: str) -> AsyncIterator[Site]:
    """The whole project; it must end well."""
    stop, listening, lines = asyncio.Event(), asyncio.Event(), list[str]()
    project = load(folder, overrides=overrides)

    def announce(text: str) -> None:
        lines.append(text)
        if text.startswith("listening on "):
            listening.set()

    task = asyncio.create_task(up(project, announce=announce, stop=stop))
    await asyncio.wait({task, asyncio.ensure_future(listening.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    backend = await open_backend(project)
    try:
        yield Site(backend, lines)
    finally:
        stop.set()
        await backend.close()
        code = await task
    assert code == 0


def client(service: str, url: str) -> Any:
    """An SDK that tries once."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="a-secret-of-some-length",
        config=Config(retries={"max_attempts": 1}, read_timeout=60),
    )
