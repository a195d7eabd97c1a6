"""The ways into a function: each queue that it takes from, with what decides how its messages are run.

queue event         its batch, filter, concurrency and retries
table event         a FIFO queue of the event's own, in order per key
asynchronous calls  `<function>.async`, tried again after waits as on Lambda
everything else     the function's inbox
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from millrace.aws import envelopes
from millrace.aws.subscribers import Subscribers
from millrace.broker import Queue
from millrace.clock import Clock
from millrace.config.events import BatchConfig, QueueEvent, TableEvent
from millrace.config.schema import FunctionConfig, Project
from millrace.flow.batcher import Policy
from millrace.flow.destinations import AsyncDestinations, Destinations, StreamDestinations
from millrace.flow.mapping import Mapping, queue_mapping, stream_mapping
from millrace.flow.outcomes import Rules
from millrace.flow.spec import spec_of
from millrace.types import Lease
from millrace.wire import Spec

PAYLOAD_BYTES = 6_291_456  # 6 MB: the most that one of Lambda's invocations takes
_STREAM_S = 86_400.0  # how long DynamoDB keeps a change


class Way(msgspec.Struct, frozen=True):
    """One queue's way into a function."""

    queue: Queue
    policy: Policy
    rules: Rules
    mapping: Mapping = Mapping()
    destinations: Destinations | None = None


class Ways:
    """The ways into the functions of a project. Raises PatternError for a filter that means nothing."""

    def __init__(self, project: Project, queues: dict[str, Queue], clock: Clock) -> None:
        self._project = project
        self._queues = queues
        self._clock = clock
        self._subscribers = Subscribers(project)

    def of(self, name: str, region: str | None = None) -> Iterator[Way]:
        """Those of one function, at most one for each queue; `region` is where its environment moved it."""
        function = self._project.functions[name]
        spec = spec_of(self._project, name)
        spec = msgspec.structs.replace(spec, region=region or spec.region)
        taken: set[str] = set()
        for event in function.events:
            if isinstance(event, QueueEvent) and event.queue not in taken:
                taken.add(event.queue)
                if event.enabled:
                    yield self._queue(function, event, spec)
            elif isinstance(event, TableEvent) and (queue := self._project.stream(name, event.table)) not in taken:
                taken.add(queue)
                if event.enabled:
                    yield self._stream(function, event, self._queues[queue], spec)
        if (inbox := self._project.inbox(name)) not in taken:
            yield self._inbox(function, self._queues[inbox], spec)

    def _queue(self, function: FunctionConfig, event: QueueEvent, spec: Spec) -> Way:
        queue = self._queues[event.queue]
        rules = msgspec.structs.replace(
            rules_of(function, queue),
            at_lease_end=event.retry == "lease",
            hold=event.on_error == "bisect",
        )
        mapping = queue_mapping(event, spec, self._clock, impatient=_is_lambdas(function))
        return Way(queue, policy_of(function, event.batch), rules, mapping)

    def _stream(self, function: FunctionConfig, event: TableEvent, queue: Queue, spec: Spec) -> Way:
        rules = msgspec.structs.replace(
            rules_of(function, queue),
            max_receives=None if event.tries is None else event.tries + 1,
            max_age_s=event.max_age or _STREAM_S,
            hold=event.on_error == "bisect",
            stream=True,
        )
        destinations = StreamDestinations(spec, event.on_failure, self._subscribers)
        mapping = stream_mapping(event, spec, impatient=_is_lambdas(function))
        return Way(queue, policy_of(function, event.batch), rules, mapping, destinations)

    def _inbox(self, function: FunctionConfig, queue: Queue, spec: Spec) -> Way:
        config = function.asynchronous
        if config is None:
            return Way(queue, policy_of(function), rules_of(function, queue))
        rules = msgspec.structs.replace(
            rules_of(function, queue),
            max_receives=config.tries + 1,
            base_s=config.wait,
            max_s=math.inf,
            jitter=False,
            max_age_s=config.max_age,
        )
        destinations = AsyncDestinations(spec, config, self._subscribers)
        if function.kind == "model":
            return Way(queue, policy_of(function), rules, destinations=destinations)
        mapping = Mapping(request_id=_same_on_each_try, impatient=_is_lambdas(function))
        return Way(queue, alone(function), rules, mapping, destinations)


def call_way(function: FunctionConfig, queue: Queue, *, shared: bool) -> Way:
    """The way of synchronous calls: somebody waits for the answer, and for no company.

    A `shared` call waits in a broker, where whoever went away cannot take it back: it is given up by its age.
    """
    mapping = Mapping(request_id=_same_on_each_try, impatient=True)
    max_age_s = function.timeout if shared else math.inf
    return Way(queue, alone(function), Rules(max_receives=1, call=True, max_age_s=max_age_s), mapping)


def policy_of(function: FunctionConfig, batch: BatchConfig | None = None) -> Policy:
    """How a function's messages are batched; one that is called as on Lambda takes no more than Lambda's payload."""
    batch = batch or function.batch
    most = batch.bytes if function.asynchronous is None else min(batch.bytes, PAYLOAD_BYTES)
    return Policy(size=batch.size, wait_s=batch.wait, max_bytes=most, timeout_s=function.timeout)


def alone(function: FunctionConfig) -> Policy:
    """One message at a time, at once."""
    return Policy(size=1, wait_s=0.0, max_bytes=function.batch.bytes, timeout_s=function.timeout)


def rules_of(function: FunctionConfig, queue: Queue) -> Rules:
    """Which failures are tried again, by what the function says of all its events, and its queue."""
    return Rules(
        max_receives=queue.max_receives,
        fifo=queue.fifo,
        base_s=function.retry.base,
        max_s=function.retry.max,
        retry_on=tuple(function.retry_on),
        dead_on=tuple(function.dead_on),
    )


def _is_lambdas(function: FunctionConfig) -> bool:
    """Whether events of a function that cannot be loaded fail, and take Lambda's way; else they wait for it."""
    return function.asynchronous is not None and function.kind != "model"


def _same_on_each_try(leases: Sequence[Lease]) -> str:
    return envelopes.request_id(leases[0].message.id)
