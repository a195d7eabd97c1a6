"""What a project keeps: its queues, tables, buckets and records, opened behind their ports."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from millrace.app.codecs import with_codecs
from millrace.app.queue import open_queue, results_of
from millrace.app.stores import Store, open_project_table, open_store
from millrace.broker import Broker, Queue
from millrace.brokers.claims import ClaimCheck
from millrace.brokers.memory import MemoryBroker
from millrace.clock import Clock, SystemClock
from millrace.config.events import HttpEvent, TableEvent
from millrace.config.fleet import LARGE_BODY
from millrace.config.schema import FunctionConfig, Project
from millrace.store import Bookmarks, Bucket, Results, Table
from millrace.stores.memory import MemoryResults
from millrace.stores.objects import open_bucket

BODIES = "bodies"
BUCKETS = "buckets"
_MAX_BODY = 1_000_000_000


class Calls(msgspec.Struct, frozen=True):
    """The way of synchronous calls: the queue of each function that is called, and where its answers are."""

    broker: Broker
    results: Results
    queues: dict[str, Queue]


class Backend:
    """The ports of one project.

    `calls` go through a queue of this process that no file keeps; `calls_elsewhere` through the broker, to functions
    of other processes.
    """

    def __init__(self, project: Project, store: Store, queue: Broker, clock: Clock) -> None:
        records = MemoryResults()
        self._claims = bodies_around(queue, project, clock)
        self.broker: Broker = with_codecs(self._claims, project)
        self.results: Results = results_of(queue, store)
        self.calls = Calls(MemoryBroker(clock, [records]), records, call_queues(project))
        self.calls_elsewhere = Calls(self.broker, self.results, shared_call_queues(project))
        self.shares_calls = False
        self.bookmarks: Bookmarks = store.bookmarks
        self.tables: dict[str, Table] = {}
        self.buckets: dict[str, Bucket] = {
            name: open_bucket(name, bucket.url, project.root) for name, bucket in project.buckets.items()
        }
        self.queues = list(durable_queues(project))
        self._open_table = store.open_table
        self._store = store
        self._project = project

    async def start(self) -> None:
        """Make the declared queues and tables exist."""
        # Those that DynamoDB's API shows are followed by it, so that it sees what functions write.
        streamed = set(self._project.tables) if self._project.aws else set(_streamed(self._project))
        for name, table in self._project.tables.items():
            self.tables[name] = await open_project_table(self._store, name, table, stream=name in streamed)
        await self.broker.declare(list(durable_queues(self._project).values()))
        await self.calls.broker.declare(list(self.calls.queues.values()))

    async def share_calls(self) -> None:
        """Make the queues of `calls_elsewhere` exist."""
        await self.broker.declare(list(self.calls_elsewhere.queues.values()))
        self.shares_calls = True

    async def own_table(self, name: str, key: str) -> Table:
        """A table that is millrace's and not the project's; a project's table cannot have its name."""
        return await self._open_table(f"millrace:{name}", key)

    async def open_table(self, name: str, key: str) -> Table:
        """A table beside the project's, made while it runs. Raises ConfigError for a name or key that cannot be."""
        return await self._open_table(name, key)

    def open_bucket(self, name: str) -> Bucket:
        """A bucket beside the project's, made while it runs: a folder in its state."""
        return open_bucket(name, str(self._project.state / BUCKETS / name), self._project.root)

    async def sweep(self) -> int:
        """Delete the files of large bodies that a crash left without a message; say how many. Raises StorageError."""
        return await self._claims.sweep()

    async def close(self) -> None:
        """Finish what was begun and close every file."""
        await self.calls.broker.close()
        await self.broker.close()
        for table in self.tables.values():
            await table.close()
        await self._store.close()


async def open_backend(project: Project, *, clock: Clock | None = None) -> Backend:
    """Open a project's queues, tables and buckets without running anything.

    Raises StorageError for a damaged, locked, read-only or absent database, BrokerError for an absent broker,
    ConfigError for one that is not known.
    """
    backend = await connect(project, clock or SystemClock())
    try:
        await backend.start()
    except BaseException:
        await backend.close()
        raise
    return backend


async def connect(project: Project, clock: Clock) -> Backend:
    """Reach the database and the broker of a project; `start` makes its queues and tables exist. Raises the same."""
    store = await open_store(project, clock)
    try:
        return Backend(project, store, await open_queue(project, store, clock), clock)
    except BaseException:
        await store.close()
        raise


def bodies_around(broker: Broker, project: Project, clock: Clock) -> ClaimCheck:
    """The broker, with bodies that are too large for it in the project's bucket of bodies."""
    bucket = open_bucket(BODIES, project.bodies or str(project.state / BODIES), project.root)
    return ClaimCheck(broker, bucket, beyond_bytes=LARGE_BODY, max_body=_MAX_BODY, clock=clock)


def durable_queues(project: Project) -> dict[str, Queue]:
    """Every queue that survives: those declared, and the functions' own for calls and changes of tables."""
    queues = {
        name: Queue(
            name=name,
            lease_s=queue.lease,
            max_receives=queue.max_receives,
            ttl_s=queue.ttl,
            max_depth=queue.max_depth,
            fifo=queue.fifo,
            dedupe_s=queue.dedupe,
            delay_s=queue.delay,
            dead_to=queue.dead,
        )
        for name, queue in project.queues.items()
    }
    for name, function in project.functions.items():
        lease_s = max(30.0, function.timeout)
        inbox = Queue(project.inbox(name), lease_s)
        if function.asynchronous is not None:  # how often it is tried is the function's to say
            inbox = msgspec.structs.replace(inbox, max_receives=None)
        queues.setdefault(inbox.name, inbox)
        for stream in project.streams_of(name):
            queues[stream] = Queue(stream, lease_s, max_receives=None, fifo=True)
    return queues


def call_queues(project: Project) -> dict[str, Queue]:
    """The queues of synchronous calls, tried once: one for each handler or WSGI application with an `http` event.

    With `aws:` Lambda's API calls handlers too, whatever their events.
    """
    return {
        name: Queue(name=name, lease_s=max(30.0, function.timeout), max_receives=1)
        for name, function in project.functions.items()
        if is_called(function) or (project.aws is not None and function.kind == "handler")
    }


def shared_call_queues(project: Project) -> dict[str, Queue]:
    """The same for calls that another process answers, in the durable broker.

    A lease outlasts the call, so that none is run twice: nobody waits for the second answer.
    """
    return {
        name: msgspec.structs.replace(queue, name=project.calls(name)) for name, queue in call_queues(project).items()
    }


def is_called(function: FunctionConfig) -> bool:
    """Whether somebody waits for the function's answer: a handler or application behind a path of the gateway."""
    return function.kind != "model" and any(isinstance(event, HttpEvent) for event in function.events)


def _streamed(project: Project) -> Iterator[str]:
    for function in project.functions.values():
        for event in function.events:
            if isinstance(event, TableEvent):
                yield event.table
