"""A project's services over stores that can be opened again, and boto3 clients that call them without a socket."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from millrace.app.backend import durable_queues
from millrace.aws.endpoint.call import Call, Reply
from millrace.aws.moto import Services
from millrace.brokers.sqlite import SqliteBroker
from millrace.config.schema import Project
from millrace.database import Database
from millrace.store import Bucket, Table
from millrace.stores.objects import open_bucket
from millrace.stores.sqlite import SqliteTables
from millrace.types import Message

ACCOUNT = "123456789012"
REGION = "eu-west-1"
NOTES = "aws.objects"


class House:
    """The project's queue, tables and folders in `root`, and the services over them."""

    def __init__(self, project: Project, root: Path) -> None:
        self.project = project
        self.root = root
        self.open()

    def open(self) -> None:
        """Open the file, for the first time or again."""
        self.database = Database.open(self.root / "millrace.db")
        self.stored = SqliteTables(self.database)
        self.broker = SqliteBroker(self.database, [self.stored])
        self.tables: dict[str, Table] = {}
        self.buckets: dict[str, Bucket] = {}
        self.services: Services

    async def start(self) -> House:
        """Open everything; moto is loaded by the first call."""
        await self.broker.declare(list(durable_queues(self.project).values()))
        for name, table in self.project.tables.items():
            self.tables[name] = await self.stored.open(name, table.key, stream=True)
        self.buckets = {name: open_bucket(name, each.url, self.root) for name, each in self.project.buckets.items()}
        notes = await self.stored.open(NOTES, "id")
        self.services = Services(
            self.project,
            tables=self.tables,
            buckets=self.buckets,
            notes=notes,
            made=await self.stored.open("millrace:made", "id"),
            places=self,
            put=self.broker.put,
        )
        return self

    async def open_table(self, name: str, key: str) -> Table:
        """As a Backend does."""
        return await self.stored.open(name, key)

    async def own_table(self, name: str, key: str) -> Table:
        """As a Backend does."""
        return await self.stored.open(f"millrace:{name}", key)

    def open_bucket(self, name: str) -> Bucket:
        """As a Backend does."""
        return open_bucket(name, f"./made/{name}", self.root)

    async def stop(self) -> None:
        """Let go of every file."""
        await self.services.close()
        await self.broker.close()
        await self.database.close()

    async def messages(self, queue: str) -> list[Message]:
        """What lies in a queue, oldest first."""
        return [peeked.message for peeked in await self.broker.peek(queue, 100)]

    def client(self, service: str, **named: Any) -> Any:
        """A client of boto3 whose calls go into `handle`; use it with `ask`."""
        loop = asyncio.get_running_loop()
        client = boto3.client(
            service,
            region_name=named.get("region", REGION),
            endpoint_url="http://127.0.0.1:8401",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

        def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
            future = asyncio.run_coroutine_threadsafe(self.services.handle(call_of(request)), loop)
            return response_of(request, future.result(60))

        client.meta.events.register("before-send", send)
        return client


async def ask(method: Callable[..., Any], **named: Any) -> Any:
    """A method of a client, in a thread as in another program."""
    return await asyncio.to_thread(method, **named)


def call_of(request: AWSPreparedRequest) -> Call:
    """What botocore was about to send."""
    parts = urlsplit(request.url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    body = request.body or b""
    data = (
        body.encode() if isinstance(body, str) else bytes(body if isinstance(body, (bytes, bytearray)) else body.read())
    )
    return Call(request.method, parts.path, parts.query, headers | {"host": parts.netloc}, data, REGION, ACCOUNT)


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def response_of(request: AWSPreparedRequest, reply: Reply) -> AWSResponse:
    """What botocore believes to have received."""
    return AWSResponse(request.url, reply.status, reply.headers, _Raw(reply.body))  # type: ignore[arg-type]
