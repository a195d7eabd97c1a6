"""The AWS endpoint among clients that mean it harm: it says no in words, stays small, and serves the others."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from needs import needs_module

needs_module("boto3")

import boto3  # noqa: E402
import httpx  # noqa: E402
from botocore.config import Config  # noqa: E402
from up_parts import Up, running  # noqa: E402

PROJECT = """
service: shop
gateway: {port: 0}
aws: {port: 0}
queues: {jobs: {}}
"""
MIB = 1_048_576
MOST_GROWTH = 300 * MIB
JSON = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
PATIENCE_S = 30.0

pytestmark = pytest.mark.timeout(180)


class Site:
    """The endpoint, how large its process was before anything happened, and a client that must be served."""

    def __init__(self, up: Up) -> None:
        self.url = up.client["endpoint_url"]
        self.address = (urlsplit(self.url).hostname, urlsplit(self.url).port)
        self._process = psutil.Process(up.pid)
        config = Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE_S)
        self.sqs = boto3.client("sqs", config=config, **up.client)
        self.queue = self.sqs.get_queue_url(QueueName="jobs")["QueueUrl"]
        self.serves()
        self._before = self._process.memory_info().rss

    def serves(self) -> None:
        """An honest client is answered."""
        self.sqs.send_message(QueueUrl=self.queue, MessageBody="honest")
        (message,) = self.sqs.receive_message(QueueUrl=self.queue)["Messages"]
        self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])

    def stays_small(self) -> None:
        """Its memory did not grow beyond what it may buffer."""
        grown = self._process.memory_info().rss - self._before
        assert grown < MOST_GROWTH, f"grew by {grown / MIB:.0f} MiB"

    def post(self, body: Any, headers: dict[str, str]) -> httpx.Response:
        """One request by hand."""
        return httpx.post(self.url, content=body, headers=headers, timeout=PATIENCE_S)

    def raw(self, head: str, *pieces: bytes) -> str:
        """What comes back on a connection for bytes as they are; the endpoint may hang up before all are sent."""
        with socket.create_connection(self.address, timeout=PATIENCE_S) as connection:
            with contextlib.suppress(ConnectionError):
                for piece in (head.replace("\n", "\r\n").encode(), *pieces):
                    connection.sendall(piece)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while more := connection.recv(65_536):
                    answer += more
            return answer.decode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "millrace.yml").write_text(PROJECT)
    with running(folder) as up:
        yield Site(up)


@pytest.fixture(autouse=True)
def unharmed(site: Site) -> Iterator[None]:
    """Whatever a test did, the endpoint serves and is small."""
    yield
    site.serves()
    site.stays_small()


class TestBodies:
    def test_announced_too_large(self, site: Site) -> None:
        answer = site.raw(
            f"POST / HTTP/1.1\nHost: localhost\nX-Amz-Target: AmazonSQS.ListQueues\nContent-Length: {10**12}\n\n"
        )
        assert answer.startswith("HTTP/1.1 413")
        assert "larger than 16777216 bytes" in answer

    def test_without_an_end(self, site: Site) -> None:
        head = "POST / HTTP/1.1\nHost: localhost\nX-Amz-Target: AmazonSQS.ListQueues\nTransfer-Encoding: chunked\n\n"
        chunk = b"100000\r\n" + b"x" * MIB + b"\r\n"
        assert site.raw(head, *[chunk] * 200).startswith("HTTP/1.1 413")

    @pytest.mark.parametrize(
        "body",
        [
            b"[" * (16 * MIB),
            b'{"MessageBody": ' + b'{"a":' * 1_000_000,
            json.dumps(
                {
                    "QueueUrl": "x",
                    "MessageBody": "b",
                    "MessageAttributes": {f"n{n}": {"DataType": "String", "StringValue": "x"} for n in range(100_000)},
                }
            ).encode(),
            b'{"QueueUrl": "x", "MessageBody": "' + b"x" * (15 * MIB) + b'"}',
            b'{"QueueUrl": "x", "MessageBody": ' + b"9" * MIB + b"}",
            gzip.compress(b" " * (100 * MIB)),
        ],
        ids=["brackets", "objects", "attributes", "message", "number", "gzip"],
    )
    def test_json_bombs(self, site: Site, body: bytes) -> None:
        headers = JSON | ({"content-encoding": "gzip"} if body.startswith(b"\x1f\x8b") else {})
        answer = site.post(body.replace(b'"QueueUrl": "x"', f'"QueueUrl": "{site.queue}"'.encode()), headers)
        assert answer.status_code == 400, answer.text[:500]
        assert answer.json()["message"]

    @pytest.mark.parametrize(
        "body",
        [
            b"Action=CreateQueue&" + b"&".join(b"a%d=1" % n for n in range(1_000_000)),
            b"Action=CreateQueue&QueueName=.&" + b"a." * MIB + b"=1",
            b"Action=CreateQueue&QueueName=" + b"%41" * (5 * MIB),
            b"Action=SendMessage&MessageAttribute.99999999.Name=x&QueueUrl=/1/jobs&MessageBody=b",
        ],
        ids=["fields", "depth", "name", "numbers"],
    )
    def test_form_bombs(self, site: Site, body: bytes) -> None:
        answer = site.post(body, FORM)
        assert answer.status_code == 400, answer.text[:500]
        assert len(answer.text) < 2000
        assert "<ErrorResponse" in answer.text

    def test_many_at_once(self, site: Site) -> None:
        """A dozen of nearly the largest, none of them complete."""
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n"
        with contextlib.ExitStack() as open_:
            for _ in range(12):
                connection = open_.enter_context(socket.create_connection(site.address, timeout=PATIENCE_S))
                connection.sendall(head + b"Content-Length: 16000000\r\n\r\n" + b"x" * 15_000_000)
            site.serves()
            site.stays_small()


class TestHeaders:
    @pytest.mark.parametrize(
        "headers",
        [
            "X-Big: " + "x" * MIB,
            "\n".join(f"X-{n}: y" for n in range(50_000)),
            "\n".join(["Authorization: a"] * 20_000),
        ],
        ids=["one", "many", "same"],
    )
    def test_floods(self, site: Site, headers: str) -> None:
        answer = site.raw(f"POST / HTTP/1.1\nHost: localhost\n{headers}\n\n")
        assert answer.startswith("HTTP/1.1 431"), answer[:200]

    def test_another_host(self, site: Site) -> None:
        answer = site.post(b"{}", JSON | {"host": "evil.example"})
        assert answer.status_code == 403


def test_slow_clients_hold_nobody_up(site: Site) -> None:
    """Three hundred that stop within their headers, and as many within their bodies."""
    with contextlib.ExitStack() as open_:
        for number in range(600):
            connection = open_.enter_context(socket.create_connection(site.address, timeout=PATIENCE_S))
            head = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.SendMessage\r\n"
            connection.sendall(head if number % 2 else head + b"Content-Length: 1000\r\n\r\n{")
        for _ in range(5):
            site.serves()
        site.stays_small()
