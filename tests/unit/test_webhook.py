"""Results posted to a real server on loopback: sent once, under the same id, and anything but 2xx is an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from millrace.app.webhook import Webhooks
from millrace.errors import StorageError
from millrace.types import Post


@asynccontextmanager
async def answering(status: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that keeps each whole request and answers with one status."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        asked.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", asked


async def post(url: str) -> None:
    webhooks = Webhooks()
    try:
        await webhooks.post(Post(url, "m.f.1", b'{"label":"cat"}'))
    finally:
        await webhooks.close()


async def test_a_result_is_posted_as_json_under_its_own_id() -> None:
    async with answering(b"204 No Content") as (url, asked):
        await post(url)
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook HTTP/1.1")
    assert b"idempotency-key: m.f.1" in head.lower()
    assert b"content-type: application/json" in head.lower()
    assert body == b'{"label":"cat"}'


@pytest.mark.parametrize("status", [b"500 No", b"404 No", b"302 Elsewhere"])
async def test_any_answer_but_2xx_is_an_error(status: bytes) -> None:
    async with answering(status) as (url, asked):
        with pytest.raises(StorageError, match=f"answered {status[:3].decode()}"):
            await post(url)
    assert len(asked) == 1, "trying again is the queue's business"


async def test_nobody_there() -> None:
    async with answering(b"204 No Content") as (url, _):
        pass
    with pytest.raises(StorageError, match="did not answer"):
        await post(url)


async def test_without_a_post_there_is_nothing_to_close() -> None:
    await Webhooks().close()
