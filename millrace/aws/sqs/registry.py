"""Which queues there are: those of the project file, and those made through the API, which the table remembers.

The table is written before the broker is told of a queue and after it was told to drop one, so that a crash between
the two leaves a queue that the next start makes again, never messages that nobody can reach.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from millrace.aws.sqs.errors import SqsError, no_queue
from millrace.aws.sqs.queue import Kept, SqsQueue, declared, made
from millrace.aws.sqs.redrive import RedrivePolicy
from millrace.broker import Broker, Queue
from millrace.store import Table
from millrace.types import Row

TABLE_KEY = "name"
_PAGE = 1000


class Registry:
    """The queues by name. Whoever changes one holds `lock`, since a change spans table and broker."""

    def __init__(self, broker: Broker, table: Table, account: str, region: str) -> None:
        self._broker = broker
        self._table = table
        self._account = account
        self._arns = f"arn:aws:sqs:{region}:{account}:"
        self._queues: dict[str, SqsQueue] = {}
        self.lock = asyncio.Lock()

    async def start(self, queues: Sequence[Queue], attributes: Mapping[str, Mapping[str, str]], now_s: int) -> None:
        """Know the project's queues and make those again that were made through the API."""
        rows = await self._rows()
        named = {queue.name for queue in queues}
        await self._broker.declare(queues)
        own = [self._declared(queue, attributes.get(queue.name, {}), rows.get(queue.name), now_s) for queue in queues]
        # A queue that the project file no longer names keeps its messages, but is no longer a queue of SQS.
        await self._table.delete([row.name for row in rows.values() if row.declared and row.name not in named])
        await self._save([queue.kept for queue in own])
        again = [made(row) for row in rows.values() if row.name not in named and not row.declared]
        self._queues = {queue.name: queue for queue in own}
        await self._broker.declare([self._reachable(queue.declaration, again) for queue in again])
        self._queues |= {queue.name: queue for queue in again}

    def __iter__(self) -> Iterator[SqsQueue]:
        """All queues by name."""
        return iter([self._queues[name] for name in sorted(self._queues)])

    def find(self, name: str) -> SqsQueue | None:
        """The queue of a name, None where there is none."""
        return self._queues.get(name)

    def named(self, name: str) -> SqsQueue:
        """The queue of a name. Raises SqsError."""
        found = self._queues.get(name)
        if found is None:
            raise no_queue()
        return found

    def at(self, url: str) -> SqsQueue:
        """The queue of a URL, known by its name alone: whoever copied a URL from AWS means it. Raises SqsError."""
        _, slash, name = url.rstrip("/").rpartition("/")
        if not slash:
            raise SqsError("InvalidAddress", f"The address {url[:256]} is not valid for this endpoint.")
        return self.named(name)

    def of_arn(self, arn: str) -> SqsQueue | None:
        """The queue of an ARN, None where there is none."""
        parts = arn.split(":")
        return self._queues.get(parts[5]) if len(parts) == 6 and parts[2] == "sqs" else None

    def arn(self, name: str) -> str:
        """`arn:aws:sqs:region:account:name`."""
        return self._arns + name

    def url(self, name: str, origin: str) -> str:
        """The URL by which the client that reached us at `origin` reaches the queue."""
        return f"{origin}/{self._account}/{name}"

    def sources(self, name: str) -> list[SqsQueue]:
        """The queues whose dead letters come to this one."""
        found = [queue for queue in self._queues.values() if queue.declaration.dead_to == name]
        return sorted(found, key=lambda queue: queue.name)

    async def keep(self, queue: SqsQueue) -> None:
        """Remember a queue, new or changed, and tell the broker. Durable when it returns."""
        await self._save([queue.kept])
        # Those whose dead letters it gets were told of no such queue, if it was gone when they were declared.
        sources = self.sources(queue.name) if queue.name not in self._queues else []
        await self._broker.declare([self._reachable(each.declaration, [queue]) for each in [queue, *sources]])
        self._queues[queue.name] = queue

    async def note(self, queue: SqsQueue, kept: Kept) -> None:
        """Remember what the broker need not know: tags."""
        await self._save([kept])
        self._queues[queue.name] = SqsQueue(kept, queue.declaration)

    async def delete(self, queue: SqsQueue) -> None:
        """Forget a queue and everything in it."""
        await self._broker.drop([queue.name])
        await self._table.delete([queue.name])
        self._queues.pop(queue.name, None)

    def _declared(self, queue: Queue, attributes: Mapping[str, str], kept: Kept | None, now_s: int) -> SqsQueue:
        if queue.dead_to is not None and queue.max_receives is not None:
            policy = RedrivePolicy(self.arn(queue.dead_to), queue.max_receives)
            attributes = {"RedrivePolicy": policy.text()} | dict(attributes)
        return declared(queue, attributes, kept, now_s)

    def _reachable(self, queue: Queue, again: Sequence[SqsQueue]) -> Queue:
        """A declaration without a dead-letter queue that is gone: AWS keeps such a policy, and so does the row."""
        if queue.dead_to is None or queue.dead_to in self._queues or queue.dead_to in {each.name for each in again}:
            return queue
        return msgspec.structs.replace(queue, dead_to=None)

    async def _rows(self) -> dict[str, Kept]:
        rows: dict[str, Kept] = {}
        after: str | None = None
        while page := await self._table.scan(after=after, limit=_PAGE):
            rows |= {row.key: msgspec.json.decode(row.value, type=Kept) for row in page}
            after = page[-1].key
        return rows

    async def _save(self, rows: Sequence[Kept]) -> None:
        await self._table.put([Row(self._table.name, row.name, msgspec.json.encode(row)) for row in rows])
