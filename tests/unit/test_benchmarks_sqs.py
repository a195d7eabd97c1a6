"""What the endpoint's benchmarks send, read and compare: a figure must not flatter, and a peer may be missing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from transport_parts import Wire

from benchmarks import npm, offline
from benchmarks.rows import sqs, warm
from benchmarks.served import served
from benchmarks.sqs_canned import Canned, answers
from benchmarks.sqs_client import turn
from benchmarks.sqs_crowd import Client, Request, caught, deleting
from benchmarks.sqs_peers import BOUND, OURS, address

URL = "http://127.0.0.1:9"
QUEUE = f"{URL}/000000000000/bench"


def test_the_ratio_is_to_the_best_of_the_others() -> None:
    rates = {OURS: [20.0, 30.0, 40.0], "slow": [1.0, 1.0, 1.0], "fast": [10.0, 10.0, 20.0]}
    found = sqs.figure("sqs", "what", rates, ["other left out: no npm"])
    assert found.values == [2.0, 3.0, 2.0]
    assert found.remark == "millrace 30/s, slow 1/s, fast 10/s; other left out: no npm"


def test_the_endpoint_is_where_up_says() -> None:
    assert address("x\nAWS endpoint on http://127.0.0.1:4242 (account 0)\n") == "http://127.0.0.1:4242"
    with pytest.raises(ValueError, match="no endpoint"):
        address("running\n")


def test_what_boto3_would_send_is_caught() -> None:
    request = caught(URL, "receive_message", QueueUrl=QUEUE, MaxNumberOfMessages=10)
    assert json.loads(request.body) == {"QueueUrl": QUEUE, "MaxNumberOfMessages": 10}
    head = request.head.decode()
    assert head.startswith("POST / HTTP/1.1\r\nHost: 127.0.0.1:9\r\n")
    assert "X-Amz-Target: AmazonSQS.ReceiveMessage\r\n" in head
    assert request.whole(b"other").endswith(b"Content-Length: 5\r\n\r\nother")
    delete = caught(URL, "delete_message_batch", QueueUrl=QUEUE, Entries=[{"Id": "0", "ReceiptHandle": "h"}])
    assert delete.body == deleting(QUEUE, ["h"])


def answer(body: Any, status: int = 200) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data)


def connected() -> tuple[Client, Wire]:
    wire, client = Wire(), Client(Request(b"S ", b"s"), Request(b"R ", b"r"), Request(b"D ", b""), QUEUE)
    client.connection_made(wire)  # type: ignore[arg-type]
    return client, wire


def test_a_connection_sends_receives_and_deletes_what_it_received() -> None:
    client, wire = connected()
    client.data_received(answer({"Successful": []}))
    client.data_received(answer({"Messages": [{"ReceiptHandle": "a"}, {"ReceiptHandle": "b"}]}))
    assert [each[:2] for each in wire.written] == [b"S ", b"R ", b"D "]
    assert wire.written[-1].endswith(deleting(QUEUE, ["a", "b"]))
    assert client.deleted == 0
    client.data_received(answer({"Successful": []}))
    assert client.deleted == 2
    client.data_received(answer({}))
    client.data_received(answer({}))  # nothing received: nothing to delete
    assert [each[:2] for each in wire.written[3:]] == [b"S ", b"R ", b"S "]


async def test_where_a_server_closes_after_each_answer_the_next_request_has_a_connection_of_its_own() -> None:
    paths: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        paths.append((await reader.readuntil(b"\r\n\r\n"))[:2])
        writer.write(answer({}).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        writer.close()
        if len(paths) == 3:
            enough.set()

    enough = asyncio.Event()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = Client(Request(b"S ", b""), Request(b"R ", b""), Request(b"D ", b""), QUEUE)
        await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", port)
        await asyncio.wait_for(enough.wait(), 10)
    assert paths[:3] == [b"S ", b"R ", b"S "]


@pytest.mark.parametrize("reply", [answer({"Failed": [{"Id": "0"}]}), answer({"message": "no"}, 500)])
def test_what_fails_is_no_throughput(reply: bytes) -> None:
    client, wire = connected()
    client.data_received(reply)
    assert client.failed
    assert wire.closed
    assert len(wire.written) == 1


class Store:
    """A client of boto3 whose batches fail in part."""

    def send_message_batch(self, **_: Any) -> dict[str, Any]:
        return {"Failed": [{"Id": "3"}]}


def test_a_turn_with_a_failed_entry_raises() -> None:
    with pytest.raises(RuntimeError, match="entry of a batch failed"):
        turn(Store(), QUEUE)


def test_a_peer_without_npm_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(npm.Absent, match="npm is not installed"):
        npm.install(tmp_path, "fauxqs")


def test_a_row_without_its_peer_says_so_and_keeps_its_other_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(folder: Path) -> Any:
        raise npm.Absent("npm is not installed")

    monkeypatch.setattr(offline, "serverless_offline", absent)
    monkeypatch.setattr(offline, "millrace", lambda folder: contextlib.nullcontext("http://h:1"))
    monkeypatch.setattr(warm, "load", lambda url, connections, seconds: warm.Load(100.0, 2.0, 500.0))
    ratio, p50 = warm.measure(True)
    assert (ratio.skipped, p50.values, p50.met) == ("npm is not installed", [2.0], True)


def test_the_bare_hop_is_bound_by_the_cpu_that_all_of_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {
        "millrace": warm.Load(300.0, 2.0, 500.0),
        "serverless_offline": warm.Load(100.0, 2.0, 1000.0),
        "hop": warm.Load(400.0, 2.0, 250.0),
        "constant": warm.Load(900.0, 2.0, 100.0),
    }
    for side in seen:
        monkeypatch.setattr(offline, side, lambda folder, side=side: contextlib.nullcontext(side))
    monkeypatch.setattr(warm, "load", lambda url, connections, seconds: seen[url])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    rate, bound, p50 = warm.measure(True)
    assert (rate.values, bound.values, p50.values) == ([3.0], [80.0], [2.0])
    assert "hop to the handler's process 250 µs" in bound.remark


def test_a_server_that_ends_gives_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no port for me"):  # noqa: SIM117
        with served(["sh", "-c", "echo no port for me"], "http://127.0.0.1:1", tmp_path, {"PATH": "/usr/bin:/bin"}):
            pass


def test_the_hello_project_is_read(tmp_path: Path) -> None:
    from millrace.formats.load import load

    offline.write(tmp_path)
    assert list(load(tmp_path).functions) == ["hello"]


def test_the_bound_is_no_peer_and_answers_what_boto3_asks() -> None:
    rates = {OURS: [20.0], "fast": [10.0], BOUND: [100.0]}
    assert sqs.figure("sqs", "what", rates, []).values == [2.0]
    wire = Wire()
    canned = Canned(answers(9))
    canned.connection_made(wire)  # type: ignore[arg-type]
    sent = caught(URL, "receive_message", QueueUrl=QUEUE, MaxNumberOfMessages=10).whole(b"{}")
    canned.data_received(sent[:40])
    assert wire.written == []
    canned.data_received(sent[40:] + sent)
    head, _, body = wire.written[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert len(json.loads(body)["Messages"]) == 10
    assert wire.written[1] == wire.written[0]
