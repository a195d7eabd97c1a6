"""Calls of functions without replicas: where they go, and what the caller hears when nobody can answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from millrace.app import Backend, open_backend
from millrace.app.invoker import ProjectInvoker
from millrace.app.tails import Tails
from millrace.aws.context import CLIENT_CONTEXT_ATTRIBUTE
from millrace.aws.endpoint import beacon
from millrace.aws.endpoint.beacon import HEALTH, Beacon
from millrace.clock import SystemClock
from millrace.config.load import load
from millrace.errors import MillraceError
from millrace.source import EVENT_ATTRIBUTE, RAW_EVENT
from millrace.types import Commit, Outcome, Record
from millrace.wire import Line

PROJECT = """
service: pets
aws: {port: 0}
queues:
  images: {}
functions:
  hello: {handler: app.hello, name: pets-hello, memory: 256MiB}
  later: {handler: app.later, asynchronous: {}}
  takes: {handler: app.takes, events: [{queue: images}]}
  model: {model: app.Model, events: [{queue: images}]}
"""


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    opened = await open_backend(load(tmp_path))
    yield opened
    await opened.close()


def replicas() -> Any:
    return SimpleNamespace(status=lambda: [SimpleNamespace(rss_bytes=50 * 2**20)])


def invoker(backend: Backend, tmp_path: Path, tails: Tails | None = None, **replicas: Any) -> ProjectInvoker:
    return ProjectInvoker(load(tmp_path), backend, tails or Tails(), replicas, SystemClock())


def function(found: ProjectInvoker, key: str) -> Any:
    return next(function for function in found.functions if function.key == key)


async def test_handlers_can_be_called_and_models_cannot(backend: Backend, tmp_path: Path) -> None:
    found = invoker(backend, tmp_path)
    assert [(each.key, each.name) for each in found.functions] == [
        ("hello", "pets-hello"),
        ("later", "later"),
        ("takes", "takes"),
    ]
    assert function(found, "hello").memory_mb == 256


@pytest.mark.parametrize(("key", "queue"), [("hello", "hello"), ("later", "later.async"), ("takes", "images")])
async def test_an_event_waits_durably_in_the_functions_inbox(
    backend: Backend, tmp_path: Path, key: str, queue: str
) -> None:
    found = invoker(backend, tmp_path)
    await found.invoke(function(found, key), b'{"a":1}', "Event", request_id="r-1", client_context='{"custom":{}}')
    (peeked,) = await backend.broker.peek(queue)
    assert (peeked.message.id, peeked.message.body) == ("r-1", b'{"a":1}')
    assert peeked.message.attributes[EVENT_ATTRIBUTE] == RAW_EVENT
    assert peeked.message.attributes[CLIENT_CONTEXT_ATTRIBUTE] == '{"custom":{}}'


async def test_a_call_is_answered_with_its_own_lines(backend: Backend, tmp_path: Path) -> None:
    passed: list[str] = []
    tails = Tails(lambda name, line: passed.append(f"{name}: {line.text}"))
    found = invoker(backend, tmp_path, tails, hello=replicas())
    asking = asyncio.create_task(found.invoke(function(found, "hello"), b"{}", "RequestResponse", request_id="r-1"))
    await backend.calls.broker.wait("hello", 10)
    (lease,) = await backend.calls.broker.take("hello", 1)
    for ids, text, pid in (("r-1",), "mine", 7), (("r-2",), "another's", 7), (("r-1",), "call r-1 failed", 0):
        tails.hear("hello", Line("stdout", text, "x", ids, 0.0, pid))
    record = Record("r-1", "hello", "done", msgspec.Raw(b"[1]"), started_at=1.0, finished_at=1.25)
    await backend.calls.broker.settle(Commit("hello", [Outcome(lease, "done", record)]))
    answer = await asking
    assert (answer.payload, answer.failed) == (b"[1]", False)
    assert answer.log.splitlines() == [
        "START RequestId: r-1 Version: $LATEST",
        "mine",
        "END RequestId: r-1",
        "REPORT RequestId: r-1\tDuration: 250.00 ms\tBilled Duration: 250 ms\tMemory Size: 256 MB\t"
        "Max Memory Used: 50 MB\t",
    ]
    assert passed == ["hello: mine", "hello: another's", "hello: call r-1 failed"]


async def test_a_function_of_another_process_cannot_be_waited_for(backend: Backend, tmp_path: Path) -> None:
    found = invoker(backend, tmp_path)
    with pytest.raises(MillraceError, match="pets-hello does not run in this process"):
        await found.invoke(function(found, "hello"), b"{}", "RequestResponse", request_id="r-1")


def test_a_tail_keeps_the_end() -> None:
    tails = Tails()
    with tails.watch("m") as tail:
        for number in range(10_000):
            tails.hear("f", Line("stdout", f"line {number}", "r", ("m",), 0.0, 1))
        assert tail.text.endswith("line 9999\n")
        assert len(tail.text) <= 8192


class TestBeacon:
    async def find(self, folder: Path, told: bytes) -> tuple[Beacon, str | None]:
        """What is found where a server answers with `told` at the place that the file names."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert HEALTH.encode() in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(told) + told)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            lit = Beacon(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "rhubarb")
            beacon.light(folder, lit)
            return lit, await asyncio.to_thread(beacon.find, folder)

    async def test_it_is_believed_when_the_endpoint_says_the_same_word(self, tmp_path: Path) -> None:
        lit, found = await self.find(tmp_path, b'{"word": "rhubarb"}')
        assert found == lit.url
        assert beacon.find(tmp_path) is None, "nobody listens there any more"

    @pytest.mark.parametrize("told", [b'{"word": "celery"}', b"[]", b"not json", b""])
    async def test_somebody_else_on_its_port_is_not(self, tmp_path: Path, told: bytes) -> None:
        assert (await self.find(tmp_path, told))[1] is None

    def test_who_leaves_takes_his_own_word_alone(self, tmp_path: Path) -> None:
        mine, newer = Beacon("http://127.0.0.1:1", "mine"), Beacon("http://127.0.0.1:2", "newer")
        beacon.light(tmp_path, mine)
        beacon.light(tmp_path, newer)
        beacon.extinguish(tmp_path, mine)
        assert b"newer" in (tmp_path / "aws-endpoint.json").read_bytes()
        beacon.extinguish(tmp_path, newer)
        assert list(tmp_path.iterdir()) == []

    def test_no_file_or_a_damaged_one_is_no_beacon(self, tmp_path: Path) -> None:
        assert beacon.find(tmp_path) is None
        (tmp_path / "aws-endpoint.json").write_bytes(b"\xff")
        assert beacon.find(tmp_path) is None
