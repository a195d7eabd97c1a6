"""A project's ways into its function over the memory broker, with a handler in this process and time moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from millrace.app.backend import durable_queues
from millrace.app.ways import Ways
from millrace.brokers.memory import MemoryBroker
from millrace.config.schema import Project
from millrace.flow.batcher import Batcher
from millrace.flow.commit import Committer
from millrace.flow.outcomes import Decider
from millrace.flow.pipeline import Pipeline
from millrace.flow.replicas import Lost
from millrace.flow.sinks import Sinks
from millrace.flow.spec import spec_of
from millrace.flow.timing import Timing
from millrace.replica.handler import Handler
from millrace.source import EVENT_ATTRIBUTE, RowChange
from millrace.stores.memory import MemoryResults
from millrace.telemetry import Telemetry
from millrace.testing import ManualClock
from millrace.types import JSON, Message, Put
from millrace.wire import Line, Ran, Run, Spec

Function = Callable[[Any, Any], Any]


class Replicas:
    """Stands in for a ReplicaSet: the handler runs here, in the order in which batches come, while `gate` is open."""

    version = "v1"

    def __init__(self, spec: Spec, function: Function, slots: int) -> None:
        self.spec = spec
        self.slots = slots
        self.inside = self.most_inside = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Semaphore(0)
        self.runs: list[list[str]] = []
        self._handler = Handler(function, spec, "v1")

    async def run(
        self,
        run: Run,
        *,
        alone: bool = False,
        impatient: bool = False,
        on_began: Any = None,
        unless: asyncio.Future[None] | None = None,
    ) -> Ran | Lost:
        self.runs.append([message.id for message in run.messages])
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        self.entered.release()
        if on_began is not None:
            on_began()
        await self.gate.wait()
        self.inside -= 1
        return self._handler.run(run, lambda: None)


class Bench:
    """The function `f` of a project."""

    def __init__(self, project: Project, function: Function, clock: ManualClock, slots: int) -> None:
        self.project = project
        self.clock = clock
        self.results = MemoryResults()
        self.broker = MemoryBroker(clock, [self.results])
        self.telemetry = Telemetry()
        self.lines: list[Line] = []
        self.replicas = Replicas(spec_of(project, "f"), function, slots)
        self.tasks: list[asyncio.Task[None]] = []
        self.pipelines: list[Pipeline] = []

    async def start(self) -> None:
        queues = durable_queues(self.project)
        await self.broker.declare(list(queues.values()))
        committer = Committer(self.broker, {}, {}, self.results, _nobody)
        for way in Ways(self.project, queues, self.clock).of("f"):
            timing = Timing()
            sinks = Sinks("f", self.project.functions["f"].to, {})
            decider = Decider("f", way.rules, sinks, self.clock, destinations=way.destinations, jitter=lambda: 1.0)
            self.pipelines.append(
                Pipeline(
                    "f",
                    way.queue,
                    broker=self.broker,
                    replicas=self.replicas,  # type: ignore[arg-type]
                    batcher=Batcher(way.policy, timing),
                    timing=timing,
                    decider=decider,
                    committer=committer,
                    clock=self.clock,
                    telemetry=self.telemetry,
                    on_line=self.lines.append,
                    mapping=way.mapping,
                )
            )
        self.tasks = [asyncio.create_task(pipeline.run()) for pipeline in self.pipelines]

    async def stop(self) -> None:
        self.replicas.gate.set()
        for pipeline in self.pipelines:
            pipeline.drain()
        await asyncio.gather(*self.tasks)
        await self.broker.close()

    async def put(self, queue: str, *ids: str, body: Any = None, **attributes: str) -> None:
        content = b"{}" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        await self.broker.put([Put(queue, Message(id, content, attributes, self.clock.now())) for id in ids])

    async def call(self, id: str, event: Any) -> None:
        """An asynchronous call."""
        await self.put("f.async", id, body=event, **{EVENT_ATTRIBUTE: "raw", "content-type": JSON})

    async def change(self, *sequences: int, key: str = "k", **new: Any) -> None:
        """Changes of table t."""
        now = self.clock.now()
        row = msgspec.Raw(msgspec.json.encode({"id": key, **new}))
        puts = []
        for sequence in sequences:
            body = msgspec.json.encode(RowChange("modify", "t", "id", key, sequence, row, row, now))
            message = Message(f"c{sequence}", body, {EVENT_ATTRIBUTE: "table"}, now, key)
            puts.append(Put("f.t.stream", message))
        await self.broker.put(puts)

    async def settle(self) -> None:
        """Let everything run that can at this moment."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def after(self, seconds: float) -> None:
        """Let time pass, then everything run that it made due."""
        self.clock.advance(seconds)
        await self.settle()

    async def depth(self, queue: str) -> int:
        """How many messages a queue holds, in flight and delayed too."""
        stats = await self.broker.stats(queue)
        return stats.depth + stats.in_flight + stats.delayed

    async def messages(self, queue: str) -> list[Message]:
        return [peeked.message for peeked in await self.broker.peek(queue)]

    async def dead(self, queue: str) -> list[str]:
        return [message.id for message in await self.messages(f"{queue}.dead")]


@asynccontextmanager
async def running(function: Function, slots: int = 1, /, **sections: Any) -> AsyncIterator[Bench]:
    """A project whose function is `f`; `sections` are the project file's, `f` the function's own settings."""
    mine = {"handler": "a.b", **sections.pop("f", {})}
    others = sections.pop("functions", {})
    project = Project.model_validate({"service": "s", **sections, "functions": {"f": mine, **others}})
    bench = Bench(project, function, ManualClock(), slots)
    await bench.start()
    try:
        yield bench
    finally:
        await bench.stop()


async def _nobody(post: object) -> None:
    raise AssertionError("no webhook here")
