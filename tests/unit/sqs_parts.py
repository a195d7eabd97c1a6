"""An SQS service without a network: asked in either protocol, over either embedded broker."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from millrace.aws.endpoint.call import Call, Reply
from millrace.aws.sqs import SqsService
from millrace.broker import Broker
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database
from millrace.store import Table
from millrace.stores.memory import MemoryTables
from millrace.stores.sqlite import SqliteTables
from millrace.testing import ManualClock

ACCOUNT, REGION, ORIGIN = "123456789012", "eu-west-1", "http://localhost:8401"
Json = dict[str, Any]


class Refused(Exception):
    """An error of SQS as the JSON protocol has it; `code` is the query protocol's name."""

    def __init__(self, reply: Reply) -> None:
        body = json.loads(reply.body)
        super().__init__(body)
        self.status, self.type, self.message = reply.status, body["__type"], body["message"]
        self.code, self.fault = reply.headers["x-amzn-query-error"].split(";")


class Sqs:
    """A service and its clock, asked as a client would ask."""

    def __init__(self, broker: Broker, table: Table, clock: ManualClock) -> None:
        self.broker, self.table, self.clock = broker, table, clock
        self.service = self.again()

    def again(self) -> SqsService:
        """A service as a new process would have it; not started."""
        self.service = SqsService(self.broker, self.table, account=ACCOUNT, region=REGION, clock=self.clock)
        return self.service

    async def ask(self, action: str, **members: Any) -> Json:
        """The JSON protocol; raises Refused."""
        reply = await self.raw(action, json.dumps(members).encode())
        if reply.status != 200:
            raise Refused(reply)
        return dict(json.loads(reply.body or b"{}"))

    async def raw(self, action: str, body: bytes) -> Reply:
        """The JSON protocol, untouched."""
        headers = {"x-amz-target": f"AmazonSQS.{action}", "host": "localhost:8401"}
        return await self.service.handle(Call("POST", "/", "", headers, body))

    async def query(self, action: str, /, path: str = "/", **fields: Any) -> ElementTree.Element:
        """The query protocol: the root of its answer; dots in names are written as `__`."""
        return ElementTree.fromstring((await self.raw_query(action, path, **fields)).body)

    async def raw_query(self, action: str, /, path: str = "/", **fields: Any) -> Reply:
        """The query protocol, untouched."""
        form = {"Action": action, **{name.replace("__", "."): value for name, value in fields.items()}}
        headers = {"content-type": "application/x-www-form-urlencoded", "host": "localhost:8401"}
        return await self.service.handle(Call("POST", path, "", headers, urlencode(form).encode()))

    async def queue(self, name: str = "jobs", **attributes: Any) -> str:
        """Make a queue; its URL."""
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        texts = {key: str(value) for key, value in attributes.items()}
        return str((await self.ask("CreateQueue", QueueName=name, Attributes=texts))["QueueUrl"])

    async def send(self, url: str, body: str = "hello", **members: Any) -> Json:
        """Send one message."""
        return await self.ask("SendMessage", QueueUrl=url, MessageBody=body, **members)

    async def receive(self, url: str, **members: Any) -> list[Json]:
        """Receive up to ten."""
        asked = {"MaxNumberOfMessages": 10} | members
        return list((await self.ask("ReceiveMessage", QueueUrl=url, **asked)).get("Messages", []))


Open = Callable[[Path], Any]


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[Sqs]:
    """Over the memory broker."""
    clock = ManualClock()
    tables = MemoryTables()
    yield await _started(Sqs(MemoryBroker(clock), await tables.open("sqs", "name"), clock))


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Sqs]:
    """Over the embedded durable broker."""
    clock = ManualClock()
    database = Database.open(folder / "sqs.db", clock=clock)
    tables = SqliteTables(database)
    yield await _started(Sqs(SqliteBroker(database, [tables]), await tables.open("sqs", "name"), clock))
    await database.close()


async def _started(sqs: Sqs) -> Sqs:
    await sqs.service.start([])
    return sqs


@contextmanager
def boto_client(handle: Callable[[Call], Any], loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """A real boto3 client whose requests are handed to `handle` in a loop that runs in another thread."""
    client = boto3.client(
        "sqs",
        endpoint_url=ORIGIN,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"max_attempts": 0}),
    )

    def answer(request: Any, **_: Any) -> AWSResponse:
        url = urlsplit(request.url)
        headers = {name.lower(): _text(value) for name, value in request.headers.items()} | {"host": url.netloc}
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        call = Call(request.method, url.path, url.query, headers, body)
        reply = asyncio.run_coroutine_threadsafe(handle(call), loop).result(30)
        return AWSResponse(request.url, reply.status, reply.headers, _Raw(reply.body))

    client.meta.events.register("before-send.sqs", answer)
    yield client
    client.close()


@contextmanager
def loop_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


class _Raw(BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.getvalue()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
