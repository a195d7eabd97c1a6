"""Every kind of event in one running project: a call that is answered, a bucket, a table's changes, and a webhook."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from millrace.app import Backend, open_backend, up
from millrace.config.load import load

PROJECT = """
service: pets
gateway: {{port: 0}}
tables:
  rows: {{}}
buckets:
  lake: {{url: ./lake, poll: 50ms}}
functions:
  answer:
    handler: app.answer
    events:
      - http: POST /pets/{{id}}
  read:
    model: app.Read
    events:
      - bucket: lake/in/*.txt
    to:
      - table: rows
  follow:
    model: app.Follow
    events:
      - table: rows
    to:
      - webhook: {webhook}
"""
APP = """
import json
import os

def answer(event, context):
    body = json.loads(event["body"])
    if body.get("fail"):
        raise ValueError("no such pet")
    return {"statusCode": 201, "body": json.dumps({"id": event["pathParameters"]["id"], "said": body["say"]})}

class Read:
    def predict(self, inputs):
        return [{"key": event["key"]} for event in inputs]

class Follow:
    def predict(self, inputs):
        return [{"change": event["kind"], "key": event["new"]["key"]} for event in inputs]
"""


@asynccontextmanager
async def hook() -> AsyncIterator[tuple[str, asyncio.Queue[bytes]]]:
    """A server that keeps the bodies which are posted to it."""
    bodies: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        bodies.put_nowait(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", bodies


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[str, Backend]]:
    """The whole project in this process; it must end well."""
    stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()

    def announce(text: str) -> None:
        if "listening on" in text:
            url.set_result(text.split()[-1])

    task = asyncio.create_task(up(load(folder), announce=announce, stop=stop))
    await asyncio.wait({task, url}, return_when=asyncio.FIRST_COMPLETED)
    backend = await open_backend(load(folder))
    try:
        yield url.result(), backend
    finally:
        stop.set()
        await backend.close()
    assert await task == 0


@pytest.mark.timeout(90)
async def test_what_triggers_functions(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    async with hook() as (webhook, posted):
        (tmp_path / "millrace.yml").write_text(PROJECT.format(webhook=webhook))
        async with running(tmp_path) as (url, backend), httpx.AsyncClient(base_url=url, timeout=60) as http:
            answer = await http.post("/pets/tom", json={"say": "miau"})
            assert (answer.status_code, answer.json()) == (201, {"id": "tom", "said": "miau"})
            assert (await http.post("/pets/tom", json={"fail": True})).status_code == 502
            await backend.buckets["lake"].put("in/other.bin", b"not of the pattern")
            await backend.buckets["lake"].put("in/a.txt", b"hello")
            assert json.loads(await posted.get()) == {"change": "insert", "key": "in/a.txt"}
        assert posted.empty()
